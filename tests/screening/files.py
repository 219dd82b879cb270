"""Files to try a screening with, made here: documents as they should be, and each kind that must not come in."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator

from pypdf import PdfWriter
from pypdf.generic import (
    ArrayObject,
    DictionaryObject,
    NameObject,
    NullObject,
    TextStringObject,
)

from gateway.filetypes import Fault
from gateway.forms.demo import demo_pdf

#: What every scanner knows and nobody is harmed by (EICAR); put together, so that no scanner takes this file.
EICAR = rb"X5O!P%@AP[4\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!" + b"$H+H*"
PNG_HEAD = b"\x89PNG\r\n\x1a\n"


def png(*, behind: bytes = b"") -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack("!L", len(data)) + kind + data + struct.pack("!L", zlib.crc32(kind + data))

    header = struct.pack("!LLBBBBB", 1, 1, 8, 0, 0, 0, 0)
    pixels = zlib.compress(b"\x00\x00")
    return PNG_HEAD + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"") + behind


def jpeg(*, behind: bytes = b"") -> bytes:
    """The segments of a JPEG; its picture is noise."""
    app = b"\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + b"\x12\xff\x00\x34\xff\xd0\x56" * 40
    return b"\xff\xd8" + app + scan + b"\xff\xd9" + behind


def zipped(*names: str) -> bytes:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name in names or ("a.txt",):
            archive.writestr(name, "x")
    return held.getvalue()


def _written(writer: PdfWriter) -> bytes:
    held = io.BytesIO()
    writer.write(held)
    return held.getvalue()


def _page() -> PdfWriter:
    writer = PdfWriter()
    writer.add_blank_page(200, 200)
    return writer


def encrypted(algorithm: str) -> bytes:
    writer = _page()
    writer.encrypt("hemligt", algorithm=algorithm)
    return _written(writer)


def with_script() -> bytes:
    writer = _page()
    action = DictionaryObject({NameObject("/S"): NameObject("/JavaScript"), NameObject("/JS"): TextStringObject("1")})
    writer.root_object[NameObject("/OpenAction")] = writer._add_object(action)
    return _written(writer)


def with_action(kind: str) -> bytes:
    """An action that runs when the page is opened, in an object that nothing but the page points to."""
    writer = _page()
    action = DictionaryObject({NameObject("/S"): NameObject(kind), NameObject("/F"): TextStringObject("x")})
    opened = DictionaryObject({NameObject("/O"): writer._add_object(action)})
    writer.pages[0][NameObject("/AA")] = writer._add_object(opened)
    return _written(writer)


def with_form() -> bytes:
    writer = _page()
    form = DictionaryObject({NameObject("/Fields"): ArrayObject(), NameObject("/XFA"): NullObject()})
    writer.root_object[NameObject("/AcroForm")] = form
    return _written(writer)


def carrying(name: str, octets: bytes) -> bytes:
    writer = _page()
    writer.add_attachment(name, octets)
    return _written(writer)


def deep() -> bytes:
    """An array in an array in an array, thirty thousand deep (X03's cousin for PDF)."""
    return demo_pdf().replace(b"/MediaBox [0 0 595 842]", b"/X " + b"[" * 30_000 + b"]" * 30_000)


def bomb() -> bytes:
    """A file inside the PDF that is a gigabyte of nothing once it is unpacked (X09)."""
    once = zlib.compressobj(1)
    inner = b"".join(once.compress(bytes(1 << 24)) for _ in range(64)) + once.flush()
    packed = zlib.compress(inner, 9)
    stream = b"/Type /EmbeddedFile /Filter [/FlateDecode /FlateDecode] /Length %d" % len(packed)
    head, _, tail = carrying("a.txt", b"x").partition(b"/Type /EmbeddedFile")
    _, _, rest = tail.partition(b"stream\n")
    return head + stream + b" >>\nstream\n" + packed + rest[rest.index(b"\nendstream") :]


#: name, octets: what must come in.
def good() -> Iterator[tuple[str, bytes]]:
    yield "utdrag.pdf", demo_pdf()
    yield "tom sida.pdf", _written(_page())
    yield "med data.pdf", carrying("sambud.json", b'{"a": 1}')
    yield "radslut.pdf", demo_pdf() + b"\r\n\r\n"
    yield "bild.png", png()
    yield "bild.jpg", jpeg()
    yield "BILD.JPEG", jpeg()
    yield "text.txt", "Räksmörgås och åäö.\n".encode()


#: name, octets, why: catalogue X10 (wrong type, polyglot, macro), and what nobody can look into.
def bad() -> Iterator[tuple[str, bytes, Fault]]:
    yield "arkiv.zip", zipped(), Fault.ARCHIVE
    yield "arkiv.pdf", zipped(), Fault.ARCHIVE
    yield "arkiv.7z", b"7z\xbc\xaf\x27\x1c" + bytes(40), Fault.ARCHIVE
    yield "arkiv.rar", b"Rar!\x1a\x07\x01\x00" + bytes(40), Fault.ARCHIVE
    yield "arkiv.gz", b"\x1f\x8b\x08" + bytes(40), Fault.ARCHIVE
    yield "arkiv.tar", bytes(257) + b"ustar\x0000" + bytes(300), Fault.ARCHIVE
    yield "brev.docx", zipped("[Content_Types].xml", "word/document.xml"), Fault.OFFICE
    yield "brev.odt", zipped("mimetype", "content.xml"), Fault.OFFICE
    yield "brev.docm", zipped("word/vbaProject.bin"), Fault.MACRO
    yield "kalkyl.xls", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), Fault.MACRO
    yield "brev.pdf", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), Fault.MACRO
    yield "program.exe", b"MZ" + bytes(200), Fault.TYPE
    yield "program.pdf", b"MZ" + bytes(200), Fault.TYPE
    yield "sida.html", b"<html><script>1</script></html>", Fault.TYPE
    yield "bild.svg", b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", Fault.TYPE
    yield "bild.gif", b"GIF89a" + bytes(20), Fault.TYPE
    yield "bild.pdf", png(), Fault.TYPE
    yield "utdrag.png", demo_pdf(), Fault.TYPE
    yield "utdrag.txt", demo_pdf(), Fault.TYPE
    yield "sida.txt", b"<!doctype html><script>1</script>", Fault.POLYGLOT
    yield "latin.txt", "åäö".encode("latin-1"), Fault.NOT_TEXT
    yield "last-rc4.pdf", encrypted("RC4-128"), Fault.ENCRYPTED
    yield "last-aes.pdf", encrypted("AES-256"), Fault.ENCRYPTED
    yield "skript.pdf", with_script(), Fault.ACTIVE
    for kind in ("/JavaScript", "/Launch", "/SubmitForm", "/ImportData"):
        yield f"{kind[1:].lower()}.pdf", with_action(kind), Fault.ACTIVE
    yield "xfa.pdf", with_form(), Fault.ACTIVE
    yield "program i.pdf", carrying("a.exe", b"MZ" + bytes(100)), Fault.ACTIVE
    yield "arkiv i.pdf", carrying("a.zip", zipped()), Fault.ARCHIVE
    yield "pdf och zip.pdf", demo_pdf() + zipped(), Fault.POLYGLOT
    yield "pdf och mer.pdf", demo_pdf() + b"A" * 2000, Fault.POLYGLOT
    yield "pdf och html.pdf", demo_pdf() + b"<html>", Fault.POLYGLOT
    yield "bild och zip.png", png(behind=zipped()), Fault.POLYGLOT
    yield "bild och zip.jpg", jpeg(behind=zipped()), Fault.POLYGLOT
    yield "avkortad.pdf", demo_pdf()[:-200], Fault.DAMAGED
    yield "rubrik.pdf", b"%PDF-1.7\n" + b"x" * 400, Fault.DAMAGED
    yield "avkortad.png", png()[:-6], Fault.DAMAGED
    yield "avkortad.jpg", jpeg()[:-2], Fault.DAMAGED
    yield "djup.pdf", deep(), Fault.DAMAGED
