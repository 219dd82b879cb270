"""What names no function of ours waits sealed, and a registrator forwards it without a key (docs/channels.md §3.2)."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.memory import MemoryStore
from gateway.audit import AuditAction
from gateway.doctor_channels import held as doctor_held
from gateway.errors import (
    EnvelopeError,
    ForbiddenError,
    IllegalTransitionError,
    IntegrityError,
    InvalidFormError,
    NotFoundError,
    RecipientError,
    StepUpRequiredError,
)
from gateway.holding import choice_of, late, worked
from gateway.model.base import DAY, HOUR, EnvelopeId, InboxId, Instant
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Arrival, Consent, Envelope, Held, Message
from gateway.neighbours import ArrivedFile, Reason
from gateway.ports import Update, Work
from gateway.states import ConsentState, HeldState
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, UNIT_E, County, a_county
from tests.holding import CLOSED, INTAKE, MARKER, REGISTRATOR, a_collecting_county, collecting, to_the_municipality
from tests.neighbours import Pair, Wire, address_of, an_arrival, seen_from

PDF = b"%PDF-1.7\n" + b"ett exempel " * 400


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_collecting_county() as ready:
        yield ready


async def held(county: County, **changes: Any) -> EnvelopeId:
    """One letter that waits."""
    assert (await county.gateway.intake.take(to_the_municipality(**changes))).taken
    rows = await county.store.held(HeldState.WAITING, limit=50)
    return next(row.envelope for row in rows if row.arrival == changes.get("id", "arrival-1"))


async def lines(county: County, inbox: InboxId, login: str) -> list[Any]:
    return list(await county.gateway.inboxes.page(await county.sign_in(login), inbox))


async def state_of(county: County, envelope: EnvelopeId) -> HeldState:
    row = await county.store.get(Held, envelope)
    assert row is not None
    return row.state


async def test_what_comes_to_a_collecting_address_waits_in_no_inbox_and_the_sender_is_told_that_it_is_here(
    county: County,
) -> None:
    """Sealed to `hold` in one transaction with its log entry, and only then acknowledged."""
    answer = await county.gateway.intake.take(to_the_municipality())
    assert answer.taken
    [row] = await county.store.held(HeldState.WAITING, limit=50)
    assert (row.inbox, row.sender, row.administration, row.files, row.known) == (
        REGISTRATOR,
        ALVESTA,
        "vaxjo.nav",
        0,
        False,
    )
    assert await lines(county, REGISTRATOR, "vx-reg") == []
    wrap = await county.store.get(EnvelopeWrap, row.envelope)
    assert wrap is not None
    assert county.store.all(Message) == []  # type: ignore[attr-defined]
    name = county.gateway.auditor.origin(county.clock.now())
    auditor = await county.sign_in("gransk")
    assert len(await county.gateway.review.search(auditor, name, action=AuditAction.HELD)) == 1
    again = await county.gateway.intake.take(to_the_municipality())
    assert (again.taken, again.repeated) == (True, True)
    other = await county.gateway.intake.take(to_the_municipality(original=b"another"))
    assert other.reason is Reason.DUPLICATE
    assert len(await county.store.held(HeldState.WAITING, limit=50)) == 1


async def test_a_registrator_forwards_without_a_key_and_the_function_reads_it_as_it_came(county: County) -> None:
    envelope = await held(county, files=(ArrivedFile(name="underlag.pdf", media_type="application/pdf", octets=PDF),))
    registrator = await county.sign_in("vx-reg")
    desk = await county.gateway.triage.desk(registrator, REGISTRATOR)
    assert [row.envelope for row in desk.waiting] == [envelope]
    assert MARKER not in repr(desk)
    wrap = await county.store.get(EnvelopeWrap, envelope)

    await county.gateway.triage.order(registrator, envelope, INTAKE)
    assert await lines(county, INTAKE, "vx-bf") == []
    assert await county.gateway.placing.run_once() == 2

    [line] = await lines(county, INTAKE, "vx-bf")
    reader = await county.sign_in("vx-bf")
    opened = await county.gateway.opening.open(reader, line.item.envelope)
    body: Any = opened.opened.body
    assert body["fields"]["text"] == f"{MARKER} text"
    assert body["forwarded_by"].startswith("Registrator, Växjö: ")
    assert (opened.message.origin, opened.message.sender) == ("sdk-mk", ALVESTA)
    _, stream = await county.gateway.opening.attachment(reader, line.item.envelope, opened.opened.attachments[0].id)
    assert b"".join([piece async for piece in stream]) == PDF

    assert await state_of(county, envelope) is HeldState.FORWARDED
    assert await county.store.get(Envelope, envelope) is None
    assert wrap is not None
    with pytest.raises(IntegrityError):
        await county.keyring.shred.get(wrap.shred_key)
    assert await county.store.attachments_under(envelope) == []
    assert (await county.gateway.intake.take(to_the_municipality())).repeated
    await county.gateway.integrator.flush()
    [report] = await county.gateway.review.verify()
    assert report.faults == []


async def test_nobody_opens_what_is_held_not_even_the_registrator(county: County) -> None:
    envelope = await held(county)
    registrator = await county.sign_in("vx-reg")
    with pytest.raises((NotFoundError, ForbiddenError)):
        await county.gateway.opening.open(registrator, envelope)
    row, wrap = await county.store.get(Envelope, envelope), await county.store.get(EnvelopeWrap, envelope)
    assert row is not None
    assert wrap is not None
    with pytest.raises(EnvelopeError):
        await county.keyring.opener.open(row, wrap, registrator.user.id)


async def test_only_a_registrator_of_the_owner_sees_or_orders_and_only_within_what_the_address_serves(
    county: County,
) -> None:
    envelope = await held(county)
    registrator = await county.sign_in("vx-reg")
    targets = {box.id for box in await county.gateway.triage.targets(registrator, envelope)}
    assert {INTAKE, SEAT_E} <= targets
    assert not {REGISTRATOR, ALVESTA, CLOSED} & targets
    for target in (REGISTRATOR, ALVESTA, InboxId("nowhere"), CLOSED):
        with pytest.raises(RecipientError):
            await county.gateway.triage.order(registrator, envelope, target)
    for login in ("vx-bf", "ek-chef", "re-reg", "gransk", "it", "stat"):
        other = await county.sign_in(login)
        with pytest.raises((NotFoundError, ForbiddenError)):
            await county.gateway.triage.desk(other, REGISTRATOR)
        with pytest.raises(NotFoundError):
            await county.gateway.triage.order(other, envelope, INTAKE)
    assert await state_of(county, envelope) is HeldState.WAITING


async def test_an_address_that_serves_one_administration_gives_nothing_to_another() -> None:
    async with a_collecting_county("vaxjo.nav") as county:
        envelope = await held(county)
        registrator = await county.sign_in("vx-reg")
        targets = await county.gateway.triage.targets(registrator, envelope)
        assert {box.administration for box in targets} == {"vaxjo.nav"}
        with pytest.raises(RecipientError):
            await county.gateway.triage.order(registrator, envelope, SEAT_E)


async def test_a_row_that_was_altered_is_shown_to_nobody_and_is_an_alarm(county: County) -> None:
    envelope = await held(county)
    row = await county.store.get(Held, envelope)
    assert row is not None
    forged = dataclasses.replace(row, sender=SEAT_E, version=row.version + 1)
    await county.store.commit(Work(changes=(Update(forged),)))
    registrator = await county.sign_in("vx-reg")
    triage = county.gateway.triage
    for look in (triage.one(registrator, envelope), triage.targets(registrator, envelope)):
        with pytest.raises(IntegrityError):
            await look
    with pytest.raises(IntegrityError):
        await triage.order(registrator, envelope, INTAKE)
    name = county.gateway.auditor.origin(county.clock.now())
    auditor = await county.sign_in("gransk")
    assert await county.gateway.review.search(auditor, name, action=AuditAction.ALARM)


async def test_one_registrator_s_choice_is_none_of_another_s() -> None:
    """The same sender's conversation at two collecting addresses waits for two people."""
    theirs = InboxId("region.registrator")
    address = f'address = "{address_of(theirs)}"'
    text = collecting("vaxjo.nav").replace(address, f'{address}\nserves = ["region.hsv"]')
    async with a_county(directory=text) as county:
        first = await held(county)
        assert (await county.gateway.intake.take(an_arrival(ALVESTA, theirs, id="arrival-2"))).taken
        await county.gateway.triage.order(await county.sign_in("vx-reg"), first, INTAKE)
        await county.gateway.placing.run_once()
        assert await state_of(county, first) is HeldState.FORWARDED
        later = an_arrival(ALVESTA, theirs, id="arrival-3")
        assert (await county.gateway.intake.take(later)).taken
        rows = await county.store.held_at(theirs, HeldState.WAITING, limit=9)
        assert [row.arrival for row in rows] == ["arrival-2", "arrival-3"]


async def test_an_order_needs_a_second_factor_that_is_fresh(county: County) -> None:
    envelope = await held(county)
    registrator = await county.sign_in("vx-reg")
    county.clock.advance(HOUR // 2)
    with pytest.raises(StepUpRequiredError):
        await county.gateway.triage.order(registrator, envelope, INTAKE)
    await county.step_up(registrator, REGISTRATOR)
    await county.gateway.triage.order(registrator, envelope, INTAKE)


async def test_the_same_choice_twice_is_one_and_another_choice_after_it_is_refused(county: County) -> None:
    envelope = await held(county)
    registrator = await county.sign_in("vx-reg")
    await county.gateway.triage.order(registrator, envelope, INTAKE)
    await county.gateway.triage.order(registrator, envelope, INTAKE)
    with pytest.raises(IllegalTransitionError):
        await county.gateway.triage.order(registrator, envelope, SEAT_E)
    await county.gateway.placing.run_once()
    await county.gateway.placing.run_once()
    assert len(await lines(county, INTAKE, "vx-bf")) == 1


async def test_another_administration_that_the_address_serves_can_be_chosen(county: County) -> None:
    envelope = await held(county)
    await county.gateway.triage.order(await county.sign_in("vx-reg"), envelope, SEAT_E)
    await county.gateway.placing.run_once()
    [line] = await lines(county, SEAT_E, "ek-chef")
    sealed = await county.store.get(Envelope, line.item.envelope)
    assert sealed is not None
    assert sealed.administration == "region.hsv"


async def test_what_follows_in_a_conversation_goes_where_its_first_message_was_sent(county: County) -> None:
    """So a withdrawal that comes to the same address reaches the function at once, and waits for nobody."""
    first = await held(county)
    second = await held(county, id="arrival-2", original=b"2")
    registrator = await county.sign_in("vx-reg")
    await county.gateway.triage.order(registrator, first, INTAKE)
    assert await state_of(county, second) is HeldState.ORDERED
    assert (await county.gateway.intake.take(to_the_municipality(id="arrival-3", original=b"3"))).taken
    assert await county.store.held(HeldState.WAITING, limit=50) == []
    await county.gateway.placing.run_once()
    assert (await county.gateway.intake.take(to_the_municipality(id="arrival-4", original=b"4"))).taken
    found = await lines(county, INTAKE, "vx-bf")
    assert len(found) == 4
    assert len({line.item.case for line in found}) == 1
    assert (await county.gateway.intake.take(to_the_municipality(id="x", original=b"x", conversation="other"))).taken
    assert len(await county.store.held(HeldState.WAITING, limit=50)) == 1


async def test_a_withdrawal_that_comes_while_it_waits_holds_here_as_soon_as_it_is_placed() -> None:
    """GDPR Art. 7(3): both wait sealed, go the same way in their order, and nothing new rests on the consent."""
    clock = ManualClock()
    one, two = Wire(), Wire()
    one.other, two.other = two, one
    async with (
        a_county(MemoryStore(clock), clock=clock, directory=seen_from(["alvesta.ifo"])) as first,
        a_collecting_county(clock=clock, store=MemoryStore(clock)) as second,
    ):
        first.gateway.channels.connect(one)
        second.gateway.channels.connect(two)
        pair = Pair(first, second, one, two)
        worker = await first.sign_in("al-sos")
        parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
        case, consent = await first.consented_case(worker, parties=parties)
        draft = await first.gateway.drafts.create(
            worker, ALVESTA, case.id, "case_message", 1, {"text": MARKER, "categories": ["SOCIAL"]}
        )
        await first.gateway.sending.send_draft(worker, draft.id, [REGISTRATOR])
        await pair.exchange()
        await first.gateway.consents.withdraw(worker, ALVESTA, consent.id)
        await pair.exchange()
        rows = await second.store.held(HeldState.WAITING, limit=50)
        assert len(rows) == 2
        assert len({row.conversation for row in rows}) == 1
        await second.gateway.triage.order(await second.sign_in("vx-reg"), rows[0].envelope, INTAKE)
        assert await second.gateway.placing.run_once() == 4
        found = await lines(second, INTAKE, "vx-bf")
        assert sorted(line.item.form_type for line in found) == ["case_message", "case_notice"]
        ours = await second.store.get(Consent, consent.id)
        assert ours is not None
        assert ours.state is ConsentState.WITHDRAWN


async def test_an_inbox_that_nobody_was_let_in_to_is_closed_and_its_mail_waits_at_the_registrator(
    county: County,
) -> None:
    answer = await county.gateway.intake.take(an_arrival(ALVESTA, CLOSED))
    assert answer.taken
    [row] = await county.store.held(HeldState.WAITING, limit=50)
    assert (row.addressed, row.inbox) == (CLOSED, REGISTRATOR)


async def test_an_address_that_is_nobodys_is_still_refused(county: County) -> None:
    """SDK row 9: the channel can refuse, so nothing is held."""
    answer = await county.gateway.intake.take(
        dataclasses.replace(to_the_municipality(), recipient="0203:nobody:nothing")
    )
    assert answer.reason is Reason.NOT_FOUND
    assert await county.store.held(HeldState.WAITING, limit=50) == []


async def test_a_choice_that_nobody_signed_places_nothing_and_what_was_changed_is_seen(county: County) -> None:
    """Neither who writes to the database nor who moves a signature to another row decides where it goes."""
    envelope = await held(county)
    registrator = await county.sign_in("vx-reg")
    ordered = await county.gateway.triage.order(registrator, envelope, INTAKE)
    elsewhere = dataclasses.replace(ordered, to=SEAT_E, version=ordered.version + 1)
    assert choice_of(elsewhere) != choice_of(ordered)
    await county.store.commit(Work(changes=(Update(elsewhere),)))
    assert await county.gateway.placing.run_once() == 0
    auditor, name = await county.sign_in("gransk"), county.gateway.auditor.origin(county.clock.now())
    assert len(await county.gateway.review.search(auditor, name, action=AuditAction.ALARM)) == 1
    signed = await county.gateway.integrity.sign(dataclasses.replace(elsewhere, version=elsewhere.version + 1))
    await county.store.commit(Work(changes=(Update(signed),)))
    await county.gateway.placing.run_once()
    row = await county.store.get(Held, envelope)
    assert row is not None
    assert (row.state, row.to, row.reason) == (HeldState.WAITING, None, "signature")
    assert await lines(county, SEAT_E, "ek-chef") == []


@pytest.mark.slow
@pytest.mark.parametrize("step", ["held.opened", "held.placed", "held.shredded"])
async def test_a_worker_that_ends_in_the_middle_leaves_one_copy_and_the_next_one_finishes(
    county: County, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """Q05: never lost, never twice, and the held copy's key goes only when it lies with the function."""
    envelope = await held(county, files=(ArrivedFile(name="underlag.pdf", media_type="application/pdf", octets=PDF),))
    await county.gateway.triage.order(await county.sign_in("vx-reg"), envelope, INTAKE)

    def reached(name: str) -> None:
        if name == step:
            raise asyncio.CancelledError

    with monkeypatch.context() as broken, contextlib.suppress(asyncio.CancelledError):
        broken.setattr("gateway.triage.failpoints.reached", reached)
        await county.gateway.placing.run_once()
    between = await state_of(county, envelope)
    assert between is (HeldState.ORDERED if step == "held.opened" else HeldState.PLACED)
    assert len(await lines(county, INTAKE, "vx-bf")) == (0 if step == "held.opened" else 1)

    await county.gateway.placing.run_once()
    assert await state_of(county, envelope) is HeldState.FORWARDED
    assert len(await lines(county, INTAKE, "vx-bf")) == 1
    arrival = await county.store.get(Arrival, "sdk", "arrival-1")
    assert arrival is not None
    assert (arrival.inbox, arrival.answer) == (INTAKE, "")


@pytest.mark.slow
async def test_two_workers_place_it_once(county: County) -> None:
    envelope = await held(county)
    await county.gateway.triage.order(await county.sign_in("vx-reg"), envelope, INTAKE)
    await asyncio.gather(*(county.gateway.placing.run_once() for _ in range(10)), return_exceptions=True)
    await county.gateway.placing.run_once()
    assert len(await lines(county, INTAKE, "vx-bf")) == 1
    assert await state_of(county, envelope) is HeldState.FORWARDED


async def test_a_file_that_the_chosen_inbox_does_not_take_brings_it_back_with_the_reason(county: County) -> None:
    envelope = await held(county)
    await county.gateway.triage.order(await county.sign_in("vx-reg"), envelope, INTAKE)

    async def refused(*_: object, **__: object) -> Reason:
        return Reason.TYPE

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(county.gateway.intake, "release", refused)
        await county.gateway.placing.run_once()
    row = await county.store.get(Held, envelope)
    assert row is not None
    assert (row.state, row.reason, row.signature) == (HeldState.WAITING, "type-not-accepted", b"")
    await county.gateway.triage.order(await county.sign_in("vx-reg"), envelope, UNIT_E)


async def test_who_watches_is_told_how_much_waits_where_and_what_is_late(county: County) -> None:
    await held(county)
    await held(county, id="arrival-2", original=b"2", conversation="2")
    [one] = await county.gateway.channel_watch.held()
    assert (one.inbox, one.count, one.late) == (REGISTRATOR, 2, 0)
    county.clock.advance(5 * DAY)
    [one] = await county.gateway.channel_watch.held()
    assert (one.count, one.late) == (2, 2)
    signs = await county.gateway.health.signs()
    assert (signs.held, signs.held_late) == (2, 2)
    [finding] = await doctor_held(county.gateway)
    assert "2 meddelanden" in repr(finding)


def test_a_directory_file_says_who_collects_and_only_a_registrator_of_ours_can() -> None:
    from gateway.directory_file import parse_directory
    from gateway.forms import FormCatalogue

    forms = {form.id for form in FormCatalogue.load().all()}
    found = parse_directory(collecting("region.hsv"), known_forms=forms)
    [route] = [route for route in found.routes if route.serves]
    assert (route.inbox, route.serves) == (REGISTRATOR, ("region.hsv", "vaxjo.nav"))
    text = collecting("vaxjo.nav").replace('"sdk"\naddress', '"sdk"\nserves = ["vaxjo.nav"]\naddress', 1)
    with pytest.raises(InvalidFormError, match="faults"):
        parse_directory(text, known_forms=forms)
    with pytest.raises(InvalidFormError, match="faults"):
        parse_directory(collecting("alvesta.ifo"), known_forms=forms)


def test_a_weekend_is_no_waiting_time() -> None:
    """From Friday 17.00 UTC: not late on Saturday, Sunday or Monday morning, late on Monday evening."""
    friday = Instant(1_748_624_400 * 1_000_000)  # 2025-05-30T17:00:00Z
    assert worked(friday, Instant(friday + 2 * DAY)) == 7 * HOUR
    assert worked(friday, Instant(friday + 3 * DAY)) == DAY
    row = Held(
        administration="a",  # type: ignore[arg-type]
        envelope=EnvelopeId("e"),
        inbox=REGISTRATOR,
        addressed=REGISTRATOR,
        channel="sdk",  # type: ignore[arg-type]
        arrival="1",
        sender=ALVESTA,
        conversation="c",
        known=False,
        size=1,
        files=0,
        state=HeldState.WAITING,
        since=friday,
        changed_at=friday,
    )
    assert not late(row, Instant(friday + 2 * DAY + 14 * HOUR))
    assert late(row, Instant(friday + 3 * DAY + HOUR))
    assert not late(dataclasses.replace(row, state=HeldState.ORDERED), Instant(friday + 9 * DAY))
