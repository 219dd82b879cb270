"""Over Debian's Postfix, as operators run it: what it delivers is decrypted and verified by `openssl cms`, and what it
gives back becomes a state. Its example configuration is the one that is shipped."""

from __future__ import annotations

import asyncio
import subprocess
from contextlib import AsyncExitStack
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest

from adapters.documents.child import Children
from adapters.documents.pdf import PdfDocuments
from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.kept import Answered, Outcomes, Returned
from adapters.smtp.maildir import Maildir
from adapters.smtp.neighbour import Inward, SmimeNeighbour
from adapters.smtp.notices import NoticeMailer
from adapters.smtp.reading import Reader
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.trust import Certificates
from adapters.smtp.verp import Verp
from gateway.neighbours import Answer, Reason, Telling, Told
from gateway.notice_texts import Words
from tests.faults.tally import tally
from tests.smtp.parcels import OURS, THEIRS
from tests.smtp.postfix import Running, a_postfix, a_sink, needed
from tests.smtp.site import KEY, Site

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def peers() -> None:
    needed()


def side(site: Site, postfix: Running, domain: str) -> SmimeNeighbour:
    """The neighbour of vaxjo.example or region.example, over Postfix and the Maildir that it delivers into."""
    mine, other = (site.ours, site.theirs) if domain == "vaxjo.example" else (site.theirs, site.ours)
    theirs = THEIRS if domain == "vaxjo.example" else OURS
    folder = site.folder / domain
    mine.written(folder / "own", "own", key=True)
    other.written(folder / "partners", "other")
    authorities = Authorities(site.folder / "ca.pem")
    certificates = Certificates(
        authorities=authorities,
        functions=Functions(folder / "own"),
        partners=Partners(folder / "partners", authorities),
    )

    async def pin_of(address: str) -> str:
        return other.pin if address == theirs else ""

    inward = Inward(
        maildir=Maildir(postfix.maildir(domain)),
        reader=Reader(certificates, pin_of, PdfDocuments(), Children(), site.clock),
        outcomes=Outcomes(folder / "outcomes"),
        answered=Answered(folder / "answered", KEY),
        returned=Returned(folder / "notices"),
    )
    relay = Relay(Hop("127.0.0.1", postfix.port, Security.STARTTLS), ca_file=postfix.ca, patience_s=10)
    return SmimeNeighbour(relay, certificates, Verp(f"studs@{domain}", KEY), inward, PdfDocuments(), site.clock)


async def test_what_postfix_delivered_openssl_decrypts_and_verifies(tmp_path: Path) -> None:
    """Handed over by TLS that is checked; no octet of it was rewritten on the way."""
    site = Site.make(tmp_path)
    async with a_postfix() as postfix:
        neighbour = side(site, postfix, "vaxjo.example")
        parcel = site.parcel()
        assert (await neighbour.hand_over(parcel)).telling is Telling.IN_TRANSIT
        [mail] = await postfix.delivered("region.example")
        octets = mail.read_bytes()
    key = site.folder / "theirs.pem"
    key.write_bytes(site.theirs.pem(key=True))
    signed = _cms("-decrypt", "-inform", "SMIME", "-recip", str(key), "-inkey", str(key), octets=octets)
    content = _cms(
        "-verify", "-inform", "SMIME", "-CAfile", str(site.folder / "ca.pem"), "-purpose", "smimesign",
        "-attime", str(site.clock.now() // 1_000_000), octets=signed,
    )  # fmt: skip
    whole = message_from_bytes(content, policy=SMTP)
    assert whole["Message-ID"] == f"<{parcel.id}@vaxjo.example>"
    assert str(octets).count("Received: ") == 1


def _cms(*arguments: str, octets: bytes) -> bytes:
    done = subprocess.run(["openssl", "cms", *arguments], input=octets, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_parcel_and_its_receipt_go_through_postfix_both_ways(tmp_path: Path) -> None:
    """§7.2, §7.3: for whom and from whom is what Postfix wrote on top; "delivered" is said by the receipt alone."""
    site = Site.make(tmp_path)
    async with a_postfix() as postfix:
        vaxjo, region = side(site, postfix, "vaxjo.example"), side(site, postfix, "region.example")
        parcel = site.parcel()
        await vaxjo.hand_over(parcel)
        await postfix.delivered("region.example")
        [arrived] = [one async for one in region.arrivals()]
        assert (arrived.sender, arrived.recipient) == (OURS, THEIRS)
        assert arrived.data == {**parcel.data, "envelope": str(parcel.id)}  # it counts in this mail alone
        assert (await vaxjo.outcome(str(parcel.id))).telling is Telling.IN_TRANSIT
        await region.acknowledge(arrived, Answer())
        await postfix.delivered("vaxjo.example")
        assert [one async for one in vaxjo.arrivals()] == []
        told = await vaxjo.outcome(str(parcel.id))
    assert (told.telling, told.reason) == (Telling.DELIVERED, Reason.NONE)


#: What the next server does, as options of smtp-sink, and what the sender is told of it in the end.
BOUNCES = {
    "no such address": (("-f", "RCPT", "-B", "550 5.1.1 no such user"), Reason.NOT_FOUND),
    "too large": (("-f", ".", "-B", "552 5.3.4 too big"), Reason.TOO_LARGE),
    "not wanted": (("-f", "MAIL", "-B", "550 5.7.1 no"), Reason.UNTRUSTED),
    "refused at DATA": (("-f", "DATA", "-B", "554 5.5.0 no"), Reason.REFUSED),
    "later, until the queue gives up": (("-r", "RCPT", "-b", "450 4.2.1 later"), Reason.UNREACHABLE),
    "drops the line at DATA": (("-q", "DATA"), Reason.UNREACHABLE),
    "drops the line after the last dot": (("-q", "."), Reason.UNREACHABLE),
}


async def test_what_the_next_server_refused_comes_back_as_a_state(tmp_path: Path) -> None:
    """RFC 3464: Postfix's own reports, at the addresses that name the mails."""
    site = Site.make(tmp_path)
    async with AsyncExitStack() as stack:
        sinks, parcels = {}, {}
        for number, (fault, (options, _)) in enumerate(BOUNCES.items()):
            sinks[f"d{number}.example"] = await stack.enter_async_context(a_sink(*options))
            parcels[fault] = site.parcel(address=f"remiss@d{number}.example")
        postfix = await stack.enter_async_context(a_postfix(sinks=sinks, more=("maximal_queue_lifetime = 0",)))
        neighbour = side(site, postfix, "vaxjo.example")
        for parcel in parcels.values():
            assert (await neighbour.hand_over(parcel)).telling is Telling.IN_TRANSIT
        await postfix.delivered("vaxjo.example", len(BOUNCES))
        assert [one async for one in neighbour.arrivals()] == []
        told = {fault: await neighbour.outcome(str(parcel.id)) for fault, parcel in parcels.items()}
    for options, _ in BOUNCES.values():
        tally(MODES[options[0]], cases=1)
    assert {fault: one.telling for fault, one in told.items()} == dict.fromkeys(BOUNCES, Telling.REFUSED)
    assert {fault: one.reason for fault, one in told.items()} == {fault: why for fault, (_, why) in BOUNCES.items()}
    assert neighbour.left == {}


async def test_a_notice_that_the_next_server_does_not_know_comes_back_to_its_own_address(tmp_path: Path) -> None:
    """Postfix's own report of a notice to a member, and nothing in it of who that was."""
    site, back = Site.make(tmp_path), "5e2c9d1e-0000-4000-8000-000000000001"
    async with (
        a_sink("-f", "RCPT", "-B", "550 5.1.1 no such user") as sink,
        a_postfix(sinks={"away.example": sink}) as postfix,
    ):
        neighbour = side(site, postfix, "vaxjo.example")
        relay = Relay(Hop("127.0.0.1", postfix.port, Security.STARTTLS), ca_file=postfix.ca, patience_s=10)
        returned = Returned(site.folder / "vaxjo.example" / "notices")
        mailer = NoticeMailer(
            relay,
            "svara-inte@vaxjo.example",
            ["vaxjo.example"],
            site.clock,
            verp=Verp("studs@vaxjo.example", KEY),
            returned=returned,
        )
        told = await mailer.send("a/b/0", "ingen@away.example", Words("Något", "Ord"), back=back)
        assert told.telling is Telling.IN_TRANSIT
        await postfix.delivered("vaxjo.example")
        assert [one async for one in neighbour.arrivals()] == []
        assert mailer.returned() == [back]
    assert neighbour.left == {}


STEPS = ("CONNECT", "EHLO,HELO", "MAIL", "RCPT", "DATA", ".")
MODES = {"-f": "Q02", "-r": "Q01", "-q": "Q03"}


@pytest.mark.parametrize("mode", MODES)
async def test_every_fault_of_smtp_sink_is_a_state_and_never_an_exception(tmp_path: Path, mode: str) -> None:
    """Refuses, says later, drops the line: at each step, by a server that is not ours."""
    site = Site.make(tmp_path)
    found: list[Told] = []
    for step in STEPS:
        async with a_sink(mode, step) as port:
            found.append(await site.neighbour(port).hand_over(site.parcel()))
        tally(MODES[mode], cases=1)
    if mode == "-f":
        assert [told.telling for told in found] == [Telling.REFUSED] * len(STEPS)
        assert [told.reason for told in found[:2]] == [Reason.NOT_CONNECTED] * 2
    else:
        assert [told.telling for told in found] == [Telling.DELAYED] * len(STEPS)


async def test_the_example_configuration_has_no_name_that_postfix_does_not_know() -> None:
    async with a_postfix() as postfix:
        warnings = [line for line in postfix.configured("-n") if "warning:" in line]
        assert warnings == []
        [keywords] = postfix.configured("-h", "smtpd_discard_ehlo_keywords")
        assert keywords == "dsn, silent-discard"
        _, writer = reader_writer = await asyncio.open_connection("127.0.0.1", postfix.port)
        try:
            writer.write(b"EHLO x\r\n")
            offered = b"".join([await reader_writer[0].readuntil(b"\r\n") for _ in range(4)])
        finally:
            writer.transport.abort()
        assert b"DSN" not in offered
