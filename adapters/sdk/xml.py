"""XML from strangers: octets to a tree, under limits, and never more than the octets say.

Why this exists: an XML parser does what a document asks for, unless it is told not to: fetch, expand, nest. So size
comes first, a document type is refused before anything is parsed, and the tree is built in pieces that are counted, so
that what nests two hundred thousand deep is refused after the first thirty-two.

Rules: UTF-8 only; no DTD, no entities but the five of XML, no network, no XInclude; whoever calls gets a tree or one of
two errors, and neither quotes the document.
"""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeAlias

from lxml import etree

#: The whole message with attachments (B1.3.3 §4.3.3.3); whether MB is 10^6 or 2^20 is UNK, so the smaller.
MAX_OCTETS: Final = 30_000_000
MAX_DEPTH: Final = 32
MAX_ELEMENTS: Final = 20_000
MAX_ATTRIBUTES: Final = 16
MAX_NAMESPACES: Final = 1_000  # declarations in all: every element may repeat its own
MAX_NAME: Final = 1_000  # characters, with its namespace
PIECE: Final = 64 * 1024
SCHEMAS: Final = Path(__file__).parent / "schemas"
_DECLARED: Final = re.compile(rb"""\A\s*<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._-]{1,40})["']""")
_FORBIDDEN: Final = re.compile(rb"<!(?:DOCTYPE|ENTITY)", re.IGNORECASE)
_INCLUDE: Final = "{http://www.w3.org/2001/XInclude}"

Element: TypeAlias = Any  # an lxml element; the library has no types


class TooLargeError(ValueError):
    """More octets than a message may have; nothing was parsed."""


class NotWellFormedError(ValueError):
    """No XML that we read: SDK sends no receipt for it (C3.2.4 §2.1.2)."""


def parse(octets: bytes) -> Element:
    """The root of a document.

    Raises:
        TooLargeError: above 30 000 000 octets.
        NotWellFormedError: not well-formed, a document type, another encoding, or beyond a limit of nesting.
    """
    if len(octets) > MAX_OCTETS:
        raise TooLargeError("the message is larger than 30 000 000 octets")
    _check_head(octets)
    # huge_tree: a file is one text of up to thirty million characters; what it no longer limits is counted here.
    parser = etree.XMLPullParser(
        events=("start", "end", "start-ns"),
        huge_tree=True,
        resolve_entities=False,
        load_dtd=False,
        no_network=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        depth = elements = namespaces = 0
        for at in range(0, len(octets), PIECE):
            parser.feed(octets[at : at + PIECE])
            for event, element in parser.read_events():
                if event == "start-ns":
                    namespaces += 1
                    if namespaces > MAX_NAMESPACES:
                        raise NotWellFormedError("more namespaces than a message can have")
                    continue
                depth += 1 if event == "start" else -1
                elements += event == "start"
                if depth > MAX_DEPTH or elements > MAX_ELEMENTS or len(element.attrib) > MAX_ATTRIBUTES:
                    raise NotWellFormedError("nested or branched beyond what a message can be")
                if len(element.tag) > MAX_NAME:
                    raise NotWellFormedError("a name longer than any in a message")
                if str(element.tag).startswith(_INCLUDE):
                    raise NotWellFormedError("a document that includes others")
        return parser.close()
    except etree.XMLSyntaxError as fault:
        raise NotWellFormedError("not well-formed XML") from fault


def _check_head(octets: bytes) -> None:
    if octets[:2] in (b"\xff\xfe", b"\xfe\xff") or b"\x00" in octets[:4]:
        raise NotWellFormedError("the encoding is not UTF-8")
    declared = _DECLARED.match(octets.removeprefix(b"\xef\xbb\xbf"))
    if declared is not None and declared.group(1).lower() not in (b"utf-8", b"us-ascii"):
        raise NotWellFormedError("the encoding is not UTF-8")
    if _FORBIDDEN.search(octets):
        raise NotWellFormedError("a document type is not allowed")


class _Beside(etree.Resolver):  # type: ignore[misc]  # the library has no types
    """Schemas name each other by names that they do not have in the published package (SOURCES.md)."""

    def resolve(self, url: str | None, public_id: str | None, context: object) -> object:
        name = (url or "").rpartition("/")[2].replace("%20", " ")
        path = SCHEMAS / name.replace("DIGG UBL-ApplicationResponse-2.1_", "Response-2.1_")
        return self.resolve_filename(str(path), context) if path.is_file() else self.resolve_empty(context)


@cache
def schema(name: str) -> etree.XMLSchema:
    """A published schema, compiled once. Not for other threads at the same time."""
    parser = etree.XMLParser(no_network=True, load_dtd=False)
    parser.resolvers.add(_Beside())
    return etree.XMLSchema(etree.parse(str(SCHEMAS / name), parser))
