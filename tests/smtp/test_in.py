"""docs/channels.md §7.2 and §7.3: which mail comes in, what everybody else is told, and what comes back."""

from __future__ import annotations

import uuid
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from adapters.smtp import mail, replying
from adapters.smtp.heads import head_of, receipt_of, report_of
from adapters.smtp.neighbour import SmimeNeighbour
from adapters.smtp.verp import Back, Verp
from gateway.model.base import DAY, MINUTE
from gateway.model.path import Origin
from gateway.neighbours import Answer, Arrived, Reason, Telling, Told
from tests.smtp.mails import (
    ASKS,
    a_report,
    by_program,
    from_earlier_gateway,
    from_gateway,
    page,
    stranger,
    to_us,
)
from tests.smtp.parcels import OURS, THEIRS
from tests.smtp.servers import Kept, Script, a_server, scripted
from tests.smtp.site import KEY, STUDS, Site

pytestmark = pytest.mark.slow
PLAIN = f"From: {THEIRS}\r\nTo: {OURS}\r\nMessage-ID: <1@region.example>\r\nSubject: Canary\r\n\r\nTestperson 199006022397\r\n".encode()
CONTENT = b"Content-Type: text/plain; charset=utf-8\r\n\r\nKan ni ringa oss?\r\n"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


async def _arrived(neighbour: SmimeNeighbour) -> list[Arrived]:
    return [one async for one in neighbour.arrivals()]


def _lying(site: Site) -> list[str]:
    return [file.name for file in (site.maildir / "new").iterdir()]


async def test_a_form_of_a_gateway_like_this_one_comes_in_as_that_form_with_its_files(site: Site) -> None:
    pdf = mail.Loaded(name="utdrag å.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n" + bytes(2_000))
    parcel = to_us(conversation=str(uuid.uuid4()))
    site.delivered(from_gateway(site, files=(pdf,), id=parcel.id, conversation=parcel.conversation, data=parcel.data))
    [arrived] = await _arrived(site.neighbour(9))
    assert (arrived.sender, arrived.recipient, arrived.origin) == (THEIRS, OURS, Origin.SMIME)
    assert (arrived.id, arrived.conversation) == (
        f"{parcel.id}@region.example",
        f"{parcel.conversation}@region.example",
    )
    assert arrived.data == {**parcel.data, "envelope": str(parcel.id)}
    assert arrived.carrier is not None
    assert (arrived.carrier.name, arrived.carrier.media_type) == ("Uppdragsblankett.pdf", "application/pdf")
    assert arrived.created == parcel.created
    assert [(file.name, file.media_type, file.octets) for file in arrived.files] == [
        (pdf.name, pdf.media_type, pdf.octets)
    ]
    assert "Uppdragsblankett" in arrived.text


async def test_a_form_of_an_earlier_version_lies_in_a_part_of_its_own_and_comes_in_all_the_same(site: Site) -> None:
    """Tolerant in: whoever has not changed yet must not become unreadable overnight."""
    pdf = mail.Loaded(name="utdrag.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n")
    parcel = to_us()
    site.delivered(from_earlier_gateway(site, (pdf,), id=parcel.id, data=parcel.data))
    [arrived] = await _arrived(site.neighbour(9))
    assert (arrived.data, arrived.carrier, arrived.reference) == (parcel.data, None, "VX-26-00017")
    assert [file.name for file in arrived.files] == ["utdrag.pdf"]


async def test_a_form_that_is_sent_on_in_another_mail_is_an_attachment_and_the_words_stay(site: Site) -> None:
    """§8.5: the PDF of one mail says nothing of the next, whoever signs it."""
    first = to_us()
    sent_on = mail.Loaded(name="svar.pdf", media_type="application/pdf", octets=page(first))
    parcel = to_us()
    site.delivered(from_gateway(site, files=(sent_on,), id=parcel.id, carrier=b"%PDF-1.7\n"))
    [arrived] = await _arrived(site.neighbour(9))
    assert (arrived.data, arrived.carrier) == (None, None)
    assert [file.name for file in arrived.files] == ["Uppdragsblankett.pdf", "svar.pdf"]


async def test_a_file_that_has_the_old_parts_name_is_no_form_beside_the_page_that_is_one(site: Site) -> None:
    named = mail.Loaded(name="sambud.json", media_type="application/json", octets=b'{"form": ["x", 1]}')
    parcel = to_us()
    site.delivered(from_gateway(site, files=(named,), id=parcel.id))
    [arrived] = await _arrived(site.neighbour(9))
    assert arrived.data is not None and arrived.data["envelope"] == str(parcel.id)
    assert [file.name for file in arrived.files] == ["sambud.json"]


@pytest.mark.parametrize(("opaque", "cipher"), [(False, "-aes256"), (True, "-aes128"), (True, "-aes-256-gcm")])
async def test_a_mail_program_of_a_pinned_sender_is_read_and_its_ids_prove_nothing(
    site: Site, opaque: bool, cipher: str
) -> None:
    """RFC 8551 §3.5: detached and opaque signatures; without protected headers it is a conversation of its own."""
    content = CONTENT
    if cipher == "-aes-256-gcm":
        content = b"References: <x@y.example>\r\n" + content  # not protected: hp is not said
    site.delivered(by_program(site, content, opaque=opaque, cipher=cipher))
    [arrived] = await _arrived(site.neighbour(9))
    assert (arrived.id, arrived.conversation, arrived.replies_to) == ("abc@region.example", "abc@region.example", "")
    assert arrived.text.strip() == "Kan ni ringa oss?"
    assert arrived.data is None


async def test_html_is_never_text_and_the_plain_words_beside_it_are(site: Site) -> None:
    content = (
        b'Content-Type: multipart/alternative; boundary="A"\r\n\r\n--A\r\nContent-Type: text/plain\r\n\r\nOrd\r\n'
        b"--A\r\nContent-Type: text/html\r\n\r\n<img src=http://x.example>\r\n--A--\r\n"
    )
    site.delivered(by_program(site, content))
    [arrived] = await _arrived(site.neighbour(9))
    assert arrived.text.strip() == "Ord"
    assert arrived.files == ()


# --- who is not read --------------------------------------------------------------------------------------------------


def _cases(site: Site) -> dict[str, bytes]:
    parcel = to_us()
    other = to_us(address="annan@vaxjo.example")
    good = from_gateway(site)
    half = len(good) // 2
    return {
        "plain text": PLAIN,
        "signed by another": from_gateway(site, signer=stranger()),
        "signed by another of the same authority": from_gateway(site, signer=site.authority.mail(THEIRS, number=4)),
        "of an unknown sender": good.replace(THEIRS.encode(), b"nagon@region.example"),
        "of two senders": good.replace(b"From: ", f"From: x@y.example, {THEIRS}\r\nX-From: ".encode(), 1),
        "meant for another function": mail.sealed(
            mail.entity(other, page(other), [], asks=ASKS),
            parcel,
            _own_of(site),
            site.certificates().functions.of(OURS).chain.leaf,  # type: ignore[union-attr]
        ),
        "cut": good[:half],
        "changed": good[:half] + b"AAAA" + good[half + 4 :],
        "encrypted, not signed": _only_encrypted(site),
        "no base64": good.replace(b"Content-Transfer-Encoding: base64", b"Content-Transfer-Encoding: 8bit"),
    }


def _own_of(site: Site) -> mail.Own:
    from adapters.smtp.certificates import Chain, Own

    return Own(Chain(site.theirs.certificate), site.theirs.key, Path("unused"), frozenset({THEIRS}))  # type: ignore[arg-type]


def _only_encrypted(site: Site) -> bytes:
    from tests.smtp.mails import _cms

    head = f"From: {THEIRS}\nTo: {OURS}\nMessage-ID: <e@region.example>\n".encode()
    closed = head + _cms("-encrypt", "-aes256", site.folder / "own" / "ours.pem", octets=CONTENT)
    return closed.replace(b"\n", b"\r\n")


async def test_who_is_not_proven_is_not_read_is_told_once_and_waits_for_a_person(site: Site) -> None:
    """§7.2(3): one answer for all of them, because an answer that says why helps whoever tries."""
    kept, cases = Kept(), _cases(site)
    for number, octets in enumerate(cases.values()):
        site.delivered(octets, back=f"avsandare{number}@region.example")
    async with a_server(kept) as port:
        neighbour = site.neighbour(port)
        assert await _arrived(neighbour) == []
    assert set(neighbour.left.values()) == {Reason.UNTRUSTED}
    assert len(neighbour.left) == len(cases)
    assert _lying(site) == []
    answers = [message_from_bytes(octets, policy=SMTP) for octets in kept.octets]
    assert len(answers) == len(cases)
    assert {answer.get_content() for answer in answers} == {replying.NEUTRAL.replace("\n", "\r\n")}  # type: ignore[attr-defined]
    assert {(str(answer["Auto-Submitted"]), str(answer["From"])) for answer in answers} == {("auto-replied", OURS)}
    assert [envelope.mail_from for envelope in kept.mails] == ["<>"] * len(cases)
    for octets in kept.octets:
        assert b"Canary" not in octets
        assert b"199006022397" not in octets


async def test_the_same_sender_is_answered_once_a_day(site: Site) -> None:
    kept = Kept()
    async with a_server(kept) as port:
        neighbour = site.neighbour(port)
        for _ in range(3):
            site.delivered(PLAIN)
            await _arrived(neighbour)
        assert len(kept.mails) == 1
        site.clock.advance(DAY)
        site.delivered(PLAIN)
        await _arrived(neighbour)
    assert len(kept.mails) == 2


@pytest.mark.parametrize(
    ("head", "back"),
    [
        (b"", ""),
        (b"Auto-Submitted: auto-generated\r\n", THEIRS),
        (b"Precedence: bulk\r\n", THEIRS),
        (b"List-Id: <x.example>\r\n", THEIRS),
        (b"X-Auto-Response-Suppress: All\r\n", THEIRS),
        (b"", "MAILER-DAEMON@region.example"),
        (b"", "noreply@region.example"),
        (b"", "lista-bounces@region.example"),
        (b"Content-Type: multipart/report; boundary=x\r\n", THEIRS),
    ],
)
async def test_nothing_automatic_is_ever_answered(site: Site, head: bytes, back: str) -> None:
    """RFC 3834 §2; two machines that answer each other never end."""
    script = Script()
    site.delivered(head + PLAIN, back=back)
    async with scripted(script) as port:
        neighbour = site.neighbour(port)
        assert await _arrived(neighbour) == []
    assert script.heard == []
    assert list(neighbour.left.values()) == [Reason.UNTRUSTED]


async def test_a_flood_of_forged_senders_becomes_no_flood_of_ours(site: Site) -> None:
    from adapters.smtp.kept import MOST_ANSWERS

    answered = site.inward(site.certificates()).answered
    said = [answered.first_today(f"{number}@x.example", site.clock.now()) for number in range(MOST_ANSWERS + 50)]
    assert sum(said) == MOST_ANSWERS


# --- receipts ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reason", [Reason.NONE, Reason.MALWARE, Reason.NOT_FOUND])
async def test_what_the_intake_answered_is_told_in_a_receipt_and_then_the_mail_goes(site: Site, reason: Reason) -> None:
    """RFC 8098, to the address that only who decrypted could know."""
    kept = Kept()
    site.delivered(from_gateway(site))
    async with a_server(kept) as port:
        neighbour = site.neighbour(port)
        [arrived] = await _arrived(neighbour)
        assert _lying(site) != []  # until it is durable, and told
        await neighbour.acknowledge(arrived, Answer(reason))
    assert _lying(site) == []
    assert neighbour.left == {}
    [sent] = kept.mails
    assert (sent.mail_from, sent.rcpt_tos) == ("<>", [ASKS])
    told = receipt_of(kept.octets[0])
    assert told is not None
    assert (told.telling, told.reason) == (
        (Telling.DELIVERED, Reason.NONE) if reason is Reason.NONE else (Telling.REFUSED, reason)
    )


async def test_a_receipt_that_no_server_takes_is_tried_again_and_says_the_same(site: Site) -> None:
    script = Script({"RCPT": "451 4.7.1 later"})
    site.delivered(from_gateway(site))
    async with scripted(script) as port:
        neighbour = site.neighbour(port)
        [arrived] = await _arrived(neighbour)
        await neighbour.acknowledge(arrived, Answer(Reason.TYPE))
        assert _lying(site) != []
        assert await _arrived(neighbour) == []
        site.clock.advance(6 * MINUTE)
        script.says.clear()
        [again] = await _arrived(neighbour)
        assert again == arrived
        await neighbour.acknowledge(again, Answer(Reason.TYPE, repeated=True))
    assert _lying(site) == []
    assert receipt_of(script.taken[0]) == Told(Telling.REFUSED, Reason.TYPE, detail="deleted")


async def test_a_refused_mail_whose_sender_wants_no_receipt_is_laid_aside(site: Site) -> None:
    site.delivered(by_program(site, CONTENT))
    neighbour = site.neighbour(9)
    [arrived] = await _arrived(neighbour)
    await neighbour.acknowledge(arrived, Answer(Reason.MALWARE))
    assert list(neighbour.left.values()) == [Reason.MALWARE]


# --- what comes back --------------------------------------------------------------------------------------------------

REPORTS = {
    ("failed", "5.1.1"): (Telling.REFUSED, Reason.NOT_FOUND),
    ("failed", "5.2.3"): (Telling.REFUSED, Reason.TOO_LARGE),
    ("failed", "5.7.1"): (Telling.REFUSED, Reason.UNTRUSTED),
    ("failed", "4.4.7"): (Telling.REFUSED, Reason.UNREACHABLE),
    ("failed", "5.0.0"): (Telling.REFUSED, Reason.REFUSED),
    ("delivered", "2.0.0"): (Telling.DELIVERED, Reason.NONE),
    ("delayed", "4.4.1"): (Telling.IN_TRANSIT, Reason.NONE),
    ("relayed", "2.0.0"): (Telling.IN_TRANSIT, Reason.NONE),
    ("expanded", "2.0.0"): (Telling.IN_TRANSIT, Reason.NONE),
}


@pytest.mark.parametrize(("action", "status"), REPORTS)
async def test_a_report_becomes_the_state_of_its_parcel_and_its_words_are_gone(
    site: Site, action: str, status: str
) -> None:
    """RFC 3464 §2.3.3; what was not final changes nothing."""
    identifier = str(uuid.uuid4())
    site.delivered(a_report(action, status), to=Verp(STUDS, KEY).address(identifier, Back.BOUNCE), back="")
    neighbour = site.neighbour(9)
    assert await _arrived(neighbour) == []
    told = await site.neighbour(9).outcome(identifier)  # as a process that has just begun
    assert (told.telling, told.reason, told.reference) == (*REPORTS[action, status], identifier)
    assert _lying(site) == []
    assert neighbour.left == {}
    words = b"".join(file.read_bytes() for file in site.folder.rglob("mail/**/*") if file.is_file())
    assert b"Canary" not in words


async def test_a_bounce_at_the_receipts_address_or_of_another_mail_says_nothing(site: Site) -> None:
    """Who has seen an envelope sender cannot say "delivered" as the recipient would."""
    identifier, verp = str(uuid.uuid4()), Verp(STUDS, KEY)
    forged = Verp(STUDS, bytes(32)).address(identifier, Back.BOUNCE)
    receipt = replying.receipt(THEIRS, OURS, f"{identifier}@vaxjo.example", Answer(), site.clock.now())
    site.delivered(a_report("delivered", "2.0.0"), to=verp.address(identifier, Back.RECEIPT), back="")
    site.delivered(receipt, to=verp.address(identifier, Back.BOUNCE), back="")
    site.delivered(a_report("failed", "5.1.1"), to=forged, back="")
    neighbour = site.neighbour(9)
    await _arrived(neighbour)
    assert (await neighbour.outcome(identifier)).telling is Telling.IN_TRANSIT


async def test_the_first_final_word_stays_but_a_receipt_overrules_a_refusal(site: Site) -> None:
    identifier, verp = str(uuid.uuid4()), Verp(STUDS, KEY)
    neighbour = site.neighbour(9)
    bounce, receipts = verp.address(identifier, Back.BOUNCE), verp.address(identifier, Back.RECEIPT)
    seen = []
    for octets, to in (
        (a_report("failed", "5.1.1"), bounce),
        (a_report("delivered", "2.0.0"), bounce),
        (replying.receipt(THEIRS, receipts, f"{identifier}@x.example", Answer(), site.clock.now()), receipts),
        (a_report("failed", "5.1.1"), bounce),
    ):
        site.delivered(octets, to=to, back="")
        await _arrived(neighbour)
        seen.append((await neighbour.outcome(identifier)).telling)
    assert seen == [Telling.REFUSED, Telling.REFUSED, Telling.DELIVERED, Telling.DELIVERED]


def test_what_is_no_report_says_nothing() -> None:
    for octets in (b"", b"\r\n\r\n", PLAIN, a_report("failed", "5.1.1")[:200], a_report("x", "y"), bytes(range(256))):
        assert report_of(octets) is None
        assert receipt_of(octets) is None


def test_only_what_the_mail_server_wrote_says_for_whom_it_is() -> None:
    """The first of each field is the server's; the sender's own come below."""
    octets = b"Return-Path: <>\r\nDelivered-To: a@b.example\r\nReturn-Path: <x@y.example>\r\nDelivered-To: c@d.example\r\n\r\n"
    head = head_of(octets)
    assert (head.recipient, head.back) == ("a@b.example", "")


async def test_a_mail_that_meets_a_bug_is_laid_aside_unanswered_and_the_rest_comes_in(site: Site) -> None:
    """Q12: whose certificate is pinned is asked of the directory, and that answer meets a bug for one of them."""
    parcels = [to_us(conversation=str(uuid.uuid4())) for _ in range(3)]
    for parcel in parcels:
        site.delivered(from_gateway(site, id=parcel.id, conversation=parcel.conversation, data=parcel.data))
    asked = 0

    async def pin_of(address: str) -> str:
        nonlocal asked
        asked += 1
        if asked == 2:
            raise RecursionError(address)
        return site.theirs.pin

    kept = Kept()
    async with a_server(kept) as port:
        site._pin_of = pin_of  # type: ignore[method-assign]
        neighbour = site.neighbour(port)
        with capture_logs() as logs:
            assert len(await _arrived(neighbour)) == 2
    assert list(neighbour.left.values()) == [Reason.FAULT]
    assert kept.mails == []
    [told] = [line for line in logs if line["event"] == "unforeseen"]
    assert THEIRS not in repr(told)
