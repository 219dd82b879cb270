"""Who a form is about, as a closed value: personnummer, samordningsnummer, reservnummer, or nobody knows yet.

Why this exists: a number that is almost right files one person's care under another. So each kind has its own rule,
a wrong number is refused with the cause (and never repaired in silence), and "unknown" is a valid state with a reason,
because a person can be in need before anybody knows who it is (LOB, PIVA).

Rules: stored form is twelve characters without separators (folkbokföringslagen 1991:481 18 §; lag 2022:1697 2 kap.
8 §). The date in a number is a pattern, not a birth date: days are shifted when numbers run out, so nothing is derived
from it. No error repeats what was written: the number is personal data.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from personnummer import personnummer

MAX_REASON: Final = 200
_CENTURIES: Final = frozenset({"18", "19", "20"})
_DASHES: Final = str.maketrans(
    {"\u2010": "-", "\u2011": "-", "\u2012": "-", "\u2013": "-", "\u2014": "-", "\u2212": "-"}
)
_SHAPE: Final = re.compile(r"([0-9]{2})?([0-9]{6})([-+]?)([0-9]{4})", re.ASCII)
_NATIONAL_RESERVE: Final = re.compile(r"[0-9]{8}[0-9A-Z]{4}", re.ASCII)  # e.g. 98240301AA06 (HL7 Sweden base profiles)
_LOCAL_RESERVE: Final = re.compile(r"[0-9A-Z-]{4,20}", re.ASCII)
_HSA_ID: Final = re.compile(r"SE[0-9]{10}-[0-9A-Z]{1,18}", re.ASCII)  # HSA: at most 31 characters
_COORDINATION_DAY: Final = 60


class IdKind(StrEnum):
    PERSONNUMMER = "personnummer"
    SAMORDNINGSNUMMER = "samordningsnummer"
    RESERVNUMMER = "reservnummer"
    UNKNOWN = "unknown"


class Assurance(StrEnum):
    """How sure Skatteverket is of the identity behind a samordningsnummer (lag 2022:1697 2 kap.)."""

    CONFIRMED = "CONFIRMED"  # styrkt
    PROBABLE = "PROBABLE"  # sannolik
    UNCERTAIN = "UNCERTAIN"  # osäker


@dataclass(frozen=True, slots=True)
class IdFault:
    """One thing to put right: which part of the value, which kind of fault, and the Swedish text for the writer."""

    part: str  # "", "kind", "value", "issuer", "assurance" or "reason"
    kind: str
    swedish: str


class PersonIdError(ValueError):
    """The value cannot be used as it is. `faults` lists everything at once; the message names kinds only."""

    def __init__(self, faults: tuple[IdFault, ...]) -> None:
        super().__init__(", ".join(fault.kind for fault in faults))
        self.faults = faults


@dataclass(frozen=True, slots=True, kw_only=True)
class PersonId:
    """A checked identity. `value` is normalised: no separators, capital letters, twelve characters unless local.

    `issuer` is the HSA-id that makes a local reservnummer unique; empty for a national one.
    """

    kind: IdKind
    value: str = ""
    issuer: str = ""
    assurance: Assurance | None = None
    reason: str = ""

    @property
    def system(self) -> str:
        """The naming system of `value` (HL7 Sweden base profiles); empty when the identity is unknown."""
        if self.kind is IdKind.UNKNOWN:
            return ""
        if self.kind is IdKind.RESERVNUMMER:
            return (
                f"local:{self.issuer}"
                if self.issuer
                else "http://electronichealth.se/identifier/nationelltReservnummer"
            )
        return f"http://electronichealth.se/identifier/{self.kind}"

    def as_value(self) -> dict[str, str]:
        """The value as it stands in a form and in a sealed projection: only the parts that say something."""
        parts = {
            "kind": str(self.kind),
            "value": self.value,
            "issuer": self.issuer,
            "assurance": str(self.assurance or ""),
            "reason": self.reason,
        }
        return {name: text for name, text in parts.items() if text}


TEXTS: Final[Mapping[str, str]] = {
    "shape": "Välj typ av identitetsuppgift och skriv numret.",
    "kind": "Välj personnummer, samordningsnummer, reservnummer eller ”Uppgift saknas”.",
    "missing-value": "Skriv numret, eller välj ”Uppgift saknas” och skriv varför.",
    "letters": "Skriv bara siffror. Om numret har bokstäver är det ett reservnummer: välj det i så fall.",
    "length": "Skriv numret med 12 siffror: ÅÅÅÅMMDD följt av fyra siffror.",
    "no-century": "Skriv födelseåret med fyra siffror: ÅÅÅÅMMDD-NNNN.",
    "century": "Kontrollera födelseåret: numret ska börja med 18, 19 eller 20.",
    "date": "Kontrollera månad och dag i numret: det datumet finns inte.",
    "future": "Kontrollera födelseåret: datumet i numret har inte varit än.",
    "serial": "Kontrollera de fyra sista siffrorna: de kan inte börja med 000.",
    "check-digit": "Kontrollera numret siffra för siffra: kontrollsiffran, den sista, stämmer inte.",
    "is-coordination": "Det här är ett samordningsnummer (dagen är ökad med 60). Välj samordningsnummer.",
    "is-personal": "Det här är ett personnummer. Välj personnummer.",
    "reserve": "Skriv ett nationellt reservnummer med 12 tecken, eller ange vem som har gett numret.",
    "local-reserve": "Skriv numret med 4–20 tecken: siffror, bokstäverna A–Z och bindestreck.",
    "issuer": "Skriv HSA-id för den som har gett numret: SE, tio siffror, bindestreck och enhetens kod.",
    "issuer-not-wanted": "Ta bort uppgiften om vem som har gett numret: den behövs bara för reservnummer.",
    "assurance": "Välj om identiteten är styrkt, sannolik eller osäker, eller lämna frågan tom.",
    "assurance-not-wanted": "Ta bort identitetsnivån: den gäller bara samordningsnummer.",
    "reason": "Skriv varför uppgiften saknas, till exempel att identiteten inte är fastställd.",
    "reason-long": f"Korta skälet till högst {MAX_REASON} tecken.",
    "reason-not-wanted": "Ta bort skälet: det behövs bara när uppgiften saknas.",
    "value-not-wanted": "Ta bort numret, eller välj vilken typ av nummer det är.",
    "unknown-part": "Ta bort uppgifter som inte hör till identiteten.",
}


def parse(value: object, *, today: date | None = None) -> PersonId:
    """Check and normalise an identity value.

    Args:
        value: `{"kind": …, "value": …, "issuer": …, "assurance": …, "reason": …}`. Spaces, hyphens (of any width) and
            `+` are accepted in `value`. The century must stand there: what is stored must not depend on the day it was
            read; a page that takes ten digits calls `with_century` first.
        today: the local calendar day, so that a date that has not come yet is found.

    Raises:
        PersonIdError: every fault at once, with a text that says what to do.
    """
    if not isinstance(value, Mapping):
        raise PersonIdError((_fault("", "shape"),))
    parts = {str(name): part for name, part in value.items() if part not in (None, "")}
    if any(not isinstance(part, str) for part in parts.values()):
        raise PersonIdError((_fault("", "shape"),))
    try:
        kind = IdKind(parts.pop("kind", ""))
    except ValueError:
        raise PersonIdError((_fault("kind", "kind"),)) from None
    texts = {name: part.strip() for name, part in parts.items()}
    faults = [_fault("", "unknown-part")] if set(texts) - {"value", "issuer", "assurance", "reason"} else []
    faults += _misplaced(kind, texts)
    if kind is IdKind.UNKNOWN:
        faults += _reason_faults(texts.get("reason", ""))
        number = ""
    elif kind is IdKind.RESERVNUMMER:
        number, found = _reserve(texts.get("value", ""), texts.get("issuer", ""), today)
        faults += found
    else:
        number, found = _civil(kind, texts.get("value", ""), today)
        faults += found
    assurance = texts.get("assurance", "")
    if assurance and kind is IdKind.SAMORDNINGSNUMMER and assurance not in set(Assurance):
        faults.append(_fault("assurance", "assurance"))
    if faults:
        raise PersonIdError(tuple(faults))
    return PersonId(
        kind=kind,
        value=number,
        issuer=texts.get("issuer", "").upper(),
        assurance=Assurance(assurance) if assurance else None,
        reason=texts.get("reason", ""),
    )


def normalised(value: object) -> dict[str, str]:
    """The value in its stored form.

    Raises:
        PersonIdError: it was not checked before.
    """
    return parse(value).as_value()


def with_century(written: str, *, today: date) -> str:
    """Twelve digits from ten that have a separator; anything else comes back as it was written, for `parse` to judge.

    `-` says under a hundred years old, `+` from the year of the hundredth birthday (folkbokföringslagen 18 §). Ten
    digits without separator are left alone: they fit two people.
    """
    shape = _SHAPE.fullmatch(re.sub(r"\s+", "", written.translate(_DASHES)))
    if shape is None or shape[1] or not shape[3]:
        return written
    latest = today.year - (100 if shape[3] == "+" else 0)
    century = (latest - (latest - int(shape[2][:2])) % 100) // 100
    return f"{century}{shape[2]}{shape[4]}"


def looks_like_number(digits: str) -> bool:
    """Whether ten or twelve digits have the shape of a personnummer or samordningsnummer, right check digit or not.

    For detectors in free text, where a mistyped number still points at a person.
    """
    if len(digits) not in (10, 12) or not (digits.isascii() and digits.isdigit()):
        return False
    if len(digits) == 12 and digits[:2] not in _CENTURIES:
        return False
    month, day = int(digits[-8:-6]), int(digits[-6:-4])
    return 1 <= month <= 12 and 1 <= (day - _COORDINATION_DAY if day > _COORDINATION_DAY else day) <= 31


def check_digit_holds(digits: str) -> bool:
    """Whether the last of ten or twelve digits is the check digit of the nine before it (Luhn, modulus 10)."""
    total = 0
    for place, digit in enumerate(digits[-10:]):
        doubled = int(digit) * (2 - place % 2)
        total += doubled - 9 if doubled > 9 else doubled
    return total % 10 == 0


def _fault(part: str, kind: str) -> IdFault:
    return IdFault(part, kind, TEXTS[kind])


def _misplaced(kind: IdKind, texts: Mapping[str, str]) -> list[IdFault]:
    """Parts that belong to another kind: kept parts would contradict what was chosen."""
    faults = []
    if texts.get("issuer") and kind is not IdKind.RESERVNUMMER:
        faults.append(_fault("issuer", "issuer-not-wanted"))
    if texts.get("assurance") and kind is not IdKind.SAMORDNINGSNUMMER:
        faults.append(_fault("assurance", "assurance-not-wanted"))
    if texts.get("reason") and kind is not IdKind.UNKNOWN:
        faults.append(_fault("reason", "reason-not-wanted"))
    if texts.get("value") and kind is IdKind.UNKNOWN:
        faults.append(_fault("value", "value-not-wanted"))
    return faults


def _reason_faults(reason: str) -> list[IdFault]:
    if len(reason) < 3:
        return [_fault("reason", "reason")]
    return [_fault("reason", "reason-long")] if len(reason) > MAX_REASON else []


def _civil(kind: IdKind, written: str, today: date | None) -> tuple[str, list[IdFault]]:
    """A personnummer or samordningsnummer as twelve digits, or what is wrong with it."""
    if not written:
        return "", [_fault("value", "missing-value")]
    compact = re.sub(r"\s+", "", written.translate(_DASHES))
    if any(not (character.isascii() and character.isdigit()) and character not in "-+" for character in compact):
        return "", [_fault("value", "letters")]
    shape = _SHAPE.fullmatch(compact)
    if shape is None:
        return "", [_fault("value", "length")]
    century, birth, _, last = shape.groups()
    if century is None:
        return "", [_fault("value", "no-century")]
    digits = f"{century}{birth}{last}"
    trouble = _digits_trouble(digits, today)
    if trouble:
        return "", [_fault("value", trouble)]
    coordination = int(digits[6:8]) > _COORDINATION_DAY
    if coordination and kind is IdKind.PERSONNUMMER:
        return "", [_fault("kind", "is-coordination")]
    if not coordination and kind is IdKind.SAMORDNINGSNUMMER:
        return "", [_fault("kind", "is-personal")]
    return digits, []


def _digits_trouble(digits: str, today: date | None) -> str:
    """The kind of the first fault in twelve digits, most telling first; empty when there is none."""
    if digits[:2] not in _CENTURIES:
        return "century"
    day = int(digits[6:8])
    try:
        pattern = date(int(digits[:4]), int(digits[4:6]), day - _COORDINATION_DAY if day > _COORDINATION_DAY else day)
    except ValueError:
        return "date"
    if today is not None and pattern > today:
        return "future"
    if digits[8:11] == "000":
        return "serial"
    # The library has the last word on the number itself; it is given twelve ASCII digits, so that neither its reading
    # of the calendar nor its Unicode-wide `\d` can matter.
    return "" if personnummer.valid(digits) else "check-digit"


def _reserve(written: str, issuer: str, today: date | None) -> tuple[str, list[IdFault]]:
    """A reservnummer: national when nobody is named as issuer, otherwise unique per issuer only."""
    if not written:
        return "", [_fault("value", "missing-value")]
    compact = re.sub(r"\s+", "", written.translate(_DASHES)).upper()
    if issuer:
        faults = [] if _HSA_ID.fullmatch(issuer.upper()) else [_fault("issuer", "issuer")]
        return compact, faults if _LOCAL_RESERVE.fullmatch(compact) else [*faults, _fault("value", "local-reserve")]
    compact = compact.replace("-", "")
    if not _NATIONAL_RESERVE.fullmatch(compact):
        return "", [_fault("value", "reserve")]
    if compact.isdigit() and not _digits_trouble(compact, today):
        coordination = personnummer.parse(compact).is_coordination_number()
        return "", [_fault("kind", "is-coordination" if coordination else "is-personal")]
    return compact, []
