"""Pre-flight: what is known of each recipient outside, before anything is sent (docs/address-book.md §3).

Why this exists: a wrong address, a file that is not taken and a channel that stands still all come back hours later, to
somebody who has gone home. What is known is told while there is still somebody to act, and nothing of it stops a
sending: who sends decides, and a neighbour that cannot say is no obstacle.

Rules: recipients are looked up side by side within two seconds; an answer is kept in memory for ten minutes, its age is
told, and one that could not be given is asked for again after one. Who reached an inbox is never told, only the time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.channels import Channels
from gateway.directory import Directory
from gateway.errors import GatewayError
from gateway.model.base import MINUTE, InboxId, Instant
from gateway.model.directory import BookReading, Inbox, Listing, Route
from gateway.model.path import Channel
from gateway.neighbours import Seen
from gateway.ports import Clock, Store

WITHIN_S: Final = 2.0
KEPT: Final = 10 * MINUTE
KEPT_UNKNOWN: Final = MINUTE
MOST_KEPT: Final = 10_000


@dataclass(frozen=True, slots=True)
class Goes:
    """A file that would go."""

    name: str
    media_type: str
    size: int  # octets


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What is known of one recipient outside."""

    inbox: Inbox
    channel: Channel
    afterwards: tuple[Channel, ...]  # the ways that are tried when this one fails
    connected: bool
    away: bool  # the channel does not answer just now: what is sent waits
    exists: bool | None  # None: nobody can say
    as_of: Instant  # when that was so
    in_book: bool  # the network's address book says it, else the neighbour
    reached_at: Instant | None  # when something was last delivered there, from anybody here
    max_octets: int  # of all that goes; 0: no limit is known
    too_large: bool
    not_promised: tuple[str, ...]  # names of files of a type that the recipient does not promise to take


class Preflight:
    """Look ahead."""

    def __init__(self, store: Store, directory: Directory, channels: Channels, clock: Clock) -> None:
        self._store = store
        self._directory = directory
        self._channels = channels
        self._clock = clock
        self._seen: dict[tuple[Channel, str], tuple[Seen, Instant]] = {}

    async def look(self, inboxes: Iterable[InboxId], files: Sequence[Goes]) -> Mapping[InboxId, Look]:
        """What is known of those of `inboxes` that are outside and have a way; others are not in the answer."""
        directory = await self._directory.current()
        found = [directory.inbox(inbox) for inbox in inboxes]
        ways = {box.id: directory.ways_to(box.id) for box in found if directory.is_outside(box)}
        looked = await asyncio.gather(*(self._looked(box, ways[box.id], files) for box in found if ways.get(box.id)))
        return {look.inbox.id: look for look in looked}

    async def _looked(self, inbox: Inbox, ways: Sequence[Route], files: Sequence[Goes]) -> Look:
        first = ways[0]
        seen, asked_at = await self._asked(first)
        listed, read_at = await self._listed(first)
        exists = seen.exists if listed is None else listed
        times = [at for at in (seen.heard_at, await self._store.reached_at(inbox.id)) if at is not None]
        # Every way writes files as base64: four octets for three (INF: what else goes is small beside them).
        octets = sum(4 * ((file.size + 2) // 3) for file in files)
        connected = first.channel in self._channels.neighbours
        return Look(
            inbox=inbox,
            channel=first.channel,
            afterwards=tuple(way.channel for way in ways[1:]),
            connected=connected,
            away=connected and not self._channels.circuit(first.channel).closed(self._clock.now()),
            exists=exists,
            as_of=read_at if listed is not None else asked_at,
            in_book=listed is not None,
            reached_at=max(times, default=None),
            max_octets=seen.max_octets,
            too_large=0 < seen.max_octets < octets,
            not_promised=tuple(file.name for file in files if seen.takes and file.media_type not in seen.takes),
        )

    async def _listed(self, way: Route) -> tuple[bool | None, Instant]:
        """Whether the copy of the network's address book has the address; None: no book was read."""
        reading = await self._store.get(BookReading, way.channel)
        if reading is None:
            return None, Instant(0)
        listing = await self._store.get(Listing, way.channel, way.address.lower())
        return listing is not None and listing.gone_at is None, reading.at

    async def _asked(self, way: Route) -> tuple[Seen, Instant]:
        """What the neighbour says of an address, and when it said so."""
        now, key = self._clock.now(), (way.channel, way.address)
        if key in self._seen:
            seen, at = self._seen[key]
            if now < at + (KEPT if seen.exists is not None else KEPT_UNKNOWN):
                return seen, at
        neighbour = self._channels.neighbours.get(way.channel)
        if neighbour is None:
            return Seen(exists=None), now
        try:
            async with asyncio.timeout(WITHIN_S):
                seen = await neighbour.look_up(way.address)
        except (TimeoutError, GatewayError):
            seen = Seen(exists=None)  # it cannot say, and that is all that is known
        while len(self._seen) >= MOST_KEPT:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = (seen, now)
        return seen, now
