"""Q11: no personal data in what leaves as a notice, as an answer, or around a sealed mail; T17, T30 of the threat model."""

from __future__ import annotations

from collections.abc import Mapping
from email import message_from_bytes
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest

from adapters.smtp.kept import Returned
from adapters.smtp.notices import NoticeMailer, notice
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.verp import Back, Verp
from gateway.forms import FormCatalogue
from gateway.forms.demo import demo_referral
from gateway.neighbours import Reason, Telling
from gateway.notice_texts import Words
from gateway.notice_times import Choice, When
from tests.clock import ManualClock
from tests.faults.tally import tally
from tests.smtp.federation import a_post
from tests.smtp.mails import a_report
from tests.smtp.servers import Kept, Script, a_server, scripted
from tests.smtp.site import KEY, STUDS, Site

pytestmark = pytest.mark.slow
SENDER = "svara-inte@region.example"
BACK = "5e2c9d1e-0000-4000-8000-000000000001"


def _mailer(port: int) -> NoticeMailer:
    relay = Relay(Hop("127.0.0.1", port, Security.NONE), patience_s=5)
    return NoticeMailer(relay, SENDER, ["region.example"], ManualClock())


async def test_a_notice_is_plain_automatic_mail_that_follows_nobody() -> None:
    """RFC 3834 §5; no picture, no link with a number in it, one part of plain text."""
    kept = Kept()
    async with a_server(kept) as port:
        told = await _mailer(port).send(
            "a/b/0",
            "ek-chef@region.example",
            Words("Något", "Ord å\nhttps://sambud.example\n"),
            back=BACK,
        )
    assert told.telling is Telling.IN_TRANSIT
    mail = message_from_bytes(kept.octets[0], policy=SMTP)
    assert (str(mail["Auto-Submitted"]), mail.get_content_type()) == ("auto-generated", "text/plain")
    assert "Ord å" in mail.get_content()  # type: ignore[attr-defined]
    assert not mail.is_multipart()


async def test_an_address_or_a_name_that_would_be_a_command_reaches_no_server() -> None:
    """Q10: refused before a connection."""
    script = Script()
    async with scripted(script) as port:
        mailer = _mailer(port)
        for address, subject in (
            ("a@b.example\r\nRCPT TO:<c@d.example>", "Något"),
            ("å@b.example", "Något"),
            ("a@b.example", "Något\r\nBcc: c@d.example"),
        ):
            told = await mailer.send("a/b/0", address, Words(subject, "Ord"), back=BACK)
            assert (told.telling, told.reason) == (Telling.REFUSED, Reason.NOT_FOUND)
    assert script.heard == []


async def test_a_notice_that_bounces_is_heard_of_by_the_address_that_it_went_out_with(tmp_path: Path) -> None:
    """VERP with a MAC: a 5.x.x at the notice's own address, and no other report at any other."""
    site, kept = Site.make(tmp_path), Kept()
    verp, returned = Verp(STUDS, KEY), Returned(tmp_path / "mail" / "notices")
    async with a_server(kept) as port:
        relay = Relay(Hop("127.0.0.1", port, Security.NONE), patience_s=5)
        mailer = NoticeMailer(relay, SENDER, ["region.example"], ManualClock(), verp=verp, returned=returned)
        await mailer.send("a/b/0", "ek-chef@region.example", Words("Något", "Ord"), back=BACK)
    out = str(kept.mails[0].mail_from)
    assert verp.read(out) == (BACK, Back.NOTICE)
    assert message_from_bytes(kept.octets[0])["From"] == SENDER
    neighbour = site.neighbour(9)
    forged = Verp(STUDS, bytes(32)).address(BACK, Back.NOTICE)
    for report, to in (
        (a_report("failed", "5.1.1"), forged),
        (a_report("failed", "5.1.1"), verp.address(BACK, Back.BOUNCE)),  # of a parcel
        (a_report("delayed", "4.4.1"), out),
        (a_report("failed", "4.4.7"), out),  # a queue gave up: it may take the next
        (a_report("delivered", "2.0.0"), out),
    ):
        site.delivered(report, to=to, back="")
        assert [one async for one in neighbour.arrivals()] == []
        assert mailer.returned() == []
    site.delivered(a_report("failed", "5.1.1"), to=out, back="")
    assert [one async for one in neighbour.arrivals()] == []
    assert mailer.returned() == [BACK]
    assert (await neighbour.outcome(BACK)).telling is Telling.REFUSED  # the parcel's own report, and no more
    mailer.settled(BACK)
    assert mailer.returned() == []


def test_the_same_notice_has_the_same_message_id() -> None:
    now = ManualClock().now()
    one, two = (notice("a/b/7", SENDER, "c@region.example", Words("x", text), now) for text in ("1", "2"))
    assert message_from_bytes(one)["Message-ID"] == message_from_bytes(two)["Message-ID"]


CATALOGUE = FormCatalogue.load()
#: Fields whose values have a form of their own (telephone and the like) keep it; the rest takes any word.
NAMES = ("individual_name", "worker_name")


def _with_canaries(values: Mapping[str, Any], number: int) -> tuple[dict[str, Any], list[str]]:
    """The form with a word of its own in every field that takes free text, and those words."""
    form, found, canaries = CATALOGUE.get("placement_referral", 1), dict(values), []
    for name, field in form.fields.items():
        if (field.type == "text" or name in NAMES) and isinstance(found.get(name), str):
            letters = "".join(chr(ord("a") + int(digit)) for digit in f"{number:03}{len(canaries):02}")
            canaries.append(f"kanarie{letters}fagel")
            found[name] = canaries[-1]
    return found, canaries


async def _campaign(folder: Path, capsys: pytest.CaptureFixture[str], wanted: int) -> int:
    """Referrals with canaries from one gateway to another, by mail, members told by mail as well; canaries seen: 0."""
    notices, canaries, number = Kept(), [], 0
    async with a_post(folder) as post, a_server(notices) as port:
        post.second.gateway.noticing.connect(_mailer(port), place="https://sambud.example")
        for login in ("ek-chef", "no-chef"):
            chief = await post.second.sign_in(login)
            choice = Choice(when=When.ONCE, address=f"{login}@region.example", quiet_from=0, quiet_to=0)
            await post.second.gateway.notice_choices.choose(chief, choice)
        worker = await post.first.sign_in("al-sos")
        while len(canaries) < wanted:
            case, _ = await post.first.consented_case(worker)
            values, new = _with_canaries(demo_referral(post.first.today), number)
            canaries += [*new, case.reference, "199006022397"]
            await post.first.send_referral(worker, case.id, **values)
            number += 1
            if number % 5 == 0 or len(canaries) >= wanted:
                await post.exchange(2)
                post.first.clock.advance(3_600_000_000)
                await post.second.gateway.noticing.run_once()
                worker = await post.first.sign_in("al-sos")
        assert post.office.carried
        assert notices.mails
    texts = [_readable(octets) for octets in (*post.office.carried, *notices.octets)]
    texts += [str(envelope.mail_from) + str(envelope.rcpt_tos) for envelope in notices.mails]
    caught = capsys.readouterr()
    texts += [caught.out, caught.err]
    hits = [canary for canary in canaries for text in texts if canary in text]
    tally("Q11", cases=len(canaries), note=f"{len(texts)} mails and logs read")
    assert hits == []
    return len(canaries)


def _readable(octets: bytes) -> str:
    """Everything that a server on the way reads: the mail as it is, and each part decoded."""
    mail = message_from_bytes(octets)
    parts = [part.get_payload(decode=True) or b"" for part in mail.walk() if not part.is_multipart()]
    return "\n".join([octets.decode("latin-1"), *(bytes(part).decode("utf-8", "replace") for part in parts)])  # type: ignore[arg-type]


async def test_no_word_of_a_case_stands_in_notices_receipts_heads_of_mail_or_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Q11, T30."""
    assert await _campaign(tmp_path, capsys, 40) >= 40


@pytest.mark.full
async def test_no_word_of_five_hundred_stands_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Q11, T30: the campaign."""
    assert await _campaign(tmp_path, capsys, 500) >= 500
