"""One contract for every store: memory, SQLite and PostgreSQL keep the same promises."""

from __future__ import annotations

import asyncio
import dataclasses
import uuid
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.errors import ConflictError, DecisionStaleError
from gateway.model import ROWS
from gateway.model.base import (
    GATEWAY,
    SECOND,
    AdministrationId,
    CaseId,
    EnvelopeId,
    Fact,
    InboxId,
    Instant,
    MessageId,
    Row,
    SessionId,
    UserId,
    fact,
)
from gateway.model.directory import Listing
from gateway.model.identity import Act, ActGrant, StepUpWindow
from gateway.model.log import AuditLeaf, AuditSide, LogEntry
from gateway.model.notices import NoticeKind, NoticeMail, NoticeState
from gateway.model.path import Case, CaseParty, Channel, Delivery, IdempotencyRecord
from gateway.model.queue import Task
from gateway.model.systems import SystemMessage
from gateway.ports import Cursor, Delete, Insert, Store, Update, Work
from gateway.states import CaseState, DeliveryState, TaskState
from tests.clock import ManualClock
from tests.contracts.rows import any_row

NAV = AdministrationId("vaxjo.nav")
BOX = InboxId("seat.novus")


def a_case(reference: str = "VA-26-00001", **changes: object) -> Case:
    case = Case(
        administration=NAV,
        id=CaseId(str(uuid.uuid4())),
        reference=reference,
        owner=BOX,
        state=CaseState.INVESTIGATING,
        opened_at=Instant(1),
        changed_at=Instant(1),
    )
    return dataclasses.replace(case, **changes)  # type: ignore[arg-type]


def a_delivery(due_at: int = 10, **changes: object) -> Delivery:
    row = Delivery(
        administration=NAV,
        id=str(uuid.uuid4()),  # type: ignore[arg-type]
        envelope=str(uuid.uuid4()),  # type: ignore[arg-type]
        message=str(uuid.uuid4()),  # type: ignore[arg-type]
        inbox=BOX,
        channel=Channel.LOCAL,
        state=DeliveryState.QUEUED,
        due_at=Instant(due_at),
        expires_at=Instant(10**15),
        changed_at=Instant(1),
    )
    return dataclasses.replace(row, **changes)  # type: ignore[arg-type]


def an_entry(text: str = "x", log: str = "sambud.example/audit/2026") -> LogEntry:
    return LogEntry(
        administration=GATEWAY,
        log=log,
        leaf=text.encode(),
        at=Instant(5),
        action="sent",
        actor=b"",
        object="o",
        scope="s",
        shred_key="k.1",  # type: ignore[arg-type]
        sealed=b"sealed",
    )


@pytest.mark.parametrize("kind", ROWS, ids=lambda kind: kind.TABLE)
async def test_every_kind_of_row_comes_back_as_it_was(store: Store, kind: type[Row]) -> None:
    rows: list[Row] = []

    @settings(max_examples=8, suppress_health_check=list(HealthCheck), database=None, derandomize=True)
    @given(st.data())
    def draw(data: st.DataObject) -> None:
        rows.append(data.draw(any_row(kind)))

    draw()
    for row in rows:
        try:
            await store.commit(Work(changes=(Insert(row),)))
        except ConflictError:
            continue  # two drawn rows share a key or a unique value
        assert await store.get(kind, *row.key) == row


async def test_a_work_is_all_or_nothing(store: Store) -> None:
    case, other = a_case(), a_case("VA-26-00002")
    await store.commit(Work(changes=(Insert(case),)))
    with pytest.raises(ConflictError):
        await store.commit(Work(changes=(Insert(other), Insert(case)), entries=(an_entry(),)))

    assert await store.get(Case, other.id) is None
    assert await store.log_size("sambud.example/audit/2026") == 0


async def test_one_failing_work_leaves_the_others_of_its_group_whole(store: Store) -> None:
    known = a_case("known")
    await store.commit(Work(changes=(Insert(known),)))
    cases = [a_case(f"VA-{number}") for number in range(20)]
    works = [
        Work(changes=(Insert(case), *((Insert(known),) if number % 4 == 0 else ())), entries=(an_entry(str(number)),))
        for number, case in enumerate(cases)
    ]
    results = await asyncio.gather(*(store.commit(work) for work in works), return_exceptions=True)

    for number, (case, result) in enumerate(zip(cases, results, strict=True)):
        assert isinstance(result, ConflictError) == (number % 4 == 0)
        assert (await store.get(Case, case.id) is None) == (number % 4 == 0)
    assert await store.log_size("sambud.example/audit/2026") == 15


async def test_leaves_are_numbered_without_gaps_whoever_writes(store: Store) -> None:
    log = "sambud.example/audit/2026"
    works = [Work(entries=(an_entry(f"a{number}"), an_entry(f"b{number}"))) for number in range(64)]
    done = await asyncio.gather(*(store.commit(work) for work in works))

    numbers = sorted(number for committed in done for number in committed.numbers)
    assert numbers == list(range(128))
    leaves = await store.leaves(log, 0, 128)
    assert [leaf.number for leaf in leaves] == numbers
    columns = await store.leaf_columns(log, 0, 128)
    assert [tuple(row) for row in columns] == [(leaf.number, leaf.leaf, leaf.hash) for leaf in leaves]
    for committed, work in zip(done, works, strict=True):
        for number, entry in zip(committed.numbers, work.entries, strict=True):
            leaf = await store.get(AuditLeaf, log, number)
            side = await store.get(AuditSide, log, number)
            assert leaf is not None and leaf.leaf == entry.leaf and leaf.hash == entry.hash
            assert side is not None and side.sealed == entry.sealed


async def test_a_fact_that_moved_makes_the_work_stale(store: Store, clock: ManualClock) -> None:
    case = a_case()
    await store.commit(Work(changes=(Insert(case),)))
    seen = fact(case)
    await store.commit(Work(expects=(seen,), entries=(an_entry(),)))
    moved = dataclasses.replace(case, state=CaseState.REQUESTED, version=2)
    await store.commit(Work(changes=(Update(moved),)))

    for stale in (
        seen,
        Fact(Case, ("absent",), 1),
        Fact(Case, case.key, 0),
        fact(moved, valid_until=clock.now()),
    ):
        with pytest.raises(DecisionStaleError):
            await store.commit(Work(expects=(stale,), changes=(Insert(a_case(str(stale))),)))
    await store.commit(Work(expects=(fact(moved, valid_until=Instant(clock.now() + 1)), Fact(Case, ("absent",), 0))))


async def test_an_update_needs_the_version_before(store: Store) -> None:
    case = a_case()
    await store.commit(Work(changes=(Insert(case),)))
    for version in (1, 3):
        with pytest.raises(ConflictError):
            await store.commit(Work(changes=(Update(dataclasses.replace(case, version=version)),)))
    with pytest.raises(ConflictError):
        await store.commit(Work(changes=(Update(a_case("new", version=2)),)))
    two = [dataclasses.replace(case, version=2, changed_at=Instant(at)) for at in range(10)]
    done = await asyncio.gather(*(store.commit(Work(changes=(Update(row),))) for row in two), return_exceptions=True)
    assert sum(not isinstance(result, ConflictError) for result in done) == 1


async def test_what_is_unique_beside_the_key_is_unique(store: Store) -> None:
    await store.commit(Work(changes=(Insert(a_case("same")),)))
    with pytest.raises(ConflictError):
        await store.commit(Work(changes=(Insert(a_case("same")),)))


async def test_deleting_is_idempotent(store: Store) -> None:
    case = a_case()
    await store.commit(Work(changes=(Insert(case),)))
    for _ in range(2):
        await store.commit(Work(changes=(Delete(Case, case.key),)))
    assert await store.get(Case, case.id) is None


async def test_twenty_workers_share_deliveries_and_none_gets_one_twice(store: Store) -> None:
    """Catalogue Q13 in small: claims are exclusive, oldest due first."""
    rows = [a_delivery(due_at=number) for number in range(100)]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    claims = await asyncio.gather(
        *(
            store.claim_due(Channel.LOCAL, now=Instant(60), lease_until=Instant(99), owner=f"w{n}", limit=7)
            for n in range(20)
        )
    )
    ids = [row.id for claimed in claims for row in claimed]
    assert len(ids) == len(set(ids)) == 61  # due at 0..60
    for claimed in claims:
        assert [row.due_at for row in claimed] == sorted(row.due_at for row in claimed)
        assert all(row.state is DeliveryState.ATTEMPTING and row.version == 2 for row in claimed)
    assert {row.id for row in await store.lapsed_leases(now=Instant(99), limit=200)} == set(ids)
    assert await store.lapsed_leases(now=Instant(98), limit=200) == []


async def test_pages_go_on_after_equal_times_and_miss_nothing(store: Store) -> None:
    cases = [a_case(f"VA-{n}", opened_at=Instant(n // 10)) for n in range(45)]
    changes: list[Insert] = [Insert(case) for case in cases]
    changes += [
        Insert(CaseParty(administration=NAV, case=c.id, inbox=BOX, since=c.opened_at, opened_at=c.opened_at))
        for c in cases
    ]
    await store.commit(Work(changes=tuple(changes)))
    seen: list[Case] = []
    after: Cursor | None = None
    while page := await store.cases_of(BOX, after=after, limit=7):
        seen += page
        after = Cursor(page[-1].opened_at, page[-1].id)
    assert [case.id for case in seen] == [
        case.id for case in sorted(cases, key=lambda case: (-case.opened_at, case.id))
    ]


async def test_an_idempotency_key_is_taken_once(store: Store) -> None:
    rows = [
        IdempotencyRecord(
            administration=NAV,
            inbox=BOX,
            idempotency_key="k",
            fingerprint=bytes([n]),
            answer="{}",
            created_at=Instant(SECOND),
        )
        for n in range(20)
    ]
    done = await asyncio.gather(*(store.commit(Work(changes=(Insert(row),))) for row in rows), return_exceptions=True)
    assert sum(not isinstance(result, BaseException) for result in done) == 1


async def test_an_operator_sees_how_many_deliveries_stand_where_and_how_long_the_oldest_has_waited(
    store: Store,
) -> None:
    assert (await store.queue_signs(most=10)).oldest_due is None
    states = [DeliveryState.QUEUED] * 4 + [DeliveryState.FAILED] * 2 + [DeliveryState.OPENED]
    rows = [a_delivery(due_at=20 + number, state=state) for number, state in enumerate(states)]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    signs = await store.queue_signs(most=3)
    assert signs.deliveries == {"queued": 3, "attempting": 0, "failed": 2, "expired": 0}
    assert signs.oldest_due == 20


async def test_the_logs_are_told_by_name_in_order(store: Store) -> None:
    assert await store.logs() == []
    names = [f"sambud.example/audit/{year}" for year in (2028, 2026, 2027)]
    await store.commit(Work(entries=tuple(an_entry(str(n), name) for n in range(3) for name in names)))
    assert await store.logs() == sorted(names)


async def test_asking_whether_a_commit_would_go_through_changes_nothing(store: Store) -> None:
    await store.check_writable()
    await asyncio.gather(*(store.check_writable() for _ in range(20)))
    assert await store.logs() == []


async def test_what_stands_in_a_channel_is_counted_by_its_reason_and_no_further_than_asked(store: Store) -> None:
    rows = [
        dataclasses.replace(a_delivery(due_at=20, state=state), channel=channel, reason=reason)
        for channel, state, reason in [
            (Channel.SDK, DeliveryState.FAILED, "malware"),
            (Channel.SDK, DeliveryState.FAILED, "unreachable"),
            (Channel.SDK, DeliveryState.FAILED, "unreachable"),
            (Channel.SDK, DeliveryState.QUEUED, ""),
            (Channel.SMIME, DeliveryState.FAILED, "malware"),
        ]
    ]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    found = await store.counts_by_reason(Channel.SDK, DeliveryState.FAILED, most=10)
    assert [(one.channel, one.state, one.reason, one.count) for one in found] == [
        (Channel.SDK, DeliveryState.FAILED, "malware", 1),
        (Channel.SDK, DeliveryState.FAILED, "unreachable", 2),
    ]
    assert sum(one.count for one in await store.counts_by_reason(Channel.SDK, DeliveryState.FAILED, most=2)) == 2
    assert await store.counts_by_reason(Channel.LINK, DeliveryState.FAILED, most=2) == []


async def test_an_inbox_counts_as_unfetched_by_open_unopened_work_that_is_old_enough(store: Store) -> None:
    def work(envelope: str, inbox: str, at: int, delivery: DeliveryState, task: TaskState) -> list[Insert]:
        row = dataclasses.replace(
            a_delivery(due_at=at, state=delivery),
            envelope=EnvelopeId(envelope),
            inbox=InboxId(inbox),
            changed_at=Instant(at),
        )
        of = Task(
            administration=NAV,
            envelope=row.envelope,
            inbox=row.inbox,
            message=row.message,
            case=CaseId("c"),
            form_type="case_message",
            state=task,
            received_at=Instant(at),
            changed_at=Instant(at),
        )
        return [Insert(row), Insert(of)]

    changes = [
        *work("e1", "box.a", 50, DeliveryState.DELIVERED, TaskState.OPEN),
        *work("e2", "box.a", 40, DeliveryState.DELIVERED, TaskState.OPEN),
        *work("e3", "box.b", 30, DeliveryState.OPENED, TaskState.OPEN),
        *work("e4", "box.c", 30, DeliveryState.DELIVERED, TaskState.DONE),
        *work("e5", "box.d", 90, DeliveryState.DELIVERED, TaskState.OPEN),
        *work("e6", "box.e", 20, DeliveryState.DELIVERED, TaskState.OPEN),
    ]
    await store.commit(Work(changes=tuple(changes)))
    found = await store.unfetched(before=Instant(60), limit=10)
    assert [(one.inbox, one.count, one.oldest) for one in found] == [("box.e", 1, 20), ("box.a", 2, 40)]
    assert [one.inbox for one in await store.unfetched(before=Instant(60), limit=1)] == ["box.e"]


async def test_what_leaves_for_an_inbox_is_counted_by_channel_and_when_it_was_last_reached_is_known(
    store: Store,
) -> None:
    box, other = InboxId("box.a"), InboxId("box.b")
    rows = [
        dataclasses.replace(a_delivery(due_at=20, state=state), inbox=inbox, channel=channel, delivered_at=delivered)
        for inbox, channel, state, delivered in [
            (box, Channel.SDK, DeliveryState.QUEUED, None),
            (box, Channel.SDK, DeliveryState.ATTEMPTING, None),
            (box, Channel.SDK, DeliveryState.IN_TRANSIT, None),
            (box, Channel.SDK, DeliveryState.FAILED, None),
            (box, Channel.SMIME, DeliveryState.QUEUED, None),
            (box, Channel.SDK, DeliveryState.DELIVERED, Instant(70)),
            (box, Channel.SDK, DeliveryState.OPENED, Instant(90)),
            (other, Channel.SDK, DeliveryState.QUEUED, None),
        ]
    ]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    assert await store.leaving_for(box, Channel.SDK, most=10) == 3
    assert await store.leaving_for(box, Channel.SDK, most=2) == 2
    assert await store.leaving_for(box, Channel.LINK, most=2) == 0
    assert await store.reached_at(box) == 90
    assert await store.reached_at(other) is None


async def test_the_listings_of_a_channel_come_by_address_those_that_are_gone_too(store: Store) -> None:
    def listing(channel: Channel, address: str, gone: Instant | None = None) -> Listing:
        return Listing(
            administration=GATEWAY,
            channel=channel,
            address=address,
            organisation="Organisationen",
            number="2021000001",
            name="Funktionen",
            gone_at=gone,
        )

    rows = [listing(Channel.SDK, "b#2", Instant(7)), listing(Channel.SDK, "a#1"), listing(Channel.SMIME, "a#1")]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    assert await store.listings(Channel.SDK) == [rows[1], rows[0]]


async def test_mails_to_members_that_are_due_come_oldest_first_and_only_while_they_are_queued(store: Store) -> None:
    """docs/channels.md §9."""
    rows = [
        NoticeMail(
            administration=AdministrationId("a"),
            inbox=InboxId("box"),
            user=UserId(user),
            kind=NoticeKind.ARRIVED,
            state=state,
            due_at=Instant(due),
            sent_at=Instant(0),
        )
        for user, state, due in (
            ("late", NoticeState.QUEUED, 30),
            ("second", NoticeState.QUEUED, 20),
            ("first", NoticeState.QUEUED, 10),
            ("sent", NoticeState.SENT, 5),
            ("failed", NoticeState.FAILED, 5),
        )
    ]
    await store.commit(Work(changes=tuple(map(Insert, rows))))
    found = await store.notice_mails_due(now=Instant(20), limit=10)
    assert [row.user for row in found] == ["first", "second"]
    assert len(await store.notice_mails_due(now=Instant(40), limit=1)) == 1


async def test_what_a_system_sent_and_has_not_let_go_is_listed_newest_first(store: Store) -> None:
    rows = [
        SystemMessage(
            administration=AdministrationId("a"),
            user=UserId(user),
            id=f"{user}-{number}",
            inbox=InboxId("i"),
            message=MessageId(f"m{number}"),
            envelope=EnvelopeId(f"e{number}"),
            sent=sent,
            gone=gone,
            created_at=Instant(number),
        )
        for user in ("one", "two")
        for number, (sent, gone) in enumerate([(True, False), (True, True), (False, True), (True, False)])
    ]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    found = await store.system_messages(UserId("one"), limit=10)
    assert [row.id for row in found] == ["one-3", "one-0"]
    assert [row.id for row in await store.system_messages(UserId("one"), limit=1)] == ["one-3"]
    gone = dataclasses.replace(found[0], gone=True, version=2)
    await store.commit(Work(changes=(Update(gone),)))
    assert [row.id for row in await store.system_messages(UserId("one"), limit=10)] == ["one-0"]


def _window(number: int) -> StepUpWindow:
    return StepUpWindow(
        administration=NAV,
        session=SessionId(f"s{number}"),
        inbox=InboxId("vaxjo.nav.inbox"),
        user=UserId("u"),
        opened_at=Instant(1),
        ends_at=Instant(1_000 - number),
    )


def _grant(number: int) -> ActGrant:
    return ActGrant(
        administration=NAV,
        session=SessionId(f"s{number}"),
        act=Act.PRINT,
        object="paper",
        user=UserId("u"),
        given_at=Instant(1),
        ends_at=Instant(1_000 - number),
        spent=bool(number % 2),
    )


@pytest.mark.parametrize(("made", "query"), [(_window, "lapsed_windows"), (_grant, "lapsed_grants")])
async def test_what_ended_before_an_instant_is_found_the_oldest_first(
    store: Store, made: Callable[[int], StepUpWindow | ActGrant], query: str
) -> None:
    rows = [made(number) for number in range(4)]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows)))
    found = getattr(store, query)
    assert await found(before=Instant(1_000), limit=50) == [rows[3], rows[2], rows[1]]
    assert await found(before=Instant(1_000), limit=2) == [rows[3], rows[2]]
    assert await found(before=Instant(997), limit=50) == []
