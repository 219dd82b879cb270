"""Whether the process lives, whether it can do its work, and the numbers that say how it stands.

Why this exists: a load balancer, a service manager and an operator ask different things. *Alive* is that the process
answers; *ready* is that a message could be taken in and opened now: the database takes a write, the keys answer, the
log is being published, the disk has its reserve, files can be written. What does not hold is told in a sentence with
what to do, since the one who reads it is often not the one who built it.

Rules: no check waits longer than two seconds, and all of them together are made at most once a second however many ask.
Nothing here names an authority, an inbox or a person. A check that hangs is asked again only when it has answered.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeVar

import structlog

from gateway.audit import Auditor
from gateway.channel_watch import WATCHED, ChannelWatch
from gateway.errors import GatewayError, StoreFullError, StoreUnavailableError
from gateway.logs import place_of
from gateway.measures import ChannelSigns, Signs
from gateway.model.base import GATEWAY, SECOND, Instant
from gateway.ports import Blobs, Clock, Machine, ShredKeys, Store, Vault
from gateway.presence import Presence
from gateway.quarantine import MOST_SHOWN, Quarantine
from gateway.sessions import Sessions

CHECK_S: Final = 2.0
KEPT_S: Final = 1.0
#: On a large disk, more than this is not needed (adapters/disk.py, which holds the reserve against new content).
MOST_RESERVED: Final = 10 * 1024**3
#: "answer 503 when the newest checkpoint is > 3 min old" (security-decisions H2); here, when a leaf waits for one.
LONGEST_LAG: Final = 180 * SECOND
MOST_COUNTED: Final = 10_000
T = TypeVar("T")
log = structlog.get_logger()


class Check(StrEnum):
    """What being ready consists of."""

    DATABASE = "database"
    KEYS = "keys"
    LOG = "log"
    DISK = "disk"
    BLOBS = "blobs"
    ACCEPTING = "accepting"


@dataclass(frozen=True, slots=True)
class Failing:
    """A check that does not hold: what is wrong and what to do, in Swedish."""

    check: Check
    swedish: str
    next_step: str


@dataclass(frozen=True, slots=True)
class Readiness:
    """All checks of one moment."""

    failing: tuple[Failing, ...]

    @property
    def ready(self) -> bool:
        return not self.failing

    @property
    def checks(self) -> Mapping[str, bool]:
        """Each check and whether it holds."""
        wrong = {found.check for found in self.failing}
        return {str(check): check not in wrong for check in Check}


@dataclass(frozen=True, slots=True)
class LogState:
    """How far the tree over the log has come."""

    leaves: int
    unpublished: int
    lag: int  # microseconds that the oldest unpublished leaf has waited
    checkpoint_age: int | None


#: What each check says when it does not hold, unless it knows better: (what is wrong, what to do).
TEXTS: Final[Mapping[Check, tuple[str, str]]] = {
    Check.DATABASE: (
        "Databasen tar inte emot skrivningar.",
        "Kontrollera databasen och disken, och kör 'sambud doctor'.",
    ),
    Check.KEYS: (
        "Nycklarna svarar inte, så inget kan förseglas eller öppnas.",
        "Kontrollera rotnyckeln och nyckellagret (keys.db) med 'sambud doctor'.",
    ),
    Check.LOG: (
        "Loggen publiceras inte: en rad har väntat i mer än tre minuter på sin kontrollpunkt.",
        "Kör 'sambud audit verify' och läs driftloggen. Starta inte om innan loggen är kontrollerad.",
    ),
    Check.DISK: (
        "Bara loggens reserv av disken är kvar, så inget nytt tas emot.",
        "Gör plats eller utöka disken. Det går fortfarande att läsa.",
    ),
    Check.BLOBS: (
        "Bilagor går inte att spara.",
        "Kontrollera rättigheter och plats för mappen blobs i datakatalogen.",
    ),
    Check.ACCEPTING: (
        "Gatewayen håller på att stängas.",
        "Vänta tills den har startat igen, eller skicka trafiken till en annan.",
    ),
}


class Health:
    """Looks at what the gateway stands on."""

    def __init__(
        self,
        store: Store,
        blobs: Blobs,
        shred: ShredKeys,
        vault: Vault,
        auditor: Auditor,
        presence: Presence,
        sessions: Sessions,
        machine: Machine,
        clock: Clock,
        *,
        watch: ChannelWatch,
        quarantine: Quarantine,
        reserve_percent: int = 5,  # "5 % of disk is reserved for the log" (security-decisions H2)
        seconds: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._blobs = blobs
        self._shred = shred
        self._vault = vault
        self._auditor = auditor
        self._presence = presence
        self._sessions = sessions
        self._machine = machine
        self._clock = clock
        self._watch = watch
        self._quarantine = quarantine
        self._reserve = reserve_percent
        self._seconds = seconds
        self._lock = asyncio.Lock()
        self._kept: tuple[float, Readiness] | None = None
        self._asking: dict[Check, asyncio.Task[None]] = {}
        self._draining = False

    @property
    def draining(self) -> bool:
        """Whether the process is being stopped."""
        return self._draining

    @property
    def sealed(self) -> bool:
        """Whether the keys did not answer when last asked: the process lives, and can read nothing."""
        return self._kept is not None and not self._kept[1].checks[Check.KEYS]

    def drain(self) -> None:
        """Say from now on that no new work shall come here."""
        self._draining = True
        self._kept = None

    async def ready(self) -> Readiness:
        """Every check, at most a second old. Those who ask meanwhile wait for the same answer."""
        async with self._lock:
            if self._kept is None or self._seconds() - self._kept[0] >= KEPT_S:
                made = await self._made()
                self._kept = (self._seconds(), made)
            return self._kept[1]

    async def signs(self) -> Signs:
        """The numbers of this moment; what cannot be read is None, and never an error."""
        readiness = await self.ready()
        now = self._clock.now()
        queue = await self._or_none(self._store.queue_signs(most=MOST_COUNTED))
        state = await self._or_none(self.log_state())
        channels = await self._or_none(self._channels())
        unfetched = await self._or_none(self._watch.unfetched())
        held = await self._or_none(self._watch.held())
        files = await self._or_none(self._quarantine.waiting(most=MOST_SHOWN))
        return Signs(
            at=now,
            ready=readiness.checks,
            deliveries=queue.deliveries if queue else None,
            oldest_due_s=_waited(queue.oldest_due, now) if queue else None,
            leaves=state.leaves if state else None,
            unpublished=state.unpublished if state else None,
            lag_s=state.lag / SECOND if state else None,
            checkpoint_age_s=state.checkpoint_age / SECOND if state and state.checkpoint_age is not None else None,
            channels=tuple(channels or ()),
            unfetched=len(unfetched) if unfetched is not None else None,
            unfetched_s=_waited(min((one.oldest for one in unfetched), default=None), now)
            if unfetched is not None
            else None,
            waiting_files=files[0] if files else None,
            waiting_files_s=_waited(files[1], now) if files else None,
            held=sum(one.count for one in held) if held is not None else None,
            held_late=sum(one.late for one in held) if held is not None else None,
            scanner_answers=await self._or_none(self._quarantine.scanner_answers()),
            sessions=self._sessions.used_lately(),
            streams=self._presence.watchers,
            space=await asyncio.to_thread(self._machine.space),
            clock_synchronised=self._machine.clock_synchronised(),
            draining=self._draining,
        )

    async def log_state(self) -> LogState:
        """How much of this year's log no checkpoint covers, and for how long."""
        now = self._clock.now()
        origin = self._auditor.origin(now)
        leaves = await self._store.log_size(origin)
        newest = await self._store.last_checkpoint(origin)
        covered = newest.size if newest else 0
        waiting = await self._store.sides(origin, covered, covered + 1) if leaves > covered else []
        return LogState(
            leaves,
            max(0, leaves - covered),
            max(0, now - waiting[0].at) if waiting else 0,
            now - newest.at if newest else None,
        )

    async def _channels(self) -> list[ChannelSigns]:
        found = [await self._watch.state(channel) for channel in self._watch.connected()]
        return [
            ChannelSigns(
                channel=str(one.channel),
                circuit_open=one.closed_until is not None,
                left=len(one.left),
                expires=one.expires,
                deliveries={str(state): one.in_state(state) for state in WATCHED},
            )
            for one in found
        ]

    # --- the checks ---------------------------------------------------------------------------------------------------

    async def _made(self) -> Readiness:
        checks: Mapping[Check, Callable[[], Awaitable[None]]] = {
            Check.DATABASE: self._store.check_writable,
            Check.KEYS: self._keys,
            Check.LOG: self._log,
            Check.DISK: self._disk,
            Check.BLOBS: self._blobs.check_writable,
        }
        failing = [found for found in await asyncio.gather(*map(self._asked, checks, checks.values())) if found]
        if self._draining:
            failing.append(Failing(Check.ACCEPTING, *TEXTS[Check.ACCEPTING]))
        for found in failing:
            log.warning("not ready", check=str(found.check))
        return Readiness(tuple(failing))

    async def _asked(self, check: Check, work: Callable[[], Awaitable[None]]) -> Failing | None:
        """Ask with a time limit; a question that still hangs from before is waited for, not asked again."""
        task = self._asking.get(check)
        if task is None or task.done():
            task = self._asking[check] = asyncio.ensure_future(_only(work))
        try:
            async with asyncio.timeout(CHECK_S):
                await asyncio.shield(task)
        except TimeoutError:
            return Failing(check, f"{TEXTS[check][0]} Inget svar på två sekunder.", TEXTS[check][1])
        except StoreFullError as trouble:
            return Failing(check, trouble.swedish, TEXTS[check][1])
        except (GatewayError, OSError):
            return Failing(check, *TEXTS[check])
        except Exception as bug:
            log.error("a check failed in an unexpected way", check=str(check), **place_of(bug))
            return Failing(check, *TEXTS[check])
        return None

    async def _keys(self) -> None:
        await self._vault.fingerprint(GATEWAY, "health", b"")
        await self._shred.check()

    async def _log(self) -> None:
        state = await self.log_state()
        if not state.leaves or state.lag > LONGEST_LAG:
            raise StoreUnavailableError("the log is not published", swedish=TEXTS[Check.LOG][0])

    async def _disk(self) -> None:
        for free, size in (await asyncio.to_thread(self._machine.space)).values():
            if free < min(size * self._reserve // 100, MOST_RESERVED):
                raise StoreUnavailableError("the disk's reserve is used", swedish=TEXTS[Check.DISK][0])

    async def _or_none(self, work: Awaitable[T]) -> T | None:
        try:
            async with asyncio.timeout(CHECK_S):
                return await work
        except (GatewayError, OSError, TimeoutError):
            return None


async def _only(work: Callable[[], Awaitable[None]]) -> None:
    await work()


def _waited(due: Instant | None, now: Instant) -> float:
    return max(0, now - due) / SECOND if due is not None else 0.0
