"""Pages as PDF, made by typst and read by pypdf, each in a process of its own (docs/channels.md §8).

Why this exists: see gateway.documents. What stands here is what the page's letters can show, how much a reader may
take, and which files are worth starting one for.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from adapters.documents.child import MIB, Children, Limits
from adapters.documents.makers import MAKING, MAX_PDF, PROGRAM, Makers, framed, unframed
from gateway.documents import MAX_DATA, DocumentError, Page

NAME: Final = "sambud.json"
#: As the attachment's name stands in what we write. Without it, nothing is started.
MARK: Final = b"/UF(sambud.json)"
READING: Final = Limits(seconds=10, memory=512 * MIB, output=MAX_DATA)

#: What the three families that typst brings can show, by block; the tests print every one of them.
BLOCKS: Final = (
    (0x0020, 0x024F),  # Latin
    (0x0370, 0x04FF),  # Greek, Cyrillic
    (0x1E00, 0x1EFF),  # Latin, additional
    (0x2010, 0x205E),  # punctuation
    (0x2070, 0x209C),  # superscripts, subscripts
    (0x20A0, 0x20BF),  # currency
    (0x2100, 0x214F),  # letterlike
    (0x2190, 0x22FF),  # arrows, mathematics
    (0x25A0, 0x25FF),  # shapes
)
LACKING: Final = frozenset((0x2041, 0x2043, 0x2053, 0x211F, 0x2121, 0x2123, 0x2125))
#: Letters, numbers, punctuation, symbols, spaces. Marks that combine depend on what stands beside them.
_SEEN: Final = frozenset("LNPS")
_UNBROKEN: Final = re.compile(r"(\S{32})(?=\S)")
MAY_BREAK: Final = "\u200b"


def printable(character: str) -> bool:
    """Whether the page can show it as it is."""
    code = ord(character)
    if code < 0x7F:
        return code >= 0x20
    return (
        code not in LACKING
        and any(first <= code <= last for first, last in BLOCKS)
        and (unicodedata.category(character)[0] in _SEEN or unicodedata.category(character) == "Zs")
    )


def shown(text: str) -> str:
    """One line as the page prints it: composed (NFC), with a name in place of each character that it cannot show.

    What has no space for longer than any word may be broken, or it would run off the paper.
    """
    composed = unicodedata.normalize("NFC", text.replace("\t", "    "))
    named = "".join(one if printable(one) else f"[U+{ord(one):04X}]" for one in composed)
    return _UNBROKEN.sub(f"\\1{MAY_BREAK}", named)


def lines(text: str) -> list[str]:
    return [shown(line) for line in text.splitlines()]


class PdfDocuments:
    """The Documents port. Pages are read in a process of their own each; they are made in one, or by `makers`."""

    def __init__(self, children: Children | None = None, makers: Makers | None = None) -> None:
        self._children = children or Children()
        self._makers = makers

    async def pdf(self, page: Page, data: bytes = b"") -> bytes:
        if len(data) > MAX_DATA:
            raise ValueError("more data than a page may hold")
        given = {"page": json.dumps(_page(page)), **({"data": data.decode()} if data else {})}
        asked = framed(json.dumps(given).encode())
        if self._makers is not None:
            made = await self._makers.make(asked)
        else:
            made = unframed((await self._children.run(PROGRAM, asked, limits=MAKING)).output)
        if not made:
            raise DocumentError("the page was not made", swedish="Dokumentet gick inte att skapa.")
        return made

    def may_hold_data(self, octets: bytes) -> bool:
        return octets.startswith(b"%PDF-") and len(octets) <= MAX_PDF and MARK in octets

    async def data(self, octets: bytes) -> bytes | None:
        if not self.may_hold_data(octets):
            return None
        program = (str(Path(__file__).with_name("read_pdf.py")), NAME, str(MAX_DATA))
        ended = await self._children.run(program, octets, limits=READING)
        return ended.output if ended.fine else None


def _page(page: Page) -> dict[str, Any]:
    """What the template reads; every text is fit to be printed."""
    facts = (
        ("Från", page.sender),
        ("Till", page.recipient),
        ("Ärende", page.reference),
        ("Skickad", page.day.isoformat()),
    )
    return {
        "title": shown(page.title),
        "sender": shown(page.sender),
        "reference": shown(page.reference),
        "description": shown(f"{page.title}, {page.reference}"),
        "year": page.day.year,
        "month": page.day.month,
        "day": page.day.day,
        "facts": [[name, shown(value)] for name, value in facts if value],
        "parts": [
            {
                "title": shown(part.title),
                "rows": [{"label": shown(row.label), "answers": _lines_of(row.answers)} for row in part.rows],
            }
            for part in page.parts
        ],
        "statement": lines(page.statement),
        "files": [shown(name) for name in page.files],
    }


def _lines_of(answers: Iterable[str]) -> list[list[str]]:
    """Each answer as its lines; one without a word is an empty line, so that the question keeps its place."""
    return [lines(answer) or [""] for answer in answers]
