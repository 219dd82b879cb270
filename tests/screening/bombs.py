"""Archives that must not come in whatever is in them (X01), and files that blow up when they are read (X09), made here."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from gateway.forms.demo import demo_pdf
from tests.screening.files import PNG_HEAD, carrying, jpeg, png

ENTRIES: Final = 20_000


def _zip(*members: tuple[str, bytes], mode: int = 0o100644) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, octets in members:
            info = zipfile.ZipInfo(name)
            info.external_attr = mode << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, octets)
    return held.getvalue()


def _tar(name: str, *, link: str = "") -> bytes:
    held = io.BytesIO()
    with tarfile.open(fileobj=held, mode="w") as archive:
        member = tarfile.TarInfo(name)
        if link:
            member.type, member.linkname = tarfile.SYMTYPE, link
            archive.addfile(member)
        else:
            member.size = 1
            archive.addfile(member, io.BytesIO(b"x"))
    return held.getvalue()


def _nested() -> bytes:
    octets = bytes(1 << 20)
    for depth in range(6):
        octets = _zip((f"{depth}.zip", octets))
    return octets


def _overlapping() -> bytes:
    """Two hundred entries of the central list that all point to one packed part (Fifield 2019)."""
    octets = _zip(("a", bytes(1 << 20)))
    start = octets.index(b"PK\x01\x02")
    end = octets.index(b"PK\x05\x06")
    entry = octets[start:end]
    listed = b"".join(entry.replace(b"a", bytes([97 + n % 26]), 1) for n in range(200))
    tail = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 200, 200, len(listed), start, 0)
    return octets[:start] + listed + tail


#: What is in them, and how they are packed.
ARCHIVES: Final[Mapping[str, Callable[[], bytes]]] = {
    "a gigabyte of nothing": lambda: _zip(("a.txt", bytes(1 << 26))),
    "an archive in an archive": _nested,
    "parts that overlap": _overlapping,
    "many entries": lambda: _zip(*((f"{n}.txt", b"") for n in range(ENTRIES))),
    "a path upwards": lambda: _zip(("../../etc/passwd", b"x")),
    "a whole path": lambda: _zip(("/etc/passwd", b"x"), ("C:\\Windows\\x", b"x")),
    "a device's name": lambda: _zip(("CON", b"x"), ("NUL.txt", b"x"), ("x" * 300, b"x")),
    "a link": lambda: _zip(("a", b"/etc/passwd"), mode=0o120777),
    "tar with a link": lambda: _tar("a", link="/etc/passwd"),
    "gzip": lambda: gzip.compress(bytes(1 << 24), mtime=0),
    "bzip2": lambda: bz2.compress(bytes(1 << 20)),
    "xz": lambda: lzma.compress(bytes(1 << 20)),
}
#: Where they come from: as themselves, under another name, in a document, behind one.
PLACES: Final[Mapping[str, Callable[[bytes], tuple[str, bytes]]]] = {
    "as itself": lambda octets: ("arkiv.zip", octets),
    "called a document": lambda octets: ("utdrag.pdf", octets),
    "called a text": lambda octets: ("utdrag.txt", octets),
    "in a document": lambda octets: ("bifogat.pdf", carrying("bilaga.bin", octets)),
    "behind a picture": lambda octets: ("bild.png", png(behind=octets)),
}


def _pdf(objects: str, *, trailer: str = "/Root 1 0 R", page: str = "") -> bytes:
    """A small PDF whose objects are given as they are, with a table that points to them."""
    parts = [
        "1 0 obj\n<< /Type /Catalog /Pages 2 0 R >>\nendobj\n",
        f"2 0 obj\n<< /Type /Pages /Kids [3 0 R] /Count 1 {page}>>\nendobj\n",
        "3 0 obj\n<< /Type /Page /Parent 2 0 R /MediaBox [0 0 9 9] >>\nendobj\n",
        *objects.split("\f"),
    ]
    out, places = "%PDF-1.7\n", []
    for part in parts:
        if part:
            places.append(len(out))
            out += part
    table = "".join(f"{place:010} 00000 n \n" for place in places)
    start = len(out)
    out += f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n{table}trailer\n<< {trailer} /Size {len(places) + 1} >>\n"
    return (out + f"startxref\n{start}\n%%EOF\n").encode("latin-1")


def _stream(data: bytes, head: str) -> str:
    return f"4 0 obj\n<< {head} /Length {len(data)} >>\nstream\n{data.decode('latin-1')}\nendstream\nendobj\n"


def _packed(times: int) -> bytes:
    """64 MiB of nothing, packed so many times."""
    octets = zlib.compress(bytes(1 << 26), 9)
    for _ in range(times - 1):
        octets = zlib.compress(octets, 9)
    return octets


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("!L", len(data)) + kind + data + struct.pack("!L", zlib.crc32(kind + data))


def explosive() -> Iterator[tuple[str, str, bytes]]:
    """What it is, its type, and its octets."""
    pdf = "application/pdf"
    embedded = "/Type /EmbeddedFile /Filter /FlateDecode"
    yield "an embedded file of 64 MiB", pdf, _pdf(_stream(_packed(1), embedded))
    twice = "/Type /EmbeddedFile /Filter [/FlateDecode /FlateDecode]"
    yield "packed twice", pdf, _pdf(_stream(_packed(2), twice))
    filters = " ".join(["/FlateDecode"] * 300)
    yield "three hundred filters", pdf, _pdf(_stream(_packed(1), f"/Type /EmbeddedFile /Filter [{filters}]"))
    yield "letters for octets", pdf, _pdf(_stream(b"00" * 2_000_000, "/Type /EmbeddedFile /Filter /ASCIIHexDecode"))
    runs = b"\x81\x00" * 500_000
    yield "runs", pdf, _pdf(_stream(runs, "/Type /EmbeddedFile /Filter /RunLengthDecode"))
    yield "an array thirty thousand deep", pdf, _pdf("4 0 obj\n" + "[" * 30_000 + "]" * 30_000 + "\nendobj\n")
    yield "a dictionary as deep", pdf, _pdf("4 0 obj\n" + "<</A " * 30_000 + "1" + ">>" * 30_000 + "\nendobj\n")
    yield "an array that goes on for ever", pdf, _pdf("4 0 obj\n[" + "0 " * 3_000_000 + "]\nendobj\n")
    yield "parents of each other", pdf, _pdf("4 0 obj\n<< /Parent 4 0 R >>\nendobj\n", page="/Parent 2 0 R ")
    yield "pages that hold themselves", pdf, demo_pdf().replace(b"/Kids [3 0 R]", b"/Kids [2 0 R]")
    yield "a table before itself", pdf, _pdf("", trailer="/Root 1 0 R /Prev 9")
    loop = _pdf("", trailer="/Root 1 0 R /Prev 0000000")
    yield "a table that names itself", pdf, loop.replace(b"/Prev 0000000", b"/Prev %07d" % loop.index(b"xref\n"))
    yield "a table of a thousand million", pdf, demo_pdf().replace(b"xref\n0 ", b"xref\n0 999999999")
    yield "a length of a terabyte", pdf, _pdf("4 0 obj\n<< /Length 1099511627776 >>\nstream\nx\nendstream\nendobj\n")
    yield "a hundred thousand ends", pdf, demo_pdf() + b"startxref\n0\n%%EOF\n" * 100_000
    yield "a name of a million signs", pdf, _pdf("4 0 obj\n/" + "#41" * 1_000_000 + "\nendobj\n")
    header = struct.pack("!LLBBBBB", 2**31 - 1, 2**31 - 1, 16, 6, 0, 0, 0)
    end = _chunk(b"IEND", b"")
    yield (
        "a picture of four exabytes",
        "image/png",
        PNG_HEAD + _chunk(b"IHDR", header) + _chunk(b"IDAT", _packed(1)) + end,
    )
    many = _chunk(b"tEXt", b"") * 500_000
    yield "half a million chunks", "image/png", PNG_HEAD + _chunk(b"IHDR", header) + many + end
    yield "a chunk longer than the file", "image/png", PNG_HEAD + struct.pack("!L4s", 2**31 - 1, b"IDAT") + bytes(100)
    yield "a million fill octets", "image/jpeg", jpeg()[:2] + b"\xff" * 1_000_000 + jpeg()[2:]
    yield "segments that go nowhere", "image/jpeg", jpeg()[:2] + b"\xff\xe0\x00\x02" * 300_000 + jpeg()[2:]
