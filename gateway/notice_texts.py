"""The words of a notice: all there are. Nothing of a case is ever handed in here, so nothing of it can stand in one.

Why this exists: a template that can name a person will one day name one. These functions take the names of an inbox,
an administration and an organisation (public in the directory, P0) and a place to sign in, and nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.model.notices import NoticeKind


@dataclass(frozen=True, slots=True)
class Words:
    subject: str
    text: str


_SUBJECTS: Final[Mapping[tuple[str, str], str]] = {
    ("sv", "work"): "Något att läsa i Sambud",
    ("en", "work"): "Something to read in Sambud",
    ("sv", "private"): "Avisering från {organisation}",
    ("en", "private"): "Notice from {organisation}",
}
_WORK: Final[Mapping[tuple[str, NoticeKind], str]] = {
    ("sv", NoticeKind.ARRIVED): "Det har kommit något till inkorgen {inbox}, {administration}.",
    ("en", NoticeKind.ARRIVED): "Something has come to the inbox {inbox}, {administration}.",
    ("sv", NoticeKind.UNFETCHED): "I inkorgen {inbox}, {administration}, ligger något som ingen har öppnat på länge.",
    (
        "en",
        NoticeKind.UNFETCHED,
    ): "Something lies unopened for long in the inbox {inbox}, {administration}.",
}
_SIGN_IN: Final[Mapping[str, str]] = {
    "sv": "Logga in som du brukar{place}.",
    "en": "Sign in as you usually do{place}.",
}
_PRIVATE: Final[Mapping[str, str]] = {
    "sv": "Du har en avisering från {organisation}. Logga in på arbetet som du brukar.",
    "en": "You have a notice from {organisation}. Sign in at work as you usually do.",
}
_END: Final[Mapping[str, str]] = {
    "sv": "Du får det här för att du har valt det under Mina aviseringar. Det går inte att svara på det.",
    "en": "You get this because you chose it under My notices. It cannot be replied to.",
}


def words(
    kind: NoticeKind,
    *,
    language: str,
    inbox: str,
    administration: str,
    organisation: str,
    place: str,
    private: bool,
) -> Words:
    """What a mail says, in Swedish unless English was chosen. A private address reads the organisation's name alone."""
    chosen = language if language in _END else "sv"
    if private:
        said = _PRIVATE[chosen].format(organisation=organisation)
        subject = _SUBJECTS[chosen, "private"].format(organisation=organisation)
        return Words(subject, f"{said}\n\n{_END[chosen]}\n")
    said = _WORK[chosen, kind].format(inbox=inbox, administration=administration)
    where = _SIGN_IN[chosen].format(place=f": {place}" if place else "")
    return Words(_SUBJECTS[chosen, "work"], f"{said}\n\n{where}\n\n{_END[chosen]}\n")
