"""What people carry and what is over, read the same way from every store (docs/channels.md §2.6, §2.7)."""

from __future__ import annotations

import dataclasses

from gateway.model.base import CaseId, Instant, MessageId
from gateway.model.carrying import HandOver
from gateway.model.path import Channel, Message, Origin
from gateway.ports import Insert, Store, Update, Work
from gateway.states import DeliveryState, HandOverState
from tests.contracts.test_store import BOX, NAV, a_delivery


def a_message(sender: str, number: int) -> Message:
    return Message(
        administration=NAV,
        id=MessageId(f"message-{number}"),
        case=CaseId("case"),
        form_type="case_message",
        form_version=1,
        sender=sender,  # type: ignore[arg-type]
        origin=Origin.LOCAL,
        decision="decision",  # type: ignore[arg-type]
        created_at=Instant(1),
    )


async def test_what_an_inbox_carries_is_what_it_sent_by_hand_and_is_not_over(store: Store) -> None:
    mine, theirs = a_message("a.box", 1), a_message("another.box", 2)
    rows = {
        name: a_delivery(due_at, message=message.id, channel=channel, state=state)
        for name, due_at, message, channel, state in (
            ("waits", 30, mine, Channel.HANDOVER, DeliveryState.QUEUED),
            ("taken", 10, mine, Channel.HANDOVER, DeliveryState.IN_TRANSIT),
            ("link", 20, mine, Channel.LINK, DeliveryState.QUEUED),
            ("over", 5, mine, Channel.HANDOVER, DeliveryState.DELIVERED),
            ("machine", 5, mine, Channel.SDK, DeliveryState.QUEUED),
            ("theirs", 5, theirs, Channel.HANDOVER, DeliveryState.QUEUED),
        )
    }
    await store.commit(Work(changes=(Insert(mine), Insert(theirs), *map(Insert, rows.values()))))
    found = await store.deliveries_to_carry(mine.sender, limit=10)
    assert found == [rows["taken"], rows["link"], rows["waits"]]
    assert await store.deliveries_to_carry(mine.sender, limit=1) == [rows["taken"]]


async def test_hand_overs_are_found_by_inbox_and_state_the_newest_first(store: Store) -> None:
    first = HandOver(
        administration=NAV,
        id="1",
        inbox=BOX,
        party="outside.box",  # type: ignore[arg-type]
        case=CaseId("case"),
        channel=Channel.HANDOVER,
        what="message",
        state=HandOverState.WAITING,
        created_at=Instant(1),
    )
    second = dataclasses.replace(first, id="2", created_at=Instant(2))
    other = dataclasses.replace(first, id="3", inbox="another.box")
    await store.commit(Work(changes=(Insert(first), Insert(second), Insert(other))))
    assert await store.hand_overs_of(BOX, HandOverState.WAITING, limit=10) == [second, first]
    assert await store.hand_overs_of(BOX, HandOverState.WAITING, limit=1) == [second]
    done = dataclasses.replace(second, state=HandOverState.DONE, version=2, handed_at=Instant(3), sealed=b"x")
    await store.commit(Work(changes=(Update(done),)))
    assert await store.hand_overs_of(BOX, HandOverState.WAITING, limit=10) == [first]
    assert await store.hand_overs_of(BOX, HandOverState.DONE, limit=10) == [done]


async def test_what_ran_out_and_what_is_over_and_due_are_found_by_channel(store: Store) -> None:
    late = {
        state: a_delivery(7, channel=Channel.HANDOVER, state=state, expires_at=Instant(50)) for state in DeliveryState
    }
    away = a_delivery(7, channel=Channel.SDK, state=DeliveryState.FAILED)
    never = a_delivery(2**62, channel=Channel.HANDOVER, state=DeliveryState.FAILED)
    await store.commit(Work(changes=tuple(map(Insert, (*late.values(), away, never)))))

    found = await store.overdue(Channel.HANDOVER, now=Instant(50), limit=20)
    assert {row.state for row in found} == {DeliveryState.QUEUED, DeliveryState.IN_TRANSIT}
    assert await store.overdue(Channel.HANDOVER, now=Instant(49), limit=20) == []
    ended = {DeliveryState.DELIVERED, DeliveryState.FAILED, DeliveryState.EXPIRED, DeliveryState.CANCELLED}
    due = await store.ended_due(Channel.HANDOVER, now=Instant(7), limit=20)
    assert {row.id for row in due} == {late[state].id for state in ended}
    assert await store.ended_due(Channel.HANDOVER, now=Instant(6), limit=20) == []
    assert await store.ended_due(Channel.SDK, now=Instant(7), limit=20) == [away]
