"""The demo's counterpart: an organisation outside, reached over a simulated SDK service and, where told, on paper.

Why this exists: half of what a case worker meets happens at the other end: a receipt, a refusal with a reason, silence,
an answer, a function that no machine reaches. A visitor should meet each of them on the pages and choose which. The
simulator's own functions do the work (docs/sdk-simulator.md §2); here they get names as a directory has them, and each
name says what it does.
"""

from __future__ import annotations

import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from gateway.consents import STOCKHOLM
from gateway.demo import CASEWORK, demo_directory
from gateway.demo_federated import sdk_address, table
from gateway.exchange import turn
from gateway.forms.demo import demo_consent
from gateway.forms.names import MESSAGE
from gateway.model.base import SECOND, MessageId
from gateway.model.path import Case, Channel
from gateway.neighbours import ENDED_IN_SWEDISH, reason_of
from gateway.sessions import Signed
from gateway.states import DeliveryState
from gateway.usecases import Gateway

ORGANISATION: Final = "MOTPARTEN"
AUTHORITY: Final = "motparten.vard"
PARTICIPANT: Final = "0203:motpart.example"  # the simulator's
COLLECTING: Final = "0203:alvesta.example#sdk:inkorg:alvesta"  # names no function: a registrator chooses
MISSING: Final = "SDK-delen är inte installerad (sambud[sdk]): motparten utanför finns i adressboken men nås inte."


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """A function of the counterpart: its name says what it does, `does` says it to who tries the demo."""

    id: str
    name: str
    does: str
    sdk: str = ""  # the simulator's function; empty: no machine reaches it
    paper: bool = False  # people carry it, when nothing else does


OPEN_CARE: Final = Function(
    id="motparten.oppenvard",
    name="Öppenvården (svarar)",
    does="tar emot, kvitterar genast och svarar efter fem sekunder",
    sdk="sdk:inkorg:svarar",
)
INPATIENT: Final = Function(
    id="motparten.slutenvard",
    name="Slutenvården (avvisar)",
    does="avvisar med koden BV/not-found",
    sdk="sdk:inkorg:avvisar:BV:not-found",
)
SILENT: Final = Function(
    id="motparten.psykiatri",
    name="Psykiatrin (kvitterar aldrig)",
    does="kvitterar aldrig; efter en minut ger tjänsten upp, och du kan försöka igen",
    sdk="sdk:inkorg:ingen-kvittens",
)
LATE: Final = Function(
    id="motparten.rehab",
    name="Rehabiliteringen (kvitterar sent)",
    does="kvitterar efter en timme; till dess är det på väg",
    sdk="sdk:inkorg:sen",
)
AWAY: Final = Function(
    id="motparten.jour",
    name="Jourmottagningen (går inte att nå)",
    does="går inte att nå; efter en minut blir det i stället ett ärende att lämna för hand",
    sdk="sdk:inkorg:borta",
    paper=True,
)
PAPER: Final = Function(
    id="motparten.vardcentral",
    name="Vårdcentralen (bara på papper)",
    does="nås inte elektroniskt: skriv ut, lämna och anteckna under Att lämna för hand",
    paper=True,
)
FUNCTIONS: Final = (OPEN_CARE, INPATIENT, SILENT, LATE, AWAY, PAPER)


def with_outside() -> str:
    """The demo's directory with the counterpart, ways to it, and the addresses under which it writes to us."""
    ours = tomllib.loads(demo_directory())
    rows: list[str] = [
        table("organisation", {"id": ORGANISATION, "name": "Motparten (låtsad)", "number": "202100-0001"}),
        table(
            "administration",
            {"id": AUTHORITY, "organisation": ORGANISATION, "name": "Motpartens vård (låtsad)", "outside": True},
        ),
    ]
    for one in FUNCTIONS:
        unit = {"id": one.id, "administration": AUTHORITY, "name": one.name, "secrecy_regime": "OSL_25"}
        inbox = {"id": one.id, "unit": one.id, "name": one.name, "kind": "intake", "accepts": [MESSAGE], "members": []}
        rows += [table("unit", {**unit, "legal_form": "förvaltningsenhet"}), table("inbox", inbox)]
        if one.sdk:
            rows.append(table("route", {"inbox": one.id, "channel": "sdk", "address": f"{PARTICIPANT}#{one.sdk}"}))
        if one.paper:
            where = f"{one.name}, receptionen"
            rows.append(table("route", {"inbox": one.id, "channel": "handover", "address": where, "rank": 2}))
    for row in ours["inbox"]:
        route: dict[str, Any] = {"inbox": row["id"], "channel": "sdk", "address": sdk_address(row["id"])}
        if row["id"] == "alvesta.registrator":
            route |= {"address": COLLECTING, "serves": ["alvesta.ifo"]}
        rows.append(table("route", route))
    return demo_directory() + "\n" + "\n".join(rows)


@dataclass
class Outside:
    """What the demo does with the counterpart, over a gateway that is connected with it."""

    gateway: Gateway
    advance: Callable[[int], None]
    arrive: Callable[[str, str, str], None]  # to, subject, text: what the counterpart writes to us

    async def walk(self, worker: Signed, case: Case, say: Callable[[str], None]) -> None:
        """One message to two functions: one receipts and answers, one refuses. Raises whatever a step raises."""
        started = time.perf_counter()
        say("           Utanför: ett meddelande till motparten, över en låtsad SDK-tjänst på den här datorn")
        await self.consent(worker, case)
        message = await self.write(worker, case, OPEN_CARE, INPATIENT)
        await self.exchange()
        rows = sorted(await self.gateway.ports.store.deliveries_of(message), key=lambda row: row.state)
        told = []
        for row in rows:
            ended = reason_of(row.reason) if row.state is DeliveryState.FAILED else None
            why = f", {ENDED_IN_SWEDISH[ended][0]}" if ended is not None else ""
            told.append(f"{row.inbox}: {row.state} ({row.channel}){why}")
        found = await self.gateway.ports.store.messages_of(case.id, limit=200)
        answers = sum(row.in_reply_to == message for row in found)
        took = (time.perf_counter() - started) * 1000
        say(f"           → {'; '.join(told).rstrip('.')}; svar i inkorgen: {answers}  ({took:.0f} ms)")

    async def prepare(self, worker: Signed, say: Callable[[str], None]) -> None:
        """A case with the counterpart in it: one refused, one without a receipt, one on paper; and mail to assign."""
        case = await self.gateway.cases.open(worker, CASEWORK)
        await self.consent(worker, case)
        for function in (OPEN_CARE, INPATIENT, SILENT, PAPER):
            await self.write(worker, case, function)
        self.arrive(COLLECTING, "Fråga om en placering", "Vem hos er tar emot frågor om stöd efter behandling?")
        await self.exchange()
        self.advance(90 * SECOND)  # so long that the service has given up on who never receipts
        await self.exchange()
        say(f"Förberett: {case.reference} har skrivit till motparten; något kom inte fram, och något väntar på papper.")

    async def exchange(self) -> None:
        """A few turns: out, receipts, answers in."""
        for _ in range(3):
            while await self.gateway.outbox.run_once():
                pass
            await turn(self.gateway, Channel.SDK)
            self.advance(3 * SECOND)

    async def consent(self, worker: Signed, case: Case) -> None:
        """Record that the person agrees to letters to and from every function of the counterpart."""
        ours = "alvesta.vuxen"
        pairs = [pair for one in FUNCTIONS for pair in ({"from": ours, "to": one.id}, {"from": one.id, "to": ours})]
        terms = {**demo_consent(self._today()), "parties": pairs}
        await self.gateway.consents.record(worker, CASEWORK, case.id, terms)

    async def write(self, worker: Signed, case: Case, *to: Function) -> MessageId:
        """Send a short message to these functions; nothing is handed over yet."""
        values = {
            "text": "Personen önskar stöd efter behandlingen. Kan ni ta emot en första kontakt nästa vecka?",
            "categories": ["NEED"],
        }
        draft = await self.gateway.drafts.create(worker, CASEWORK, case.id, MESSAGE, 1, values)
        return (await self.gateway.sending.send_draft(worker, draft.id, [one.id for one in to])).message

    def _today(self) -> date:
        return datetime.fromtimestamp(self.gateway.ports.clock.now() / SECOND, STOCKHOLM).date()
