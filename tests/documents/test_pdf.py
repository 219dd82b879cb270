"""A form as a PDF that people read and gateways read back: docs/channels.md §8, sentence by sentence."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import os
import shutil
import signal
import subprocess
import time
import unicodedata
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from pypdf import PdfReader, PdfWriter
from pypdf.generic import ArrayObject, ByteStringObject, DictionaryObject, NameObject, StreamObject, TextStringObject

from adapters.documents import pdf as module
from adapters.documents.child import MIB, Children, Ended, How, Limits
from adapters.documents.makers import MAX_PDF, Makers, kept
from adapters.documents.pdf import BLOCKS, MARK, MAY_BREAK, NAME, PdfDocuments, printable, shown
from gateway.canonical import dumps
from gateway.documents import MAX_DATA, DocumentError, Page
from gateway.model.base import Instant
from gateway.readable import Answered, Part

pytestmark = pytest.mark.slow
DATA = dumps({"form": ["case_message", 1], "body": {"fields": {"text": "Möte på fredag"}}})


def a_page(**changes: object) -> Page:
    whole = Page(
        title="Uppdragsblankett",
        sender="Individ- och familjeomsorg, Alvesta",
        recipient="Remissgruppen, Ekeliden",
        reference="AL-26-00017",
        at=Instant(1_772_495_100_000_000),  # 2026-03-02 23:45 UTC, the day after in Sweden
        parts=(
            Part("Uppdraget", (Answered("Hur bråttom är det?", ("Snart",)), Answered("Behov", ("Boende", "Stöd")))),
            Part("Personen", (Answered("Namn", ("lämnas inte",)),)),
        ),
        statement="Svaret är en samordning av plats.",
        files=("utdrag.pdf",),
    )
    return dataclasses.replace(whole, **changes)  # type: ignore[arg-type]


def read(octets: bytes) -> PdfReader:
    return PdfReader(io.BytesIO(octets))


def words(octets: bytes) -> str:
    return "\n".join(page.extract_text() for page in read(octets).pages)


async def test_the_page_is_pdf_a_3a_and_pdf_ua_1_in_swedish_with_its_data_as_an_associated_file() -> None:
    """ISO 19005-3 §6.7 (metadata), §6.8 (embedded files), §6.2.2 (output intent); ISO 14289-1 §7.1, §7.2."""
    octets = await PdfDocuments().pdf(a_page(), DATA)
    reader = read(octets)
    root = reader.root_object
    metadata = reader.xmp_metadata
    assert metadata is not None
    assert (metadata.pdfaid_part, metadata.pdfaid_conformance) == ("3", "A")
    assert b"<pdfuaid:part>1</pdfuaid:part>" in octets
    assert [intent["/S"] for intent in root["/OutputIntents"]] == ["/GTS_PDFA1"]  # type: ignore[union-attr]
    assert root["/Lang"] in ("sv", "sv-SE")
    assert root["/MarkInfo"]["/Marked"]  # type: ignore[index]
    assert root["/ViewerPreferences"]["/DisplayDocTitle"]  # type: ignore[index]
    assert "/StructTreeRoot" in root
    [associated] = root["/AF"]  # type: ignore[misc]
    described = associated.get_object()
    assert (described["/UF"], described["/AFRelationship"]) == (NAME, "/Data")
    assert described["/EF"]["/UF"]["/Subtype"] == "/application/json"
    assert reader.metadata is not None
    assert reader.metadata.title == "Uppdragsblankett"


async def test_the_headings_are_those_of_the_form_in_its_order() -> None:
    reader = read(await PdfDocuments().pdf(a_page()))
    assert [one["/Title"] for one in reader.outline] == ["Uppdraget", "Personen", "Bilagor"]  # type: ignore[call-overload, index]


async def test_a_reader_finds_every_question_with_its_answers_the_parties_and_the_day_in_sweden() -> None:
    text = words(await PdfDocuments().pdf(a_page(), DATA))
    told = ("Från: Individ- och familjeomsorg, Alvesta", "Till: Remissgruppen, Ekeliden", "Ärende: AL-26-00017")
    asked = ("Hur bråttom är det?\nSnart", "Behov\n• Boende\n• Stöd", "Namn\nlämnas inte", "utdrag.pdf", "samordning")
    for expected in (*told, "Skickad: 2026-03-03", *asked, "sambud.json", "Sida 1 av 1"):
        assert expected in text


def test_qpdf_finds_no_fault(tmp_path: Path) -> None:
    """A peer that shares no code with what made it."""
    program = shutil.which("qpdf")
    if program is None:
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail("qpdf is missing: install the Debian package qpdf")
        pytest.skip("qpdf is missing: install the Debian package qpdf")
    file = tmp_path / "page.pdf"
    file.write_bytes(asyncio.run(PdfDocuments().pdf(a_page(), DATA)))
    done = subprocess.run([program, "--check", str(file)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "No syntax or stream encoding errors" in done.stdout
    listed = subprocess.run([program, "--show-attachment=sambud.json", str(file)], capture_output=True, check=True)
    assert listed.stdout == DATA


async def test_the_same_page_is_the_same_octets_at_every_attempt() -> None:
    """§8.3: a repeated hand-over is the same message to whoever compares."""
    documents = PdfDocuments()
    assert await documents.pdf(a_page(), DATA) == await documents.pdf(a_page(), DATA)


async def test_what_a_person_wrote_is_text_and_never_a_command() -> None:
    told = '#panic("x") #read("/etc/passwd") *fet* _x_ $y$ @mark <b> [länk](http://x.example) // rest \\ = Rubrik'
    text = words(await PdfDocuments().pdf(a_page(parts=(Part(told, (Answered(told, (told,)),)),), statement=told)))
    assert "".join(text.split()).count("".join(told.split())) == 4


def test_what_cannot_be_seen_or_is_in_no_font_is_named() -> None:
    """CVE-2021-42574: a direction mark shows one thing and means another."""
    assert shown("a\u202eb\u00adc \U0001f600\u0627") == "a[U+202E]b[U+00AD]c [U+1F600][U+0627]"
    assert shown("a\u030a o\u0308 \ud800") == "å ö [U+D800]"


async def test_what_has_no_space_stays_on_the_paper() -> None:
    """Four hundred of the widest letter in one word: broken into lines, none cut off."""
    reader = read(await PdfDocuments().pdf(a_page(parts=(Part("x", (Answered("y", ("W" * 400,)),)),))))
    lines = [line for line in reader.pages[0].extract_text().splitlines() if "WW" in line]
    assert "".join(lines).replace(MAY_BREAK, "").count("W") == 400
    assert max(map(len, lines)) < 44  # 160 mm in 11 pt


async def test_every_character_that_is_called_printable_is_printed() -> None:
    """typst stops at the first that no font has; the table of blocks must not promise one of those."""
    letters = [chr(code) for first, last in BLOCKS for code in range(first, last + 1) if printable(chr(code))]
    assert len(letters) > 1500
    lines = tuple(" ".join(letters[at : at + 40]) for at in range(0, len(letters), 40))
    assert (await PdfDocuments().pdf(a_page(parts=(Part("x", (Answered("y", lines),)),)))).startswith(b"%PDF-")


ANY_TEXT = st.text(max_size=200)
EXAMPLES = [
    pytest.param(12, id="each run"),
    pytest.param(500, id="whole", marks=pytest.mark.full),
]


@pytest.mark.parametrize("examples", EXAMPLES)
def test_any_words_make_a_page_and_come_back_exactly(examples: int) -> None:
    """§8.1, §8.2: all of Unicode, forty texts at a time; a lone surrogate is no text, and JSON has none."""
    documents = PdfDocuments()

    @settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.explicit, Phase.reuse, Phase.generate),
    )
    @given(st.lists(ANY_TEXT, min_size=1, max_size=40), ANY_TEXT)
    @example([""], "")
    @example([" \n\t", "\x00\ufffe\U0010ffff", "e" + "\u0301" * 50], "\r\n")
    def comes_back(texts: list[str], other: str) -> None:
        data = dumps({"texts": texts, "other": other})
        rows = tuple(Answered(text, (text, text)) for text in texts)
        part = Part(f"Behov {other}", rows)  # the titles are the form's own, and never empty
        page = a_page(
            sender=other, recipient=other, reference=other, parts=(part,), files=tuple(texts), statement=other
        )

        async def there_and_back() -> bytes | None:
            return await documents.data(await documents.pdf(page, data))

        assert asyncio.run(there_and_back()) == data

    comes_back()


async def test_a_page_that_cannot_be_made_is_an_error_that_says_what_to_do() -> None:
    class Broken(Children):
        async def run(self, *_: object, **__: object) -> Ended:  # type: ignore[override]
            return Ended(How.KILLED, -9)

    with pytest.raises(DocumentError) as told:
        await PdfDocuments(Broken()).pdf(a_page())
    assert told.value.swedish and told.value.next_step


async def test_pages_of_one_process_are_those_of_a_fresh_one_and_it_is_replaced() -> None:
    makers = Makers(most=1, pages=3)
    several = PdfDocuments(makers=makers)
    whole = await PdfDocuments().pdf(a_page(), DATA)
    seen = set()
    for _ in range(4):
        assert await several.pdf(a_page(), DATA) == whole
        seen |= {maker.process.pid for maker in makers._idle}
    assert len(seen) == 2
    await makers.close()


async def test_a_page_that_cannot_be_made_and_a_process_that_died_cost_the_next_page_nothing() -> None:
    async with kept(most=1) as makers:
        documents = PdfDocuments(makers=makers)
        whole = await documents.pdf(a_page(), DATA)
        with pytest.raises(DocumentError):
            await documents.pdf(a_page(title=""), DATA)  # PDF/UA-1 §7.1: a document has a title
        assert await documents.pdf(a_page(), DATA) == whole
        os.kill(makers._idle[0].process.pid, signal.SIGKILL)
        assert await documents.pdf(a_page(), DATA) == whole


async def test_who_is_cancelled_takes_the_process_along() -> None:
    """Half an answer is in its pipe: the next page would be somebody else's."""
    async with kept(most=1) as makers:
        documents = PdfDocuments(makers=makers)
        await documents.pdf(a_page(), DATA)
        [idle] = makers._idle
        task = asyncio.create_task(documents.pdf(a_page(), DATA))
        await asyncio.sleep(0)
        await asyncio.sleep(0.001)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert makers._idle == []
        assert idle.process.returncode is not None
        other = a_page(reference="AL-26-00018")
        assert "AL-26-00018" in words(await documents.pdf(other, DATA))


async def test_two_mebibytes_of_data_travel_and_more_are_refused_before_anything_is_made() -> None:
    documents = PdfDocuments()
    most = json.dumps("å" * ((MAX_DATA - 2) // 2), ensure_ascii=False).encode()
    assert len(most) == MAX_DATA
    assert await documents.data(await documents.pdf(a_page(), most)) == most
    with pytest.raises(ValueError):
        await documents.pdf(a_page(), most + b" ")


# --- what comes from outside -----------------------------------------------------------------------------------------


def written(change: Callable[[PdfWriter], object]) -> bytes:
    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    change(writer)
    whole = io.BytesIO()
    writer.write(whole)
    return whole.getvalue() + b"\n%" + MARK  # it says that it holds data, so it is opened


def twice(writer: PdfWriter) -> None:
    writer.add_attachment(NAME, b"{}")
    writer.add_attachment(NAME, b"[]")


def encrypted(writer: PdfWriter) -> None:
    writer.add_attachment(NAME, b"{}")
    writer.encrypt("hemligt", algorithm="RC4-128")


def bomb(writer: PdfWriter) -> None:
    """200 MB of nothing in 200 KB, and once more in that."""
    writer.add_attachment(NAME, b"x")
    inner = zlib.compress(bytes(200 * MIB))
    _file(writer)._data = zlib.compress(inner)
    _file(writer)[NameObject("/Filter")] = ArrayObject([NameObject("/FlateDecode"), NameObject("/FlateDecode")])


def large(writer: PdfWriter) -> None:
    writer.add_attachment(NAME, bytes(MAX_DATA + 1))


def _file(writer: PdfWriter) -> StreamObject:
    names = writer.root_object["/Names"]["/EmbeddedFiles"]["/Names"]  # type: ignore[index]
    found = names[1].get_object()["/EF"]["/F"].get_object()
    assert isinstance(found, StreamObject)
    return found


def a_tree_without_end(writer: PdfWriter) -> None:
    tree = DictionaryObject()
    reference = writer._add_object(tree)
    tree[NameObject("/Kids")] = ArrayObject([reference, reference])
    writer.root_object[NameObject("/Names")] = DictionaryObject({NameObject("/EmbeddedFiles"): reference})


def a_tree_of_other_things(writer: PdfWriter) -> None:
    tree = DictionaryObject({NameObject("/Names"): ArrayObject([TextStringObject(NAME), ByteStringObject(b"x")])})
    writer.root_object[NameObject("/Names")] = DictionaryObject({NameObject("/EmbeddedFiles"): tree})


HOSTILE: dict[str, bytes] = {
    "no PDF": b"PK\x03\x04" + MARK,
    "a head and nothing else": b"%PDF-1.7\n" + MARK,
    "no attachment": written(lambda _: None),
    "another name": written(lambda writer: writer.add_attachment("other.json", b"{}")),
    "two of the name": written(twice),
    "encrypted": written(encrypted),
    "larger than data may be": written(large),
    "a bomb": written(bomb),
    "a tree without end": written(a_tree_without_end),
    "a tree of other things": written(a_tree_of_other_things),
    "brackets without end": b"%PDF-1.7\n" + b"[" * 3_000_000 + MARK,
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_page_of_ours_has_no_data_and_costs_one_bounded_child(name: str) -> None:
    """§8.4, X09: encrypted, damaged, larger, or with two of the name: a PDF like any other."""
    started = time.monotonic()
    assert await PdfDocuments().data(HOSTILE[name]) is None
    assert time.monotonic() - started < 15


async def test_a_page_that_was_cut_or_changed_anywhere_gives_its_data_or_none() -> None:
    documents = PdfDocuments()
    octets = await documents.pdf(a_page(), DATA)
    for at in range(0, len(octets), len(octets) // 5):
        for damaged in (octets[:at], octets[:at] + b"\xff" * 40 + octets[at + 40 :]):
            assert await documents.data(damaged) in (None, DATA)


async def test_a_pdf_that_does_not_say_that_it_holds_data_starts_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    class Never(Children):
        async def run(self, *_: object, **__: object) -> Ended:  # type: ignore[override]
            raise AssertionError("a child was started")

    documents = PdfDocuments(Never())
    whole = await PdfDocuments().pdf(a_page(), DATA)
    for octets in (b"", b"%PDF-1.7\n%%EOF", whole.replace(MARK, b""), whole + bytes(MAX_PDF)):
        assert not documents.may_hold_data(octets)
        assert await documents.data(octets) is None
    assert documents.may_hold_data(whole)


def test_the_limits_are_those_of_the_specification() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "channels.md").read_text("utf-8")
    assert "20 MB of PDF,\n   2 MiB of data, 10 seconds" in text
    assert Limits(seconds=10, memory=512 * MIB, output=2 * MIB) == module.READING
    assert MAX_PDF == 20_000_000
    assert all(unicodedata.category(chr(code))[0] != "C" for code in range(0x20, 0x250) if printable(chr(code)))
