"""Who exists, as the gateway knows it now: checked rows, looked up by id, as one Fact for decisions.

Why this exists: routes decide who can read, so every row is read with its MAC; and a decision must notice when the
directory moved under it. Both are answered by one Generation row: it is read (and checked) at each use, the rest is
kept in memory until the generation changes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from gateway.errors import RecipientError, SetupError
from gateway.integrity import Integrity
from gateway.model.base import GATEWAY, AdministrationId, Fact, InboxId, fact
from gateway.model.directory import (
    DIRECTORY,
    Administration,
    Board,
    Generation,
    Inbox,
    InboxKind,
    Organisation,
    Route,
    Unit,
)
from gateway.model.path import MAX_WAYS, Channel, Way
from gateway.ports import Store


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The directory at one generation. Look-ups of ids that a stored row names raise KeyError: that is a bug."""

    generation: Generation
    organisations: dict[str, Organisation]
    administrations: dict[str, Administration]
    units: dict[str, Unit]
    inboxes: dict[str, Inbox]
    boards: dict[str, Board]
    routes: tuple[Route, ...] = ()

    @property
    def fact(self) -> Fact:
        """That the directory is still this one."""
        return fact(self.generation)

    def inbox(self, inbox: str) -> Inbox:
        return self.inboxes[inbox]

    def unit_of(self, inbox: Inbox) -> Unit:
        return self.units[inbox.unit]

    def administration(self, administration: AdministrationId) -> Administration:
        return self.administrations[administration]

    def is_outside(self, inbox: Inbox) -> bool:
        """Whether another gateway, or none, hosts the inbox's administration."""
        return self.administrations[inbox.administration].outside

    def ways_to(self, inbox: InboxId) -> tuple[Route, ...]:
        """The routes of an inbox, in the order in which they are tried."""
        found = (route for route in self.routes if route.inbox == inbox)
        return tuple(sorted(found, key=lambda route: (route.rank, route.channel)))

    def ways(self, inboxes: Iterable[Inbox]) -> dict[InboxId, tuple[Way, ...]]:
        """For those of `inboxes` that are outside: the ways that a sender permits, in the order they are tried.

        Raises:
            RecipientError: the directory knows no way to one of them; nothing was sealed.
        """
        found: dict[InboxId, tuple[Way, ...]] = {}
        for inbox in inboxes:
            if not self.is_outside(inbox):
                continue
            found[inbox.id] = tuple(Way(route.channel, route.address) for route in self.ways_to(inbox.id))[:MAX_WAYS]
            if not found[inbox.id]:
                raise RecipientError(
                    f"inbox {inbox.id} is outside and has no route",
                    swedish=f"Det finns ingen väg till {inbox.name}.",
                    next_step="Kontakta den som sköter adressboken. Utkastet är kvar.",
                )
        return found

    def at(self, channel: Channel, address: str) -> Inbox | None:
        """The inbox behind a neighbour's address. Organisation ids are compared without regard to case (SDK)."""
        wanted = address.lower()
        return next(
            (
                self.inboxes[route.inbox]
                for route in self.routes
                if route.channel is channel and route.address.lower() == wanted
            ),
            None,
        )

    def collecting(self, channel: Channel, inbox: InboxId) -> tuple[str, ...]:
        """The administrations that an inbox's address on this channel collects for; empty: it names one function."""
        found = (route for route in self.routes if route.inbox == inbox and route.channel is channel)
        return next((route.serves for route in found), ())

    def registrator_of(self, administration: AdministrationId) -> Inbox | None:
        """The registrator's inbox of an administration; the first by id when there are several."""
        found = (
            inbox
            for _, inbox in sorted(self.inboxes.items())
            if inbox.administration == administration and inbox.kind is InboxKind.REGISTRATOR
        )
        return next(found, None)

    def board_of(self, seat: InboxId) -> Board | None:
        """The board that `seat` is a seat of."""
        return next((board for board in self.boards.values() if seat in board.seats), None)

    def recipients(self, addresses: Iterable[str], *, form_type: str) -> list[Inbox]:
        """The inboxes behind `addresses` (inbox or board ids), each once, in the order given.

        Raises:
            RecipientError: an address is unknown, or its inbox does not accept `form_type`. Nothing was sealed.
        """
        found: dict[str, Inbox] = {}
        for address in addresses:
            board = self.boards.get(address)
            for inbox_id in board.seats if board else (address,):
                inbox = self.inboxes.get(inbox_id)
                if inbox is None:
                    raise RecipientError(
                        "a recipient address does not exist",
                        swedish="En av mottagarna finns inte i adressboken.",
                        next_step="Välj mottagaren i adressboken. Utkastet är kvar.",
                    )
                if form_type not in inbox.accepts:
                    raise RecipientError(
                        f"inbox {inbox.id} does not accept {form_type}",
                        swedish=f"{inbox.name} tar inte emot den här blanketten.",
                        next_step="Välj en annan mottagare eller en annan blankett. Utkastet är kvar.",
                    )
                found[inbox.id] = inbox
        return list(found.values())


class Directory:
    """Reads the directory through its generation."""

    def __init__(self, store: Store, integrity: Integrity) -> None:
        self._store = store
        self._integrity = integrity
        self._snapshot: Snapshot | None = None

    async def current(self) -> Snapshot:
        """The directory as committed now.

        Raises:
            SetupError: no directory has been loaded; run `sambud directory apply`.
            IntegrityError: a row was changed past the gateway.
        """
        generation = await self._store.get(Generation, DIRECTORY)
        if generation is None:
            raise SetupError(
                "no directory is loaded",
                swedish="Ingen adressbok är inläst.",
                next_step="Kör 'sambud directory apply FIL'.",
            )
        if self._snapshot is None or self._snapshot.generation != generation:
            await self._integrity.check(generation)
            self._snapshot = await self._load(generation)
        return self._snapshot

    async def _load(self, generation: Generation) -> Snapshot:
        check = self._integrity.check
        return Snapshot(
            generation,
            {row.id: await check(row) for row in await self._store.organisations()},
            {row.administration: await check(row) for row in await self._store.administrations()},
            {row.id: await check(row) for row in await self._store.units()},
            {row.id: await check(row) for row in await self._store.inboxes()},
            {row.id: await check(row) for row in await self._store.boards()},
            tuple([await check(row) for row in await self._store.routes()]),
        )


def next_generation(current: Generation | None, digest: str, *, name: str = DIRECTORY) -> Generation:
    """The generation after `current`; sign it before it is committed."""
    if current is None:
        return Generation(administration=GATEWAY, name=name, digest=digest)
    return dataclasses.replace(current, digest=digest, version=current.version + 1)


def names(inboxes: Sequence[Inbox]) -> str:
    """The names of inboxes for a sentence: 'A, B och C'."""
    listed = [inbox.name for inbox in inboxes]
    return listed[0] if len(listed) == 1 else f"{', '.join(listed[:-1])} och {listed[-1]}"
