"""Presence as members meet it: who of the others is at which item, for members of the inbox only.

Why this exists: `presence` knows who is where and asks nobody; here the asking is done. Being present is told by a page
that asks by itself, so nothing here keeps a session alive: whoever walks away is signed out as always, and then the
stream ends.

Rules: nothing is stored or logged; a session has at most six streams, and is looked at again each minute.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Final

from gateway.decide import AccessAction
from gateway.errors import NotFoundError
from gateway.model.base import MINUTE, EnvelopeId, InboxId, MessageId, SessionId
from gateway.model.path import Envelope
from gateway.ports import Clock, Store
from gateway.presence import Presence, Present
from gateway.queue import scope_of
from gateway.rights import Rights
from gateway.sessions import Sessions, Signed, ended

MOST_STREAMS: Final = 6  # as many connections as a browser opens to one place


@dataclass(frozen=True, slots=True)
class Told:
    """What a stream tells: who else is here, and a number that grows when a claim or an answer changed."""

    others: Sequence[Present]
    changes: int


class Watching:
    """Being seen, and seeing."""

    def __init__(self, store: Store, rights: Rights, sessions: Sessions, presence: Presence, clock: Clock) -> None:
        self._store = store
        self._rights = rights
        self._sessions = sessions
        self._presence = presence
        self._clock = clock
        self._streams: dict[SessionId, list[object]] = {}  # of each session, the oldest first

    async def here(self, signed: Signed, inbox: InboxId) -> Sequence[Present]:
        """Who else is at an item of the inbox, or of its board, now."""
        return self._others(signed, await self._scope(signed, inbox))

    async def seen(self, signed: Signed, inbox: InboxId, envelope: EnvelopeId, *, answering: bool) -> None:
        """Tell the others that the caller is at an item.

        Raises:
            NotFoundError: no such item in an inbox of theirs.
        """
        scope, message = await self._item(signed, inbox, envelope)
        self._presence.seen(scope, signed.user.id, signed.user.title, message, answering=answering)

    async def left(self, signed: Signed, inbox: InboxId, envelope: EnvelopeId) -> None:
        """Tell the others that the caller has gone."""
        scope, message = await self._item(signed, inbox, envelope)
        self._presence.left(scope, signed.user.id, message)

    async def changes(self, signed: Signed, inbox: InboxId) -> int:
        """The number that a stream of the inbox would tell now."""
        return self._presence.changes(await self._scope(signed, inbox))

    async def changed(self, signed: Signed, inbox: InboxId) -> None:
        """Tell those who watch that a claim or an answer changed."""
        self._presence.changed(await self._scope(signed, inbox))

    async def watch(self, signed: Signed, inbox: InboxId, *, every_s: float) -> AsyncGenerator[Told, None]:
        """What to tell: at once, at each change, and at least every `every_s` seconds.

        Raises:
            NotFoundError: not a member, at the beginning or any more.
            SessionEndedError: the session is over, or has begun six streams since.
        """
        scope, session = await self._scope(signed, inbox), signed.session.id
        streams, this = self._streams.setdefault(session, []), object()
        streams.append(this)
        if len(streams) > MOST_STREAMS:
            streams.pop(0)  # the window that was opened longest ago ends; often nobody listens there any more
        checked = self._clock.now()
        try:
            async with aclosing(self._presence.watch(scope, every_s=every_s)) as looks:
                async for _ in looks:
                    if this not in streams:
                        raise ended()
                    if checked + MINUTE <= self._clock.now():
                        checked = self._clock.now()
                        await self._sessions.still_active(signed, touch=False)
                        await self._scope(signed, inbox)
                    yield Told(self._others(signed, scope), self._presence.changes(scope))
        finally:
            if this in streams:
                streams.remove(this)
            if not streams:
                self._streams.pop(session, None)

    def _others(self, signed: Signed, scope: str) -> Sequence[Present]:
        return [one for one in self._presence.now(scope) if one.user != signed.user.id]

    async def _scope(self, signed: Signed, inbox: InboxId) -> str:
        standing = await self._rights.act(signed, inbox, AccessAction.LIST_INBOX)
        return scope_of(standing.directory, standing.inbox)

    async def _item(self, signed: Signed, inbox: InboxId, envelope: EnvelopeId) -> tuple[str, MessageId]:
        scope = await self._scope(signed, inbox)
        found = await self._store.get(Envelope, envelope)
        if found is None or found.inbox != inbox:
            raise NotFoundError("no such item", swedish="Meddelandet finns inte, eller är inte ert.")
        return scope, found.message
