"""The demo: one uppdragsblankett along the whole path, each step told with its time.

Why this exists: a newcomer should see the thing work before reading about it, on the real store, with the real keys,
the whole form and an attachment. What it makes is marked as a demo, and `serve` refuses such a store.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import date, datetime
from importlib import resources

from gateway.client import Client
from gateway.consents import STOCKHOLM
from gateway.errors import GatewayError, NotFoundError
from gateway.factors import code_for
from gateway.forms.demo import demo_answer, demo_consent, demo_pdf, demo_referral
from gateway.identity import SignedIn
from gateway.model.base import SECOND, EnvelopeId, InboxId, MessageId
from gateway.model.classes import Category
from gateway.model.identity import User
from gateway.model.path import Case
from gateway.register import Credential
from gateway.sessions import Signed
from gateway.usecases import Gateway
from gateway.workers import publish

CASEWORK = InboxId("alvesta.ifo.vuxen")
CASEWORK_VAXJO = InboxId("vaxjo.vuxen.placering")
UNWRITTEN = ("need_summary", "individual_wishes", "substances")  # what a begun draft of the demo still lacks
SEAT_EKELIDEN = InboxId("seat.ekeliden")
SEAT_NOVUS = InboxId("seat.novus")
UNIT_EKELIDEN = InboxId("ekeliden.enhet")
STEP_US = 30 * SECOND


def demo_directory() -> str:
    """The invented directory, as TOML."""
    return resources.files("gateway").joinpath("demo_directory.toml").read_text("utf-8")


def demo_password(login: str) -> str:
    """The demo's passwords are no secret: they open a store that bears the mark of a demo."""
    return f"lugn-trappa-vinge-{login[::-1]}-kaffekopp"


@dataclass
class DemoDesk:
    """Signs in as any of the demo's functions, and shows their codes; exists only over a store that the demo made.

    A code works once and a demo does not wait, so the clock moves on before each use, and after it, so that the code
    shown then has not been used.
    """

    gateway: Gateway
    credentials: dict[str, Credential]
    advance: Callable[[int], None]
    outside: Sequence[tuple[str, str]] = ()  # functions of the simulated counterpart, and what each does

    async def people(self) -> list[User]:
        """Every function that can sign in, in the directory's order."""
        found = {user.login: user for user in await self.gateway.ports.store.users()}
        return [found[login] for login in self.credentials if login in found]

    def code(self, login: str) -> str:
        """The code of `login` right now."""
        return code_for(self.credentials[login].seed, self.gateway.ports.clock.now())

    async def sign_in(self, login: str) -> SignedIn:
        """A session of `login`.

        Raises:
            NotFoundError: the demo has no such function.
        """
        if login not in self.credentials:
            raise NotFoundError("no such function in the demo", swedish="Demon har ingen sådan funktion.")
        self.advance(STEP_US)
        done = await self.gateway.sign_in.sign_in(login, self.credentials[login].password, self.code(login))
        self.advance(STEP_US)
        return done


@dataclass
class Walk:
    """Walks the path and tells about it through `say`."""

    gateway: Gateway
    credentials: dict[str, Credential]
    say: Callable[[str], None]
    advance: Callable[[int], None]  # moves the demo's clock on: a code works once, and a demo does not wait
    connect: Callable[[], AbstractAsyncContextManager[Callable[[], Client]]]  # clients of the API, over HTTP
    outside: Callable[[Signed, Case], Awaitable[None]] | None = None  # what is shown of a party outside
    _started: float = field(default=0.0)

    async def run(self) -> None:
        """The whole path. Raises whatever a step raises: a demo that fails must fail."""
        gateway = self.gateway
        self._begin("1 compose  Socialsekreteraren i Alvesta fyller i uppdragsblanketten och bifogar en fil")
        worker = await self.sign_in("al-sos")
        case = await gateway.cases.open(worker, CASEWORK)
        draft = await gateway.drafts.create(
            worker, CASEWORK, case.id, "placement_referral", 1, demo_referral(self._today())
        )
        await gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _file())
        self._end(f"ärendet heter {case.reference}, utkastet är förseglat i inkorgen")

        self._begin("2 decide   Utan samtycke blir svaret nej, med lagrum och nästa steg")
        try:
            await gateway.sending.send_draft(worker, draft.id, ["remissgrupp"])
        except GatewayError as refused:
            self._end(f"{refused.swedish} {refused.next_step}")
        self._begin("           Samtycket antecknas: parter, uppgifter, syfte, tid")
        await gateway.consents.record(worker, CASEWORK, case.id, demo_consent(self._today()))
        preview = await gateway.sending.preview(worker, draft.id, ["remissgrupp"])
        held = preview.held_back[SEAT_EKELIDEN]
        self._end(f"remissgruppen får {len(preview.fields[SEAT_EKELIDEN])} fält, {len(held)} hålls inne (bl.a. namn)")

        self._begin("3 seal, 4 store  Ett kuvert per plats, förseglat, signerat och sparat i en transaktion")
        sent = await gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], idempotency_key=secrets.token_hex(8))
        self._end(f"meddelande {sent.message}")

        self._begin("5 deliver  Utkorgen lämnar kuverten och får signerade kvitton")
        await self._deliver()
        self._end(f"{await self._states(sent.message)}")

        self._begin("6 open     Båda platserna i remissgruppen öppnar, efter beslut och loggad händelse")
        ekeliden, novus = await self.sign_in("ek-chef"), await self.sign_in("no-chef")
        opened = await gateway.opening.open(ekeliden, await self._envelope(SEAT_EKELIDEN, sent.message))
        await gateway.opening.open(novus, await self._envelope(SEAT_NOVUS, sent.message))
        fields = opened.opened.body["fields"]
        count = len(fields) if isinstance(fields, dict) else 0
        self._end(f"{count} fält läses, identiteten finns inte i kuvertet")

        self._begin("           Ekeliden föreslår ett svar, Novus bekräftar: ett svar med två myndigheters signatur")
        proposal = await gateway.answers.propose(ekeliden, SEAT_EKELIDEN, sent.message, demo_answer(self._today()))
        await self._deliver()
        answer = await gateway.answers.confirm(novus, SEAT_NOVUS, proposal.message)
        await self._deliver()
        read = await gateway.opening.open(worker, await self._envelope(CASEWORK, answer.message))
        signers = " och ".join(str(one.administration) for one in read.opened.endorsements)
        self._end(f"{await self._state(case)}; signerat av {signers}")

        self._begin("           Steg 2 går över API:t mellan två verksamhetssystem, nu med namn och bilaga")
        self._end(await self._stage_2(case))

        if self.outside is not None:
            await self.outside(worker, case)
        self._begin("7 audit    Loggen publiceras och kontrolleras: blad, sidorader, hashträd, signaturer")
        await publish(gateway)
        for report in await gateway.review.verify():
            if report.exit_code:
                raise GatewayError(
                    "the demo's log does not verify",
                    swedish="; ".join(report.faults + report.missing),
                    next_step="Kör om demon i en ny katalog. Händer det igen är det ett fel i programmet.",
                )
            self._end(f"{report.log}: {report.leaves} blad, {report.checkpoints} kontrollpunkter, inga fel")

    async def _stage_2(self, case: Case) -> str:
        """Stage 2 as two case systems walk it: every act is a call over HTTP."""
        async with self.connect() as new_client:
            system, unit = new_client(), new_client()
            await self._enter(system, "al-sos")
            draft = await system.create_draft(CASEWORK, case.id, "placement_referral", demo_referral(self._today()))
            await system.attach(draft.id, "utdrag.pdf", _file)
            sent = await system.send(draft.id, [UNIT_EKELIDEN])
            await self._deliver()
            await self._enter(unit, "ek-chef")
            [line] = [line async for line in unit.received(UNIT_EKELIDEN)]
            opened = await unit.open(line.envelope)
            [file] = opened.files
            size = sum([len(piece) async for piece in unit.download(line.envelope, file)])
            whole = await system.case(CASEWORK, case.id)
        states = {leg.state for leg in whole.deliveries if leg.message == sent.message}
        return f"{file.name}, {size} byte, hel; avsändarens system ser {', '.join(sorted(states))}"

    async def _enter(self, client: Client, login: str) -> None:
        credential = self.credentials[login]
        self.advance(STEP_US)
        code = code_for(credential.seed, self.gateway.ports.clock.now())
        await client.sign_in(login, credential.password, code)

    async def sign_in(self, login: str) -> Signed:
        credential = self.credentials[login]
        self.advance(STEP_US)
        code = code_for(credential.seed, self.gateway.ports.clock.now())
        done = await self.gateway.sign_in.sign_in(login, credential.password, code)
        return await self.gateway.sessions.authenticate(done.token)

    async def _deliver(self) -> None:
        while await self.gateway.outbox.run_once():
            pass

    async def _envelope(self, inbox: InboxId, message: MessageId) -> EnvelopeId:
        found = await self.gateway.ports.store.envelopes_of(message)
        return next(envelope.id for envelope in found if envelope.inbox == inbox)

    async def _states(self, message: MessageId) -> str:
        deliveries = await self.gateway.ports.store.deliveries_of(message)
        return ", ".join(f"{delivery.inbox}: {delivery.state}" for delivery in deliveries)

    async def _state(self, case: Case) -> str:
        found = await self.gateway.ports.store.get(Case, case.id)
        return f"{case.reference} är {found.state} med {', '.join(found.matched_units)}" if found else ""

    def _today(self) -> date:
        return datetime.fromtimestamp(self.gateway.ports.clock.now() / 1_000_000, STOCKHOLM).date()

    def _begin(self, text: str) -> None:
        self.say(text)
        self._started = time.perf_counter()

    def _end(self, text: str) -> None:
        self.say(f"           → {text}  ({(time.perf_counter() - self._started) * 1000:.0f} ms)")


async def prepare(gateway: Gateway, sign_in: Callable[[str], Awaitable[Signed]], say: Callable[[str], None]) -> None:
    """Leave a case in each state for whoever looks around: six in Alvesta, and one that Växjö has just begun."""
    today = datetime.fromtimestamp(gateway.ports.clock.now() / 1_000_000, STOCKHOLM).date()
    alvesta, vaxjo = await sign_in("al-sos"), await sign_in("vx-sos")
    for worker, inbox, unit in ((alvesta, CASEWORK, "alvesta.vuxen"), (vaxjo, CASEWORK_VAXJO, "vaxjo.vuxen")):
        case = await _consented(gateway, worker, inbox, unit, today)
        begun = {name: value for name, value in demo_referral(today).items() if name not in UNWRITTEN}
        await gateway.drafts.create(worker, inbox, case.id, "placement_referral", 1, begun)
    await _referred(gateway, alvesta, today)  # requested: nobody has opened it
    ekeliden, novus = await sign_in("ek-chef"), await sign_in("no-chef")
    for result in ("", "NEED_MORE_INFO", "EKELIDEN", "NOT_SUITABLE"):
        message = await _referred(gateway, alvesta, today)
        found = await gateway.ports.store.envelopes_of(message)
        await gateway.queue.open(ekeliden, next(row.id for row in found if row.inbox == SEAT_EKELIDEN))
        if result:
            answer = {**demo_answer(today), "result": result}
            if result not in ("EKELIDEN", "NOVUS"):
                answer = {
                    name: value for name, value in answer.items() if name not in ("proposed_visit", "bed_forecast")
                }
            proposal = await gateway.answers.propose(ekeliden, SEAT_EKELIDEN, message, answer)
            await _delivered(gateway)
            await gateway.answers.confirm(novus, SEAT_NOVUS, proposal.message)
            await _delivered(gateway)
    say("Förberett: ett ärende i varje läge i Alvesta och ett påbörjat i Växjö.")


async def _consented(gateway: Gateway, worker: Signed, inbox: InboxId, unit: str, today: date) -> Case:
    case = await gateway.cases.open(worker, inbox)
    consent = demo_consent(today)
    pairs = [
        {end: unit if name == "alvesta.vuxen" else name for end, name in pair.items()} for pair in consent["parties"]
    ]
    await gateway.consents.record(worker, inbox, case.id, {**consent, "parties": pairs})
    return case


async def _referred(gateway: Gateway, worker: Signed, today: date) -> MessageId:
    case = await _consented(gateway, worker, CASEWORK, "alvesta.vuxen", today)
    draft = await gateway.drafts.create(worker, CASEWORK, case.id, "placement_referral", 1, demo_referral(today))
    await gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _file())
    sent = await gateway.sending.send_draft(worker, draft.id, ["remissgrupp"])
    await _delivered(gateway)
    return sent.message


async def _delivered(gateway: Gateway) -> None:
    while await gateway.outbox.run_once():
        pass


async def _file() -> AsyncIterator[bytes]:
    yield demo_pdf()
