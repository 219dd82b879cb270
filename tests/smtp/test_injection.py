"""Q10: line ends, NUL, separators, quotes, long texts and foreign letters wherever a text comes near SMTP."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from adapters.smtp.trust import Certificates
from gateway.neighbours import Telling
from tests.faults.tally import tally
from tests.smtp.parcels import OURS, THEIRS, a_file
from tests.smtp.servers import Script, scripted
from tests.smtp.site import Site

pytestmark = pytest.mark.slow
UNSAFE = (
    "\r\n", "\n", "\r", "\0", "\u2028", "\u2029", "\x85", "\x0b", "\x0c", '"', "<", ">", ",", ";", " ", "\t", "\\", "å", "ß",
    "\u202e", "\u200b", "xn--vxj-qla", "例え", "\r\nRCPT TO:<x@y.example>", "\r\n.\r\nMAIL FROM:<x@y.example>", "\r\nBcc: x@y.example",
    "=?utf-8?q?=0D=0ABcc=3A_x?=", "a" * 998, "@", "..", "%0d%0a", "\ud800",
)  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(UNSAFE), st.text(max_size=8)), min_size=1, max_size=4).map("".join)
#: Where a text from outside, or from a form, comes near a mail.
PLACES = ("address", "sender_address", "conversation", "replies_to", "case_reference", "file", "local", "domain")
COMMANDS = re.compile(rb"EHLO [\x21-\x7e]+|MAIL FROM:<[\x21-\x7e]+>|RCPT TO:<([\x21-\x7e]+)>|DATA")
FIELDS = {
    "MIME-Version", "Date", "From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Content-Type",
    "Content-Transfer-Encoding", "Content-Disposition",
}  # fmt: skip


def _changes(place: str, text: str) -> dict[str, Any]:
    if place == "file":
        return {"files": (a_file(text, b"%PDF-1.7\n"),)}
    if place == "local":
        return {"address": f"{text}@region.example"}
    if place == "domain":
        return {"address": f"remiss@{text}.example"}
    return {place: text}


async def _tried(site: Site, certificates: Certificates, changes: dict[str, Any]) -> tuple[Telling, Script]:
    script = Script()
    async with scripted(script) as port:
        told = await site.neighbour(port, certificates=certificates).hand_over(site.parcel(**changes))
    return told.telling, script


def _held(site: Site, certificates: Certificates, place: str, text: str) -> bool:
    """Either nothing was heard, or exactly the four commands of one mail to one address; whether it was sent."""
    changes = _changes(place, text)
    telling, script = asyncio.run(_tried(site, certificates, changes))
    if telling is not Telling.IN_TRANSIT:
        assert telling is Telling.REFUSED
        assert script.heard == []
        return False
    lines = [line.removesuffix(b"\r\n") for line in script.heard]
    assert [line.split()[0] for line in lines] == [b"EHLO", b"MAIL", b"RCPT", b"DATA"]
    assert all(COMMANDS.fullmatch(line) for line in lines), lines
    assert lines[2].lower() == f"rcpt to:<{changes.get('address', THEIRS)}>".lower().encode()
    [mail] = script.taken
    head = mail.split(b"\r\n\r\n")[0].split(b"\r\n")
    assert {line.split(b":")[0].decode() for line in head if line[:1] not in b" \t"} <= FIELDS
    assert max(map(len, mail.split(b"\r\n"))) <= 998  # RFC 5322 §2.1.1
    assert mail.isascii()
    assert mail.count(b"\n") == mail.count(b"\r\n") == mail.count(b"\r")
    return True


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def _campaign(site: Site, examples: int) -> None:
    seen, certificates = [], site.certificates()  # read once: a key that is read is checked, slowly

    @settings(max_examples=examples, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(st.sampled_from(PLACES), TEXT)
    def tried(place: str, text: str) -> None:
        seen.append(_held(site, certificates, place, text))

    tried()
    tally("Q10", cases=len(seen), note=f"{sum(seen)} could be sent, the rest reached no server")
    assert any(seen)
    assert not all(seen)


def test_no_text_becomes_a_command_a_recipient_or_a_header(site: Site) -> None:
    """Refused before a connection, or the peer hears only what one mail to one address needs."""
    _campaign(site, 150)


@pytest.mark.full
def test_no_text_of_two_thousand_does(site: Site) -> None:
    """The campaign of the catalogue."""
    _campaign(site, 2_000)


@pytest.mark.parametrize("place", PLACES)
def test_a_plain_text_is_not_refused(site: Site, place: str, tmp_path: Path) -> None:
    """What refuses everything would hold all of the above."""
    plain = {"sender_address": OURS, "address": THEIRS, "replies_to": "a@b.example", "file": "utdrag å.pdf"}
    assert _held(site, site.certificates(), place, plain.get(place, "abc"))
