"""The shared inbox as work: tasks, claims, priority, notes, deputies (design.md §2; ux.md rows 20-24, 42)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import ConflictError, ForbiddenError, InvalidRequestError, NotFoundError, StepUpRequiredError
from gateway.model.base import DAY, EnvelopeId
from gateway.model.path import Notice
from gateway.model.queue import Claim, Sheet, Worksheet
from gateway.ports import Assessment
from gateway.queue import View, Waits
from gateway.states import TaskState
from policies.priority import BoardPriority
from tests.county import ALVESTA, SEAT_E, SEAT_N, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def received(county: County, **changes: Any) -> tuple[Any, Any, Any]:
    """A referral that has reached both seats: worker, case, sent."""
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, **changes)
    await county.deliver()
    return worker, case, sent


LVM = {"lvm_investigation": True, "accepts_treatment": "YES", "legal_ground": "SOL_11_1"}


@pytest.mark.parametrize(
    ("fields", "rank", "reasons"),
    [
        ({"lvm_investigation": True, "accepts_treatment": "YES"}, (1, 0), {"LVM_INVESTIGATION", "ACCEPTS_TREATMENT"}),
        ({"lvm_investigation": True, "accepts_treatment": "NO"}, (4, 0), set()),
        ({"lvm_investigation": True, "accepts_treatment": "UNSURE"}, (4, 0), set()),
        ({"has_children": "YES", "child_perspective": "NONE"}, (4, 0), set()),
        ({"has_children": "YES", "child_perspective": "CONSIDER"}, (2, 0), {"CHILD_PERSPECTIVE"}),
        ({"request_kind": "LVM27", "legal_ground": "LVM_27"}, (3, 0), {"LVM_27"}),
        ({"external_now": True}, (3, 1), {"EXTERNAL_NOW"}),
        ({"request_kind": "LVM27", "external_now": True}, (3, 0), {"LVM_27", "EXTERNAL_NOW"}),
        ({}, (4, 0), set()),
    ],
)
def test_the_priority_order_is_the_one_of_the_agreement(
    fields: dict[str, object], rank: tuple[int, int], reasons: set[str]
) -> None:
    """S004 §5.2.3-5.2.4, domain.md §4: a, b, c (27 § before external), d; having children alone is no priority."""
    found = BoardPriority().assess(fields)
    assert found.rank == rank
    assert set(found.reasons) == reasons


async def test_a_list_shows_priority_after_the_first_opening_in_that_seat_and_only_with_a_window(
    county: County,
) -> None:
    await received(county)
    _, urgent_case, urgent = await received(county, **LVM)
    chief = await county.sign_in("ek-chef")
    assert [line.assessment for line in (await county.gateway.queue.worklist(chief, SEAT_E)).lines] == [None, None]

    for line in (await county.gateway.queue.worklist(chief, SEAT_E)).lines:
        await county.gateway.queue.open(chief, line.task.envelope)
    found = await county.gateway.queue.worklist(chief, SEAT_E)

    assert found.priorities
    assert [line.assessment.rank[0] for line in found.lines if line.assessment] == [1, 2]
    assert found.lines[0].case.id == urgent_case.id
    assert found.lines[0].urgent
    assert found.counts[View.URGENT] == 1
    assert [line.case.id for line in (await county.gateway.queue.worklist(chief, SEAT_E, View.URGENT)).lines] == [
        urgent_case.id
    ]
    other = await county.sign_in("no-chef")  # the other seat has not opened anything
    assert [line.assessment for line in (await county.gateway.queue.worklist(other, SEAT_N)).lines] == [None, None]
    later = await county.sign_in("ek-chef")  # a new session has no window for the seat until it opens something
    assert not (await county.gateway.queue.worklist(later, SEAT_E)).priorities
    assert urgent.message


async def test_what_is_kept_of_a_priority_is_sealed_and_each_list_that_shows_it_is_logged(county: County) -> None:
    await received(county, **LVM)
    chief = await county.sign_in("ek-chef")
    [line] = (await county.gateway.queue.worklist(chief, SEAT_E)).lines
    await county.gateway.queue.open(chief, line.task.envelope)
    await county.gateway.queue.worklist(chief, SEAT_E)

    [row] = [row for row in county.store.all(Worksheet) if row.sheet is Sheet.PRIORITY]  # type: ignore[attr-defined]
    assert b"LVM" not in row.sealed
    auditor = await county.sign_in("gransk")
    name = county.gateway.auditor.origin(county.clock.now())
    events = await county.gateway.review.search(auditor, name, action="queue_listed")
    assert len(events) == 1


async def test_of_twenty_parallel_claims_one_wins_and_the_losers_are_told_who(county: County) -> None:
    """ux.md row 22; 200 rounds: 20 callers over both seats, one label."""
    await received(county)
    members = [(await county.sign_in("ek-chef"), SEAT_E), (await county.sign_in("no-chef"), SEAT_N)]
    members += [(await county.sign_in("ek-sam"), SEAT_E), (await county.sign_in("no-sam"), SEAT_N)]
    tasks = {inbox: (await county.gateway.queue.worklist(user, inbox)).lines[0].task for user, inbox in members}
    rounds = 200
    for _ in range(rounds):
        results = await asyncio.gather(
            *(
                county.gateway.queue.claim(members[turn % 4][0], tasks[members[turn % 4][1]].envelope)
                for turn in range(20)
            ),
            return_exceptions=True,
        )
        won = {result.user for result in results if isinstance(result, Claim)}
        lost = [result for result in results if isinstance(result, ConflictError)]
        assert len(won) == 1
        assert len(lost) >= 15  # the winner's own repeated claims may be answered with the claim
        assert all("har redan tagit ärendet" in error.swedish for error in lost)
        [claim] = county.store.all(Claim)  # type: ignore[attr-defined]
        winner, inbox = next(pair for pair in members if pair[0].user.id == claim.user)
        await county.gateway.queue.release(winner, tasks[inbox].envelope)
    print(f"claims: {rounds} rounds of 20, one winner each")


async def test_a_claim_is_seen_by_both_seats_taken_over_knowingly_and_handed_over_with_a_note(county: County) -> None:
    await received(county)
    chief, other = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    deputy = await county.sign_in("ek-sam")
    [mine] = (await county.gateway.queue.worklist(chief, SEAT_E)).lines
    [theirs] = (await county.gateway.queue.worklist(other, SEAT_N)).lines
    claim = await county.gateway.queue.claim(chief, mine.task.envelope)

    [seen] = (await county.gateway.queue.worklist(other, SEAT_N)).lines
    assert seen.holder == "Enhetschef, Ekeliden"
    taken = await county.gateway.queue.claim(other, theirs.task.envelope, over=claim.version)
    assert taken.user == other.user.id
    with pytest.raises(ConflictError):
        await county.gateway.queue.hand_over(chief, mine.task.envelope, deputy.user.id)
    again = await county.gateway.queue.claim(chief, mine.task.envelope, over=taken.version)
    with pytest.raises(InvalidRequestError):
        await county.gateway.queue.hand_over(chief, mine.task.envelope, other.user.id)  # another authority's member
    given = await county.gateway.queue.hand_over(chief, mine.task.envelope, deputy.user.id, "Jag är ledig torsdag")
    assert (again.version, given.user) == (3, deputy.user.id)
    await county.step_up(deputy, SEAT_E)
    assert [n.text for n in await county.gateway.notes.read(deputy, SEAT_E, mine.case.id)] == ["Jag är ledig torsdag"]


async def test_notes_stay_in_the_seat_that_wrote_them_and_need_a_fresh_factor(county: County) -> None:
    _, case, _ = await received(county)
    chief, other = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    with pytest.raises(StepUpRequiredError):
        await county.gateway.notes.write(chief, SEAT_E, case.id, "Ring uppdragsgivaren")
    await county.step_up(chief, SEAT_E)
    await county.step_up(other, SEAT_N)
    await county.gateway.notes.write(chief, SEAT_E, case.id, "Ring uppdragsgivaren")
    await asyncio.gather(*(county.gateway.notes.write(chief, SEAT_E, case.id, f"Nummer {n}") for n in range(4)))

    found = await county.gateway.notes.read(chief, SEAT_E, case.id)
    assert {note.text for note in found} == {"Ring uppdragsgivaren", *(f"Nummer {n}" for n in range(4))}
    assert await county.gateway.notes.read(other, SEAT_N, case.id) == []
    with pytest.raises(NotFoundError):
        await county.gateway.notes.read(other, SEAT_E, case.id)
    for text in ("", "   ", "x" * 4001):
        with pytest.raises(InvalidRequestError):
            await county.gateway.notes.write(chief, SEAT_E, case.id, text)


async def test_an_answer_ends_the_work_at_both_seats_and_says_whose_answer_is_missing(county: County) -> None:
    _, _, sent = await received(county)
    chief, other = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(chief, SEAT_E, sent.message)
    proposal = await county.gateway.answers.propose(chief, SEAT_E, sent.message, county.answer())
    await county.deliver()

    ours = (await county.gateway.queue.worklist(chief, SEAT_E)).lines
    theirs = (await county.gateway.queue.worklist(other, SEAT_N)).lines
    assert [line.waits for line in ours] == [Waits.OTHER]
    assert [line.waits for line in theirs] == [Waits.US, Waits.US]  # the referral, and the proposal itself
    assert (await county.gateway.queue.worklist(chief, SEAT_E)).counts[View.WAITING] == 1
    with pytest.raises(ConflictError):
        await county.gateway.queue.close(chief, ours[0].task.envelope)

    await county.gateway.answers.confirm(other, SEAT_N, proposal.message)
    await county.deliver()
    assert (await county.gateway.queue.worklist(other, SEAT_N)).lines == []
    # The signed answer comes back to the proposer as a copy for its files: it is there, and nothing is left to do.
    done = await county.gateway.queue.worklist(chief, SEAT_E, View.DONE)
    assert (await county.gateway.queue.worklist(chief, SEAT_E)).lines == []
    assert {line.task.form_type for line in done.lines} == {"board_response", "placement_referral"}
    assert [line.task.due_at for line in done.lines if line.task.form_type == "board_response"] == [None]
    again = await county.gateway.queue.reopen(chief, done.lines[0].task.envelope)
    assert again.state is TaskState.OPEN


async def test_an_item_is_overdue_after_seven_days(county: County) -> None:
    """S004 §5.2.2: at the latest at the next weekly meeting."""
    await received(county)
    county.clock.advance(7 * DAY)
    chief = await county.sign_in("ek-chef")
    assert (await county.gateway.queue.worklist(chief, SEAT_E)).counts[View.OVERDUE] == 1


async def test_a_deputy_acts_with_a_reason_that_the_ordinary_member_is_told_of(county: County) -> None:
    """domain.md §12: on own declaration with reason, told to the ordinary member at once; logged."""
    _, case, sent = await received(county)
    deputy = await county.sign_in("ek-sam")
    await county.open(deputy, SEAT_E, sent.message)
    with pytest.raises(InvalidRequestError) as refused:
        await county.gateway.answers.propose(deputy, SEAT_E, sent.message, county.answer(deputy_used=True))
    assert "ersättare" in refused.value.swedish

    await county.gateway.answers.propose(
        deputy, SEAT_E, sent.message, county.answer(deputy_used=True), deputy_reason="Chefen är på semester"
    )
    assert [n.inbox for n in county.store.all(Notice) if n.kind == "deputy_acted"] == [SEAT_E]  # type: ignore[attr-defined]
    chief = await county.sign_in("ek-chef")
    await county.step_up(chief, SEAT_E)
    [note] = await county.gateway.notes.read(chief, SEAT_E, case.id)
    assert (note.sheet, note.text) == (Sheet.DEPUTY, "Chefen är på semester")


async def test_an_operator_and_a_reviewer_work_with_no_inbox(county: County) -> None:
    await received(county)
    [line] = (await county.gateway.queue.worklist(await county.sign_in("ek-chef"), SEAT_E)).lines
    for login in ("it", "gransk", "al-sos"):
        user = await county.sign_in(login)
        with pytest.raises((NotFoundError, ForbiddenError)):
            await county.gateway.queue.worklist(user, SEAT_E)
        with pytest.raises((NotFoundError, ForbiddenError)):
            await county.gateway.queue.claim(user, line.task.envelope)
    with pytest.raises(NotFoundError):
        await county.gateway.queue.claim(await county.sign_in("ek-chef"), EnvelopeId("nothing"))
    assert isinstance(BoardPriority().assess({}), Assessment)
    assert ALVESTA


async def test_presence_is_told_at_once_and_forgotten_when_silent(county: County) -> None:
    presence = county.gateway.presence
    _, _, sent = await received(county)
    chief = await county.sign_in("ek-chef")
    heard: list[list[bool]] = []

    async def listen() -> None:
        async for here in presence.watch("remissgrupp", every_s=30):
            heard.append([found.answering for found in here])
            if len(heard) == 4:
                return

    listener = asyncio.create_task(listen())
    await asyncio.sleep(0)
    presence.seen("remissgrupp", chief.user.id, chief.user.title, sent.message, answering=False)
    await asyncio.sleep(0.01)
    presence.seen("remissgrupp", chief.user.id, chief.user.title, sent.message, answering=True)
    await asyncio.sleep(0.01)
    presence.left("remissgrupp", chief.user.id, sent.message)
    await asyncio.wait_for(listener, 2)
    assert heard == [[], [False], [True], []]

    presence.seen("remissgrupp", chief.user.id, chief.user.title, sent.message, answering=False)
    county.clock.advance(26_000_000)
    assert presence.now("remissgrupp") == []
