"""Whom a sender may choose: boards, the unit that was proposed, and functions outside that the directory knows.

Why this exists: the wrong recipient cannot be taken back, so the list holds what can take the form and nothing else, in
groups that a tired eye tells apart: here first, then each organisation outside by itself, who already takes part in the
case before who does not. What may be lost by a choice is decided later, as always (gateway/decide.py).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from gateway.directory import Snapshot
from gateway.forms.names import REFERRAL
from gateway.model.base import InboxId
from gateway.model.directory import Inbox, InboxKind
from gateway.model.path import Case
from gateway.states import CaseState


@dataclass(frozen=True, slots=True)
class Choice:
    """One thing to choose. `group` is the organisation's name for a function outside, else empty."""

    id: str
    name: str
    inboxes: tuple[InboxId, ...]
    group: str = ""


def choices(directory: Snapshot, sender: InboxId, form_type: str, case: Case) -> list[Choice]:
    """What takes this form in this case, boards and the proposed unit first.

    A referral goes to a board, and when a unit was proposed to that unit alone: an answer from anybody else could not
    move the case (docs/channels.md §3.1). Everything else goes outside as well, wherever a way leads.
    """
    boards = [Choice(board.id, board.name, tuple(map(InboxId, board.seats))) for board in directory.boards.values()]
    units = [
        Choice(inbox.id, inbox.name, (inbox.id,))
        for inbox in directory.inboxes.values()
        if inbox.kind is InboxKind.UNIT and (inbox.unit,) == case.matched_units[:1]
    ]
    if form_type == REFERRAL:
        found = units if units and case.state is CaseState.MATCHED else boards
    else:
        found = [*units, *boards, *_outside(directory, {one.id for one in units})]
    return [
        one
        for one in found
        if all(form_type in directory.inbox(inbox).accepts and inbox != sender for inbox in one.inboxes)
    ]


def _outside(directory: Snapshot, offered: Collection[str]) -> list[Choice]:
    """Functions outside, by organisation and name; a seat is reached with its board, never alone."""
    found = [
        Choice(inbox.id, inbox.name, (inbox.id,), organisation_of(directory, inbox))
        for inbox in directory.inboxes.values()
        if directory.is_outside(inbox)
        and inbox.kind is not InboxKind.SEAT
        and inbox.id not in offered
        and directory.ways_to(inbox.id)
    ]
    return sorted(found, key=lambda one: (one.group, one.name))


def organisation_of(directory: Snapshot, inbox: Inbox) -> str:
    """The name of the organisation that an inbox belongs to."""
    return directory.organisations[directory.administration(inbox.administration).organisation].name
