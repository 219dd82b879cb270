"""P3, P4 and the last part of P6: beside mesh-sandbox, Synapse, and Postfix with S/MIME, in turns in one run.

End to end means for all: handed over and acknowledged, delivered, found by the recipient, its content read and checked,
and the receipt stored where there is one. Without a peer its rows say what would bring it; ours are measured anyway.
"""

from __future__ import annotations

import tempfile
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bench.accepting import DIRECT
from bench.child import Child
from bench.client import OPENINGS
from bench.memory import MIB
from bench.peers import mail, mesh, synapse
from bench.peers.process import Server
from bench.run import Run, child
from bench.targets import MESH, POSTFIX, SYNAPSE

CONNECTIONS: Final = 32
WORKERS: Final = 8
KIB: Final = 1024


@dataclass(frozen=True, slots=True)
class Counts:
    """Messages in one leg, and octets of the file."""

    sends: int
    cycles: int
    file: int


FULL: Final = Counts(sends=480, cycles=160, file=10 * MIB)
QUICK: Final = Counts(sends=32, cycles=8, file=MIB)


async def measure(run: Run) -> None:
    counts = QUICK if run.quick else FULL
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(run.server())
        rows = _Rows(server, await run.client(), await child(stack, "bench.peers.client"))
        await rows.start(run, stack)
        await rows.round(QUICK, turned=False)
        for number in run.each_round("mot andra program (P3, P4, P6)"):
            run.report.add(await rows.round(counts, turned=bool(number % 2)))


class _Rows:
    def __init__(self, server: Child, client: Child, other: Child) -> None:
        self._server = server
        self._client = client
        self._other = other
        self._peers: dict[str, Server] = {}

    async def start(self, run: Run, stack: AsyncExitStack) -> None:
        """Ours with its worker, and every peer that is there."""
        self._port = (await self._server.ask("ports"))[0]
        self._tokens = await self._server.ask("tokens", count=WORKERS)
        await self._server.ask("work", on=True)
        if run.peers is not None and mesh.installed(run.peers):
            await self._begin(stack, MESH, await mesh.start(run.peers, _folder(stack)))
        if run.peers is not None and synapse.installed(run.peers):
            await self._begin(stack, SYNAPSE, await synapse.start(run.peers, _folder(stack)))
            await self._other.ask("synapse_ready", port=self._peers[SYNAPSE].port, workers=WORKERS)
        if run.peers is not None and mail.installed():
            place = _folder(stack)
            await self._begin(stack, POSTFIX, await mail.start(place, WORKERS))
            await self._other.ask("mail_ready", port=self._peers[POSTFIX].port, folder=str(place), workers=WORKERS)
        brings = {MESH: "bench/peers.sh", SYNAPSE: "bench/peers.sh", POSTFIX: "paketet postfix, som root"}
        run.report.missing |= {name: how for name, how in brings.items() if name not in self._peers}

    async def _begin(self, stack: AsyncExitStack, name: str, server: Server) -> None:
        stack.push_async_callback(server.stop)
        self._peers[name] = server

    async def round(self, counts: Counts, *, turned: bool) -> dict[str, float]:
        """Every leg once; rates and milliseconds, and the ratios of this round."""
        found: dict[str, float] = {}
        legs = self._legs(counts, found)
        for leg in reversed(legs) if turned else legs:
            await leg()
        ratios = {
            "p3_mesh": ("small", "mesh_send"),
            "p4_postfix": ("cycle", "postfix_cycle"),
            "p4_synapse": ("cycle", "synapse_cycle"),
            "p4_cpu": ("cycle_cpu", "mesh_cpu"),
            "p6_mesh": ("ten_mb_s", "mesh_ten_mb_s"),
        }
        return found | {row: found[a] / found[b] for row, (a, b) in ratios.items() if b in found}

    def _legs(self, counts: Counts, found: dict[str, float]) -> list[Callable[[], Awaitable[None]]]:
        async def small() -> None:
            bodies = await self._server.ask("case_messages", count=counts.sends, cases=CONNECTIONS)
            await self._server.ask("work", on=False)  # what is measured is accepting; the queue is emptied afterwards
            to: dict[str, Any] = {"port": self._port, "path": DIRECT, "connections": CONNECTIONS}
            done = await self._client.ask("post", **to, bodies=bodies, tokens=self._tokens)
            found["small"] = counts.sends / done["seconds"]
            await self._server.ask("deliver")
            await self._server.ask("work", on=True)

        async def mesh_send() -> None:
            to = {"port": self._peers[MESH].port, "octets": KIB, "connections": CONNECTIONS}
            found["mesh_send"] = counts.sends / await self._other.ask("mesh_send", **to, count=counts.sends)

        async def cycle() -> None:
            each = counts.cycles // WORKERS
            bodies = [await self._server.ask("case_messages", count=each, cases=1) for _ in range(WORKERS)]
            windows = each // OPENINGS + 1
            readers = [await self._server.ask("readers", count=windows) for _ in range(WORKERS)]
            to: dict[str, Any] = {"port": self._port, "senders": self._tokens, "readers": readers}
            before = await self._server.ask("cpu")
            spent = await self._client.ask("cycle", **to, bodies=bodies, inbox=await self._server.ask("recipient"))
            found["cycle"] = counts.cycles / spent
            found["cycle_cpu"] = (await self._server.ask("cpu") - before) / counts.cycles * 1000

        async def file() -> None:
            [reader] = await self._server.ask("readers", count=1)
            draft, inbox = await self._server.ask("file_draft"), await self._server.ask("recipient")
            to: dict[str, Any] = {"port": self._port, "sender": self._tokens[0], "reader": reader, "inbox": inbox}
            found["ten_mb_s"] = (
                counts.file / 1e6 / await self._client.ask("file_cycle", **to, draft=draft, size=counts.file)
            )

        async def mesh_file() -> None:
            to = {"port": self._peers[MESH].port, "workers": 1, "count": 1, "octets": counts.file}
            found["mesh_ten_mb_s"] = counts.file / 1e6 / await self._other.ask("mesh_cycle", **to)

        legs: list[Callable[[], Awaitable[None]]] = [small, cycle, file]
        if MESH in self._peers:
            to = {"port": self._peers[MESH].port, "workers": WORKERS}
            legs[1:1] = [mesh_send, self._whole("mesh", MESH, "mesh_cycle", to, counts, found)]
            legs.append(mesh_file)
        if SYNAPSE in self._peers:
            legs.append(self._whole("synapse", SYNAPSE, "synapse_cycle", {}, counts, found))
        if POSTFIX in self._peers:
            legs.append(self._whole("postfix", POSTFIX, "mail_cycle", {}, counts, found))
        return legs

    def _whole(
        self, name: str, peer: str, asked: str, to: dict[str, Any], counts: Counts, found: dict[str, float]
    ) -> Callable[[], Awaitable[None]]:
        async def leg() -> None:
            before = self._peers[peer].cpu()
            spent = await self._other.ask(asked, **to, count=counts.cycles, octets=KIB)
            found[f"{name}_cycle"] = counts.cycles / spent
            found[f"{name}_cpu"] = (self._peers[peer].cpu() - before) / counts.cycles * 1000

        return leg


def _folder(stack: AsyncExitStack) -> Path:
    """An empty folder for a peer."""
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sambud-bench-")))
