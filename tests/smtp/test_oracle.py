"""X07: what cannot be decrypted, verified or read is answered in one way, so that answers teach nobody about a key."""

from __future__ import annotations

import base64
import dataclasses
import random
import re
import statistics
import time
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest

from gateway.model.base import DAY
from gateway.neighbours import Reason
from tests.faults.tally import tally
from tests.smtp.mails import from_gateway
from tests.smtp.servers import Kept, a_server
from tests.smtp.site import Site

pytestmark = pytest.mark.slow
SEED = 20260302


def _damaged(whole: bytes, chance: random.Random) -> tuple[str, bytes]:
    """A sealed mail with a bit changed in the wrapped key, the content, or its last block; or cut there."""
    head, _, body = whole.partition(b"\r\n\r\n")
    octets = bytearray(base64.b64decode(body))
    kind = chance.choice(["key", "content", "padding", "cut"])
    # The wrapped key of the only recipient is 256 octets long and lies before the content.
    start = octets.index(b"\x04\x82\x01\x00") + 4
    if kind == "cut":
        octets = octets[: chance.randrange(start + 256, len(octets) - 16)]
    else:
        place = {
            "key": chance.randrange(start, start + 256),
            "content": chance.randrange(start + 300, len(octets) - 64),
            "padding": chance.randrange(len(octets) - 32, len(octets)),
        }[kind]
        octets[place] ^= 1 << chance.randrange(8)
    return kind, head + b"\r\n\r\n" + base64.encodebytes(bytes(octets)).replace(b"\n", b"\r\n")


async def _campaign(folder: Path, count: int) -> None:
    chance, site = random.Random(SEED), Site.make(folder)
    print(f"seed {SEED}")
    good = from_gateway(site)
    took: dict[str, list[float]] = {}
    answers, wrong, whole = set(), 0, 0
    site.delivered(good)
    [as_sent] = [one async for one in site.neighbour(9).arrivals()]
    next((site.maildir / "new").iterdir()).unlink()
    for number in range(count):
        if number % 40 == 39:
            site.clock.advance(DAY)  # so many a day are answered at most
        kind, octets = _damaged(good, chance)
        site.delivered(octets, back=f"avsandare{number}@region.example")
        kept = Kept()
        async with a_server(kept) as port:
            neighbour = site.neighbour(port)
            began = time.perf_counter()
            read = [one async for one in neighbour.arrivals()]
            took.setdefault(kind, []).append(time.perf_counter() - began)
        if read:
            # The bit stood where nothing that is signed stands: a line between the parts, say. What is read is whole.
            wrong += not all(dataclasses.replace(one, original=as_sent.original) == as_sent for one in read)
            whole += 1
            next((site.maildir / "new").iterdir()).unlink()
            continue
        assert set(neighbour.left.values()) == {Reason.UNTRUSTED}
        [answer] = [message_from_bytes(one, policy=SMTP) for one in kept.octets]
        fields = tuple(
            (name, re.sub(r"avsandare\d+|<[^>]*>", "", str(text))) for name, text in answer.items() if name != "Date"
        )
        answers.add((fields, answer.get_content()))  # type: ignore[attr-defined]
    medians = ", ".join(f"{kind} {statistics.median(times) * 1000:.0f} ms" for kind, times in sorted(took.items()))
    tally("X07", cases=count, half=wrong, note=f"one answer; {whole} came in whole; median until it: {medians}")
    assert wrong == 0
    assert whole < count // 20
    assert len(took) == 4
    assert len(answers) == 1


async def test_whatever_is_wrong_with_a_sealed_mail_the_answer_is_the_same(tmp_path: Path) -> None:
    await _campaign(tmp_path, 40)


@pytest.mark.full
async def test_whatever_is_wrong_with_a_thousand_it_is(tmp_path: Path) -> None:
    await _campaign(tmp_path, 1_000)
