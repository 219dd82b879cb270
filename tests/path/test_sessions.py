"""Sessions end on time, belong to one user, and cannot be planted (C14)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from gateway.errors import (
    NotFoundError,
    SessionEndedError,
)
from gateway.model.base import HOUR, MINUTE, Instant, UserId
from gateway.model.identity import Session, SessionState, UserState
from gateway.ports import Insert, Update, Work
from gateway.sessions import session_id
from tests.people import People, Person, by_sql

LOGIN = "handlaggare.vuxen"


@pytest.fixture
async def people() -> People:
    return await People.in_a_world()


@pytest.fixture
async def person(people: People) -> Person:
    return await people.person(LOGIN)


# --- how long a session lasts ----------------------------------------------------------------------------------------


async def test_a_session_ends_after_fifteen_idle_minutes(people: People, person: Person) -> None:
    token = (await people.enters(person)).token
    people.clock.advance(15 * MINUTE - 1)
    await people.sessions.authenticate(token)
    people.clock.advance(15 * MINUTE)

    with pytest.raises(SessionEndedError, match="no active session") as refused:
        await people.sessions.authenticate(token)
    assert "utkast är kvar" in refused.value.next_step


async def test_a_session_in_use_ends_after_eight_hours(people: People, person: Person) -> None:
    token = (await people.enters(person)).token
    start = people.clock.now()
    while people.clock.now() < start + 8 * HOUR - 10 * MINUTE:
        people.clock.advance(10 * MINUTE)
        await people.sessions.authenticate(token)
    people.clock.set(Instant(start + 8 * HOUR - 1))
    await people.sessions.authenticate(token)

    people.clock.advance(1)
    with pytest.raises(SessionEndedError):
        await people.sessions.authenticate(token)


async def test_use_is_noted_at_most_once_a_minute_and_a_lost_race_is_no_error(people: People, person: Person) -> None:
    token = (await people.enters(person)).token
    people.clock.advance(MINUTE - 1)
    assert (await people.sessions.authenticate(token)).session.version == 1
    people.clock.advance(1)

    used = await asyncio.gather(*(people.sessions.authenticate(token) for _ in range(20)))

    assert {signed.user.id for signed in used} == {person.user.id}
    kept = await people.store.get(Session, session_id(token))
    assert kept is not None
    assert (kept.version, kept.seen_at) == (2, people.clock.now())


async def test_a_session_survives_a_restart(people: People, person: Person) -> None:
    token = (await people.enters(person)).token

    assert (await people.restarted().sessions.authenticate(token)).user == person.user


# --- ending ----------------------------------------------------------------------------------------------------------


async def test_signing_out_ends_this_session_only_is_logged_and_may_be_repeated(people: People, person: Person) -> None:
    one, other = await people.signed_in(person), await people.signed_in(person)

    await people.sessions.end(one)
    await people.sessions.end(one)

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(one)
    assert await people.sessions.still_active(other)
    assert [action for action, _, _ in await people.told()].count("session_ended") == 1


async def test_all_sessions_of_a_user_end_at_once(people: People, person: Person) -> None:
    mine = [await people.signed_in(person) for _ in range(3)]
    colleague = await people.signed_in(await people.person("kollega"))
    assert len(await people.sessions.list(person.user)) == 3

    assert await people.sessions.end_all(person.user, by=colleague.user) == 3

    assert await people.sessions.list(person.user) == []
    for signed in mine:
        with pytest.raises(SessionEndedError):
            await people.sessions.still_active(signed)
    assert await people.sessions.still_active(colleague)


async def test_an_ending_wins_over_the_notes_of_parallel_use(people: People, person: Person) -> None:
    """A touch that read the session before the end must not bring it back."""
    token = (await people.enters(person)).token
    signed = await people.sessions.authenticate(token)
    people.clock.advance(2 * MINUTE)

    await asyncio.gather(
        *(people.sessions.authenticate(token) for _ in range(5)),
        people.sessions.end(signed),
        *(people.sessions.authenticate(token) for _ in range(5)),
        return_exceptions=True,
    )

    with pytest.raises(SessionEndedError):
        await people.sessions.authenticate(token)


async def test_a_disabled_user_is_out_at_the_next_act(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    administrator = await people.person("systemadministration")

    await people.accounts.disable(person.user.id, by=administrator.user)

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)


async def test_a_disabled_user_is_out_although_a_session_row_was_left_active(people: People, person: Person) -> None:
    """A session begun while the account was being disabled."""
    signed = await people.signed_in(person)
    disabled = dataclasses.replace(person.user, state=UserState.DISABLED, version=2)
    await people.store.commit(Work(changes=(Update(await people.integrity.sign(disabled)),)))

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)


async def test_one_ends_another_session_of_ones_own_and_nobody_elses(people: People, person: Person) -> None:
    here, elsewhere = await people.signed_in(person), await people.signed_in(person)
    colleague = await people.signed_in(await people.person("kollega"))

    await people.sessions.end(here, elsewhere.session.id)

    assert [row.id for row in await people.sessions.list(person.user)] == [here.session.id]
    for session in (colleague.session.id, session_id("okänd")):
        with pytest.raises(NotFoundError):
            await people.sessions.end(here, session)
    assert await people.sessions.still_active(colleague)


# --- C14: planted and altered sessions -------------------------------------------------------------------------------

ALTERED: dict[str, dict[str, Any]] = {
    "another user": {"user": UserId("someone-else")},
    "a later end": {"ends_at": Instant(2**60)},
    "just used": {"seen_at": Instant(2**60)},
    "another method": {"method": "passkey"},
    "an earlier start": {"started_at": Instant(0)},
    "another version": {"version": 9},
    "another administration": {"administration": "region.hsv"},
    "no such administration": {"administration": "ingen.alls"},
    "no MAC": {"mac": b""},
    "a MAC of zeros": {"mac": bytes(32)},
}


@pytest.mark.parametrize("changed", ALTERED)
async def test_an_altered_session_is_refused_like_an_unknown_one_and_is_an_alarm(
    people: People, person: Person, changed: str
) -> None:
    """S3: whoever writes to the database must not become a user."""
    thief = await people.person("annan.handlaggare")
    token = (await people.enters(thief)).token
    row = await people.store.get(Session, session_id(token))
    assert row is not None
    fields = ALTERED[changed]
    if "user" in fields:
        fields = {"user": person.user.id}
    await by_sql(people.store, row, **fields)

    with pytest.raises(SessionEndedError) as refused:
        await people.sessions.authenticate(token)
    with pytest.raises(SessionEndedError) as unknown:
        await people.sessions.authenticate("okänd")

    assert str(refused.value) == str(unknown.value)
    assert await people.alarms() == [("integrity-failure", session_id(token))]


async def test_a_session_planted_under_a_token_of_ones_own_is_refused(people: People, person: Person) -> None:
    """S3: only SHA-256 of the token is kept, so a writer could choose the token; the MAC binds the id too."""
    signed = await people.signed_in(person)
    await people.store.commit(
        Work(changes=(Insert(dataclasses.replace(signed.session, id=session_id("vald av mig"))),))
    )

    with pytest.raises(SessionEndedError):
        await people.sessions.authenticate("vald av mig")


async def test_an_ended_session_is_not_revived_by_its_row(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    await people.sessions.end(signed)
    kept = await people.store.get(Session, signed.session.id)
    assert kept is not None
    await by_sql(people.store, kept, state=SessionState.ACTIVE)

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)
    assert await people.sessions.list(person.user) == []


async def test_a_role_added_to_the_user_row_ends_the_session_and_is_an_alarm(people: People, person: Person) -> None:
    signed = await people.signed_in(person)
    await by_sql(people.store, signed.user, roles=("auditor", *signed.user.roles))

    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)
    assert await people.alarms() == [("integrity-failure", person.user.id)]


async def test_one_altered_row_raises_one_alarm_a_minute(people: People, person: Person) -> None:
    """H2: asking again and again must not fill the log."""
    signed = await people.signed_in(person)
    await by_sql(people.store, signed.user, roles=("auditor",))
    for _ in range(30):
        with pytest.raises(SessionEndedError):
            await people.sessions.still_active(signed)
    assert len(await people.alarms()) == 1

    people.clock.advance(MINUTE)
    with pytest.raises(SessionEndedError):
        await people.sessions.still_active(signed)
    assert len(await people.alarms()) == 2
