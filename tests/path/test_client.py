"""The client for case systems: the whole path over a real connection, through a network that loses answers.

The far side is faked only where time is: a scripted Transport for waits that would otherwise last minutes.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

import gateway.errors
from adapters.http.api import ROUTES
from adapters.http.client_transport import connected
from adapters.http.limits import UNPACED
from adapters.http.problems import outward, problem
from adapters.http.server import application, listening
from gateway.calling import (
    Caller,
    CutOffError,
    NoAnswerError,
    Patience,
    Reply,
    Request,
    Time,
    UnreachableError,
    may_repeat,
    refusal,
)
from gateway.client import Client
from gateway.errors import (
    AttachmentError,
    ConflictError,
    FieldError,
    GatewayError,
    InvalidFormError,
    InvalidRequestError,
    NotFoundError,
    RefusedError,
    SessionEndedError,
    SignInError,
    StepUpRequiredError,
    StoreUnavailableError,
    TooManyAttemptsError,
)
from gateway.factors import code_for
from gateway.forms.demo import demo_answer, demo_consent, demo_referral
from gateway.model.base import MINUTE
from tests.breaking import Break, Network, broken
from tests.county import ALVESTA, SEAT_E, SEAT_N, UNIT_E, County, a_county, password_of

PDF = b"%PDF-1.7\n" + b"x" * 700_000
QUICK = Time(sleep=lambda _: asyncio.sleep(0))
SHORT = Patience(each=20)


async def pdf() -> AsyncIterator[bytes]:
    for at in range(0, len(PDF), 100_000):
        yield PDF[at : at + 100_000]


@dataclass
class Desk:
    """A gateway that listens, and clients of it."""

    county: County
    address: str
    stack: AsyncExitStack

    async def client(self, login: str = "", *, address: str = "") -> Client:
        made = await self.stack.enter_async_context(connected(address or self.address, patience=SHORT, clock=QUICK))
        if login:
            await self.sign_in(made, login)
        return made

    async def sign_in(self, client: Client, login: str) -> None:
        await client.sign_in(login, password_of(login), self.code(login))

    def code(self, login: str) -> str:
        self.county.clock.advance(MINUTE // 2)
        return code_for(self.county.seeds[login], self.county.clock.now())

    async def messages(self, case: str) -> int:
        return len(await self.county.store.messages_of(case, limit=50))  # type: ignore[arg-type]


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        county = await stack.enter_async_context(a_county())
        app = application(county.gateway, ROUTES, limits=UNPACED)
        address = await stack.enter_async_context(listening(app, "127.0.0.1", 0))
        yield Desk(county, address, stack)


async def a_case(desk: Desk, worker: Client) -> str:
    case = await worker.open_case(ALVESTA)
    await worker.record_consent(ALVESTA, case.id, demo_consent(desk.county.today))
    return case.id


# --- the path --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_case_system_walks_the_whole_path_with_the_client(desk: Desk) -> None:
    worker = await desk.client("al-sos")
    assert [box.id for box in await worker.inboxes()] == [ALVESTA]
    case = await a_case(desk, worker)
    [consent] = await worker.consents(ALVESTA, case)
    assert consent.state == "given"
    draft = await worker.create_draft(ALVESTA, case, "placement_referral", demo_referral(desk.county.today))
    await worker.attach(draft.id, 'utdrag "åäö".pdf', pdf)
    saved = await worker.save_draft(draft, {**demo_referral(desk.county.today), "urgency": "URGENT"})
    assert (await worker.draft(saved.id))[1]["urgency"] == "URGENT"
    seen = await worker.preview(draft.id, ["remissgrupp"])
    assert all(not one.denied and "individual_name" in one.held_back for one in seen)
    sent = await worker.send(draft.id, ["remissgrupp"])
    await desk.county.deliver()

    ekeliden, novus = await desk.client("ek-chef"), await desk.client("no-chef")
    [line] = [line async for line in ekeliden.received(SEAT_E)]
    assert (line.message, line.read) == (sent.message, False)
    opened = await ekeliden.open(line.envelope)
    assert opened.fields["urgency"] == "URGENT" and "individual_name" not in opened.fields
    await ekeliden.claim(line.envelope)
    [work] = [one async for one in ekeliden.work(SEAT_E)]
    assert (work.envelope, work.claim_version) == (line.envelope, 1)
    proposal = await ekeliden.propose(SEAT_E, sent.message, demo_answer(desk.county.today))
    await desk.county.deliver()
    await novus.confirm(SEAT_N, proposal.message)
    await desk.county.deliver()
    whole = await worker.case(ALVESTA, case)
    assert (whole.case.state, whole.case.matched_units) == ("matched", ("ekeliden",))
    assert {leg.state for leg in whole.deliveries if leg.message == sent.message} >= {"opened"}

    second = await worker.create_draft(ALVESTA, case, "placement_referral", demo_referral(desk.county.today))
    await worker.attach(second.id, 'utdrag "åäö".pdf', pdf)
    await worker.send(second.id, [UNIT_E])
    await desk.county.deliver()
    [line] = [line async for line in ekeliden.received(UNIT_E)]
    with pytest.raises(StepUpRequiredError):
        await ekeliden.open(line.envelope)
    await ekeliden.step_up(UNIT_E, desk.code("ek-chef"))
    opened = await ekeliden.open(line.envelope)
    [file] = opened.files
    assert opened.fields["individual_name"]
    assert file.name == "utdrag %22åäö%22.pdf" or file.name == 'utdrag "åäö".pdf'
    assert b"".join([piece async for piece in ekeliden.download(line.envelope, file)]) == PDF
    await worker.sign_out()
    with pytest.raises(SessionEndedError):
        await worker.inboxes()


@pytest.mark.slow
async def test_a_list_is_walked_to_its_end_page_by_page(desk: Desk) -> None:
    worker = await desk.client("al-sos")
    signed = await desk.county.sign_in("al-sos")
    made = []
    for _ in range(230):
        desk.county.clock.advance(1)
        made.append((await desk.county.gateway.cases.open(signed, ALVESTA)).id)
    assert [case.id async for case in worker.cases(ALVESTA)] == list(reversed(made))


# --- a network that loses things -------------------------------------------------------------------------------------


PLANS = (
    [Break.REFUSE],
    [Break.BEFORE],
    [Break.AFTER],
    [Break.MIDDLE],
    [Break.AFTER, Break.AFTER, Break.MIDDLE],
    [Break.BEFORE, Break.AFTER, Break.REFUSE, Break.MIDDLE, Break.BEFORE],
)


@pytest.mark.slow
async def test_a_sending_through_a_broken_network_makes_exactly_one_message(desk: Desk) -> None:
    """design.md §5: the same key and request get the same answer; not acknowledged means absent or whole."""
    worker = await desk.client("al-sos")
    for plan in PLANS:
        case = await a_case(desk, worker)
        draft = await worker.create_draft(ALVESTA, case, "placement_referral", demo_referral(desk.county.today))
        async with through(desk, worker, plan) as (lossy, network):
            sent = await lossy.send(draft.id, ["remissgrupp"])
            assert network.done == [*plan, Break.PASS]
        assert await desk.messages(case) == 1, plan
        assert sent.repeated == any(one in (Break.AFTER, Break.MIDDLE) for one in plan), plan
    print(f"{sum(len(plan) for plan in PLANS)} broken connections, {len(PLANS)} sendings, one message each")


@pytest.mark.slow
async def test_a_change_whose_answer_was_lost_is_told_and_never_repeated_by_itself(desk: Desk) -> None:
    """Opening a case has no key: doing it twice would be two cases."""
    worker = await desk.client("al-sos")
    async with through(desk, worker, [Break.AFTER]) as (lossy, network):
        with pytest.raises(NoAnswerError) as lost:
            await lossy.open_case(ALVESTA)
        assert network.done == [Break.AFTER]
    assert lost.value.next_step
    assert len([case async for case in worker.cases(ALVESTA)]) == 1


@pytest.mark.slow
async def test_a_file_that_was_cut_off_is_an_error_and_not_a_shorter_file(desk: Desk) -> None:
    worker = await desk.client("al-sos")
    case = await a_case(desk, worker)
    draft = await worker.create_draft(ALVESTA, case, "placement_referral", demo_referral(desk.county.today))
    await worker.attach(draft.id, "utdrag.pdf", pdf)
    sent = await worker.send(draft.id, ["remissgrupp"])
    own = await desk.county.envelope(ALVESTA, sent.message)  # type: ignore[arg-type]
    opened = await worker.open(own)
    async with through(desk, worker, [Break.MIDDLE], middle=5_000) as (lossy, _):
        with pytest.raises(CutOffError):
            async for _ in lossy.download(own, opened.files[0]):
                pass
    assert b"".join([piece async for piece in worker.download(own, opened.files[0])]) == PDF


@asynccontextmanager
async def through(
    desk: Desk, signed_in: Client, plan: Sequence[Break], *, middle: int = 40
) -> AsyncIterator[tuple[Client, Network]]:
    """The same user behind a network that breaks by plan."""
    async with (
        broken(desk.address, plan, middle=middle) as network,
        connected(network.address, patience=SHORT, clock=QUICK) as lossy,
    ):
        lossy._token = signed_in._token
        yield lossy, network


@pytest.mark.slow
async def test_refusals_come_as_the_errors_that_the_gateway_raised(desk: Desk) -> None:
    client = await desk.client()
    with pytest.raises(SessionEndedError, match="session-ended"):
        await client.inboxes()
    with pytest.raises(SignInError):
        await client.sign_in("al-sos", "fel lösenord", "123456")
    desk.county.clock.advance(MINUTE)
    await desk.sign_in(client, "al-sos")
    with pytest.raises(NotFoundError):
        await client.case(ALVESTA, "00000000-0000-4000-8000-000000000000")
    case = await client.open_case(ALVESTA)
    draft = await client.create_draft(ALVESTA, case.id, "placement_referral", demo_referral(desk.county.today))
    with pytest.raises(RefusedError) as refused:
        await client.send(draft.id, ["remissgrupp"])
    assert "OSL 12 kap. 2 §" in refused.value.next_step
    broken_draft = await client.save_draft(draft, {"urgency": "NOW"})
    with pytest.raises(InvalidFormError) as invalid:
        await client.send(draft.id, ["remissgrupp"])
    assert "/urgency" in {fault.pointer for fault in invalid.value.faults}
    with pytest.raises(ConflictError):
        await client.save_draft(draft, {})
    assert broken_draft.version == 2

    async def program() -> AsyncIterator[bytes]:
        yield b"MZ\x90\x00" + b"x" * 100

    with pytest.raises(AttachmentError):
        await client.attach(draft.id, "a.pdf", program)
    for wrong in ("", ".", ".."):
        with pytest.raises(InvalidRequestError):
            await client.draft(wrong)


async def test_where_nobody_listens_is_unreachable_and_says_that_nothing_was_sent() -> None:
    async with connected("http://localhost:9", patience=Patience(tries=2), clock=QUICK) as client:
        with pytest.raises(UnreachableError) as gone:
            await client.sign_in("al-sos", "x", "123456")
    assert "Inget har skickats" in gone.value.next_step


# --- waiting, with time stood in for ---------------------------------------------------------------------------------


@dataclass
class Answer:
    """What a far side says: a status with headers, or a loss."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b'{"message": "m", "repeated": false}'
    lost: type[GatewayError] | None = None

    async def read(self) -> bytes:
        return self.body

    async def pieces(self) -> AsyncIterator[bytes]:
        yield self.body


@dataclass
class FarSide:
    """A Transport that answers by script, and a clock that only its sleeping moves."""

    script: list[Answer]
    asked: list[Request] = field(default_factory=list)
    slept: list[float] = field(default_factory=list)
    draw: float = 0.5

    @asynccontextmanager
    async def send(self, request: Request) -> AsyncIterator[Reply]:
        self.asked.append(request)
        answer = self.script.pop(0)
        if answer.lost is not None:
            raise answer.lost("lost", swedish="Borta.")
        yield answer

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    @property
    def time(self) -> Time:
        return Time(now=lambda: sum(self.slept), sleep=self.sleep, draw=lambda: self.draw)

    def client(self, **patience: Any) -> Client:
        return Client(self, patience=Patience(**patience), clock=self.time)


def busy(seconds: str = "") -> Answer:
    body = json.dumps({"type": "urn:sambud:problem:store-unavailable", "title": "Vänta.", "next_step": "Vänta."})
    return Answer(503, {"retry-after": seconds} if seconds else {}, body.encode())


async def test_the_key_of_a_sending_is_made_once_and_kept_over_every_try() -> None:
    far = FarSide([busy("5"), Answer(lost=NoAnswerError), Answer(lost=UnreachableError), Answer(201)])
    await far.client().send("0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f", ["remissgrupp"])
    keys = {request.headers["Idempotency-Key"] for request in far.asked}
    assert len(far.asked) == 4 and len(keys) == 1 and len(keys.pop()) >= 22
    assert len({request.body for request in far.asked}) == 1
    other = FarSide([Answer(201)])
    await other.client().send("0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f", ["remissgrupp"], key="mine")
    assert other.asked[0].headers["Idempotency-Key"] == "mine"


async def test_waits_are_never_shorter_than_the_gateway_asks_and_grow_with_a_bound() -> None:
    """RFC 9110 §10.2.3; full jitter, so that callers do not come back together."""
    for draw in (0.0, 0.5, 0.999):
        far = FarSide([busy("7"), *[busy()] * 5, Answer(201)], draw=draw)
        await far.client(first=1, longest=4, in_all=600).send("d", [])
        assert far.slept == [7 + draw, draw * 2, draw * 4, draw * 4, draw * 4, draw * 4]


async def test_waiting_ends_after_the_tries_or_the_time_that_there_is() -> None:
    far = FarSide([busy()] * 9)
    with pytest.raises(StoreUnavailableError):
        await far.client(tries=4).send("d", [])
    assert len(far.asked) == 4
    far = FarSide([busy("50")] * 9)
    with pytest.raises(StoreUnavailableError):
        await far.client(in_all=120).send("d", [])
    assert len(far.asked) == 3  # a third wait of fifty seconds would pass two minutes


async def test_a_try_that_gets_no_answer_in_time_ends_and_is_repeated() -> None:
    @dataclass
    class Silent:
        asked: int = 0

        @asynccontextmanager
        async def send(self, request: Request) -> AsyncIterator[Reply]:
            self.asked += 1
            if self.asked == 1:
                await asyncio.sleep(60)
            yield Answer()

    far = Silent()
    await Caller(far, Patience(each=0.01), QUICK).whole(Request("GET", "/"), repeatable=True)
    assert far.asked == 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 500, 501])
async def test_a_refusal_is_told_at_once_and_never_tried_again(status: int) -> None:
    far = FarSide([Answer(status, {}, b"<html>something between us</html>"), Answer(201)])
    with pytest.raises(GatewayError):
        await far.client().send("d", [])
    assert len(far.asked) == 1


def test_what_may_be_repeated_is_what_was_not_begun_or_is_harmless_twice() -> None:
    def of(status: int, code: str = "") -> GatewayError:
        return refusal(status, {}, json.dumps({"type": f"urn:sambud:problem:{code}"}).encode())

    for status in (408, 429, 503, 507):
        assert may_repeat(of(status), False) and may_repeat(of(status), True)
    for status in (502, 504):
        assert not may_repeat(of(status), False)
        assert may_repeat(of(status), True)
    assert may_repeat(of(503, "outcome-unknown"), True) and not may_repeat(of(503, "outcome-unknown"), False)
    assert may_repeat(of(409, "decision-stale"), False)
    assert not may_repeat(of(409, "conflict"), True)
    assert not may_repeat(of(500), True)
    assert may_repeat(UnreachableError("x", swedish="x"), False)


KINDS = sorted(
    (
        kind
        for kind in vars(gateway.errors).values()
        if isinstance(kind, type) and issubclass(kind, GatewayError) and "code" in vars(kind)
    ),
    key=lambda kind: kind.code,
)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.code)
async def test_each_error_goes_out_as_a_problem_and_comes_back_as_itself(kind: type[GatewayError]) -> None:
    texts = {"swedish": "Vad som hände.", "next_step": "Vad som går att göra."}
    if issubclass(kind, InvalidFormError):
        sent: GatewayError = kind("x", [FieldError("/urgency", "enum", "Välj ett av svaren.")], **texts)
    elif issubclass(kind, TooManyAttemptsError):
        sent = kind("x", retry_after_s=17, **texts)
    else:
        sent = kind("x", **texts)
    answer = problem(sent, "0b9c2f1e-7d34-4c1a-9f5e-2a6b8c0d1e2f")
    sent = outward(sent)  # what is absent is told in the same words, whichever step found out
    headers = {name.lower(): value for name, value in answer.headers.items()}
    back = refusal(answer.status, headers, bytes(answer.body))  # type: ignore[arg-type]
    assert (type(back), back.swedish, back.next_step) == (kind, sent.swedish, sent.next_step)
    assert any("0b9c2f1e" in note for note in back.__notes__)
    if isinstance(back, InvalidFormError) and isinstance(sent, InvalidFormError):
        assert back.faults == sent.faults
    if isinstance(back, TooManyAttemptsError):
        assert back.retry_after_s == 17
