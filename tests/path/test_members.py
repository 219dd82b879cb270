"""Membership: proposed by anybody, admitted by a present member, visible to all, and never by a row alone (C14, H10b)."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import Any

import pytest

from gateway.errors import (
    ConflictError,
    DecisionStaleError,
    ForbiddenError,
    GatewayError,
    IntegrityError,
    InvalidRequestError,
    NotFoundError,
)
from gateway.model.base import MINUTE, Instant, fact
from gateway.model.directory import Inbox
from gateway.model.identity import Membership, MembershipRole, MembershipState, User
from gateway.model.keys import InboxWrap, KeyHead, KeyRecordKind
from gateway.ports import Insert, Update, Work
from tests.people import People, Person, as_members, by_sql
from tests.world import HSV, an_inbox

INBOX = an_inbox("seat.novus")
OTHER = an_inbox("vaxjo.registrator")


@dataclasses.dataclass
class Seat:
    """An inbox with two bootstrap members, and one person outside."""

    people: People
    inbox: Inbox
    first: Person
    second: Person
    newcomer: Person

    async def proposed(self) -> Membership:
        return await self.people.members.propose(
            self.inbox, self.newcomer.user.id, MembershipRole.DEPUTY, by=self.first.user
        )

    async def admitted(self) -> Membership:
        await self.proposed()
        return await self.people.members.admit(self.inbox, self.newcomer.user.id, by=self.first.user)

    async def opens_key(self, person: Person) -> bytes:
        """The inbox's secret, as `person` gets at it."""
        opened = await self.people.world.keyring.members.open(self.inbox.id, 1, person.user.id)
        return opened.secret


@pytest.fixture
async def seat() -> Seat:
    people = await People.in_a_world()
    first, second = await people.person("samordnare.ett"), await people.person("samordnare.tva")
    inbox = await people.inbox_of(INBOX, first, second)
    return Seat(people, inbox, first, second, await people.person("kontaktperson"))


# --- bootstrap -------------------------------------------------------------------------------------------------------


async def test_an_inbox_begins_with_two_marked_members_its_key_and_two_log_entries(seat: Seat) -> None:
    """H10b: the only members who come from a file, and it stays visible that they did."""
    listed = await seat.people.members.members(INBOX.id)

    assert {row.user for row in listed} == {seat.first.user.id, seat.second.user.id}
    assert all(row.bootstrap and row.state is MembershipState.ACTIVE and not row.admitted_by for row in listed)
    assert await seat.opens_key(seat.first) == await seat.opens_key(seat.second)
    assert (await seat.people.told()).count(("member_admitted", "done", INBOX.id)) == 2


async def test_a_second_bootstrap_is_refused(seat: Seat) -> None:
    with pytest.raises(ConflictError):
        await seat.people.members.bootstrap(INBOX, as_members(seat.newcomer, seat.first), by="test")


async def test_who_was_proposed_first_may_be_one_of_the_first_two(seat: Seat) -> None:
    """The file may propose everybody before the inbox has its key."""
    for person in (seat.first, seat.second, seat.newcomer):
        await seat.people.members.propose(OTHER, person.user.id, MembershipRole.MEMBER, by=None)

    await seat.people.members.bootstrap(OTHER, as_members(seat.first, seat.second), by="test")

    assert await seat.people.members.require_member(seat.second.user, OTHER)
    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(seat.newcomer.user, OTHER)
    await seat.people.members.admit(OTHER, seat.newcomer.user.id, by=seat.second.user)


async def test_of_two_bootstraps_at_once_one_happens(seat: Seat) -> None:
    members = seat.people.members
    results = await asyncio.gather(
        members.bootstrap(OTHER, as_members(seat.first, seat.second), by="test"),
        members.bootstrap(OTHER, as_members(seat.second, seat.newcomer), by="test"),
        return_exceptions=True,
    )

    assert [isinstance(result, GatewayError) for result in results].count(True) == 1
    assert len(await members.members(OTHER.id)) == 2
    assert len(await seat.people.store.key_records(KeyRecordKind.INBOX, OTHER.id)) == 1


@pytest.mark.parametrize("names", [[], ["first"], ["first", "first"], ["first", "second", "newcomer"]])
async def test_an_inbox_begins_with_exactly_two_people(seat: Seat, names: list[str]) -> None:
    users = as_members(*(getattr(seat, name) for name in names))

    with pytest.raises(InvalidRequestError):
        await seat.people.members.bootstrap(OTHER, users, by="test")
    assert await seat.people.store.get(KeyHead, KeyRecordKind.INBOX, OTHER.id) is None


async def test_a_failed_bootstrap_leaves_neither_members_nor_keys(seat: Seat) -> None:
    """One transaction: an altered user stops all of it."""
    altered = dataclasses.replace(
        seat.second, user=await by_sql(seat.people.store, seat.second.user, title="Någon annan")
    )

    with pytest.raises(IntegrityError):
        await seat.people.members.bootstrap(OTHER, as_members(seat.first, altered), by="test")
    assert await seat.people.members.members(OTHER.id) == []
    assert await seat.people.store.get(KeyHead, KeyRecordKind.INBOX, OTHER.id) is None


# --- who is a member -------------------------------------------------------------------------------------------------


async def test_a_present_member_is_a_fact(seat: Seat) -> None:
    membership = await seat.people.members.require_member(seat.first.user, INBOX)

    assert fact(membership).version == 1
    assert [row.inbox for row in await seat.people.members.inboxes_of(seat.first.user)] == [INBOX.id]


async def test_absent_pending_removed_and_foreign_are_one_answer(seat: Seat) -> None:
    """404 = absent = forbidden."""
    answers = set()

    async def refused(user: User, inbox: Inbox) -> None:
        with pytest.raises(NotFoundError) as error:
            await seat.people.members.require_member(user, inbox)
        answers.add((str(error.value), error.value.swedish, error.value.next_step))

    await refused(seat.newcomer.user, INBOX)
    await refused(seat.first.user, OTHER)
    await refused(seat.first.user, an_inbox("finns.inte"))
    await refused((await seat.people.person("region", HSV)).user, INBOX)
    await seat.proposed()
    await refused(seat.newcomer.user, INBOX)
    await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.first.user)
    await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)
    await refused(seat.newcomer.user, INBOX)

    assert len(answers) == 1


async def test_the_list_shows_who_is_proposed_who_let_whom_in_and_who_left(seat: Seat) -> None:
    await seat.admitted()
    other = await seat.people.person("vikarie")
    await seat.people.members.propose(INBOX, other.user.id, MembershipRole.MEMBER, by=None)
    await seat.people.members.remove(INBOX, seat.second.user.id, by=seat.first.user)

    listed = {row.user: row for row in await seat.people.members.members(INBOX.id)}

    assert listed[seat.newcomer.user.id].admitted_by == seat.first.user.id
    assert listed[seat.newcomer.user.id].role is MembershipRole.DEPUTY
    assert not listed[seat.newcomer.user.id].bootstrap
    assert listed[other.user.id].state is MembershipState.PENDING
    assert listed[seat.second.user.id].state is MembershipState.REMOVED
    assert len(listed) == 4


# --- proposing and admitting -----------------------------------------------------------------------------------------


async def test_a_proposed_member_has_no_key_and_reads_nothing(seat: Seat) -> None:
    """H10b: imports and administrators only propose."""
    await seat.proposed()

    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)
    with pytest.raises(IntegrityError):
        await seat.opens_key(seat.newcomer)
    assert await seat.people.store.get(InboxWrap, INBOX.id, 1, seat.newcomer.user.id) is None


async def test_an_admitted_member_holds_the_same_key_and_the_record_names_who_approved(seat: Seat) -> None:
    membership = await seat.admitted()

    assert await seat.people.members.require_member(seat.newcomer.user, INBOX) == membership
    assert await seat.opens_key(seat.newcomer) == await seat.opens_key(seat.first)
    newest = (await seat.people.store.key_records(KeyRecordKind.INBOX, INBOX.id))[-1]
    assert (newest.epoch, newest.revision, newest.approval) == (1, 2, seat.first.user.id)
    assert ("member_admitted", "done", INBOX.id) == (await seat.people.told())[-1]


async def test_nobody_admits_oneself(seat: Seat) -> None:
    await seat.proposed()

    with pytest.raises(ForbiddenError, match="oneself"):
        await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.newcomer.user)


async def test_only_a_present_member_admits(seat: Seat) -> None:
    """Neither an outsider, nor a proposed one, nor one who left, nor a member of another inbox."""
    await seat.proposed()
    outsider, pending, left = [await seat.people.person(name) for name in ("utanför", "föreslagen", "slutat")]
    await seat.people.members.bootstrap(OTHER, as_members(outsider, seat.second), by="test")
    for person in (pending, left):
        await seat.people.members.propose(INBOX, person.user.id, MembershipRole.MEMBER, by=None)
    await seat.people.members.admit(INBOX, left.user.id, by=seat.first.user)
    await seat.people.members.remove(INBOX, left.user.id, by=seat.first.user)

    for person in (outsider, pending, left):
        with pytest.raises(NotFoundError):
            await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=person.user)
    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)


async def test_only_who_is_proposed_is_admitted(seat: Seat) -> None:
    for user in (seat.newcomer.user.id, seat.second.user.id):
        with pytest.raises(NotFoundError):
            await seat.people.members.admit(INBOX, user, by=seat.first.user)


async def test_a_disabled_account_is_not_admitted(seat: Seat) -> None:
    await seat.proposed()
    await seat.people.accounts.disable(seat.newcomer.user.id, by=seat.first.user)

    with pytest.raises(ConflictError):
        await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.first.user)


async def test_an_admission_by_somebody_removed_in_that_moment_does_not_happen(seat: Seat) -> None:
    """H1: the commit is the moment that counts; either way the two acts stand in one order."""
    await seat.proposed()
    results = await asyncio.gather(
        seat.people.members.remove(INBOX, seat.second.user.id, by=seat.first.user),
        seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.second.user),
        return_exceptions=True,
    )

    assert isinstance(results[0], Membership)
    assert isinstance(results[1], DecisionStaleError | NotFoundError | IntegrityError)
    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)
    assert await seat.people.store.get(InboxWrap, INBOX.id, 1, seat.newcomer.user.id) is None


async def test_two_members_who_admit_at_once_make_one_wrap(seat: Seat) -> None:
    await seat.proposed()
    results = await asyncio.gather(
        *(
            seat.people.members.admit(INBOX, seat.newcomer.user.id, by=person.user)
            for person in (seat.first, seat.second)
        ),
        return_exceptions=True,
    )

    assert [isinstance(result, Membership) for result in results].count(True) == 1
    assert len(await seat.people.store.inbox_wraps(INBOX.id, 1)) == 3


async def test_one_proposes_only_people_of_the_authority_that_owns_the_inbox(seat: Seat) -> None:
    """OSL 8:1: the inbox is its authority's secrecy domain."""
    stranger = await seat.people.person("region", HSV)

    with pytest.raises(InvalidRequestError):
        await seat.people.members.propose(INBOX, stranger.user.id, MembershipRole.MEMBER, by=None)


async def test_a_membership_across_authorities_gives_nothing_even_with_a_sound_row(seat: Seat) -> None:
    """Such a row cannot be made by an act; were it made all the same, it would not count."""
    stranger = await seat.people.person("region", HSV)
    row = await seat.people.integrity.sign(dataclasses.replace(await seat.proposed(), user=stranger.user.id))
    await seat.people.store.commit(Work(changes=(Insert(row),)))

    with pytest.raises(InvalidRequestError):
        await seat.people.members.admit(INBOX, stranger.user.id, by=seat.first.user)
    active = await seat.people.integrity.sign(
        dataclasses.replace(row, state=MembershipState.ACTIVE, version=row.version + 1)
    )
    await seat.people.store.commit(Work(changes=(Update(active),)))
    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(stranger.user, INBOX)
    with pytest.raises(InvalidRequestError):
        await seat.people.members.bootstrap(OTHER, as_members(seat.first, stranger), by="test")


async def test_a_member_or_a_proposed_one_is_not_proposed_again(seat: Seat) -> None:
    await seat.proposed()
    for user in (seat.newcomer.user.id, seat.first.user.id):
        with pytest.raises(ConflictError):
            await seat.people.members.propose(INBOX, user, MembershipRole.MEMBER, by=None)
    with pytest.raises(NotFoundError):
        await seat.people.members.propose(INBOX, "ingen", MembershipRole.MEMBER, by=None)  # type: ignore[arg-type]


# --- leaving ---------------------------------------------------------------------------------------------------------


async def test_a_removed_member_loses_the_inbox_and_the_wrap_and_keeps_the_session(seat: Seat) -> None:
    await seat.admitted()
    signed = await seat.people.signed_in(seat.newcomer)

    removed = await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.second.user)

    assert removed.state is MembershipState.REMOVED
    assert await seat.people.store.get(InboxWrap, INBOX.id, 1, seat.newcomer.user.id) is None
    with pytest.raises(IntegrityError):
        await seat.opens_key(seat.newcomer)
    assert await seat.people.sessions.still_active(signed)
    assert (await seat.people.told())[-1] == ("member_removed", "done", INBOX.id)


async def test_the_last_member_stays(seat: Seat) -> None:
    await seat.proposed()  # a proposed one is nobody yet
    await seat.people.members.remove(INBOX, seat.first.user.id, by=seat.second.user)

    with pytest.raises(ForbiddenError, match="last member"):
        await seat.people.members.remove(INBOX, seat.second.user.id, by=seat.second.user)
    assert await seat.people.members.require_member(seat.second.user, INBOX)


async def test_two_members_who_remove_each_other_do_not_both_succeed(seat: Seat) -> None:
    """Or the inbox would be left without anybody who can read it."""
    members = seat.people.members
    results = await asyncio.gather(
        members.remove(INBOX, seat.first.user.id, by=seat.second.user),
        members.remove(INBOX, seat.second.user.id, by=seat.first.user),
        return_exceptions=True,
    )

    assert sum(isinstance(result, Membership) for result in results) == 1
    assert [row.state for row in await members.members(INBOX.id)].count(MembershipState.ACTIVE) == 1


async def test_a_proposal_can_be_withdrawn(seat: Seat) -> None:
    await seat.proposed()
    await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)

    with pytest.raises(NotFoundError):
        await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.first.user)
    with pytest.raises(NotFoundError):
        await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)


async def test_a_leaver_comes_back_as_everybody_comes(seat: Seat) -> None:
    await seat.admitted()
    await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)
    again = await seat.proposed()
    assert (again.state, again.admitted_by) == (MembershipState.PENDING, "")
    with pytest.raises(NotFoundError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)

    await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=seat.second.user)

    assert await seat.opens_key(seat.newcomer) == await seat.opens_key(seat.first)


# --- C14: rows planted by SQL ----------------------------------------------------------------------------------------

ALTERED: dict[str, dict[str, Any]] = {
    "active": {"state": MembershipState.ACTIVE},
    "active, with a name": {"state": MembershipState.ACTIVE, "admitted_by": "somebody"},
    "active and bootstrap": {"state": MembershipState.ACTIVE, "bootstrap": True},
    "no MAC": {"state": MembershipState.ACTIVE, "mac": b""},
    "decided": {"state": MembershipState.ACTIVE, "decided_at": Instant(1), "version": 2},
}


@pytest.mark.parametrize("changed", ALTERED)
async def test_a_proposal_made_active_by_sql_is_refused_with_an_alarm(seat: Seat, changed: str) -> None:
    """H10b: IT staff who write to the database do not write themselves into an inbox."""
    pending = await seat.proposed()
    await by_sql(seat.people.store, pending, **ALTERED[changed])

    with pytest.raises(IntegrityError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)
    with pytest.raises(IntegrityError):
        await seat.people.members.members(INBOX.id)
    assert await seat.people.alarms() == [("integrity-failure", f"{INBOX.id}/{seat.newcomer.user.id}")]


@pytest.mark.parametrize("source", ["a colleague's row", "one's own row in another inbox"])
async def test_a_planted_membership_is_refused(seat: Seat, source: str) -> None:
    """S3: rows that hold elsewhere do not hold here; the MAC binds inbox and user."""
    members = seat.people.members
    if source.startswith("a colleague"):
        row = dataclasses.replace(await members.require_member(seat.first.user, INBOX), user=seat.newcomer.user.id)
    else:
        await members.bootstrap(OTHER, as_members(seat.newcomer, seat.second), by="test")
        row = dataclasses.replace(await members.require_member(seat.newcomer.user, OTHER), inbox=INBOX.id)
    await seat.people.store.commit(Work(changes=(Insert(row),)))

    with pytest.raises(IntegrityError):
        await members.require_member(seat.newcomer.user, INBOX)
    with pytest.raises(IntegrityError):
        await members.admit(INBOX, seat.newcomer.user.id, by=seat.first.user)


async def test_a_leaver_put_back_by_editing_the_row_is_refused(seat: Seat) -> None:
    await seat.admitted()
    removed = await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)
    await by_sql(seat.people.store, removed, state=MembershipState.ACTIVE)

    with pytest.raises(IntegrityError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)


async def test_a_leavers_old_row_put_back_whole_opens_no_key(seat: Seat) -> None:
    """The stated limit of a MAC is a rollback: the row passes, the log contradicts it, and the wrap is gone."""
    active = await seat.admitted()
    await seat.people.members.remove(INBOX, seat.newcomer.user.id, by=seat.first.user)
    await by_sql(seat.people.store, active)

    assert await seat.people.members.require_member(seat.newcomer.user, INBOX)
    with pytest.raises(IntegrityError):
        await seat.opens_key(seat.newcomer)
    assert [action for action, _, _ in await seat.people.told()][-1] == "member_removed"


async def test_a_planted_admitter_admits_nobody(seat: Seat) -> None:
    await seat.proposed()
    outsider = await seat.people.person("utanför")
    row = dataclasses.replace(await seat.people.members.require_member(seat.first.user, INBOX), user=outsider.user.id)
    await seat.people.store.commit(Work(changes=(Insert(row),)))

    with pytest.raises(IntegrityError):
        await seat.people.members.admit(INBOX, seat.newcomer.user.id, by=outsider.user)


async def test_a_wrap_of_ones_own_making_is_no_way_in(seat: Seat) -> None:
    """S3: the signed record names every wrap; copying a colleague's gives nothing."""
    await seat.proposed()
    colleague = await seat.people.store.get(InboxWrap, INBOX.id, 1, seat.first.user.id)
    assert colleague is not None
    await seat.people.store.commit(Work(changes=(Insert(dataclasses.replace(colleague, user=seat.newcomer.user.id)),)))

    with pytest.raises(IntegrityError):
        await seat.opens_key(seat.newcomer)


async def test_a_role_edited_by_sql_is_refused(seat: Seat) -> None:
    membership = await seat.admitted()
    await by_sql(seat.people.store, membership, role=MembershipRole.MEMBER)
    seat.people.clock.advance(MINUTE)

    with pytest.raises(IntegrityError):
        await seat.people.members.require_member(seat.newcomer.user, INBOX)
