"""What a person says of a hand-over: the checklist, how, when, to which function; checked before it counts.

Why this exists: where no machine gives a receipt, the quality of the receipt is the quality of the questions. They are
few, the same for everybody, and each has been forgotten by somebody at a fax: all pages, the right address, a closed
envelope, the right hands (cosmic-link.md §7: never claim delivery without a human or technical receipt).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from gateway.canonical import dumps
from gateway.errors import FieldError, InvalidFormError
from gateway.model.base import MINUTE, Instant
from gateway.model.carrying import HandOver, Manner
from gateway.model.path import Channel
from gateway.plain import one_line
from gateway.ports import Vault

LONGEST: Final = 200


class Check(StrEnum):
    """A point of the checklist."""

    WHOLE = "whole"
    ADDRESS = "address"
    CLOSED = "closed"
    HANDS = "hands"
    ENTERED = "entered"
    ONCE = "once"


#: What must be ticked, by channel; what is only said has no list.
CHECKS: Final[Mapping[Channel, tuple[Check, ...]]] = {
    Channel.HANDOVER: (Check.WHOLE, Check.ADDRESS, Check.CLOSED, Check.HANDS),
    Channel.LINK: (Check.WHOLE, Check.ADDRESS, Check.ENTERED, Check.ONCE),
}
#: How it can be handed over, by channel.
MANNERS: Final[Mapping[Channel, tuple[Manner, ...]]] = {
    Channel.HANDOVER: (Manner.IN_PERSON, Manner.REGISTERED_POST, Manner.COURIER),
    Channel.LINK: (Manner.LINK,),
}
#: How something can be said.
SAYING: Final = (Manner.PHONE, Manner.IN_PERSON)
#: Where the reference is all that leads back to it.
NEEDS_REFERENCE: Final = frozenset({Manner.REGISTERED_POST, Manner.LINK})


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A person's word. `given_to` names a function; `reference` a letter's number or a case in Link."""

    manner: Manner | None
    handed_at: Instant
    given_to: str = ""
    reference: str = ""
    checks: frozenset[Check] = frozenset()


def checked(said: Said, channel: Channel, *, since: Instant, now: Instant) -> None:
    """Whether this can be recorded as a hand-over.

    Args:
        since: when it was taken out: nothing is handed over before.

    Raises:
        InvalidFormError: every fault at once; nothing was recorded.
    """
    faults = list(_faults(said, MANNERS[channel], CHECKS[channel], since, now))
    if faults:
        raise _invalid(faults)


def checked_saying(said: Said, *, since: Instant, now: Instant) -> None:
    """The same for what was said to a party."""
    faults = list(_faults(said, SAYING, (), since, now))
    if faults:
        raise _invalid(faults)


def _faults(
    said: Said, manners: tuple[Manner, ...], checks: tuple[Check, ...], since: Instant, now: Instant
) -> Iterator[FieldError]:
    if said.manner not in manners:
        yield FieldError("/satt", "code", "Välj hur det gjordes.")
    if set(checks) - said.checks:
        yield FieldError("/kontroll", "missing", "Gå igenom och kryssa i alla punkter. Stämmer någon inte: lämna inte.")
    # A page knows minutes, so what was done in the minute it was taken out is not before it.
    if not since - MINUTE <= said.handed_at <= now + MINUTE:
        yield FieldError("/nar", "time", "Skriv när det gjordes: inte före utskriften, och inte i framtiden.")
    for pointer, text in (("/till", said.given_to), ("/referens", said.reference)):
        if len(text) > LONGEST or one_line(text) != text:
            yield FieldError(pointer, "length", f"Högst {LONGEST} tecken, på en rad.")
    if not said.given_to.strip():
        yield FieldError("/till", "missing", "Skriv vilken funktion som tog emot, till exempel registrator.")
    if said.manner in NEEDS_REFERENCE and not said.reference.strip():
        yield FieldError("/referens", "missing", "Skriv referensen: brevets nummer, eller ärendet i Cosmic Link.")


def _invalid(faults: list[FieldError]) -> InvalidFormError:
    return InvalidFormError(
        f"the hand-over has {len(faults)} faults",
        faults,
        swedish="Överlämningen är inte antecknad än.",
        next_step="Rätta det som är markerat. Inget har ändrats.",
    )


async def sealed_words(vault: Vault, row: HandOver, words: Mapping[str, str]) -> bytes:
    """The words of a hand-over, as its row keeps them."""
    return await vault.seal_field(row.administration, _context(row), dumps(dict(words)))


async def words_of(vault: Vault, row: HandOver) -> Mapping[str, str]:
    """What `sealed_words` kept; empty when nothing was said yet."""
    if not row.sealed:
        return {}
    told = json.loads(await vault.open_field(row.administration, _context(row), row.sealed))
    return {str(name): str(value) for name, value in told.items()}


def _context(row: HandOver) -> str:
    return f"{row.TABLE}|{row.id}|{row.version}|sealed"
