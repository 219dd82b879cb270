"""Consents as a page tells them: who, what, until when, in the form's own words.

Why this exists: a consent's terms are codes and unit ids; the case, the withdrawal and the consent step must tell them
alike, and a unit that has left the directory must still have a name to stand under.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from adapters.http.routes import Call
from gateway.casefile import CaseFile
from gateway.directory import Snapshot
from gateway.model.base import DAY, Instant
from gateway.model.classes import ConsentTerms
from gateway.model.path import Consent


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsentLine:
    """One consent. `last_day` is the last day that it holds."""

    consent: Consent
    both_ways: tuple[tuple[str, str], ...]  # unit names that may tell each other
    one_way: tuple[tuple[str, str], ...]
    units: tuple[str, ...]
    categories: tuple[str, ...]
    purposes: tuple[str, ...]
    given_by: str
    manner: str
    excluded: str
    first_day: Instant
    last_day: Instant


def consent_lines(call: Call, found: Iterable[tuple[Consent, ConsentTerms]], file: CaseFile) -> list[ConsentLine]:
    form = call.gateway.forms.get("consent", 1)

    def words(field: str, codes: Iterable[str]) -> tuple[str, ...]:
        return tuple(form.fields[field].codes.get(str(code), str(code)) for code in codes)

    lines = []
    for consent, terms in found:
        pairs = {(pair.sender, pair.recipient) for pair in terms.exchanges}
        mutual = sorted({(a, b) for a, b in pairs if (b, a) in pairs and a < b})
        single = sorted((a, b) for a, b in pairs if (b, a) not in pairs)
        named = sorted({unit for pair in pairs for unit in pair})
        lines.append(
            ConsentLine(
                consent=consent,
                both_ways=tuple((unit(file.directory, a), unit(file.directory, b)) for a, b in mutual),
                one_way=tuple((unit(file.directory, a), unit(file.directory, b)) for a, b in single),
                units=tuple(unit(file.directory, name) for name in named),
                categories=words("data_categories", terms.categories),
                purposes=words("purpose", terms.purposes),
                given_by=words("given_by", [terms.given_by])[0],
                manner=words("manner", [terms.manner])[0],
                excluded=terms.excluded,
                first_day=consent.valid_from,
                last_day=Instant(consent.valid_to - DAY // 2),
            )
        )
    return lines


def unit(directory: Snapshot, name: str) -> str:
    """What a unit is called."""
    found = directory.units.get(name)
    return found.name if found else name
