"""P6: one large file over TLS, up and down, beside a bare server on the same library.

What the product does more than the bare server: session, rights, file type, sealing piece by piece, digests, a second
sync for the folder, rows and log; and down again opening, checking and the log entry before the first octet.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Final

from bench.memory import MIB
from bench.run import Run, child

FULL: Final = 1024 * MIB
QUICK: Final = 8 * MIB


async def measure(run: Run) -> None:
    size = QUICK if run.quick else FULL
    client = await run.client()
    for number in run.each_round("filer över TLS (P6)"):
        async with AsyncExitStack() as stack:  # a folder for each round: a disk is not filled for a figure
            server = await stack.enter_async_context(run.server())
            bare = await child(stack, "bench.bare", str(await stack.enter_async_context(run.folder())))
            run.report.add(await _Legs(client, server, bare, size).round(turned=bool(number % 2)))


class _Legs:
    def __init__(self, client: Any, server: Any, bare: Any, size: int) -> None:
        self._client = client
        self._server = server
        self._bare = bare
        self._size = size

    async def round(self, *, turned: bool) -> dict[str, float]:
        https = (await self._server.ask("ports"))[1]
        bare = await self._bare.ask("port")
        tokens = await self._server.ask("tokens", count=1)
        draft = await self._server.ask("draft")
        ours = {"port": https, "tokens": tokens, "size": self._size, "secure": True}
        theirs = {"port": bare, "size": self._size, "secure": True}
        speed: dict[str, float] = {}

        async def up() -> float:
            return float(await self._client.ask("upload", **ours, drafts=[draft]))

        async def bare_up() -> float:
            return float(await self._client.ask("put", **theirs, path="/file"))

        async def down() -> float:
            envelope, files = await self._server.ask("own_copy", draft=draft)
            path = f"/api/v1/envelopes/{envelope}/attachments/{files[0]}"
            return float(await self._client.ask("download", **ours, paths=[path]))

        async def bare_down() -> float:
            return float(await self._client.ask("download", **theirs, tokens=["-"], paths=["/file"]))

        pairs: list[list[Callable[[], Awaitable[float]]]] = [[up, bare_up], [down, bare_down]]
        for pair in pairs:
            for leg in reversed(pair) if turned else pair:
                speed[f"{leg.__name__}_mb_s"] = self._size / await leg() / 1e6
        return speed | {
            "p6_up": speed["up_mb_s"] / speed["bare_up_mb_s"],
            "p6_down": speed["down_mb_s"] / speed["bare_down_mb_s"],
        }
