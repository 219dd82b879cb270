"""The malware scanner: a real clamd on a socket, and one that misbehaves; whatever is unclear is no verdict."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from adapters.scan.clamd import Clamd, verdict_of
from gateway.errors import SetupError
from gateway.forms.demo import demo_pdf, pdf_around
from gateway.screening import Verdict
from tests.screening.conftest import MARK, ClamPeer
from tests.screening.files import EICAR

pytestmark = pytest.mark.slow


async def pieces(octets: bytes, size: int = 65_536) -> AsyncIterator[bytes]:
    for start in range(0, len(octets), size):
        yield octets[start : start + size]


async def test_what_is_clean_is_clean_and_the_test_files_are_found_however_they_are_cut(shared: ClamPeer) -> None:
    """Catalogue X10, EICAR; N = 16."""
    scanner = Clamd(shared.place)
    assert await scanner.answers()
    looked = 0
    for octets, verdict in (
        (demo_pdf(), Verdict.CLEAN),
        (b"x", Verdict.CLEAN),
        (b"", Verdict.CLEAN),
        (EICAR, Verdict.FOUND),
        (demo_pdf(MARK.decode()), Verdict.FOUND),
        (b"a" * 70_000 + MARK, Verdict.FOUND),
    ):
        for size in (65_536, 7, 1_000_000) if len(octets) < 10_000 else (65_536,):
            assert await scanner.scan(pieces(octets, size)) is verdict, (octets[:20], size)
            looked += 1
    print(f"clamd: {looked} streams, each with its verdict")


async def test_a_large_file_is_scanned_within_seconds_and_many_wait_for_their_turn(shared: ClamPeer) -> None:
    scanner = Clamd(shared.place)
    head, tail = pdf_around(20_000_000)
    began = time.monotonic()
    assert await scanner.scan(pieces(head + bytes(20_000_000) + tail)) is Verdict.CLEAN
    print(f"clamd: 20 MB in {time.monotonic() - began:.2f} s")
    found = await asyncio.gather(*(scanner.scan(pieces(EICAR if n % 2 else demo_pdf())) for n in range(24)))
    assert found == [Verdict.FOUND if n % 2 else Verdict.CLEAN for n in range(24)]


async def test_what_was_not_looked_at_whole_has_no_verdict(small: ClamPeer) -> None:
    scanner = Clamd(small.place)
    assert await scanner.scan(pieces(b"x" * 900_000)) is Verdict.NONE  # over MaxFileSize: clamd says it as a find
    assert await scanner.scan(pieces(b"x" * 3_000_000)) is Verdict.NONE  # over StreamMaxLength: it hangs up
    assert await scanner.scan(pieces(MARK)) is Verdict.FOUND


async def test_a_scanner_that_is_away_gives_no_verdict_and_is_asked_again_when_it_is_back(clamd: ClamPeer) -> None:
    scanner = Clamd(clamd.place)
    clamd.stop()
    assert await scanner.scan(pieces(EICAR)) is Verdict.NONE
    assert not await scanner.answers()
    clamd.start()
    assert await scanner.scan(pieces(EICAR)) is Verdict.FOUND
    assert await scanner.answers()


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def saying(octets: bytes) -> Handler:
    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(octets)
        await writer.drain()
        writer.close()

    return handle


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while await reader.read(4096):
        pass
    writer.close()


@pytest.mark.parametrize(
    "handle",
    [
        saying(b""),
        saying(b"stream: OK"),  # without its end
        saying(b"OK\0"),
        saying(b"stream: OK FOUND OK\0"),
        saying(b"INSTREAM size limit exceeded. ERROR\0"),
        saying(b"stream: Can't allocate memory ERROR\0"),
        saying(b"\xff" * 20_000),
        saying(b"x" * 20_000 + b"\0"),
        silent,
    ],
)
async def test_an_answer_that_is_not_clear_is_no_verdict(handle: Handler, tmp_path: Path) -> None:
    place = str(tmp_path / "ctl")
    server = await asyncio.start_unix_server(handle, place)
    async with server:
        assert await Clamd(place, seconds=0.5).scan(pieces(b"x" * 1000)) is Verdict.NONE
        await asyncio.sleep(0.05)  # the handler sees that its caller is gone


async def test_a_file_that_cannot_be_read_is_trouble_of_its_own_and_no_verdict(shared: ClamPeer) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"x"
        raise ValueError("the file is damaged")

    with pytest.raises(ValueError, match="damaged"):
        await Clamd(shared.place).scan(broken())


def test_only_ok_is_clean() -> None:
    assert verdict_of(b"stream: OK") is Verdict.CLEAN
    assert verdict_of(b"stream: Eicar.Test.UNOFFICIAL FOUND") is Verdict.FOUND
    for other in (b"", b"OK", b"stream: ok", b"stream: OK ", b"stream: Heuristics.Limits.Exceeded.MaxFileSize FOUND"):
        assert verdict_of(other) is Verdict.NONE, other


@pytest.mark.parametrize("place", ["10.0.0.1:3310", "clam.example:3310", "127.0.0.1", "127.0.0.1:0", "::1", "", "a/b"])
def test_a_scanner_on_another_machine_is_refused(place: str) -> None:
    """What is sent there is plaintext."""
    with pytest.raises(SetupError):
        Clamd(place)
    assert Clamd("[::1]:3310")
    assert Clamd("127.0.0.1:3310")
