"""Run in a child process: reads a file from standard input and says in one word why it must not be taken, or nothing.

Why this exists: a viewer runs what a PDF asks it to run, and a scanner that meets a password sees noise. Whether there
is a password, a script, a program, or a second file hidden behind the first, only a parser can say, and a parser of
strangers' octets belongs in a process that can do no harm (adapters/documents/limits.py).

Rules: run by its path with `python -I`; it imports the standard library and pypdf alone. It says a word of
`gateway.filetypes.Fault`; what it cannot read to the end is `damaged`.
"""

from __future__ import annotations

import logging
import struct
import sys
from collections.abc import Iterator
from typing import Any

MOST_OBJECTS = 200_000
MOST_DEPTH = 60
#: Octets after the end that do no harm: line ends and the padding of some programs.
TAIL = 1024
#: What a viewer runs or sends (ISO 32000-2 §12.6.4): never needed in a document that is only read.
ACTIONS = {
    "/JavaScript",
    "/Launch",
    "/ImportData",
    "/SubmitForm",
    "/GoToE",
    "/Movie",
    "/Sound",
    "/Rendition",
    "/RichMedia",
    "/Screen",
    "/3D",
}
KEYS = {"/JS", "/JavaScript", "/XFA", "/RichMediaContent"}
#: How what runs begins: Windows, Linux, macOS, shells, older Office.
PROGRAMS = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!", b"\xd0\xcf\x11\xe0")
ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"7z\xbc\xaf\x27\x1c",
    b"Rar!",
    b"\x1f\x8b",
    b"MSCF",
    b"BZh",
    b"\xfd7zXZ\x00",
    b"\x28\xb5\x2f\xfd",
    b"\x04\x22\x4d\x18",
)
#: Where a tar says what it is (POSIX.1-2017 pax, ustar header).
TAR = slice(257, 262)


def pdf(octets: bytes) -> str:
    """Encrypted, active, a polyglot, or damaged; empty when it is only read."""
    import io

    from pypdf import PdfReader
    from pypdf.errors import PyPdfError

    end = octets.rfind(b"%%EOF")
    if end < 0:
        return "damaged"
    if len(octets[end + 5 :].strip(b"\r\n\x00 ")) > TAIL or _hides(octets[end + 5 :]):
        return "polyglot"
    try:
        reader = PdfReader(io.BytesIO(octets), strict=False)
        if reader.is_encrypted:
            return "encrypted"
        if len(reader.pages) < 1:
            return "damaged"
        for number, found in enumerate(_objects(reader)):
            if number > MOST_OBJECTS:
                return "damaged"
            said = _looked(found)
            if said:
                return said
    except (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RecursionError):
        return "damaged"
    return ""


def _objects(reader: Any) -> Iterator[Any]:
    """Every object that the file has, whether anything points to it or not."""
    numbers = {(number, generation) for generation, table in reader.xref.items() for number in table}
    numbers |= {(number, 0) for number in reader.xref_objStm}
    for number, generation in sorted(numbers):
        if number:
            yield reader.get_object(_reference(reader, number, generation))
    yield reader.trailer


def _reference(reader: Any, number: int, generation: int) -> Any:
    from pypdf.generic import IndirectObject

    return IndirectObject(number, 0 if generation == 65535 else generation, reader)


def _looked(found: Any, depth: int = 0) -> str:
    """What one object holds, down to what it points to (which is an object of its own)."""
    from pypdf.generic import ArrayObject, DictionaryObject, EncodedStreamObject, StreamObject

    if depth > MOST_DEPTH:
        return "damaged"
    if isinstance(found, DictionaryObject):
        names = {str(found.raw_get(name)) for name in ("/S", "/Subtype") if name in found}
        if set(found) & KEYS or names & ACTIONS:
            return "active"
        if isinstance(found, StreamObject | EncodedStreamObject) and found.get("/Type") == "/EmbeddedFile":
            head = found.get_data()[:512]
            if head.startswith(PROGRAMS):
                return "active"
            if head.startswith(ARCHIVES) or head[TAR] == b"ustar":
                return "archive"
        parts: Any = [found.raw_get(name) for name in found]
    elif isinstance(found, ArrayObject):
        parts = list(list.__iter__(found))
    else:
        return ""
    for part in parts:
        said = _looked(part, depth + 1)
        if said:
            return said
    return ""


def png(octets: bytes) -> str:
    """Walks the chunks to IEND (PNG §5.3); what hangs on behind is a second file."""
    place = 8
    while True:
        if place + 12 > len(octets):
            return "damaged"
        length, kind = struct.unpack("!L4s", octets[place : place + 8])
        place += 12 + length
        if kind == b"IEND":
            break
    if place > len(octets):
        return "damaged"
    return "polyglot" if octets[place:].strip(b"\r\n\x00 ") else ""


def jpeg(octets: bytes) -> str:
    """Walks the segments to EOI (ITU-T T.81 §B.1.1); what hangs on behind is a second file."""
    place = 2
    while place + 4 <= len(octets):
        if octets[place] != 0xFF:
            return "damaged"
        marker = octets[place + 1]
        if marker == 0xFF:
            place += 1
            continue
        if marker == 0xD9:
            break
        if 0xD0 <= marker <= 0xD8 or marker == 0x01:
            place += 2
            continue
        place += 2 + struct.unpack("!H", octets[place + 2 : place + 4])[0]
        if marker == 0xDA:  # entropy-coded data: FF is followed by 00 or a restart marker until the next segment
            while True:
                place = octets.find(b"\xff", place)
                if place < 0 or place + 1 >= len(octets):
                    return "damaged"
                if octets[place + 1] == 0 or 0xD0 <= octets[place + 1] <= 0xD7:
                    place += 2
                    continue
                break
    if octets[place : place + 2] != b"\xff\xd9":
        return "damaged"
    rest = octets[place + 2 :].strip(b"\r\n\x00 ")
    return "polyglot" if _hides(rest) or (rest and not rest.startswith(b"\xff\xd8")) else ""


def text(octets: bytes) -> str:
    return (
        "polyglot" if octets[:4096].lstrip().lower().startswith((b"<html", b"<!doctype", b"<svg", b"<script")) else ""
    )


def _hides(octets: bytes) -> bool:
    return any(octets.find(mark) >= 0 for mark in (*ARCHIVES[:3], b"\x7fELF", b"<script", b"<html"))


LOOKS = {"application/pdf": pdf, "image/png": png, "image/jpeg": jpeg, "text/plain": text}


def main() -> None:
    logging.disable(logging.CRITICAL)  # it would quote the file
    look = LOOKS.get(sys.argv[1])
    sys.stdout.write(look(sys.stdin.buffer.read()) if look else "type")


if __name__ == "__main__":
    main()
