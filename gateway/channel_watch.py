"""Channel watch: how each way out of the house stands, and which inboxes nobody fetches.

Why this exists: a channel that stands still is silent. Whoever answers for it must see without reading anything which
neighbour is away, whose certificate ends, what waits and what failed for which reason; and a message that arrived in an
inbox which nobody opens has not helped anybody, so that is seen as well.

Rules: channels, states, reasons and times only; inboxes by their function, never a person, a case or a message.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from gateway.audit import Auditor
from gateway.channels import Channels
from gateway.decide import AccessAction
from gateway.directory import Directory, Snapshot
from gateway.holding import late
from gateway.model.base import DAY, HOUR, MINUTE, InboxId, Instant
from gateway.model.carrying import BY_HAND
from gateway.model.directory import Inbox
from gateway.model.path import Channel, Held, ReasonCount, Unfetched
from gateway.neighbours import OF_THE_WAY, Neighbour, Reason, Telling, Told
from gateway.ports import Clock, Store
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import DeliveryState, HeldState
from gateway.traffic import log_transport_read

#: The ways out; LOCAL is no way out.
OUTWARD: Final = tuple(channel for channel in Channel if channel is not Channel.LOCAL)
#: The states that somebody has to wait for or look at; what arrived and what was stopped on purpose is not told.
WATCHED: Final = (
    DeliveryState.QUEUED,
    DeliveryState.ATTEMPTING,
    DeliveryState.IN_TRANSIT,
    DeliveryState.FAILED,
    DeliveryState.EXPIRED,
)
#: From when the end of a certificate is an alarm: ordering one and having it entered elsewhere takes weeks.
CERTIFICATE_ALARM: Final = 60 * DAY
CERTIFICATE_URGENT: Final = 7 * DAY
#: A weekend fits in, so that no Monday begins with an alarm about a Friday.
UNFETCHED_AFTER: Final = 72 * HOUR
MOST_COUNTED: Final = 10_000
MOST_INBOXES: Final = 200
KEPT: Final = MINUTE
PROBE_S: Final = 30.0


@runtime_checkable
class Probed(Protocol):
    """What a neighbour has that can be asked whether it would answer, without anything being sent or taken."""

    async def probe(self) -> Told:
        """DELIVERED when it answers and knows us, else DELAYED or REFUSED with the reason."""


class End(StrEnum):
    """How near the end of a certificate is."""

    UNKNOWN = "unknown"  # the channel needs none, or cannot say
    FAR = "far"
    SOON = "soon"
    URGENT = "urgent"
    PAST = "past"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """A channel from the outside."""

    channel: Channel
    connected: bool
    routed: bool = False  # the directory leads somewhere outside by it
    closed_until: Instant | None = None  # the circuit is open: nothing is tried before
    left: Mapping[str, Reason] = field(default_factory=dict)  # at the neighbour, by their id there
    expires: Instant | None = None
    counts: tuple[ReasonCount, ...] = ()

    def in_state(self, state: DeliveryState) -> int:
        return sum(one.count for one in self.counts if one.state is state)

    @property
    def failed(self) -> tuple[ReasonCount, ...]:
        """What ended without arriving, the most frequent reason first."""
        ended = (one for one in self.counts if one.state in (DeliveryState.FAILED, DeliveryState.EXPIRED))
        return tuple(sorted(ended, key=lambda one: (-one.count, one.reason)))

    @property
    def delayed(self) -> tuple[ReasonCount, ...]:
        """What waits after a try that did not succeed."""
        waits = (one for one in self.counts if one.state is DeliveryState.QUEUED and one.reason)
        return tuple(sorted(waits, key=lambda one: (-one.count, one.reason)))

    @property
    def left_by_reason(self) -> Mapping[Reason, int]:
        return Counter(self.left.values())

    @property
    def by_hand(self) -> bool:
        """Whether people carry what goes this way: then no neighbour is missing."""
        return self.channel in BY_HAND

    @property
    def used(self) -> bool:
        """Whether there is anything to say of it."""
        return self.connected or self.routed or bool(self.counts)

    def end(self, now: Instant) -> End:
        return end_of(self.expires, now)


def end_of(expires: Instant | None, now: Instant) -> End:
    """How near that end is."""
    if expires is None:
        return End.UNKNOWN
    left = expires - now
    if left <= 0:
        return End.PAST
    if left <= CERTIFICATE_URGENT:
        return End.URGENT
    return End.SOON if left <= CERTIFICATE_ALARM else End.FAR


@dataclass(frozen=True, slots=True, kw_only=True)
class Unplaced:
    """What waits at a registrator's inbox for somebody to say where to (§3.2), and how much of it is late."""

    inbox: InboxId
    count: int
    late: int  # over a working day
    oldest: Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Path:
    """One way to an inbox, as it stands now."""

    channel: Channel
    address: str
    rank: int
    connected: bool
    closed_until: Instant | None

    @property
    def by_hand(self) -> bool:
        return self.channel in BY_HAND


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """Everything that the page of the channels shows."""

    at: Instant
    states: Sequence[ChannelState]
    unfetched: Sequence[Unfetched]
    directory: Snapshot


class ChannelWatch:
    """Looks at the channels and at the inboxes that nobody fetches."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        channels: Channels,
        rights: Rights,
        auditor: Auditor,
        clock: Clock,
        *,
        unfetched_after: int = UNFETCHED_AFTER,
    ) -> None:
        self._store = store
        self._directory = directory
        self._channels = channels
        self._rights = rights
        self._auditor = auditor
        self._clock = clock
        self._after = unfetched_after
        self._kept: tuple[Instant, Sequence[Unfetched]] | None = None

    async def states(self) -> list[ChannelState]:
        """Every way out, connected or not."""
        return [await self.state(channel) for channel in OUTWARD]

    async def state(self, channel: Channel) -> ChannelState:
        directory = await self._directory.current()
        neighbour = self._channels.neighbours.get(channel)
        counts = [
            one for state in WATCHED for one in await self._store.counts_by_reason(channel, state, most=MOST_COUNTED)
        ]
        return ChannelState(
            channel=channel,
            connected=neighbour is not None,
            routed=any(
                route.channel is channel and directory.is_outside(directory.inbox(route.inbox))
                for route in directory.routes
            ),
            closed_until=self._closed_until(channel),
            left=dict(neighbour.left) if neighbour else {},
            expires=neighbour.expires() if neighbour else None,
            counts=tuple(counts),
        )

    def connected(self) -> Mapping[Channel, Neighbour]:
        return self._channels.neighbours

    async def unfetched(self) -> Sequence[Unfetched]:
        """Inboxes of ours whose oldest unopened work is older than the set time; at most a minute old."""
        now = self._clock.now()
        if self._kept is None or not 0 <= now - self._kept[0] < KEPT:
            found = await self._store.unfetched(before=Instant(now - self._after), limit=MOST_INBOXES)
            self._kept = (now, found)
        return self._kept[1]

    async def held(self) -> list[Unplaced]:
        """What waits for registrators to say where to, by their inboxes; counted to MOST_INBOXES in all."""
        now = self._clock.now()
        found: dict[InboxId, list[Held]] = {}
        for row in await self._store.held(HeldState.WAITING, limit=MOST_INBOXES):
            found.setdefault(row.inbox, []).append(row)
        return [
            Unplaced(inbox=inbox, count=len(rows), late=sum(late(row, now) for row in rows), oldest=rows[0].since)
            for inbox, rows in found.items()
        ]

    async def overview(self, signed: Signed) -> Overview:
        """The page of those who operate or review the gateway.

        Raises:
            ForbiddenError: neither operator nor reviewer; the try is logged.
        """
        await self._rights.without_inbox(signed, AccessAction.READ_TRANSPORT)
        await log_transport_read(self._auditor, self._store, signed, "channels")
        return Overview(
            at=self._clock.now(),
            states=await self.states(),
            unfetched=await self.unfetched(),
            directory=await self._directory.current(),
        )

    async def paths(self, inbox: Inbox) -> list[Path]:
        """The ways to an inbox, in the order in which they are tried."""
        directory = await self._directory.current()
        return [
            Path(
                channel=route.channel,
                address=route.address,
                rank=route.rank,
                connected=route.channel in self._channels.neighbours,
                closed_until=self._closed_until(route.channel),
            )
            for route in directory.ways_to(inbox.id)
        ]

    async def probe(self, channel: Channel) -> Told | None:
        """Ask a connected neighbour whether it would answer; None when it cannot be asked without sending.

        Raises:
            KeyError: no neighbour is connected for the channel.
        """
        neighbour = self._channels.neighbours[channel]
        if not isinstance(neighbour, Probed):
            return None
        try:
            async with asyncio.timeout(PROBE_S):
                return await neighbour.probe()
        except TimeoutError:
            return Told(Telling.DELAYED, Reason.UNREACHABLE)

    def _closed_until(self, channel: Channel) -> Instant | None:
        if channel not in self._channels.neighbours:
            return None
        circuit = self._channels.circuit(channel)
        return None if circuit.closed(self._clock.now()) else circuit.until


def goes_on(reason: Reason) -> bool:
    """Whether the next way is tried by itself (§2.2)."""
    return reason in OF_THE_WAY
