"""The demo of two gateways: Växjö's and the region's, that know each other through a message service only.

Why this exists: the remissgrupp is two authorities, and most municipalities will not share the region's machine. So the
whole path is walked once with Växjö, Alvesta and Novus at one gateway and Ekeliden at another: a referral out, a joint
answer over the border, stage 2 to the matched unit, and both logs verified.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from functools import cache
from typing import Any

from gateway.consents import STOCKHOLM
from gateway.demo import CASEWORK_VAXJO, SEAT_EKELIDEN, SEAT_NOVUS, STEP_US, UNIT_EKELIDEN, demo_directory
from gateway.errors import GatewayError
from gateway.exchange import turn
from gateway.factors import code_for
from gateway.forms.demo import demo_answer, demo_consent, demo_referral
from gateway.model.base import SECOND, InboxId, MessageId
from gateway.model.path import Case, Channel
from gateway.opening import OpenedMessage
from gateway.register import Credential
from gateway.sessions import Signed
from gateway.usecases import Gateway
from gateway.workers import publish

HERE = ("vaxjo.nav", "alvesta.ifo")
THERE = ("region.hsv",)
ROUNDS = 12


def sdk_address(inbox: str) -> str:
    """The demo's address of an inbox: the participant that answers for it, and its function.

    A participant of SDK is an organisation, so two seats of one board are two participants, each of its own authority.
    """
    return f"0203:{_participants().get(inbox, inbox).partition('.')[0]}.example#sdk:inkorg:{inbox}"


@cache
def _participants() -> Mapping[str, str]:
    """The administration that answers for each inbox of the demo's directory."""
    data = tomllib.loads(demo_directory())
    owners = {unit["id"]: unit["administration"] for unit in data["unit"]}
    return {row["id"]: owners[row["unit"]] for row in data["inbox"]}


def seen_from(hosted: Collection[str], text: str, *, also: Mapping[str, str] | None = None) -> str:
    """A directory file as a gateway that hosts only `hosted` has it: the others are outside, reached over SDK.

    Args:
        also: further channels and the beginning of their addresses, for those outside.
    """
    data = tomllib.loads(text)
    owners = {unit["id"]: unit["administration"] for unit in data["unit"]}
    lines: list[str] = []
    for name in ("organisation", "administration", "unit", "user", "inbox", "board"):
        for row in data[name]:
            owner = row["id"] if name == "administration" else row.get("administration") or owners.get(row.get("unit"))
            if name == "user" and owner not in {*hosted, "sambud"}:
                continue
            if name == "administration":
                row = {**row, "outside": owner not in hosted}
            if name == "inbox" and owner not in hosted:
                row = {**row, "members": []}
            lines.append(table(name, row))
    for row in data["inbox"]:
        lines.append(table("route", {"inbox": row["id"], "channel": "sdk", "address": sdk_address(row["id"])}))
        for channel, beginning in (also or {}).items() if owners[row["unit"]] not in hosted else ():
            route = {"inbox": row["id"], "channel": channel, "address": beginning + row["id"], "rank": 2}
            lines.append(table("route", route))
    return "\n".join(lines)


def pinned(text: str, keys: Mapping[str, str]) -> str:
    """A directory file that names these signing keys of administrations, by fingerprint: now their signatures count."""
    for administration, key in keys.items():
        named = f'[[administration]]\nid = "{administration}"\n'
        text = text.replace(named, f'{named}signing_key = "{key}"\n')
    return text


def table(name: str, row: Mapping[str, Any]) -> str:
    """A row of a directory file, as TOML."""

    def told(value: object) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, list):
            return "[" + ", ".join(f'"{one}"' for one in value) + "]"
        return str(value) if isinstance(value, int) else f'"{value}"'

    return f"[[{name}]]\n" + "\n".join(f"{key} = {told(value)}" for key, value in row.items()) + "\n"


@dataclass
class Side:
    """One gateway of the two, and who can sign in there."""

    gateway: Gateway
    credentials: Mapping[str, Credential]


@dataclass
class FederatedWalk:
    """Walks the path between two gateways and tells about it through `say`."""

    vaxjo: Side
    region: Side
    say: Callable[[str], None]
    advance: Callable[[int], None]
    _started: float = field(default=0.0)

    async def run(self) -> None:
        """The whole path. Raises whatever a step raises: a demo that fails must fail."""
        here, there = self.vaxjo.gateway, self.region.gateway
        self._begin("1–4  Växjö: socialsekreteraren fyller i, samtycket antecknas, kuverten förseglas")
        worker = await self._sign_in(self.vaxjo, "vx-sos")
        case = await here.cases.open(worker, CASEWORK_VAXJO)
        await here.consents.record(worker, CASEWORK_VAXJO, case.id, self._consent())
        message = await self._send(worker, case, "remissgrupp")
        self._end(f"{case.reference}: Novus i samma gateway, Ekeliden utanför, över SDK")

        self._begin("5    SDK: Växjös gateway lämnar till meddelandetjänsten, regionens hämtar och förseglar")
        await self._exchange()
        self._end(await self._states(message))
        await self._receipts(here, message)

        self._begin("6    Regionen: Ekeliden öppnar. Växjö: Novus öppnar")
        ekeliden, novus = await self._sign_in(self.region, "ek-chef"), await self._sign_in(self.vaxjo, "no-chef")
        opened = await self._open(there, ekeliden, SEAT_EKELIDEN, message)
        await self._open(here, novus, SEAT_NOVUS, message)
        self._end(f"{len(_fields(opened))} fält läses; avsändare enligt SDK, kontrollerad av meddelandetjänsten")

        self._begin("     Ekeliden föreslår, förslaget går till Växjö, Novus bekräftar samma ord")
        proposal = await there.answers.propose(ekeliden, SEAT_EKELIDEN, message, demo_answer(self._today()))
        await self._exchange()
        answer = await here.answers.confirm(novus, SEAT_NOVUS, proposal.message)
        await self._exchange()
        read = await self._open(here, worker, CASEWORK_VAXJO, answer.message)
        signers = [str(one.administration) for one in read.opened.endorsements]
        told = read.opened.body.get("endorsed_outside")
        outside = told if isinstance(told, list) else []
        signers += [str(one["administration"]) for one in outside if isinstance(one, dict)]
        self._end(f"{await self._state(here, case)}; signerat av {' och '.join(sorted(signers))}")
        await self._receipts(there, proposal.message)
        await self._receipts(here, answer.message)

        self._begin("     Steg 2 till Ekeliden, nu med namn, över samma väg")
        second = await self._send(worker, case, UNIT_EKELIDEN)
        await self._exchange()
        await self._step_up(self.region, ekeliden, UNIT_EKELIDEN)
        unit = await self._open(there, ekeliden, UNIT_EKELIDEN, second)
        self._end(f"{await self._states(second)}; namnet finns i kuvertet: {'individual_name' in _fields(unit)}")
        await self._receipts(here, second)

        for name, gateway in (("Växjö", here), ("Regionen", there)):
            self._begin(f"7    {name}: loggen publiceras och kontrolleras")
            await self._verify(gateway)

    async def _verify(self, gateway: Gateway) -> None:
        await publish(gateway)
        for report in await gateway.review.verify():
            if report.exit_code:
                raise GatewayError(
                    "the demo's log does not verify",
                    swedish="; ".join(report.faults + report.missing),
                    next_step="Kör om demon. Händer det igen är det ett fel i programmet.",
                )
            self._end(f"{report.log}: {report.leaves} blad, inga fel")

    async def _send(self, worker: Signed, case: Case, recipient: str) -> MessageId:
        gateway = self.vaxjo.gateway
        values = demo_referral(self._today())
        draft = await gateway.drafts.create(worker, CASEWORK_VAXJO, case.id, "placement_referral", 1, values)
        return (await gateway.sending.send_draft(worker, draft.id, [recipient])).message

    async def _exchange(self) -> None:
        """A few turns of both workers: out, in, receipts."""
        for _ in range(ROUNDS):
            for side in (self.vaxjo, self.region):
                while await side.gateway.outbox.run_once():
                    pass
                await turn(side.gateway, Channel.SDK)
            self.advance(6 * SECOND)

    async def _open(self, gateway: Gateway, signed: Signed, inbox: InboxId, message: MessageId) -> OpenedMessage:
        found = await gateway.ports.store.envelopes_of(message)
        return await gateway.opening.open(signed, next(row.id for row in found if row.inbox == inbox))

    async def _sign_in(self, side: Side, login: str) -> Signed:
        self.advance(STEP_US)
        credential = side.credentials[login]
        code = code_for(credential.seed, side.gateway.ports.clock.now())
        done = await side.gateway.sign_in.sign_in(login, credential.password, code)
        return await side.gateway.sessions.authenticate(done.token)

    async def _step_up(self, side: Side, signed: Signed, inbox: InboxId) -> None:
        self.advance(STEP_US)
        code = code_for(side.credentials[signed.user.login].seed, side.gateway.ports.clock.now())
        directory = await side.gateway.directory.current()
        await side.gateway.windows.open(signed, directory.inbox(inbox), code)

    def _consent(self) -> dict[str, Any]:
        units = ("vaxjo.vuxen", "ekeliden", "novus")
        pairs = [{"from": one, "to": other} for one in units for other in units if one != other]
        return {**demo_consent(self._today()), "parties": pairs}

    async def _states(self, message: MessageId) -> str:
        rows = sorted(await self.vaxjo.gateway.ports.store.deliveries_of(message), key=lambda row: row.inbox)
        return ", ".join(f"{row.inbox}: {row.state} ({row.channel})" for row in rows)

    async def _receipts(self, gateway: Gateway, message: MessageId) -> None:
        """What the other side's receipts said: the recipient's function can reach it (docs/channels.md §2.1)."""
        for row in await gateway.ports.store.deliveries_of(message):
            if row.channel is not Channel.LOCAL and row.delivered_at is not None:
                at = datetime.fromtimestamp(row.delivered_at / SECOND, STOCKHOLM)
                self.say(f"       kvittens {row.reference} från {row.inbox}: accepterad {at:%H:%M:%S}")

    async def _state(self, gateway: Gateway, case: Case) -> str:
        found = await gateway.ports.store.get(Case, case.id)
        return f"{case.reference} är {found.state} med {', '.join(found.matched_units)}" if found else ""

    def _today(self) -> date:
        return datetime.fromtimestamp(self.vaxjo.gateway.ports.clock.now() / 1_000_000, STOCKHOLM).date()

    def _begin(self, text: str) -> None:
        self.say(text)
        self._started = time.perf_counter()

    def _end(self, text: str) -> None:
        self.say(f"     → {text}  ({(time.perf_counter() - self._started) * 1000:.0f} ms)")


def _fields(opened: OpenedMessage) -> Mapping[str, Any]:
    fields = opened.opened.body.get("fields")
    return fields if isinstance(fields, Mapping) else {}
