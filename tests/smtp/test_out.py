"""docs/channels.md §7.1: what a mail server answers, and what becomes of the parcel. Q01 to Q04 of the catalogue."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from adapters.smtp.relay import Hop, Security
from adapters.smtp.verdicts import reason_of
from adapters.smtp.verp import Back, Verp
from gateway.neighbours import OF_THE_WAY, Reason, Telling, Told
from tests.faults.tally import tally
from tests.smtp.authority import Authority
from tests.smtp.parcels import OURS, THEIRS, a_file
from tests.smtp.servers import (
    TODAY,
    Kept,
    Script,
    a_server,
    dripping,
    dropped,
    half_open,
    scripted,
    server_authority,
    silent,
    tls_of,
)
from tests.smtp.site import KEY, STUDS, Site

pytestmark = pytest.mark.slow
STEPS = ("greeting", "EHLO", "MAIL", "RCPT", "DATA", "dot")
BEFORE_ADDRESSES = ("greeting", "EHLO")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site.make(tmp_path_factory.mktemp("site"))


def _short(told: Told) -> tuple[Telling, Reason]:
    return told.telling, told.reason


async def test_a_parcel_that_is_taken_is_in_transit_and_asks_for_reports_at_an_address_that_names_it(
    site: Site,
) -> None:
    """RFC 5321 §6.1: 250 after the dot hands the responsibility on; RFC 3461: RET=HDRS, no content comes back."""
    kept, parcel = Kept(), site.parcel()
    async with a_server(kept) as port:
        told = await site.neighbour(port).hand_over(parcel)

    assert told == Told(Telling.IN_TRANSIT, reference=str(parcel.id))
    [mail] = kept.mails
    assert mail.rcpt_tos == [THEIRS]
    assert Verp(STUDS, KEY).read(str(mail.mail_from)) == (str(parcel.id), Back.BOUNCE)
    assert kept.options == [["RET=HDRS", f"ENVID={parcel.id}".upper(), "NOTIFY=SUCCESS,FAILURE,DELAY"]]


@pytest.mark.parametrize("code", ["421 4.3.2", "450 4.2.1", "451 4.7.1", "452 4.3.1"])
@pytest.mark.parametrize("step", STEPS)
async def test_a_4xx_at_any_step_delays_and_the_next_try_is_the_same_message(site: Site, step: str, code: str) -> None:
    """Q01: nobody is told "sent"; only what is about the server opens its circuit."""
    script, parcel = Script({step: f"{code} come back"}), site.parcel()
    async with scripted(script) as port:
        neighbour = site.neighbour(port)
        told = await neighbour.hand_over(parcel)
        script.says.clear()
        again = await neighbour.hand_over(parcel)
    tally("Q01", cases=1)
    about_way = step in BEFORE_ADDRESSES
    assert _short(told) == (Telling.DELAYED, Reason.UNREACHABLE if about_way else Reason.BUSY)
    assert again.telling is Telling.IN_TRANSIT
    identifiers = [_message_id(octets) for octets in script.taken]
    assert set(identifiers) == {f"<{parcel.id}@vaxjo.example>"}


def _message_id(octets: bytes) -> str:
    return next(
        line.split(b" ", 1)[1].decode() for line in octets.split(b"\r\n") if line.lower().startswith(b"message-id:")
    )


REFUSALS = {
    "550 5.1.1": Reason.NOT_FOUND,
    "552 5.3.4": Reason.TOO_LARGE,
    "554 5.7.1": Reason.UNTRUSTED,
    "550": Reason.NOT_FOUND,
    "554": Reason.REFUSED,
}


@pytest.mark.parametrize("reply", REFUSALS)
@pytest.mark.parametrize("step", STEPS)
async def test_a_5xx_at_any_step_refuses_once_with_the_reason_that_its_code_says(
    site: Site, step: str, reply: str
) -> None:
    """Q02: before an address was named it is about us, and another way may do; after it, about the parcel."""
    async with scripted(Script({step: f"{reply} Nej, ring 0470-123 456"})) as port:
        told = await site.neighbour(port).hand_over(site.parcel())
    tally("Q02", cases=1)
    wanted = Reason.NOT_CONNECTED if step in BEFORE_ADDRESSES else REFUSALS[reply]
    assert _short(told) == (Telling.REFUSED, wanted)
    assert "0470" not in told.detail  # the codes alone: a server's text may quote the mail or name somebody


TROUBLE = {"silent": silent, "half-open": half_open, "an octet a time": dripping, "dropped": dropped}


@pytest.mark.parametrize("trouble", TROUBLE)
@pytest.mark.parametrize("step", STEPS)
async def test_what_nobody_knows_is_delayed_within_the_deadline_and_tried_again_as_the_same_message(
    site: Site, step: str, trouble: str
) -> None:
    """Q03: also when the mail was taken and only the answer was lost."""
    script, parcel = Script({step: TROUBLE[trouble]}), site.parcel()
    async with scripted(script) as port:
        neighbour = site.neighbour(port, patience_s=0.3)
        began = time.monotonic()
        told = await neighbour.hand_over(parcel)
        took = time.monotonic() - began
        script.says.clear()
        again = await neighbour.hand_over(parcel)
    tally("Q03", cases=1)
    assert _short(told) == (Telling.DELAYED, Reason.UNREACHABLE)
    assert took < 2.0
    assert again.telling is Telling.IN_TRANSIT
    assert {_message_id(octets) for octets in script.taken} == {f"<{parcel.id}@vaxjo.example>"}


async def test_a_host_that_is_not_there_delays(site: Site) -> None:
    told = await site.neighbour(9).hand_over(site.parcel())  # discard: nobody listens
    tally("Q03", cases=1)
    assert _short(told) == (Telling.DELAYED, Reason.UNREACHABLE)


async def test_the_deadline_is_thirty_seconds_unless_a_test_shortens_it() -> None:
    from adapters.smtp.relay import PATIENCE_S

    assert PATIENCE_S == 30.0


# --- TLS --------------------------------------------------------------------------------------------------------------

SHOWN = {
    "ended": "certificate-10",
    "of another name": "certificate-6",
    "of another authority": "certificate-",
    "signed by itself": "certificate-",
}


def _shown(kind: str, folder: Path) -> tuple[object, Path]:
    """A server's TLS with a certificate that is wrong in one way, and whom we believe."""
    authority = server_authority(folder)
    if kind == "ended":
        issued = authority.server(days=-1)
    elif kind == "of another name":
        issued = authority.server("annan.example")
    elif kind == "of another authority":
        issued = Authority("En annan", number=6, around=TODAY).server()
    else:
        stranger = Authority("Sig själv", number=6, around=TODAY)
        issued = stranger.server()
    return tls_of(issued, folder), folder / "server-ca.pem"


@pytest.mark.parametrize("security", [Security.STARTTLS])
@pytest.mark.parametrize("kind", SHOWN)
async def test_a_certificate_that_does_not_hold_carries_nothing(
    site: Site, tmp_path: Path, kind: str, security: Security
) -> None:
    """Q04: whoever stands between sees greetings only; the delivery waits, and says why."""
    tls, ca_file = _shown(kind, tmp_path)
    kept = Kept()
    async with a_server(kept, tls=tls) as port:  # type: ignore[arg-type]
        told = await site.neighbour(port, security=security, ca_file=ca_file).hand_over(site.parcel())
    tally("Q04", cases=1)
    assert _short(told) == (Telling.DELAYED, Reason.INSECURE)
    assert told.detail.startswith(SHOWN[kind])
    assert kept.mails == []


@pytest.mark.parametrize(
    "script",
    [
        Script(offers=("PIPELINING", "SIZE 0")),
        Script(offers=("XXXXXXXX",)),  # as a middlebox writes over the word
    ],
    ids=["not offered", "written over"],
)
async def test_starttls_that_is_not_offered_sends_nothing_in_clear(site: Site, script: Script) -> None:
    """Q04, RFC 8314 §3.1: no address is named, so nobody learns even who writes to whom."""
    async with scripted(script) as port:
        told = await site.neighbour(port, security=Security.STARTTLS).hand_over(site.parcel())
    tally("Q04", cases=1)
    assert _short(told) == (Telling.DELAYED, Reason.INSECURE)
    assert [line.split()[0] for line in script.heard] == [b"EHLO"]


@pytest.mark.parametrize("reply", ["454 4.7.0 TLS not available", "501 5.5.4 no", "220 go on"])
async def test_starttls_that_fails_sends_nothing_in_clear(site: Site, reply: str) -> None:
    """Q04: refused after it was offered, or answered by one who speaks no TLS (and by what was put in between)."""

    async def no_tls(reader: object, writer: object) -> None:
        writer.write(f"{reply}\r\n250 2.1.0 injected\r\n250 2.1.0 injected\r\n".encode())  # type: ignore[attr-defined]

    script = Script({"STARTTLS": no_tls}, offers=("STARTTLS",))
    async with scripted(script) as port:
        told = await site.neighbour(port, security=Security.STARTTLS, patience_s=1).hand_over(site.parcel())
    tally("Q04", cases=1)
    assert told.telling is not Telling.IN_TRANSIT
    assert told.reason in OF_THE_WAY
    assert not [line for line in script.heard if line.upper().startswith((b"MAIL", b"RCPT", b"DATA"))]
    assert script.taken == []


@pytest.mark.parametrize("wrong", [False, True], ids=["as it should be", "of another authority"])
async def test_tls_from_the_first_octet_is_held_to_the_same(site: Site, tmp_path: Path, wrong: bool) -> None:
    """RFC 8314 §3.3."""
    authority = server_authority(tmp_path)
    issued = Authority("En annan", number=6, around=TODAY).server() if wrong else authority.server()
    script = Script()
    async with scripted(script, tls=tls_of(issued, tmp_path)) as port:
        neighbour = site.neighbour(port, security=Security.TLS, ca_file=tmp_path / "server-ca.pem")
        told = await neighbour.hand_over(site.parcel())
    tally("Q04", cases=1)
    assert _short(told) == ((Telling.DELAYED, Reason.INSECURE) if wrong else (Telling.IN_TRANSIT, Reason.NONE))
    assert len(script.taken) == (0 if wrong else 1)


async def test_with_a_certificate_that_holds_the_mail_goes_over_tls(site: Site, tmp_path: Path) -> None:
    kept = Kept()
    tls = tls_of(server_authority(tmp_path).server(), tmp_path)
    async with a_server(kept, tls=tls) as port:
        neighbour = site.neighbour(port, security=Security.STARTTLS, ca_file=tmp_path / "server-ca.pem")
        told = await neighbour.hand_over(site.parcel())
    tally("Q04", cases=1)
    assert told.telling is Telling.IN_TRANSIT
    assert kept.safe == [True]


async def test_a_domain_with_a_host_of_its_own_is_reached_there_over_tls_or_not_at_all(
    site: Site, tmp_path: Path
) -> None:
    """§7.1(4): the relay never gets its mail, and that it is away holds up nobody else's."""
    relay, own = Kept(), Kept()
    tls = tls_of(server_authority(tmp_path).server(), tmp_path)
    async with a_server(relay) as relay_port, a_server(own, tls=tls) as port:
        ca_file = tmp_path / "server-ca.pem"
        there = site.neighbour(relay_port, domains={"region.example": Hop("127.0.0.1", port)}, ca_file=ca_file)
        away = site.neighbour(relay_port, domains={"region.example": Hop("127.0.0.1", 9)}, ca_file=ca_file)
        assert (await there.hand_over(site.parcel())).telling is Telling.IN_TRANSIT
        assert _short(await away.hand_over(site.parcel())) == (Telling.DELAYED, Reason.BUSY)
    assert (relay.mails, own.safe) == ([], [True])


# --- before a connection ----------------------------------------------------------------------------------------------


async def test_what_must_not_leave_is_refused_before_a_connection_is_opened(site: Site) -> None:
    script = Script()
    many = tuple(a_file(f"{number}.pdf", b"%PDF-1.7\n" + bytes(600)) for number in range(3))
    cases = {
        Reason.NOT_FOUND: {"address": "remiss@region.example\r\nRCPT TO:<x@y.example>"},
        Reason.CERTIFICATE: {"pin": site.authority.mail(THEIRS, number=4).pin},
        Reason.NOT_CONNECTED: {"sender_address": "annan@vaxjo.example"},
        Reason.TOO_LARGE: {"files": many},
        Reason.RULE: {"files": (a_file("x\r\nBcc: y@z.example.pdf", b"%PDF"),)},
    }
    async with scripted(script) as port:
        neighbour = site.neighbour(port, max_octets=1_500)
        told = [_short(await neighbour.hand_over(site.parcel(**changes))) for changes in cases.values()]
    assert told == [(Telling.REFUSED, reason) for reason in cases]
    assert script.heard == []


async def test_a_server_that_takes_no_mail_of_this_size_is_not_given_it(site: Site) -> None:
    """RFC 1870 §6.1."""
    script = Script(offers=("SIZE 1000",))
    async with scripted(script) as port:
        told = await site.neighbour(port).hand_over(site.parcel())
    assert _short(told) == (Telling.REFUSED, Reason.TOO_LARGE)
    assert [line.split()[0] for line in script.heard] == [b"EHLO"]


async def test_our_own_certificate_that_ended_sends_nothing(tmp_path: Path) -> None:
    site = Site.make(tmp_path)
    site.authority.mail(OURS, number=1, days=-1).written(tmp_path / "own", "ours", key=True)
    script = Script()
    async with scripted(script) as port:
        told = await site.neighbour(port).hand_over(site.parcel())
    assert _short(told) == (Telling.REFUSED, Reason.NOT_CONNECTED)
    assert script.heard == []


def test_the_channel_ends_with_the_first_of_its_certificates(tmp_path: Path) -> None:
    """§11: what is watched is the one that ends first, ours or theirs."""
    site = Site.make(tmp_path)
    site.authority.mail("andra@region.example", number=4, days=20).written(tmp_path / "partners", "andra")
    ends = site.neighbour(25).expires()
    assert ends is not None
    assert (ends - site.clock.now()) // (86_400 * 1_000_000) == 20


def test_a_status_code_says_why() -> None:
    """RFC 3463 §3; what is none says nothing."""
    told = {"5.1.1": "not-found", "5.2.2": "unreachable", "5.2.3": "too-large", "5.6.1": "type-not-accepted"}
    told |= {"5.7.1": "untrusted-sender", "5.7.10": "insecure", "5.9.9": "refused", "": "refused", "5.1": "refused"}
    assert {status: str(reason_of(status)) for status in told} == told
