"""Languages of the pages: Swedish is the source, English a catalogue; and how times, sizes and names are written.

Why this exists: a page is read by people who look for "2 mars 2026 kl. 09:00" and "för 3 timmar sedan", on the Swedish
clock. The catalogue is read as text at start, so nothing needs to be compiled before the gateway runs.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Final

from babel import dates, numbers
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po
from babel.support import NullTranslations, Translations
from markupsafe import Markup

from gateway.consents import STOCKHOLM
from gateway.model.base import SECOND, Instant

LANGUAGES: Final = ("sv", "en")
CATALOGUE: Final = Path(__file__).parent / "locale" / "en" / "LC_MESSAGES" / "sambud.po"
_LOCALES: Final = {"sv": "sv_SE", "en": "en_GB"}
_REMEMBERED: Final = 4096
_JUST_NOW: Final = {"sv": "nyss", "en": "just now"}
_WHEN: Final = {"sv": "d MMMM y 'kl.' HH:mm", "en": "d MMMM y 'at' HH:mm"}


def catalogues() -> dict[str, NullTranslations]:
    """The translations of each language."""
    with CATALOGUE.open("rb") as source:
        catalogue = read_po(source, locale="en")
    compiled = BytesIO()
    write_mo(compiled, catalogue)
    compiled.seek(0)
    return {"sv": NullTranslations(), "en": Translations(compiled)}


def local(at: Instant) -> datetime:
    """An instant on the Swedish clock."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).astimezone(STOCKHOLM)


def filters(lang: str, now: Callable[[], Instant]) -> dict[str, Callable[..., Any]]:
    """The template filters of one language."""
    locale = _LOCALES[lang]

    def timed(text: str, moment: datetime | date) -> Markup:
        stamp = moment.isoformat(timespec="seconds") if isinstance(moment, datetime) else moment.isoformat()
        return Markup('<time datetime="{}">{}</time>').format(stamp, text)

    # A list says the same hundred times on each visit, and writing a date takes longer than reading its row.
    @lru_cache(_REMEMBERED)
    def when_second(second: int) -> Markup:
        moment = local(Instant(second * SECOND))
        return timed(dates.format_datetime(moment, _WHEN[lang], locale=locale), moment)

    @lru_cache(_REMEMBERED)
    def on_day(found: date) -> Markup:
        return timed(dates.format_date(found, "d MMMM y", locale=locale), found)

    def when(at: Instant) -> Markup:
        return when_second(at // SECOND)

    def clock(at: Instant) -> Markup:
        moment = local(at)
        return timed(dates.format_time(moment, "HH:mm", locale=locale), moment)

    def day(at: Instant | date | str) -> Markup:
        found = date.fromisoformat(at) if isinstance(at, str) else at if isinstance(at, date) else local(at).date()
        return on_day(found)

    def ago(at: Instant) -> Markup:
        apart = timedelta(microseconds=at - now())
        if abs(apart) < timedelta(minutes=1):
            return timed(_JUST_NOW[lang], local(at))
        return timed(dates.format_timedelta(apart, add_direction=True, locale=locale), local(at))

    def number(value: float) -> str:
        return numbers.format_decimal(value, locale=locale)

    def filesize(octets: int) -> str:
        for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
            if octets >= size:
                return f"{numbers.format_decimal(octets / size, '#,##0.#', locale=locale)}\u00a0{unit}"
        return f"{octets}\u00a0byte"

    return {"when": when, "clock": clock, "day": day, "ago": ago, "number": number, "filesize": filesize}
