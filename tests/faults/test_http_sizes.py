"""Requests that are too large in one way or another (security.md §6, W09): refused within limits, in bounded memory.

The gateway runs in a process of its own with 2 MB as the largest attachment; its memory is read from the kernel after
every case, and a request after all of them shows that it still works.
"""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from adapters.http.web import security
from tests.faults.http_peers import Answer, Peer
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
KIB, MIB = 1024, 1024 * 1024
ROOT = Path(__file__).parent.parent.parent
MOST_GROWTH = 64 * MIB
CUT = 0  # the connection ended under a sender that still sent: its system threw the answer away
MOST_S = 10.0  # for one case; a bound against hanging, no measurement


@dataclass
class Child:
    """The gateway as it is measured."""

    pid: int
    port: int
    token: str
    draft: str
    case: str

    @property
    def rss(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * 4_096

    def head(
        self, method: str, path: str, *fields: str, kind: str = "application/json", length: int | None = None
    ) -> bytes:
        cookie = f"Cookie: {security.SESSION}={self.token}"
        bearer = f"Authorization: Bearer {self.token}"
        lines = [f"{method} {path} HTTP/1.1", f"Host: localhost:{self.port}", cookie, bearer, f"Content-Type: {kind}"]
        lines += [f"X-CSRF-Token: {security.token_for(self.token)}", *fields]
        lines += [f"Content-Length: {length}"] if length is not None else []
        return "\r\n".join([*lines, "", ""]).encode()


@asynccontextmanager
async def a_child() -> AsyncIterator[Child]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.faults.http_child", cwd=ROOT,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdin
    assert process.stdout
    try:
        told: dict[str, Any] = json.loads(await process.stdout.readline())
        yield Child(process.pid, **told)
    finally:
        process.stdin.close()
        await process.wait()


Case = tuple[str, bytes, Iterator[bytes], set[int]]


def pieces(octet: bytes, total: int, size: int = 64 * KIB) -> Iterator[bytes]:
    for _ in range(total // size):
        yield octet * size


def chunked(octets: Iterator[bytes]) -> Iterator[bytes]:
    for piece in octets:
        yield f"{len(piece):x}\r\n".encode() + piece + b"\r\n"
    yield b"0\r\n\r\n"


def deep(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


def heads(child: Child) -> Iterator[Case]:
    """Heads: more than a line, a field, a number of fields or all of them together may hold."""
    start = f"GET /hjalp HTTP/1.1\r\nHost: localhost:{child.port}\r\n".encode()
    refused = {400, 431, CUT}
    yield "1 MiB in one field", start, iter([b"X-A: " + b"a" * MIB + b"\r\n\r\n"]), refused
    yield "64 KiB in one field", start, iter([b"X-A: " + b"a" * 64 * KIB + b"\r\n\r\n"]), refused
    yield "1 MiB address", b"GET /" + b"a" * MIB + b" HTTP/1.1\r\n\r\n", iter([]), refused
    yield "1 MiB query", b"GET /sok?namn=" + b"a" * MIB + b" HTTP/1.1\r\n\r\n", iter([]), refused
    yield "10,000 fields", start, (b"X-%d: a\r\n" % n for n in range(10_000)), refused
    yield (
        "100 fields of 300 octets",
        start,
        iter([*(b"X-%d: %b\r\n" % (n, b"a" * 300) for n in range(100)), b"\r\n"]),
        refused,
    )
    yield (
        "60 fields of 1,000 octets",
        start,
        iter([*(b"X-%d: %b\r\n" % (n, b"a" * 1_000) for n in range(60)), b"\r\n"]),
        refused,
    )
    yield "the same field 5,000 times", start, (b"X-A: a\r\n" for _ in range(5_000)), refused
    yield "a head without end", start, (b"X-A: " + b"a" * 4_000 + b"\r\n" for _ in range(2_000)), refused
    yield "1 MiB of cookies", start, iter([b"Cookie: " + b"a=b; " * 200_000 + b"\r\n\r\n"]), refused
    yield "1 MiB token", start, iter([b"Authorization: Bearer " + b"a" * MIB + b"\r\n\r\n"]), refused
    yield "1 MiB of line ends before the request", b"\r\n" * 512 * KIB, iter([start + b"\r\n"]), refused | {200}
    yield "1 MiB method", b"G" * MIB, iter([b" / HTTP/1.1\r\n\r\n"]), refused
    yield "1 MiB in a name", start, iter([b"X" * MIB + b": a\r\n\r\n"]), refused


def bodies(child: Child) -> Iterator[Case]:
    """Bodies: longer than the route takes, or larger than they look."""
    large, wrong = {413, CUT}, {400, 413, 415, 422, CUT}
    api, open_ = "/api/v1/drafts", "/api/v1/sessions"
    form = "application/x-www-form-urlencoded"
    yield "3 MiB announced", child.head("POST", api, length=3 * MIB), pieces(b" ", 3 * MIB), large
    yield "2 GiB announced", child.head("POST", api, length=2 * 1024 * MIB), iter([]), large
    yield "2^63 announced", child.head("POST", api, length=2**63 - 1), iter([]), large
    yield "sign-in of 100 KiB", child.head("POST", open_, length=100 * KIB), pieces(b" ", 100 * KIB), large
    yield (
        "sign-in of 1 MiB, not announced",
        child.head("POST", open_, "Transfer-Encoding: chunked"),
        chunked(pieces(b" ", MIB)),
        large,
    )
    yield (
        "64 MiB not announced",
        child.head("POST", api, "Transfer-Encoding: chunked"),
        chunked(pieces(b" ", 64 * MIB)),
        large,
    )
    yield (
        "one huge chunk",
        child.head("POST", api, "Transfer-Encoding: chunked"),
        iter([b"7fffffffffff\r\n", *pieces(b" ", 3 * MIB)]),
        large,
    )
    yield (
        "a chunk of one octet, 100,000 times",
        child.head("POST", api, "Transfer-Encoding: chunked"),
        chunked(b" " * 1 for _ in range(100_000)),
        wrong,
    )
    yield (
        "a chunk extension of 1 MiB",
        child.head("POST", api, "Transfer-Encoding: chunked"),
        iter([b"1;" + b"a" * MIB + b"\r\n \r\n0\r\n\r\n"]),
        wrong,
    )
    yield (
        "trailers of 1 MiB",  # the bound of a whole request ends it, two seconds here
        child.head("POST", api, "Transfer-Encoding: chunked"),
        iter([b"1\r\n \r\n0\r\n", *(b"X-%d: a\r\n" % n for n in range(100_000)), b"\r\n"]),
        wrong | {408},
    )
    yield "a body with GET", child.head("GET", "/hjalp", length=MIB), pieces(b" ", MIB), large
    yield "a body where none is", child.head("POST", "/api/v1/envelopes/x/open", length=MIB), pieces(b" ", MIB), large
    bomb = gzip.compress(b"{" + b" " * 64 * MIB)
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP"):
        yield (
            f"64 MiB in {coding}",
            child.head("POST", api, f"Content-Encoding: {coding}", length=len(bomb)),
            iter([bomb]),
            {415},
        )
    yield (
        "a bomb as a form",
        child.head("POST", "/logga-in", "Content-Encoding: gzip", kind=form, length=len(bomb)),
        iter([bomb]),
        {413, 415},
    )
    for name, octets in (
        ("100,000 lists", deep(b"[", b"]", 100_000)),
        ("100,000 objects", deep(b'{"a":', b"}", 100_000)),
        ("900,000 lists that never end", b"[" * 900_000),
        ("2 MiB of numbers", b'{"values":{"a":[' + b"1," * (MIB - 20) + b"1]}}"),
        ("a number of 1 MiB", b'{"values":{"a":' + b"9" * MIB + b"}}"),
        ("a number with a huge exponent", b'{"values":{"a":1e999999999}}'),
        ("a string of 2 MiB", b'{"values":{"a":"' + b"a" * (2 * MIB - 40) + b'"}}'),
        ("100,000 names", b'{"values":{' + b",".join(b'"%d":1' % n for n in range(100_000)) + b"}}"),
        ("one name 100,000 times", b'{"values":{' + b",".join([b'"a":1'] * 100_000) + b"}}"),
        ("escapes only", b'{"values":{"a":"' + rb"\u0000" * 300_000 + b'"}}'),
        ("no UTF-8", b"\xff" * MIB),
    ):
        yield name, child.head("POST", api, length=len(octets)), iter([octets]), wrong
        values = b'{"values":' + octets + b"}"
        yield (
            f"{name}, in a draft",
            child.head("PUT", f"{api}/{child.draft}", length=len(values)),
            iter([values]),
            wrong | {404, 405},
        )
    for name, octets in (
        ("300,000 fields", b"&".join([b"a=b"] * 300_000)),
        ("1 MiB of &", b"&" * MIB),
        ("3 MiB in one field", b"a=" + b"b" * 3 * MIB),
        ("percent signs only", b"%" * MIB),
        ("2,000 fields", b"&".join([b"a=b"] * 2_000)),
    ):
        yield (
            f"a form of {name}",
            child.head("POST", f"/utkast/{child.draft}/mottagare", kind=form, length=len(octets)),
            iter([octets]),
            wrong | {403, 404, 405},
        )


def uploads(child: Child) -> Iterator[Case]:
    """Forms with files, for the API and for pages."""
    random.seed(9)
    kind = "multipart/form-data; boundary=x"
    end = b"--x--\r\n"
    wrong = {303, 400, 403, 413, 422, CUT}

    def part(name: str, *, more: bytes = b"") -> bytes:
        return b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n' % (name.encode(), more)

    file = part("file", more=b'; filename="a.pdf"')
    nested = b"--x\r\nContent-Type: multipart/mixed; boundary=y\r\n\r\n" * 3_000 + end
    for path in (f"/api/v1/drafts/{child.draft}/attachments", f"/utkast/{child.draft}/bilagor"):
        yield f"2 GiB announced {path[:4]}", child.head("POST", path, kind=kind, length=2 * 1024 * MIB), iter([]), {413}
        stream = child.head("POST", path, "Transfer-Encoding: chunked", kind=kind)
        yield (
            f"a file without end {path[:4]}",
            stream,
            chunked(iter([file, b"%PDF-1.7\n", *pieces(b"x", 24 * MIB)])),
            wrong,
        )
        yield f"10,000 parts {path[:4]}", stream, chunked(part(f"a{n}") + b"a\r\n" for n in range(10_000)), wrong
        yield f"nested parts {path[:4]}", stream, chunked(iter([nested])), wrong
        yield (
            f"a part head of 4 MiB {path[:4]}",
            stream,
            chunked(iter([b"--x\r\nX-A: ", *pieces(b"a", 4 * MIB)])),
            wrong,
        )
        yield (
            f"10,000 fields of a part {path[:4]}",
            stream,
            chunked(iter([b"--x\r\n", *(b"X-%d: a\r\n" % n for n in range(10_000)), b"\r\na\r\n", end])),
            wrong,
        )
        yield f"no parts, 4 MiB {path[:4]}", stream, chunked(pieces(b"a", 4 * MIB)), wrong
        yield (
            f"a category of 8 MiB {path[:4]}",
            stream,
            chunked(iter([part("category"), *pieces(b"a", 8 * MIB), b"\r\n", end])),
            wrong,
        )
        yield (
            f"a name of 1 MiB {path[:4]}",
            stream,
            chunked(iter([part("file", more=b'; filename="' + b"a" * MIB + b'"') + b"%PDF\r\n" + end])),
            wrong,
        )
        wide = child.head(
            "POST", path, "Transfer-Encoding: chunked", kind="multipart/form-data; boundary=" + "x" * 7_000
        )
        yield (
            f"a boundary of 7,000 octets {path[:4]}",
            wide,
            chunked(iter([b"--" + b"x" * 7_000 + b"\r\n"] * 50)),
            wrong,
        )
        none = child.head("POST", path, "Transfer-Encoding: chunked", kind="multipart/form-data")
        yield f"no boundary {path[:4]}", none, chunked(iter([file, b"%PDF-1.7\n", end])), wrong


async def sent(child: Child, head: bytes, body: Iterator[bytes]) -> Answer:
    """Send it all, as long as the other side takes it, and read the answer, which may come in the middle."""
    peer = Peer(*await asyncio.open_connection("127.0.0.1", child.port))

    async def write() -> None:
        try:
            await peer.send(head)
            for piece in body:
                await peer.send(piece)
        except ConnectionError:
            return

    writing = asyncio.create_task(write())
    try:
        return await peer.answer(MOST_S)
    except TimeoutError:
        return Answer(-1)
    finally:
        writing.cancel()
        await asyncio.gather(writing, return_exceptions=True)
        peer.close()


async def test_nothing_too_large_is_taken_or_kept_in_memory() -> None:
    """W09: 4xx within limits, growth of memory below 64 MiB; never a 5xx, never silence."""
    async with a_child() as child:
        for _ in range(3):
            await sent(child, child.head("GET", "/hjalp"), iter([]))
        before = peak = child.rss
        wrong, number, slowest = [], 0, ("", 0.0)
        for name, head, body, allowed in (*heads(child), *bodies(child), *uploads(child)):
            number, began = number + 1, time.monotonic()
            answer = await sent(child, head, body)
            took = time.monotonic() - began
            slowest = max(slowest, (name, took), key=lambda one: one[1])
            peak = max(peak, child.rss)
            if answer.status not in allowed:
                wrong.append((name, answer.status, answer.text[:120]))
            assert b"Traceback" not in answer.body, name
        alive = await sent(child, child.head("GET", "/hjalp"), iter([]))
        growth = peak - before
        note = f"{number} requests, memory grew {growth / MIB:.0f} MiB at most"
        print(f"{note}; the slowest, {slowest[0]}, took {slowest[1]:.2f} s")
        tally("W09", cases=number, note=note)
        assert wrong == [], "\n".join(map(str, wrong))
        assert alive.status == 200
        assert growth < MOST_GROWTH
