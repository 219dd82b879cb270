"""Deputies: they always read the seat, and act when the ordinary member cannot (domain.md §12).

Why this exists: an answer must not wait for a holiday, and nobody should find out later that somebody else answered.
So a deputy's act carries a reason, sealed in the inbox, an entry in the log, and a notice to the ordinary members.
"""

from __future__ import annotations

import uuid

from gateway.errors import InvalidRequestError
from gateway.model.identity import MembershipRole
from gateway.model.path import Case, Notice
from gateway.ports import Change, Clock, Insert
from gateway.rights import Standing
from gateway.sheets import Sheets


class Deputies:
    """What goes with a deputy's act."""

    def __init__(self, sheets: Sheets, clock: Clock) -> None:
        self._sheets = sheets
        self._clock = clock

    async def acting(self, standing: Standing, case: Case, reason: str) -> tuple[Change, ...]:
        """Nothing for an ordinary member; for a deputy the reason and the notice, to commit with the act.

        Raises:
            InvalidRequestError: a deputy without a reason, or one longer than 4,000 characters.
        """
        if standing.membership.role is not MembershipRole.DEPUTY:
            return ()
        if not reason.strip():
            raise InvalidRequestError(
                "a deputy says why",
                swedish="Du är ersättare i den här inkorgen.",
                next_step="Skriv varför du svarar i stället för den ordinarie (frånvaro, jäv eller brådska).",
            )
        notice = Notice(
            administration=standing.inbox.administration,
            id=str(uuid.uuid4()),
            inbox=standing.inbox.id,
            kind="deputy_acted",
            case=case.id,
            created_at=self._clock.now(),
        )
        return (await self._sheets.deputy(standing, case.id, reason), Insert(notice))
