"""Grants: one fresh code permits one act, once (design.md §7).

Why this exists: a window of fifteen minutes is right for reading and wrong for what takes content out of every key: a
print, a file of log rows. Somebody who finds a signed-in screen must not print a case with it. So such an act asks for
a code of its own, and the code is worth that act on that object, in that session, for two minutes.

Rules: the code is burned in the transaction that writes the grants; a grant is spent in the transaction that logs the
act, before anything is shown. Of two who spend one at once, one gets it. The factor used at sign-in is no fresh one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from gateway.alarms import Alarms
from gateway.audit import Auditor
from gateway.errors import ActCodeRequiredError
from gateway.integrity import Integrity
from gateway.model.base import DAY, MINUTE, AdministrationId, Instant
from gateway.model.identity import Act, ActGrant
from gateway.ports import Change, Clock, Insert, Store, Update
from gateway.sessions import Signed
from gateway.sweeping import SWEPT_AT_ONCE, remove
from gateway.windows import Windows

GRANT_LASTS: Final = 2 * MINUTE


class Lapse(StrEnum):
    """Why there is no grant."""

    NONE = "ingen"
    SPENT = "anvand"
    OVER = "tid"


#: What happened, and what to do.
IN_SWEDISH: Final = {
    Lapse.NONE: "Det här behöver en egen kod, även om du nyss har angett en för att läsa.",
    Lapse.SPENT: "Koden är redan använd. Varje kod räcker en gång.",
    Lapse.OVER: "Det har gått mer än två minuter sedan du angav koden.",
}
NEXT_STEP: Final = "Inget har lämnats ut. Ange nästa kod från din app och försök igen."


class Grants:
    """Gives grants for codes, and spends them."""

    def __init__(self, store: Store, integrity: Integrity, windows: Windows, auditor: Auditor, clock: Clock) -> None:
        self._store = store
        self._integrity = integrity
        self._windows = windows
        self._alarms = Alarms(store, integrity, auditor, clock)
        self._auditor = auditor
        self._clock = clock

    async def give(
        self, signed: Signed, act: Act, objects: Sequence[str], code: str, *, administration: AdministrationId
    ) -> Instant:
        """Use a TOTP code for one act on `objects`, each once; gives until when. Check that the caller may act first.

        Args:
            objects: what the act is done to; the first names it in the log. A print is a paper and its files.

        Raises:
            SignInError: the code is wrong or was used before; it counts against the account.
            TooManyAttemptsError: wait; nothing was looked at.
        """

        async def permitted(now: Instant) -> Sequence[Change]:
            return [await self._granted(signed, act, one, now) for one in objects]

        now = await self._windows.with_code(
            signed,
            code,
            permitted,
            lambda action, outcome: self._auditor.entry(
                action,
                administration=administration,
                actor=signed.user,
                role=signed.role,
                object=objects[0],
                case=None,
                outcome=outcome,
                detail={"act": str(act)},
            ),
        )
        return Instant(now + GRANT_LASTS)

    async def spend(self, signed: Signed, act: Act, object: str) -> Change:
        """The change that spends the grant of this session for this act; commit it with the entry that logs the act.

        A conflict at that commit means that it was spent in this moment: `spend` again says so.

        Raises:
            ActCodeRequiredError: none, spent, or over: ask for a code.
            IntegrityError: the row was altered; an alarm was raised.
        """
        row = await self._store.get(ActGrant, signed.session.id, act, object)
        if row is None:
            raise _needed(Lapse.NONE)
        await self._alarms.checked(row, actor=signed.user)
        if row.spent:
            raise _needed(Lapse.SPENT)
        if not row.given_at <= self._clock.now() < row.ends_at:
            raise _needed(Lapse.OVER)
        spent = dataclasses.replace(row, spent=True, version=row.version + 1)
        return Update(await self._integrity.sign(spent))

    async def sweep(self) -> int:
        """Remove grants that ended over a day ago, spent or not; returns how many."""
        before = Instant(self._clock.now() - DAY)
        return await remove(self._store, await self._store.lapsed_grants(before=before, limit=SWEPT_AT_ONCE))

    async def _granted(self, signed: Signed, act: Act, object: str, now: Instant) -> Change:
        before = await self._store.get(ActGrant, signed.session.id, act, object)
        if before is not None:
            await self._alarms.checked(before, actor=signed.user)
        row = await self._integrity.sign(
            ActGrant(
                administration=signed.session.administration,
                session=signed.session.id,
                act=act,
                object=object,
                user=signed.user.id,
                given_at=now,
                ends_at=Instant(now + GRANT_LASTS),
                version=before.version + 1 if before else 1,
            )
        )
        return Update(row) if before else Insert(row)


def _needed(lapse: Lapse) -> ActCodeRequiredError:
    return ActCodeRequiredError(
        f"a code of its own is needed for this act: {lapse.name.lower()}",
        lapse=str(lapse),
        swedish=IN_SWEDISH[lapse],
        next_step=NEXT_STEP,
    )
