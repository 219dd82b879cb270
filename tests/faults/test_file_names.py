"""X08: a file's name is shown and offered as it is, or refused; it is never a path, never a header, never a place on disk."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from pathlib import Path

import pytest
from aiohttp.multipart import content_disposition_filename, parse_content_disposition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.blobs.folder import FolderBlobs
from adapters.http.downloads import disposition
from gateway.filetypes import FileRefusedError, check_name
from gateway.neighbours import ArrivedFile, Reason
from tests.county import SEAT_E, a_county
from tests.faults.tally import tally
from tests.neighbours import an_arrival, seen_from

PDF = b"%PDF-1.7\n" + b"ett exempel " * 40
PARTS = st.sampled_from(
    [
        "..", "/", "\\", "C:", "%2e%2e%2f", "%0d%0a", "\r\n", "\r\nX: y", '"', "'", ";", "filename=", "filename*=UTF-8''", "\0", "\u202e",
        "\u2028", "\ufeff", "\ud800", "é", "e\u0301", "Å", "😀", "CON", "x" * 260, " ", ".", ".pdf", "=?utf-8?q?x?=", "<script>", "utdrag",
    ]
)  # fmt: skip
NAMES = st.lists(PARTS | st.text(max_size=8), min_size=1, max_size=6).map("".join)


def _campaign(examples: int) -> None:
    seen = []

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(NAMES)
    def tried(name: str) -> None:
        try:
            kept = check_name(name)
        except FileRefusedError:
            seen.append(False)
            return
        seen.append(True)
        assert not re.search(r"[/\\:\x00-\x1f\x7f\u2028\u2029\u202a-\u202e\u2066-\u2069]", kept)
        assert kept not in ("", ".", "..")
        assert len(kept.encode()) <= 255
        header = disposition(kept)
        assert header.isascii()
        assert header.isprintable()
        kind, parameters = parse_content_disposition(header)
        assert kind == "attachment"
        assert list(parameters) == ["filename*"]
        assert content_disposition_filename(parameters) == unicodedata.normalize("NFC", name)

    tried()
    tally("X08", cases=len(seen), note=f"{sum(seen)} names could be, the rest were refused")
    assert any(seen)
    assert not all(seen)


def test_a_name_comes_back_from_the_header_as_it_was_or_never_gets_there() -> None:
    _campaign(200)


@pytest.mark.full
def test_three_thousand_names_do() -> None:
    _campaign(3_000)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["../../x.pdf", "..\\x.pdf", "C:x.pdf", "a\r\nSet-Cookie: b.pdf", "a\0.pdf", "\u202efdp.exe", "x" * 300 + ".pdf", ".."]
)  # fmt: skip
async def test_an_arrival_with_such_a_name_is_refused_and_leaves_nothing_on_disk(tmp_path: Path, name: str) -> None:
    file = ArrivedFile(name=name, media_type="application/pdf", octets=PDF)
    async with a_county(
        blobs=FolderBlobs(tmp_path / "blobs"), directory=seen_from({"region.hsv", "vaxjo.nav"})
    ) as county:
        answer = await county.gateway.intake.take(an_arrival(files=(file,)))
        tally("X08", cases=1, half=answer.taken)
        assert answer.reason is Reason.TYPE
    assert [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == []


@pytest.mark.slow
async def test_a_good_name_is_nowhere_on_disk_and_comes_back_whole(tmp_path: Path) -> None:
    name = "Utdrag Blåklint (2).pdf"
    file = ArrivedFile(name=name, media_type="application/pdf", octets=PDF)
    async with a_county(
        blobs=FolderBlobs(tmp_path / "blobs"), directory=seen_from({"region.hsv", "vaxjo.nav"})
    ) as county:
        two = (file, dataclasses.replace(file, name=unicodedata.normalize("NFD", name)))
        assert (await county.gateway.intake.take(an_arrival(files=two))).taken
        chief = await county.sign_in("ek-chef")
        [line] = await county.gateway.inboxes.page(chief, SEAT_E)
        opened = await county.gateway.opening.open(chief, line.item.envelope)
        assert [one.name for one in opened.opened.attachments] == [name, name]
    stored = [path for path in (tmp_path / "blobs").rglob("*") if path.is_file()]
    assert len(stored) == 2
    for path in stored:
        assert re.fullmatch(r"[0-9a-f-]{32,64}", path.name), path.name
        assert b"lint" not in path.read_bytes()
