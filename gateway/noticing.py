"""Tell members by e-mail that something lies in an inbox: without content, once for each inbox and hour.

Why this exists: nobody watches a page all day. But mail is read on trains, by families and by mail providers, so a
notice says that there is something and where to sign in; to an address that is not the employer's it says the
organisation's name alone (domain.md §5: P0; catalogue Q11).

Rules: what is due is a row before anything is sent, and a mail that may have gone is not sent again in the same hour;
who is no active member any more is told nothing; an address stands sealed, and never in a log.
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Sequence
from typing import Final, Protocol

import structlog

from gateway.audit import AuditAction, Auditor
from gateway.deliver import back_off
from gateway.directory import Directory, Snapshot
from gateway.errors import ConflictError, IntegrityError
from gateway.integrity import Integrity
from gateway.measures import UNMEASURED, Counted, Metrics
from gateway.model.base import DAY, MINUTE, InboxId, Instant, UserId
from gateway.model.directory import Inbox
from gateway.model.identity import MembershipState, User, UserState
from gateway.model.notices import NoticeChoice, NoticeKind, NoticeMail, NoticeState
from gateway.model.path import Notice, Unfetched
from gateway.neighbours import Reason, Telling, Told
from gateway.notice_texts import Words, words
from gateway.notice_times import Choice, When, due_at
from gateway.ports import Change, Clock, Insert, Store, Update, Vault, Work

BATCH: Final = 50
#: What waited longer when notices were first sent is no news.
NEWS: Final = DAY
#: While one is being sent no other worker takes it; longer than any hand-over of a mail.
LEASE: Final = 5 * MINUTE
MOST_ATTEMPTS: Final = 8
_BACK: Final = uuid.UUID("0b7a5d5e-5a0e-5f43-9a4e-7d1f2f9f6b31")
log = structlog.get_logger()


class NoticePost(Protocol):
    """Where notices go out."""

    def employers(self, address: str) -> bool:
        """Whether an address is the employer's own; every other is private."""

    def takes(self, address: str) -> bool:
        """Whether mail can be sent to an address as it is written."""

    async def send(self, identifier: str, address: str, words: Words, *, back: str) -> Told:
        """One mail. Expected trouble is a value; an address that is none is refused. `back` (a UUID) is what
        `returned` calls it, should it come back."""

    def returned(self) -> Sequence[str]:
        """What came back for good and is not settled."""

    def settled(self, back: str) -> None:
        """It was counted."""


class Noticing:
    """The worker that tells."""

    def __init__(
        self,
        store: Store,
        directory: Directory,
        integrity: Integrity,
        vault: Vault,
        auditor: Auditor,
        clock: Clock,
        *,
        metrics: Metrics = UNMEASURED,
    ) -> None:
        self._metrics = metrics
        self._store = store
        self._directory = directory
        self._integrity = integrity
        self._vault = vault
        self._auditor = auditor
        self._clock = clock
        self._post: NoticePost | None = None
        self._place = ""

    def connect(self, post: NoticePost, *, place: str = "") -> None:
        """Send from now on. `place` is where users sign in."""
        self._post = post
        self._place = place

    @property
    def connected(self) -> NoticePost | None:
        return self._post

    async def run_once(self, unfetched: Sequence[Unfetched] = ()) -> int:
        """Queue what is news, send what is due; returns how many mails went or failed."""
        if self._post is None:
            return 0
        directory = await self._directory.current()
        await self._count_returned(directory, self._post)
        for inbox in directory.inboxes.values():
            if not directory.is_outside(inbox):
                await self._queue_news(inbox)
        for one in unfetched:
            if one.inbox in directory.inboxes:
                await self._queue(directory.inbox(one.inbox), NoticeKind.UNFETCHED, ())
        settled = 0
        for mail in await self._store.notice_mails_due(now=self._clock.now(), limit=BATCH):
            settled += await self._send(directory, mail, self._post)
        return settled

    # --- what is news -------------------------------------------------------------------------------------------------

    async def _queue_news(self, inbox: Inbox) -> None:
        waiting = await self._store.notices_waiting(inbox.id, limit=BATCH)
        if not waiting:
            return
        news = [notice for notice in waiting if notice.created_at > self._clock.now() - NEWS]
        await self._queue(inbox, NoticeKind.ARRIVED if news else None, waiting)

    async def _queue(self, inbox: Inbox, kind: NoticeKind | None, told: Sequence[Notice]) -> None:
        """One mail for each member who wants one, and the notices that it is about are told, in one transaction."""
        now = self._clock.now()
        changes: list[Change] = [
            Update(dataclasses.replace(notice, state="told", version=notice.version + 1)) for notice in told
        ]
        for user, choice in await self._wanting(inbox) if kind else ():
            before = await self._store.get(NoticeMail, inbox.id, user.id)
            change = _queued(inbox, user, choice, kind, before, now) if kind else None
            if change is not None:
                changes.append(change)
        if not changes:
            return
        try:
            await self._store.commit(Work(changes=tuple(changes)))
        except ConflictError:
            log.info("another worker queues the notices of an inbox", inbox=inbox.id)

    async def _wanting(self, inbox: Inbox) -> list[tuple[User, Choice]]:
        """Who is told of this inbox now: members who want it, and for those who are away their deputies."""
        now, members = self._clock.now(), await self._members(inbox)
        found: dict[UserId, tuple[User, Choice]] = {}
        for user in members.values():
            choice = await self.choice(user)
            if choice.stopped:
                continue
            if choice.when is not When.OFF and not choice.away(now):
                found[user.id] = (user, choice)
            elif choice.away(now) and choice.deputy in members:
                deputy = members[choice.deputy]
                theirs = await self.choice(deputy)
                if theirs.address and not theirs.away(now) and not theirs.stopped:
                    wanted = theirs if theirs.when is not When.OFF else dataclasses.replace(theirs, when=When.ONCE)
                    found.setdefault(deputy.id, (deputy, wanted))
        return list(found.values())

    async def _members(self, inbox: Inbox) -> dict[UserId, User]:
        """Active users with an active, authentic membership."""
        found = {}
        for row in await self._store.members_of(inbox.id):
            if row.state is not MembershipState.ACTIVE:
                continue
            user = await self._store.get(User, row.user)
            try:
                await self._integrity.check(row)
                if user is not None and (await self._integrity.check(user)).state is UserState.ACTIVE:
                    found[user.id] = user
            except IntegrityError:
                log.error("a membership or user that does not verify is told nothing", inbox=inbox.id)
        return found

    async def choice(self, user: User) -> Choice:
        """What a user has chosen; nothing yet: off."""
        row = await self._store.get(NoticeChoice, user.id)
        if row is None:
            return Choice()
        return Choice.decoded(await self._vault.open_field(user.administration, context_of(user.id), row.sealed))

    # --- what is due --------------------------------------------------------------------------------------------------

    async def _send(self, directory: Snapshot, mail: NoticeMail, post: NoticePost) -> bool:
        now = self._clock.now()
        inbox = directory.inboxes.get(mail.inbox)
        user = (await self._members(inbox)).get(mail.user) if inbox is not None else None
        taken = dataclasses.replace(
            mail, due_at=Instant(now + LEASE), attempts=mail.attempts + 1, version=mail.version + 1
        )
        try:
            await self._store.commit(Work(changes=(Update(taken),)))
        except ConflictError:
            return False  # another worker has it
        choice = await self.choice(user) if user is not None else Choice()
        if inbox is None or user is None or not choice.address or choice.away(now) or choice.stopped:
            return await self._settled(taken, NoticeState.SENT, "not-wanted")  # no member now, away, or stopped
        text = words(
            mail.kind,
            language=choice.language,
            inbox=inbox.name,
            administration=directory.administrations[inbox.administration].name,
            organisation=directory.organisations[directory.administrations[inbox.administration].organisation].name,
            place=self._place,
            private=not post.employers(choice.address),
        )
        back = _back(mail.inbox, await self._store.get(NoticeChoice, user.id))
        told = await post.send(f"{mail.inbox}/{mail.user}/{mail.sent_at}", choice.address, text, back=back)
        if told.telling is Telling.IN_TRANSIT:
            return await self._settled(taken, NoticeState.SENT, "sent")
        if told.telling is Telling.DELAYED and taken.attempts < MOST_ATTEMPTS:
            later = Instant(now + MINUTE + back_off(taken.attempts))
            await self._store.commit(
                Work(changes=(Update(dataclasses.replace(taken, due_at=later, version=taken.version + 1)),))
            )
            return False
        if told.reason is Reason.NOT_FOUND:
            await self._count(user)
        return await self._settled(taken, NoticeState.FAILED, str(told.reason))

    # --- what came back -----------------------------------------------------------------------------------------------

    async def _count_returned(self, directory: Snapshot, post: NoticePost) -> None:
        """Count bounces against the address that they were sent to; of a choice that was saved since, they say nothing.

        A process that ends in the middle counts one twice, and none is lost.
        """
        returned = set(post.returned())
        for inbox in directory.inboxes.values() if returned else ():
            if directory.is_outside(inbox):
                continue
            for user in (await self._members(inbox)).values():
                if _back(inbox.id, await self._store.get(NoticeChoice, user.id)) not in returned:
                    continue
                mail = await self._store.get(NoticeMail, inbox.id, user.id)
                if mail is not None and mail.state is NoticeState.SENT:
                    await self._settled(mail, NoticeState.FAILED, "returned")
                await self._count(user)
        for one in returned:
            post.settled(one)

    async def _count(self, user: User) -> None:
        """One more that came back; from the third on nothing is sent, which its owner sees on "Mina aviseringar"."""
        row = await self._store.get(NoticeChoice, user.id)
        if row is None:
            return
        before = await self.choice(user)
        choice = dataclasses.replace(before, returned=before.returned + 1)
        sealed = await self._vault.seal_field(user.administration, context_of(user.id), choice.encoded())
        try:
            following = dataclasses.replace(row, sealed=sealed, version=row.version + 1)
            await self._store.commit(Work(changes=(Update(following),)))
        except ConflictError:
            return  # saved anew meanwhile: then it was another address that did not take it
        self._metrics.count(Counted.NOTICES_RETURNED, "stopped" if choice.stopped else "returned")
        log.warning("a notice came back", stopped=choice.stopped)

    async def _settled(self, mail: NoticeMail, state: NoticeState, outcome: str) -> bool:
        now = self._clock.now()
        entry = await self._auditor.entry(
            AuditAction.NOTIFIED,
            administration=mail.administration,
            actor=None,
            role="worker",
            object=mail.inbox,
            case=None,
            outcome=outcome,
            detail={"kind": str(mail.kind)},
        )
        following = dataclasses.replace(mail, state=state, sent_at=now, attempts=0, version=mail.version + 1)
        await self._store.commit(Work(changes=(Update(following),), entries=(entry,)))
        return True


def context_of(user: UserId) -> str:
    """What binds a sealed choice to its user."""
    return f"{NoticeChoice.TABLE}|{user}|sealed"


def _back(inbox: InboxId, row: NoticeChoice | None) -> str:
    """What a notice about an inbox to the address of this choice is called when it comes back."""
    return str(uuid.uuid5(_BACK, f"{inbox}/{row.user}/{row.changed_at}")) if row is not None else ""


def _queued(
    inbox: Inbox, user: User, choice: Choice, kind: NoticeKind, before: NoticeMail | None, now: Instant
) -> Change | None:
    """The mail row after something happened; None when one is on its way already, or went not long ago."""
    urgent = kind is NoticeKind.UNFETCHED
    if before is None:
        return Insert(
            NoticeMail(
                administration=inbox.administration,
                inbox=inbox.id,
                user=user.id,
                kind=kind,
                state=NoticeState.QUEUED,
                due_at=due_at(choice, now, Instant(0), urgent=urgent),
                sent_at=Instant(0),
            )
        )
    if before.state is NoticeState.QUEUED:
        return None
    if urgent and before.kind is kind and now < before.sent_at + DAY:
        return None  # said today
    return Update(
        dataclasses.replace(
            before,
            kind=kind,
            state=NoticeState.QUEUED,
            due_at=due_at(choice, now, before.sent_at, urgent=urgent),
            attempts=0,
            version=before.version + 1,
        )
    )
