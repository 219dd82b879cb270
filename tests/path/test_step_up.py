"""A second factor opens one inbox, in one session, for a while, a limited number of times (F12, H10)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    GatewayError,
    IntegrityError,
    SessionEndedError,
    SignInError,
    StepUpRequiredError,
)
from gateway.model.base import DAY, MINUTE, InboxId, Instant, UserId
from gateway.model.identity import StepUpWindow
from gateway.ports import Delete, Insert, Work
from gateway.sessions import SessionRules, Signed
from gateway.windows import SIGN_IN_FACTOR
from tests.people import STEP, People, Person, by_sql
from tests.world import an_inbox

INBOX = an_inbox()
OTHER = an_inbox("vaxjo.registrator")
LOGIN = "handlaggare.vuxen"


@pytest.fixture
async def people() -> People:
    return await People.in_a_world()


@pytest.fixture
async def person(people: People) -> Person:
    return await people.person(LOGIN)


async def opens(people: People, signed: Signed, inbox: InboxId = INBOX.id) -> None:
    """Count an opening, as the opening's own transaction does."""
    target = dataclasses.replace(INBOX, id=inbox)
    changes = await people.windows.use(signed, target, at=people.clock.now())
    assert changes
    await people.store.commit(Work(changes=changes))


async def stepped_up(people: People, person: Person) -> Signed:
    """A session whose sign-in factor is too old, with a fresh window for INBOX."""
    signed = await people.signed_in(person)
    people.clock.advance(10 * MINUTE)
    await people.sessions.still_active(signed)
    people.clock.advance(10 * MINUTE)
    await people.windows.open(signed, INBOX, person.code(people.clock.now()))
    people.clock.advance(STEP)
    return signed


async def test_the_factor_used_at_sign_in_opens_the_first_inbox_for_fifteen_minutes(
    people: People, person: Person
) -> None:
    signed = await people.signed_in(person)
    await opens(people, signed)
    people.clock.set(Instant(signed.session.started_at + 15 * MINUTE - 1))
    await opens(people, signed)
    assert await people.windows.current(signed, INBOX)

    people.clock.advance(1)
    with pytest.raises(StepUpRequiredError):
        await opens(people, signed)
    assert await people.windows.current(signed, INBOX) is None


async def test_it_opens_the_first_inbox_only(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    await opens(people, signed)

    with pytest.raises(StepUpRequiredError):
        await opens(people, signed, OTHER.id)


async def test_of_two_inboxes_opened_at_once_with_the_sign_in_factor_one_opens(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    at = people.clock.now()
    one = await people.windows.use(signed, INBOX, at=at)
    other = await people.windows.use(signed, OTHER, at=at)

    await people.store.commit(Work(changes=one))
    with pytest.raises(ConflictError):
        await people.store.commit(Work(changes=other))


async def test_it_opens_nothing_when_it_is_fifteen_minutes_old(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    people.clock.set(Instant(signed.session.started_at + 15 * MINUTE))

    with pytest.raises(StepUpRequiredError):
        await opens(people, signed)


async def test_a_session_begun_without_that_factor_opens_nothing(people: People, person: Person) -> None:
    _, session = await people.sessions.begun(person.user, method="password", at=people.clock.now())
    await people.store.commit(Work(changes=(Insert(session),)))

    with pytest.raises(StepUpRequiredError):
        await opens(people, Signed(person.user, session))


async def test_a_fresh_code_opens_its_inbox_and_is_logged(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)

    await opens(people, signed)

    assert ("stepped_up", "permit", INBOX.id) in await people.told()


@pytest.mark.parametrize("minutes", [15, 16, 60])
async def test_a_window_ends(people: People, person: Person, minutes: int) -> None:
    signed = await stepped_up(people, person)
    await opens(people, signed)
    people.clock.advance(minutes * MINUTE - STEP)

    with pytest.raises(StepUpRequiredError):
        await opens(people, signed)


@pytest.mark.parametrize("minutes", [5, 15, 30])
async def test_the_length_of_a_window_is_a_setting(minutes: int) -> None:
    people = await People.in_a_world(rules=SessionRules(window=minutes * MINUTE))
    person = await people.person(LOGIN)
    signed = await people.signed_in(person)
    window = await people.windows.open(signed, INBOX, person.code(people.clock.now()))

    assert window.ends_at - window.opened_at == minutes * MINUTE


@pytest.mark.parametrize(
    "rules",
    [
        {"window": 5 * MINUTE - 1},
        {"window": 30 * MINUTE + 1},
        {"idle": 0},
        {"absolute": MINUTE},
        {"absolute": 2 * DAY},
        {"openings": 0},
    ],
)
def test_rules_beyond_their_limits_do_not_start(rules: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"minutes|times"):
        SessionRules(**rules)


@pytest.mark.parametrize("inbox", [OTHER.id, InboxId(""), InboxId("vaxjo.vuxen"), InboxId("VAXJO.VUXEN.PLACERING")])
async def test_a_window_is_for_its_inbox(people: People, person: Person, inbox: InboxId) -> None:
    signed = await stepped_up(people, person)

    with pytest.raises(StepUpRequiredError):
        await opens(people, signed, inbox)


async def test_a_window_is_for_its_session(people: People, person: Person) -> None:
    """F12: not for another session of the same user, nor for a colleague's."""
    await stepped_up(people, person)
    for other in (person, await people.person("kollega")):
        signed = await people.signed_in(other)
        people.clock.set(Instant(signed.session.started_at + 15 * MINUTE))
        with pytest.raises(StepUpRequiredError):
            await opens(people, signed)
        people.clock.set(Instant(signed.session.started_at + STEP))


async def test_a_window_ends_with_its_session(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)
    await people.sessions.end(signed)

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)


async def test_a_new_code_renews_the_window(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)
    people.clock.advance(14 * MINUTE)
    await people.windows.open(signed, INBOX, person.code(people.clock.now()))
    people.clock.advance(14 * MINUTE)

    await opens(people, signed)


@pytest.mark.parametrize("code", ["000000", "", "abcdef", "1234567"])
async def test_a_wrong_code_opens_nothing_and_is_logged(people: People, person: Person, code: str) -> None:
    signed = await people.signed_in(person)

    with pytest.raises(SignInError):
        await people.windows.open(signed, INBOX, code)

    assert people.store._rows(StepUpWindow) == []
    assert ("step_up_failed", "deny", INBOX.id) in await people.told()


async def test_a_step_up_rests_on_the_user_as_read(people: People, person: Person) -> None:
    """H1: disabled between the reading and the commit: no window, and the code is not spent."""
    signed = await people.signed_in(person)
    await people.accounts.disable(person.user.id, by=person.user)

    with pytest.raises(DecisionStaleError):
        await people.windows.open(signed, INBOX, person.code(people.clock.now()))
    assert people.store._rows(StepUpWindow) == []


async def test_an_altered_window_is_not_repaired_in_silence_by_a_new_code(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)
    row = await people.store.get(StepUpWindow, signed.session.id, INBOX.id)
    assert row is not None
    await by_sql(people.store, row, ends_at=Instant(2**60))

    with pytest.raises(IntegrityError):
        await people.windows.open(signed, INBOX, person.code(people.clock.now()))
    assert len(await people.alarms()) == 1


async def test_a_colleagues_code_opens_nothing(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    colleague = await people.person("kollega")

    with pytest.raises(SignInError):
        await people.windows.open(signed, INBOX, colleague.code(people.clock.now()))


async def test_a_replaced_factor_opens_nothing_for_24_hours(people: People, person: Person) -> None:
    """H10 (ii): not at step-up either, in a session that was begun in the meantime."""
    administrator = await people.person("systemadministration")
    seed = await people.accounts.replace_totp(person.user.id, by=administrator.user)
    _, session = await people.sessions.begun(person.user, method="password", at=people.clock.now())
    signed = Signed(person.user, session)

    with pytest.raises(SignInError):
        await people.windows.open(signed, INBOX, dataclasses.replace(person, seed=seed).code(people.clock.now()))


async def test_openings_are_counted_and_beyond_the_limit_is_one_alarm_and_a_new_code() -> None:
    """H10 (vi): one code is not worth the whole inbox."""
    people = await People.in_a_world(rules=SessionRules(openings=4))
    person = await people.person(LOGIN)
    signed = await people.signed_in(person)
    for _ in range(4):
        await opens(people, signed)
    for _ in range(3):
        with pytest.raises(StepUpRequiredError):
            await opens(people, signed)
    assert await people.alarms() == [("bulk-opening", INBOX.id)]

    await people.windows.open(signed, INBOX, person.code(people.clock.now()))
    await opens(people, signed)


async def test_sixty_openings_fit_in_a_window(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    for _ in range(60):
        await opens(people, signed)
    with pytest.raises(StepUpRequiredError):
        await opens(people, signed)


async def test_parallel_openings_are_all_counted(people: People, person: Person) -> None:
    """Two openings that read the same count cannot both commit."""
    signed = await people.signed_in(person)
    await opens(people, signed)
    at = people.clock.now()
    twice = [await people.windows.use(signed, INBOX, at=at) for _ in range(2)]

    await people.store.commit(Work(changes=twice[0]))
    with pytest.raises(ConflictError):
        await people.store.commit(Work(changes=twice[1]))


@pytest.mark.parametrize(
    "changed",
    [
        {"ends_at": Instant(2**60)},
        {"openings": 0, "version": 1},
        {"opened_at": Instant(0)},
        {"user": UserId("someone-else")},
        {"inbox": OTHER.id},
    ],
)
async def test_an_altered_or_copied_window_is_refused_with_an_alarm(
    people: People, person: Person, changed: dict[str, Any]
) -> None:
    """C14: neither a later end nor a copy for another inbox."""
    signed = await stepped_up(people, person)
    await opens(people, signed)
    row = await people.store.get(StepUpWindow, signed.session.id, INBOX.id)
    assert row is not None
    planted = await by_sql(people.store, row, **changed)

    with pytest.raises(IntegrityError):
        await opens(people, signed, planted.inbox)
    assert await people.alarms() == [("integrity-failure", f"{signed.session.id}/{planted.inbox}")]


async def test_deleting_the_marker_by_sql_gives_at_most_what_the_sign_in_gave(people: People, person: Person) -> None:
    """Said so that nobody wonders: a deleted row cannot carry a MAC; time still bounds it."""
    signed = await people.signed_in(person)
    await opens(people, signed)
    await people.store.commit(Work(changes=(Delete(StepUpWindow, (signed.session.id, SIGN_IN_FACTOR)),)))
    people.clock.set(Instant(signed.session.started_at + 15 * MINUTE))

    with pytest.raises(GatewayError):
        await opens(people, signed, OTHER.id)


async def test_twenty_openings_of_one_session_at_once_are_each_counted_once() -> None:
    """They count in one row, so of those that commit together one wins and the others try again.

    What the member has read in the same window already is not counted again: the limit is for many different items.
    """
    from tests.county import SEAT_E, a_county

    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        messages = []
        for _ in range(20):
            case, _ = await county.consented_case(worker)
            messages.append((await county.send_referral(worker, case.id)).message)
        await county.deliver()
        chief = await county.sign_in("ek-chef")
        for _ in range(2):
            opened = await asyncio.gather(*(county.open(chief, SEAT_E, message) for message in messages))
            seat = (await county.gateway.directory.current()).inbox(SEAT_E)
            window = await county.gateway.windows.current(chief, seat)
            assert len(opened) == 20
            assert window is not None
            assert window.openings == 20


async def test_a_window_goes_a_day_after_it_ended_and_opens_no_more_for_that(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)
    window = await people.windows.current(signed, INBOX)
    assert window is not None
    people.clock.set(Instant(window.ends_at + DAY))
    assert await people.windows.sweep() == 0
    people.clock.advance(1)
    assert await people.windows.sweep() == 1

    assert people.store._rows(StepUpWindow) == []
    with pytest.raises(StepUpRequiredError):
        await people.windows.use(signed, INBOX, at=people.clock.now())


async def test_a_window_that_is_renewed_while_old_ones_are_swept_stays(people: People, person: Person) -> None:
    signed = await stepped_up(people, person)
    people.clock.advance(2 * DAY)
    lapsed = people.store.lapsed_windows

    async def renewed_after(*, before: Instant, limit: int) -> list[StepUpWindow]:
        found = await lapsed(before=before, limit=limit)
        await people.windows.open(signed, INBOX, person.code(people.clock.now()))
        return found

    people.store.lapsed_windows = renewed_after  # type: ignore[method-assign]
    assert await people.windows.sweep() == 0
    assert await people.windows.current(signed, INBOX)
