"""A file is let through by a verdict, never by the absence of a row: on every way out (docs/channels.md §10)."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import pytest

from gateway.errors import FileWaitsError, IntegrityError
from gateway.filetypes import Fault, FileRefusedError
from gateway.forms.demo import demo_pdf, demo_referral
from gateway.model.base import HOUR, AttachmentId, EnvelopeId, InboxId
from gateway.model.classes import Category
from gateway.model.log import AuditSide
from gateway.model.path import Arrival, Channel, Delivery, FileVerdict, Look, Quarantined
from gateway.neighbours import Answer, ArrivedFile, Reason
from gateway.ports import Delete, Insert, Update, Work
from gateway.screening import NO_SCANNER, Scanner, Screening, Verdict
from gateway.sessions import Signed
from gateway.states import DeliveryState, QuarantineState
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, County, a_county
from tests.neighbours import WIRE, Wire, a_pair, an_arrival, seen_from
from tests.path.test_by_hand import on_paper

REGISTRATOR = InboxId("vaxjo.registrator")
INTAKE = InboxId("vaxjo.barnfamilj.mottagning")
Way = Callable[[], Awaitable[object]]


@dataclass
class Says:
    """A scanner that says what it is told to, and counts how often it is asked."""

    verdict: Verdict = Verdict.CLEAN
    asked: int = 0
    delay: float = 0

    async def scan(self, pieces: AsyncIterator[bytes]) -> Verdict:
        self.asked += 1
        async for _ in pieces:
            await asyncio.sleep(self.delay)
        return self.verdict

    async def answers(self) -> bool:
        return self.verdict is not Verdict.NONE


@dataclass
class Scene:
    """A file somewhere on its way, and what gives out its octets there."""

    county: County
    scanner: Says
    file: AttachmentId
    out: Way
    read: list[bytes] = field(default_factory=list)

    async def verdict(self) -> FileVerdict | None:
        return await self.county.store.get(FileVerdict, self.file)

    async def past_the_gateway(self, change: Delete | Insert | Update) -> None:
        """As somebody does who can write to the database."""
        await self.county.store.commit(Work(changes=(change,)))

    async def logged(self, action: str) -> Sequence[AuditSide]:
        [log] = await self.county.store.logs()
        return await self.county.store.sides_page(
            log, action=action, administration="", object="", before=10**9, limit=50
        )


async def pieces(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


async def whole(stream: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in stream])


LETTER = {"text": "Vem tar emot det här?", "categories": ["SOCIAL"]}


async def with_file(
    county: County, worker: Signed, *, letter: bool = False, **changes: object
) -> tuple[str, AttachmentId]:
    """A draft with a file; a referral, whose files go to the unit alone, or a letter, whose files go with it."""
    case, _ = await county.consented_case(worker, **changes)
    form, values = ("case_message", LETTER) if letter else ("placement_referral", demo_referral(county.today))
    draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, form, 1, values)
    row = await county.gateway.attachments.add(worker, draft.id, "a.pdf", Category.SOCIAL, pieces(demo_pdf()))
    return draft.id, row.id


async def draft_read(county: County) -> tuple[AttachmentId, Way]:
    worker = await county.sign_in("al-sos")
    draft, file = await with_file(county, worker)

    async def out() -> object:
        _, stream = await county.gateway.attachments.read(worker, draft, file)  # type: ignore[arg-type]
        return await whole(stream)

    return file, out


async def sending(county: County) -> tuple[AttachmentId, Way]:
    worker = await county.sign_in("al-sos")
    draft, file = await with_file(county, worker)
    return file, lambda: county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])  # type: ignore[arg-type]


async def download(county: County) -> tuple[AttachmentId, Way]:
    worker = await county.sign_in("al-sos")
    draft, file = await with_file(county, worker)
    sent = await county.gateway.sending.send_draft(worker, draft, ["remissgrupp"])  # type: ignore[arg-type]
    await county.step_up(worker, ALVESTA)
    own = await county.envelope(ALVESTA, sent.message)

    async def out() -> object:
        _, stream = await county.gateway.opening.attachment(worker, own, file)
        return await whole(stream)

    return file, out


async def forwarded(county: County) -> tuple[AttachmentId, Way]:
    """Forwarding gives out no octets: the file goes on without a verdict, and its new readers are asked for one."""
    worker = await county.sign_in("al-sos")
    parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
    draft, file = await with_file(county, worker, letter=True, parties=parties)
    sent = await county.gateway.sending.send_draft(worker, draft, [REGISTRATOR])  # type: ignore[arg-type]
    await county.deliver()
    registrator = await county.sign_in("vx-reg")
    envelope = await county.envelope(REGISTRATOR, sent.message)
    reader = await county.sign_in("vx-bf")

    async def out() -> object:
        nonlocal envelope
        if envelope:
            onward = await county.gateway.forwarding.forward(registrator, envelope, INTAKE)
            await county.deliver()
            out_of.append(await county.envelope(INTAKE, onward.message))
            envelope = EnvelopeId("")
        _, stream = await county.gateway.opening.attachment(reader, out_of[0], file)
        return await whole(stream)

    out_of: list[EnvelopeId] = []
    return file, out


async def printed(county: County) -> tuple[AttachmentId, Way]:
    worker = await county.sign_in("al-sos")
    draft, file = await with_file(county, worker, letter=True)
    sent = await county.gateway.sending.send_draft(worker, draft, [SEAT_E])  # type: ignore[arg-type]
    [delivery] = await county.store.deliveries_of(sent.message)
    await county.gateway.printing.take(worker, ALVESTA, delivery.id)

    async def out() -> object:
        await county.permit_print(worker, ALVESTA, delivery.id)
        _, stream = await county.gateway.printing.file(worker, ALVESTA, delivery.id, file)
        return await whole(stream)

    return file, out


WAYS = {way.__name__: way for way in (draft_read, sending, download, forwarded, printed)}


@pytest.fixture(params=WAYS)
async def scene(request: pytest.FixtureRequest) -> AsyncIterator[Scene]:
    scanner = Says()
    directory = {"directory": on_paper()} if request.param == "printed" else {}
    async with a_county(screening=Screening(scanner=scanner), **directory) as county:  # type: ignore[arg-type]
        file, out = await WAYS[request.param](county)
        assert scanner.asked == 1
        yield Scene(county, scanner, file, out)


async def test_a_verdict_lets_a_file_out_and_nobody_looks_again(scene: Scene) -> None:
    row = await scene.verdict()
    assert row is not None
    assert (row.structure, row.malware) == (Look.NOT_SET_UP, Look.PASSED)  # this county has no examiner
    scene.scanner.verdict = Verdict.NONE
    assert await scene.out()
    assert scene.scanner.asked == 1


async def test_a_deleted_verdict_releases_nothing_that_nobody_has_looked_at(scene: Scene) -> None:
    """Whoever can write to the database deletes the row: the file waits, and is looked at when the scanner answers."""
    await scene.past_the_gateway(Delete(FileVerdict, (scene.file,)))
    scene.scanner.verdict = Verdict.NONE
    for _ in range(2):
        with pytest.raises(FileWaitsError):
            await scene.out()
    [held] = await scene.county.store.quarantined(QuarantineState.WAITING, limit=9)
    assert held.attachment == scene.file  # operators see it again
    scene.scanner.verdict = Verdict.CLEAN
    assert await scene.out()
    assert await scene.verdict() is not None
    assert len(await scene.logged("file_released")) == 1
    assert await scene.county.store.quarantined(QuarantineState.WAITING, limit=9) == []


async def test_a_deleted_verdict_of_malware_stays_refused_whatever_is_deleted(scene: Scene) -> None:
    scene.scanner.verdict = Verdict.FOUND
    for row in (FileVerdict, Quarantined):
        await scene.past_the_gateway(Delete(row, (scene.file,)))
        with pytest.raises(FileRefusedError) as refused:
            await scene.out()
        assert refused.value.fault is Fault.MALWARE
    assert await scene.verdict() is None
    assert len(await scene.logged("alarm")) == 2
    scene.scanner.verdict = Verdict.CLEAN
    with pytest.raises(FileRefusedError):  # refused once is refused for good
        await scene.out()


async def test_an_altered_verdict_gives_out_nothing_and_is_an_alarm(scene: Scene) -> None:
    row = await scene.verdict()
    assert row is not None
    for changed in (
        dataclasses.replace(row, mac=bytes(32), version=2),
        dataclasses.replace(row, malware=Look.NOT_SET_UP, version=3),
        dataclasses.replace(row, sha256=bytes(32), version=4),
    ):
        await scene.past_the_gateway(Update(changed))
        with pytest.raises(IntegrityError):
            await scene.out()
    assert 1 <= len(await scene.logged("alarm")) <= 2  # the same row is told once a minute


async def test_the_verdict_of_another_file_lets_this_one_out_nowhere(scene: Scene) -> None:
    other = await WAYS["draft_read"](scene.county)
    theirs = await scene.county.store.get(FileVerdict, other[0])
    assert theirs is not None
    await scene.past_the_gateway(Delete(FileVerdict, (scene.file,)))
    await scene.past_the_gateway(Insert(dataclasses.replace(theirs, attachment=scene.file)))
    with pytest.raises(IntegrityError):
        await scene.out()


@pytest.mark.parametrize("channel", [Channel.SDK, Channel.SMIME])
async def test_what_leaves_over_a_channel_waits_for_the_scanner_and_the_channel_is_not_blamed(
    channel: Channel,
) -> None:
    """SDK and S/MIME alike: one worker makes both parcels, and nothing of this one is handed over."""
    scanner, clock = Says(), ManualClock()
    directory = seen_from(("alvesta.ifo",))
    if channel is Channel.SMIME:
        mail = f'channel = "smime"\naddress = "\\1@mail.example"\npin = "{"ab" * 32}"'
        directory = re.sub(r'channel = "sdk"\naddress = "[^"]*:([^":]+)"', mail, directory)
    async with a_county(clock=clock, directory=directory, screening=Screening(scanner=scanner)) as county:
        wire = Wire(channel=channel)
        wire.other = Wire(channel=channel)
        county.gateway.channels.connect(wire)
        worker = await county.sign_in("al-sos")
        draft, file = await with_file(county, worker, letter=True)
        sent = await county.gateway.sending.send_draft(worker, draft, [SEAT_E])  # type: ignore[arg-type]
        verdict = await county.store.get(FileVerdict, file)
        assert verdict is not None

        await county.store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        scanner.verdict = Verdict.NONE
        for _ in range(6):
            await county.gateway.channels.run_once(channel)
            clock.advance(2 * HOUR)
        row = await only(county, sent.message)
        assert (row.state, row.reason) == (DeliveryState.QUEUED, str(Reason.FILE_WAITS))
        assert county.gateway.channels.circuit(channel).closed(clock.now())  # others go on over it

        await county.store.commit(Work(changes=(Insert(dataclasses.replace(verdict, mac=bytes(32))),)))
        scanner.verdict = Verdict.CLEAN
        await county.gateway.channels.run_once(channel)
        assert (await only(county, sent.message)).reason == str(Reason.FILE_WAITS)
        assert wire.carried == []

        await county.store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        clock.advance(2 * HOUR)
        await county.gateway.channels.run_once(channel)
        assert len(wire.carried) == 1


async def test_malware_found_on_the_way_out_is_never_handed_over_and_the_sender_is_told() -> None:
    scanner = Says()
    async with a_county(directory=seen_from(("alvesta.ifo",)), screening=Screening(scanner=scanner)) as county:
        wire = Wire()
        wire.other = Wire()
        county.gateway.channels.connect(wire)
        worker = await county.sign_in("al-sos")
        draft, file = await with_file(county, worker, letter=True)
        sent = await county.gateway.sending.send_draft(worker, draft, [SEAT_E])  # type: ignore[arg-type]
        await county.store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        scanner.verdict = Verdict.FOUND
        await county.gateway.channels.run_once(WIRE)
        row = await only(county, sent.message)
        assert (row.state, row.reason) == (DeliveryState.FAILED, str(Reason.MALWARE))
        assert wire.carried == []


async def test_an_arrival_s_file_comes_with_its_verdict_and_without_it_is_looked_at_again() -> None:
    scanner = Says()
    async with a_pair(screening=Screening(scanner=scanner)) as pair:
        county = pair.second
        letter = an_arrival(files=(ArrivedFile(name="a.pdf", media_type="application/pdf", octets=demo_pdf()),))
        assert await county.gateway.intake.take(letter) == Answer()
        [verdict] = county.store.all(FileVerdict)  # type: ignore[attr-defined]
        arrival = await county.store.get(Arrival, WIRE, letter.id)
        assert arrival is not None
        envelope = await county.envelope(SEAT_E, arrival.message)
        chief = await county.sign_in("ek-chef")
        await county.step_up(chief, SEAT_E)
        _, stream = await county.gateway.opening.attachment(chief, envelope, verdict.attachment)
        assert await whole(stream) == demo_pdf()
        await county.store.commit(Work(changes=(Delete(FileVerdict, verdict.key),)))
        scanner.verdict = Verdict.NONE
        with pytest.raises(FileWaitsError):
            await county.gateway.opening.attachment(chief, envelope, verdict.attachment)


async def only(county: County, message: object) -> Delivery:
    [row] = await county.store.deliveries_of(message)  # type: ignore[arg-type]
    return row


# --- files from before, and looks that are set up later --------------------------------------------------------------


async def test_a_file_from_before_verdicts_is_looked_at_once_and_what_waited_goes_on_waiting() -> None:
    """Schema 0010 makes no verdict up: a store from before has none, and its quarantine as it was."""
    scanner = Says()
    async with a_county(screening=Screening(scanner=scanner)) as county:
        file, out = await draft_read(county)
        await county.store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        assert await out() == demo_pdf()
        assert await out() == demo_pdf()
        assert scanner.asked == 2
        scanner.verdict = Verdict.NONE
        waiting, again = await draft_read(county)
        with pytest.raises(FileWaitsError):
            await again()
        [held] = await county.store.quarantined(QuarantineState.WAITING, limit=9)
        assert held.attachment == waiting


async def test_a_scanner_that_is_set_up_later_looks_at_what_came_before_it() -> None:
    async with a_county() as county:
        file, out = await draft_read(county)
        row = await county.store.get(FileVerdict, file)
        assert row is not None
        assert row.malware is Look.NOT_SET_UP
        assert await out() == demo_pdf()
        scanner: Scanner = Says(Verdict.NONE)
        assert county.gateway.ports.screening.scanner is NO_SCANNER
        object.__setattr__(county.gateway.ports.screening, "scanner", scanner)  # as the next start would
        with pytest.raises(FileWaitsError):
            await out()
        object.__setattr__(county.gateway.ports.screening, "scanner", Says())
        assert await out() == demo_pdf()
        after = await county.store.get(FileVerdict, file)
        assert after is not None
        assert (after.malware, after.version) == (Look.PASSED, 2)


async def test_two_who_want_the_same_file_at_once_both_get_it() -> None:
    scanner = Says(delay=0.01)
    async with a_county(screening=Screening(scanner=scanner)) as county:
        file, out = await draft_read(county)
        await county.store.commit(Work(changes=(Delete(FileVerdict, (file,)),)))
        assert await asyncio.gather(out(), out(), out()) == [demo_pdf()] * 3


async def test_a_file_that_is_taken_out_of_a_draft_leaves_no_verdict_behind() -> None:
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        draft, file = await with_file(county, worker)
        await county.gateway.attachments.remove(worker, draft, file)  # type: ignore[arg-type]
        assert await county.store.get(FileVerdict, file) is None
