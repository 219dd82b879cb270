"""File types by content: what may be known here, what a file is by its first octets, and why one is refused.

Why this exists: what a sender calls a file is a wish. The first octets say what it is, and the name must agree, so that
nothing is opened as something else. Containers are told apart from the rest, because "refused" helps nobody who does
not hear that it is the zip file that was refused.

Rules: nothing is unpacked and nothing is rendered here; what needs reading into a file is done in a child process
(`gateway.screening.Examiner`).
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import Final

import puremagic

from gateway.errors import AttachmentError
from gateway.neighbours import Reason

MAX_NAME_BYTES: Final = 255
SNIFF_BYTES: Final = 4096
PDF: Final = "application/pdf"
TEXT: Final = "text/plain"
#: Every type that a policy may allow: content type by content -> the suffixes that it may be called by.
KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    PDF: (".pdf",),
    "image/png": (".png",),
    "image/jpeg": (".jpg", ".jpeg"),
    TEXT: (".txt",),
}
# Cc controls, Cf formats (bidi overrides among them), Zl/Zp separators, Cs lone surrogates (UAX #9; RFC 6266 §4.3).
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Zl", "Zp", "Cs", "Co", "Cn"})
#: How containers begin (APPNOTE.TXT §4.3; 7zFormat.txt; RFC 1952; the TAR magic stands at 257).
_ARCHIVES: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"7z\xbc\xaf\x27\x1c", b"Rar!\x1a\x07", b"\x1f\x8b")
_MORE_ARCHIVES: Final = (b"BZh", b"\xfd7zXZ\x00", b"(\xb5/\xfd", b"MSCF", b"\x60\xea")
_COMPOUND: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # [MS-CFB] §2.2: older Office, and every encrypted Office file
_OFFICE: Final = frozenset({".docx", ".xlsx", ".pptx", ".odt", ".ods", ".odp"})
_MACRO: Final = frozenset({".docm", ".dotm", ".xlsm", ".xltm", ".xlsb", ".pptm", ".doc", ".xls", ".ppt"})


class Fault(StrEnum):
    """Why a file is not taken."""

    NAME = "name"
    EMPTY = "empty"
    TYPE = "type"
    ARCHIVE = "archive"
    OFFICE = "office"
    MACRO = "macro"
    ENCRYPTED = "encrypted"
    ACTIVE = "active"
    POLYGLOT = "polyglot"
    DAMAGED = "damaged"
    NOT_TEXT = "not-text"
    TOO_LARGE = "too-large"
    TOO_MANY = "too-many"
    MALWARE = "malware"


#: The code that a channel is told (docs/channels.md §2.2); what is not here is a type that is not accepted.
_REASONS: Final = {
    Fault.TOO_LARGE: Reason.TOO_LARGE,
    Fault.TOO_MANY: Reason.TOO_LARGE,
    Fault.MALWARE: Reason.MALWARE,
}
_AS_PDF: Final = "Spara som PDF och bifoga den. Utkastet och andra filer är kvar."
#: What is told to whoever tried to send it: what is wrong, and what to do.
IN_SWEDISH: Final[Mapping[Fault, tuple[str, str]]] = {
    Fault.NAME: ("Filnamnet går inte att använda.", "Byt namn på filen och ladda upp den igen."),
    Fault.EMPTY: ("Filen är tom.", "Kontrollera filen och försök igen."),
    Fault.TYPE: (
        "Filtypen tas inte emot.",
        "Skicka som PDF, PNG, JPEG eller ren text (.txt). Utkastet och andra filer är kvar.",
    ),
    Fault.ARCHIVE: (
        "Arkivfiler (zip och liknande) tas inte emot: det går inte att se vad som ligger i dem.",
        "Packa upp och bifoga filerna en och en. Utkastet och andra filer är kvar.",
    ),
    Fault.OFFICE: ("Office-filer tas inte emot.", _AS_PDF),
    Fault.MACRO: ("Filen kan innehålla makron, och tas därför inte emot.", _AS_PDF),
    Fault.ENCRYPTED: (
        "Filen är låst med lösenord, så den går inte att kontrollera.",
        "Ta bort lösenordet och bifoga filen igen: den förseglas ändå. Utkastet och andra filer är kvar.",
    ),
    Fault.ACTIVE: (
        "Filen innehåller något som körs när den öppnas (skript, formulär eller inbäddade program).",
        "Skriv ut den till en ny PDF och bifoga den. Utkastet och andra filer är kvar.",
    ),
    Fault.POLYGLOT: (
        "Filen innehåller mer än den ska: efter slutet ligger något annat.",
        "Spara den på nytt ur programmet som gjorde den. Utkastet och andra filer är kvar.",
    ),
    Fault.DAMAGED: (
        "Filen är skadad eller går inte att kontrollera.",
        "Öppna den, spara den på nytt som PDF och bifoga den. Utkastet och andra filer är kvar.",
    ),
    Fault.NOT_TEXT: (
        "Textfilen är inte ren text (UTF-8).",
        "Spara filen som UTF-8 eller som PDF och ladda upp den igen.",
    ),
    Fault.TOO_LARGE: ("Filen är för stor.", "Dela upp eller komprimera dokumentet. Utkastet och andra filer är kvar."),
    Fault.TOO_MANY: (
        "Högst 20 bilagor kan följa med.",
        "Ta bort en bilaga, eller skicka resten i ett eget meddelande.",
    ),
    Fault.MALWARE: (
        "Filen stoppades av viruskontrollen och har tagits bort.",
        "Skicka den inte på annat sätt. Kontakta den som ansvarar för säkerheten. Utkastet och andra filer är kvar.",
    ),
}


class FileRefusedError(AttachmentError):
    """A file that is not taken: `fault` says why, `reason` is the code that a channel is told."""

    def __init__(self, fault: Fault, *, swedish: str = "") -> None:
        happened, then = IN_SWEDISH[fault]
        super().__init__(f"the file is refused: {fault}", swedish=swedish or happened, next_step=then)
        self.fault = fault

    @property
    def reason(self) -> Reason:
        return _REASONS.get(self.fault, Reason.TYPE)


def check_name(name: str) -> str:
    """`name`, when it is safe to show, store and offer for download.

    Raises:
        FileRefusedError: empty, over 255 octets, a path, or characters that control or reorder text.
    """
    trouble = ""
    if not name.strip() or name in {".", ".."}:
        trouble = "Filen saknar namn."
    elif any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in name):
        trouble = "Filnamnet innehåller osynliga tecken eller radbrytningar."
    elif len(name.encode()) > MAX_NAME_BYTES:
        trouble = "Filnamnet är för långt (högst 255 byte)."
    elif "/" in name or "\\" in name or ":" in name:
        trouble = "Filnamnet innehåller en sökväg."
    if trouble:
        raise FileRefusedError(Fault.NAME, swedish=trouble)
    return unicodedata.normalize("NFC", name)


def media_type_of(name: str, head: bytes, types: Collection[str] = KNOWN) -> str:
    """The type of a file by its first octets, which must agree with the suffix of its name.

    Args:
        head: at most SNIFF_BYTES of its beginning.
        types: those that are taken, out of KNOWN.

    Raises:
        FileRefusedError: a type that is not taken, or a name that claims another.
    """
    suffix = "." + name.rpartition(".")[2].lower()
    fault = _container(suffix, head)
    if fault is not None:
        raise FileRefusedError(fault)
    found = TEXT
    try:
        found = puremagic.from_string(head, mime=True) or TEXT
    except (puremagic.PureError, ValueError):
        if b"\x00" in head:
            found = ""
    if found not in KNOWN and suffix == ".txt" and b"\x00" not in head:
        found = TEXT  # magic tables take short texts for all sorts of things; the UTF-8 check decides
    if found not in types or suffix not in KNOWN.get(found, ()):
        raise FileRefusedError(Fault.TYPE)
    return found


def _container(suffix: str, head: bytes) -> Fault | None:
    if head.startswith(_COMPOUND):
        return Fault.MACRO
    if head.startswith((*_ARCHIVES, *_MORE_ARCHIVES)) or head[257:262] == b"ustar":
        if suffix in _MACRO:
            return Fault.MACRO
        return Fault.OFFICE if suffix in _OFFICE else Fault.ARCHIVE
    return None
