"""Quarantine: a file without a verdict is kept and given to nobody, and nothing is lost (docs/channels.md §10)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Sequence

import pytest

from adapters.documents.examiner import ChildExaminer
from adapters.scan.clamd import Clamd
from gateway.errors import FileWaitsError, ForbiddenError, IntegrityError, RecipientError
from gateway.filetypes import Fault, FileRefusedError
from gateway.forms.demo import demo_pdf, demo_referral
from gateway.model.base import AttachmentId, CaseId, DraftId, EnvelopeId, InboxId
from gateway.model.classes import Category
from gateway.model.log import AuditSide
from gateway.model.path import Arrival, Attachment, AttachmentState, Channel, Quarantined
from gateway.neighbours import Answer, Arrived, ArrivedFile, Reason
from gateway.screening import Screening
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.states import QuarantineState
from tests.county import ALVESTA, SEAT_E, County, a_county
from tests.neighbours import WIRE, a_pair, an_arrival
from tests.screening.conftest import MARK, ClamPeer
from tests.screening.files import EICAR, encrypted, with_script, zipped

pytestmark = pytest.mark.slow


async def pieces(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


def screening(peer: ClamPeer) -> Screening:
    return Screening(ChildExaminer(), Clamd(peer.place))


async def a_draft(county: County, worker: Signed) -> tuple[DraftId, CaseId]:
    case, _ = await county.consented_case(worker)
    values = demo_referral(county.today)
    row = await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)
    return row.id, case.id


async def add(county: County, worker: Signed, draft: DraftId, name: str, octets: bytes) -> Attachment:
    return await county.gateway.attachments.add(worker, draft, name, Category.SOCIAL, pieces(octets))


async def logged(county: County, action: str) -> Sequence[AuditSide]:
    [log] = await county.store.logs()
    return await county.store.sides_page(log, action=action, administration="", object="", before=10**9, limit=50)


# --- on the way in by a writer ---------------------------------------------------------------------------------------


async def test_a_clean_file_comes_in_and_malware_is_told_at_once_logged_as_an_alarm_and_not_kept(
    shared: ClamPeer,
) -> None:
    async with a_county(screening=screening(shared)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        assert (await add(county, worker, draft, "a.pdf", demo_pdf())).state is AttachmentState.ACCEPTED
        blobs = await county.gateway.ports.blobs.names(before=county.clock.now())
        for name, octets in (("b.pdf", demo_pdf(MARK.decode())), ("eicar.txt", EICAR)):
            with pytest.raises(FileRefusedError) as refused:
                await add(county, worker, draft, name, octets)
            assert refused.value.reason is Reason.MALWARE
        assert [row.id for row in await county.store.attachments_of(draft)] != []
        assert len(await county.store.attachments_of(draft)) == 1
        assert await county.gateway.ports.blobs.names(before=county.clock.now()) == blobs
        assert len(await logged(county, "alarm")) == 2
        assert county.store.all(Quarantined) == []


async def test_what_a_file_holds_is_logged_by_its_code_and_never_by_its_name(shared: ClamPeer) -> None:
    async with a_county(screening=screening(shared)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        for name, octets in (
            ("arkiv.zip", zipped()),
            ("lås.pdf", encrypted("AES-256")),
            ("skript.pdf", with_script()),
            ("tom.pdf", b""),
        ):
            with pytest.raises(FileRefusedError):
                await add(county, worker, draft, name, octets)
        assert len(await logged(county, "file_refused")) == 3  # an empty file is a slip of the hand
        assert await county.store.attachments_of(draft) == []


async def test_a_file_without_a_verdict_waits_and_leaves_when_there_is_one(clamd: ClamPeer) -> None:
    """Catalogue Q15: an upload without a verdict cannot be sent, read or lost."""
    async with a_county(screening=screening(clamd)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        clamd.stop()
        row = await add(county, worker, draft, "a.pdf", demo_pdf())
        assert row.state is AttachmentState.QUARANTINED
        with pytest.raises(FileWaitsError):
            await county.gateway.attachments.read(worker, draft, row.id)
        with pytest.raises(FileWaitsError):
            await county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])
        assert await county.gateway.drafts.find(worker, draft)
        clamd.start()
        sent = await county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])
        [held] = county.store.all(Quarantined)
        assert (held.state, held.inbox, held.channel) == (QuarantineState.RELEASED, ALVESTA, Channel.LOCAL)
        assert len(await logged(county, "file_released")) == 1
        own = await county.envelope(ALVESTA, sent.message)
        await county.step_up(worker, ALVESTA)
        _, stream = await county.gateway.opening.attachment(worker, own, row.id)
        assert b"".join([piece async for piece in stream]) == demo_pdf()


async def test_malware_that_came_while_the_scanner_was_away_never_leaves(clamd: ClamPeer) -> None:
    async with a_county(screening=screening(clamd)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        clamd.stop()
        row = await add(county, worker, draft, "a.pdf", demo_pdf(MARK.decode()))
        clamd.start()
        for _ in range(2):
            with pytest.raises(FileRefusedError) as refused:
                await county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])
            assert refused.value.fault is Fault.MALWARE
        with pytest.raises(FileRefusedError):
            await county.gateway.attachments.read(worker, draft, row.id)
        assert len(await logged(county, "alarm")) == 1  # told once, refused ever after
        await county.gateway.attachments.remove(worker, draft, row.id)
        assert await county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])


async def test_a_row_that_was_changed_past_the_gateway_releases_nothing(clamd: ClamPeer) -> None:
    async with a_county(screening=screening(clamd)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        clamd.stop()
        row = await add(county, worker, draft, "a.pdf", demo_pdf())
        [held] = county.store.all(Quarantined)
        county.store.tamper(dataclasses.replace(held, state=QuarantineState.RELEASED))
        with pytest.raises(IntegrityError):
            await county.gateway.attachments.read(worker, draft, row.id)


async def test_a_recipient_s_function_gets_only_files_that_it_takes() -> None:
    """The registrator's policy takes no pictures: nothing is sent, and the sender is told which."""
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        registrator = InboxId("vaxjo.registrator")
        parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
        case, _ = await county.consented_case(worker, parties=parties)
        values = {"text": "Till den som tar emot.", "categories": ["SOCIAL"]}
        row = await county.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, values)
        await add(county, worker, row.id, "bild.png", b"\x89PNG\r\n\x1a\n" + bytes(200))
        with pytest.raises(RecipientError, match="does not take") as refused:
            await county.gateway.sending.send_draft(worker, row.id, [registrator])
        assert ".pdf" in refused.value.next_step
        out = Submission(
            case=case.id, form_type="case_message", form_version=1, values=values, recipients=(registrator,)
        )
        assert await county.gateway.sending.send(worker, ALVESTA, out)


# --- on the way in from a neighbour ----------------------------------------------------------------------------------


def with_files(*files: tuple[str, bytes], identifier: str = "arrival-1") -> Arrived:
    held = tuple(ArrivedFile(name=name, media_type="application/pdf", octets=octets) for name, octets in files)
    return an_arrival(id=identifier, original=identifier.encode(), files=held)


async def test_an_arrival_s_files_meet_the_same_looks_and_one_fault_refuses_the_whole(shared: ClamPeer) -> None:
    """Catalogue X10 at the intake: each with the channel's code, and malware an alarm as well."""
    async with a_pair(screening=screening(shared)) as pair:
        county = pair.second
        for number, (name, octets, reason) in enumerate(
            [
                ("a.pdf", demo_pdf(MARK.decode()), Reason.MALWARE),
                ("a.txt", EICAR, Reason.MALWARE),
                ("a.zip", zipped(), Reason.TYPE),
                ("a.docm", zipped("word/vbaProject.bin"), Reason.TYPE),
                ("a.pdf", encrypted("AES-256"), Reason.TYPE),
                ("a.pdf", with_script(), Reason.TYPE),
                ("../a.pdf", demo_pdf(), Reason.TYPE),
            ]
        ):
            arrived = with_files(("good.pdf", demo_pdf()), (name, octets), identifier=f"arrival-{number}")
            assert await county.gateway.intake.take(arrived) == Answer(reason), name
            assert await county.gateway.intake.take(arrived) == Answer(reason, repeated=True)
        assert len(await logged(county, "alarm")) == 2
        many = with_files(*[(f"{n}.pdf", demo_pdf()) for n in range(21)], identifier="many")
        assert await county.gateway.intake.take(many) == Answer(Reason.TOO_LARGE)


async def test_what_arrives_while_the_scanner_is_away_is_taken_and_its_files_wait_for_a_verdict(
    clamd: ClamPeer,
) -> None:
    async with a_pair(screening=screening(clamd)) as pair:
        county = pair.second
        clamd.stop()
        arrived = with_files(("bra.pdf", demo_pdf()), ("ond.pdf", demo_pdf(MARK.decode())))
        assert await county.gateway.intake.take(arrived) == Answer()
        waiting, since = await county.gateway.quarantine.waiting(most=10)
        assert (waiting, since) == (2, county.clock.now())
        assert (await county.gateway.health.signs()).scanner_answers is False
        row = await county.store.get(Arrival, WIRE, arrived.id)
        assert row is not None
        envelope = await county.envelope(SEAT_E, row.message)
        chief = await county.sign_in("ek-chef")
        await county.step_up(chief, SEAT_E)
        opened = await county.gateway.opening.open(chief, envelope)  # the words can be read; the files cannot
        good, evil = (file.id for file in opened.opened.attachments)
        for file in (good, evil):
            with pytest.raises(FileWaitsError):
                await county.gateway.opening.attachment(chief, envelope, file)
        clamd.start()
        assert await _read(county, chief, envelope, good) == demo_pdf()
        with pytest.raises(FileRefusedError):
            await county.gateway.opening.attachment(chief, envelope, evil)
        states = {held.attachment: held.state for held in county.store.all(Quarantined)}
        assert states == {good: QuarantineState.RELEASED, evil: QuarantineState.REFUSED}
        clamd.stop()
        assert await _read(county, chief, envelope, good) == demo_pdf()  # the verdict stands
        with pytest.raises(FileRefusedError):
            await county.gateway.opening.attachment(chief, envelope, evil)


async def _read(county: County, chief: Signed, envelope: EnvelopeId, file: AttachmentId) -> bytes:
    _, stream = await county.gateway.opening.attachment(chief, envelope, file)
    return b"".join([piece async for piece in stream])


async def test_operators_and_reviewers_see_what_waits_by_function_and_nobody_else_does(clamd: ClamPeer) -> None:
    async with a_county(screening=screening(clamd)) as county:
        worker = await county.sign_in("al-sos")
        draft, _ = await a_draft(county, worker)
        clamd.stop()
        await add(county, worker, draft, "a.pdf", demo_pdf())
        for login in ("it", "gransk"):
            [row] = await county.gateway.quarantine.listed(await county.sign_in(login))
            assert (row.inbox, row.state) == (ALVESTA, QuarantineState.WAITING)
        with pytest.raises(ForbiddenError):
            await county.gateway.quarantine.listed(worker)
