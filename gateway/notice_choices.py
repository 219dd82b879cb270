"""A user's own choice of notices: read, checked, kept sealed.

Why this exists: where somebody is told and when they are away is about them, so only they see it and only they set it;
the log says that it was changed and never to what.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from gateway.audit import AuditAction, Auditor
from gateway.errors import FieldError, InvalidFormError, NotFoundError
from gateway.model.base import UserId
from gateway.model.identity import MembershipState, User
from gateway.model.notices import NoticeChoice, NoticeMail, NoticeState
from gateway.notice_times import Choice, When
from gateway.noticing import Noticing, context_of
from gateway.ports import Clock, Insert, Store, Update, Vault, Work
from gateway.sessions import Signed


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """What the page shows: the choice, who may stand in, and whether the last notice reached its address."""

    choice: Choice
    deputies: Sequence[User]
    failed: bool
    stopped: bool  # notices came back so often that no more go to the address until it is saved anew
    private: bool  # the address is not the employer's: it is told the organisation's name alone


class NoticeChoices:
    """The use case behind "Mina aviseringar"."""

    def __init__(self, store: Store, noticing: Noticing, vault: Vault, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._noticing = noticing
        self._vault = vault
        self._auditor = auditor
        self._clock = clock

    @property
    def offered(self) -> bool:
        """Whether this gateway sends notices at all."""
        return self._noticing.connected is not None

    async def mine(self, signed: Signed) -> Shown:
        """The caller's own choice."""
        choice = await self._noticing.choice(signed.user)
        post = self._noticing.connected
        failed = False
        for row in await self._store.memberships_of(signed.user.id):
            mail = await self._store.get(NoticeMail, row.inbox, signed.user.id)
            failed = failed or (mail is not None and mail.state is NoticeState.FAILED)
        return Shown(
            choice=choice,
            deputies=await self._colleagues(signed.user),
            failed=failed,
            stopped=choice.stopped,
            private=bool(choice.address) and post is not None and not post.employers(choice.address),
        )

    async def choose(self, signed: Signed, choice: Choice) -> None:
        """Keep a choice; notices that were stopped because they came back begin again.

        Raises:
            NotFoundError: this gateway sends no notices.
            InvalidFormError: every fault of the form; nothing was kept.
        """
        post = self._noticing.connected
        if post is None:
            raise NotFoundError("no notices here", swedish="Det här systemet skickar inga aviseringar.")
        faults = list(_faults(choice))
        if choice.when is not When.OFF and not post.takes(choice.address):
            faults.append(FieldError("/address", "invalid", "Skriv en e-postadress, till exempel namn@kommun.example."))
        if choice.deputy and choice.deputy not in {user.id for user in await self._colleagues(signed.user)}:
            faults.append(FieldError("/deputy", "invalid", "Välj någon som är medlem i samma inkorg."))
        if faults:
            raise InvalidFormError(
                "the choice of notices cannot be kept",
                faults,
                swedish="Aviseringarna går inte att spara så här.",
                next_step="Rätta det som är markerat. Det du valde förut gäller tills vidare.",
            )
        now, user, choice = self._clock.now(), signed.user, dataclasses.replace(choice, returned=0)
        sealed = await self._vault.seal_field(user.administration, context_of(user.id), choice.encoded())
        before = await self._store.get(NoticeChoice, user.id)
        if before is None:
            row = NoticeChoice(administration=user.administration, user=user.id, sealed=sealed, changed_at=now)
        else:
            row = dataclasses.replace(before, sealed=sealed, changed_at=now, version=before.version + 1)
        entry = await self._auditor.entry(
            AuditAction.NOTICES_CHOSEN,
            administration=user.administration,
            actor=user,
            role=signed.role,
            object=user.id,
            case=None,
            outcome="permit",
        )
        await self._store.commit(Work(changes=(Insert(row) if before is None else Update(row),), entries=(entry,)))

    async def _colleagues(self, user: User) -> list[User]:
        """Who may stand in: active members of an inbox that is the user's as well, by title."""
        found: dict[UserId, User] = {}
        for own in await self._store.memberships_of(user.id):
            if own.state is not MembershipState.ACTIVE:
                continue
            for row in await self._store.members_of(own.inbox):
                other = await self._store.get(User, row.user)
                if other is not None and row.state is MembershipState.ACTIVE and other.id != user.id:
                    found[other.id] = other
        return sorted(found.values(), key=lambda one: one.title)


def _faults(choice: Choice) -> Sequence[FieldError]:
    if bool(choice.away_from) != bool(choice.away_to):
        missing = "/away_to" if choice.away_from else "/away_from"
        return (FieldError(missing, "missing", "Fyll i både första och sista dagen, eller ingen av dem."),)
    try:
        days = [date.fromisoformat(day) for day in (choice.away_from, choice.away_to) if day]
    except ValueError:
        return (FieldError("/away_from", "invalid", "Skriv dagarna som år-månad-dag, till exempel 2026-07-01."),)
    if days and days[0] > days[1]:
        return (FieldError("/away_to", "invalid", "Sista dagen kan inte komma före den första."),)
    return ()
