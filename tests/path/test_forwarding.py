"""A registrator forwards unread, inside the own administration, and nobody calls it opened (domain.md §12)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import ConflictError, ForbiddenError, NotFoundError, RecipientError, StepUpRequiredError
from gateway.model.base import InboxId
from gateway.model.classes import Category
from gateway.model.path import Receipt
from gateway.neighbours import ArrivedFile
from gateway.states import DeliveryState
from tests.county import ALVESTA, SEAT_E, County, a_county
from tests.neighbours import an_arrival, seen_from

REGISTRATOR = InboxId("vaxjo.registrator")
INTAKE = InboxId("vaxjo.barnfamilj.mottagning")


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def pdf() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n" + b"ett exempel " * 400


async def written(county: County) -> Any:
    """A message to Växjö's registrator, on a consent that names the registrator's unit."""
    worker = await county.sign_in("al-sos")
    parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
    case, _ = await county.consented_case(worker, parties=parties)
    draft = await county.gateway.drafts.create(
        worker, ALVESTA, case.id, "case_message", 1, {"text": "Vem tar emot det här?", "categories": ["SOCIAL"]}
    )
    await county.gateway.attachments.add(worker, draft.id, "underlag.pdf", Category.SOCIAL, pdf())
    sent = await county.gateway.sending.send_draft(worker, draft.id, [REGISTRATOR])
    await county.deliver()
    return sent


async def test_what_came_to_the_registrator_reaches_the_right_inbox_whole_and_nobody_has_read_it_on_the_way(
    county: County,
) -> None:
    sent = await written(county)
    registrator = await county.sign_in("vx-reg")
    envelope = await county.envelope(REGISTRATOR, sent.message)
    with pytest.raises(ForbiddenError):
        await county.gateway.opening.open(registrator, envelope)
    targets = await county.gateway.forwarding.targets(registrator, REGISTRATOR, "case_message")
    assert INTAKE in {box.id for box in targets}
    assert REGISTRATOR not in {box.id for box in targets}

    forwarded = await county.gateway.forwarding.forward(registrator, envelope, INTAKE)
    await county.deliver()

    [first] = await county.store.deliveries_of(sent.message)
    assert first.state is DeliveryState.RELAYED
    assert {r.kind for r in county.store.all(Receipt) if r.envelope == envelope} == {"delivered"}  # type: ignore[attr-defined]
    reader = await county.sign_in("vx-bf")
    opened = await county.open(reader, INTAKE, forwarded.message)
    assert opened.opened.body["fields"]["text"] == "Vem tar emot det här?"  # type: ignore[index]
    assert opened.opened.body["forwarded"] == sent.message
    file, stream = await county.gateway.opening.attachment(reader, opened.envelope.id, opened.opened.attachments[0].id)
    assert (file.name, len(b"".join([piece async for piece in stream]))) == ("underlag.pdf", 9 + 12 * 400)
    auditor = await county.sign_in("gransk")
    name = county.gateway.auditor.origin(county.clock.now())
    assert len(await county.gateway.review.search(auditor, name, action="forwarded")) == 2  # begun, done
    with pytest.raises((NotFoundError, ConflictError)):
        await county.gateway.forwarding.forward(registrator, envelope, INTAKE)


async def test_nothing_is_forwarded_out_of_the_administration_or_by_anybody_else(county: County) -> None:
    sent = await written(county)
    envelope = await county.envelope(REGISTRATOR, sent.message)
    registrator = await county.sign_in("vx-reg")
    for target in (SEAT_E, InboxId("region.piva"), REGISTRATOR, InboxId("nowhere")):
        with pytest.raises(RecipientError):
            await county.gateway.forwarding.forward(registrator, envelope, target)
    for login in ("re-reg", "vx-sos", "it"):
        with pytest.raises((NotFoundError, ForbiddenError)):
            await county.gateway.forwarding.forward(await county.sign_in(login), envelope, INTAKE)
    [delivery] = await county.store.deliveries_of(sent.message)
    assert delivery.state is DeliveryState.DELIVERED


async def test_forwarding_needs_a_fresh_factor_though_nothing_is_shown(county: County) -> None:
    sent = await written(county)
    envelope = await county.envelope(REGISTRATOR, sent.message)
    registrator = await county.sign_in("vx-reg")
    county.clock.advance(14 * 60 * 1_000_000)
    registrator = await county.gateway.sessions.still_active(registrator)
    county.clock.advance(2 * 60 * 1_000_000)
    with pytest.raises(StepUpRequiredError):
        await county.gateway.forwarding.forward(registrator, envelope, INTAKE)
    await county.step_up(registrator, REGISTRATOR)
    assert (await county.gateway.forwarding.forward(registrator, envelope, INTAKE)).message


async def test_the_files_of_what_came_from_outside_go_along_when_it_is_forwarded() -> None:
    """They were never in a draft of ours: forwarding dropped them in silence."""
    async with a_county(directory=seen_from({"vaxjo.nav"})) as county:
        plan = b"".join([piece async for piece in pdf()])
        arrived = an_arrival(
            ALVESTA, REGISTRATOR, files=(ArrivedFile(name="plan.pdf", media_type="application/pdf", octets=plan),)
        )
        assert (await county.gateway.intake.take(arrived)).taken
        registrator = await county.sign_in("vx-reg")
        [line] = await county.store.inbox_page(REGISTRATOR, after=None, limit=5)
        targets = await county.gateway.forwarding.targets(registrator, REGISTRATOR, line.form_type)
        assert INTAKE in {box.id for box in targets}
        forwarded = await county.gateway.forwarding.forward(registrator, line.envelope, INTAKE)
        await county.deliver()
        opened = await county.open(await county.sign_in("vx-bf"), INTAKE, forwarded.message)
        [file] = opened.opened.attachments
        reader = await county.sign_in("vx-bf")
        _, stream = await county.gateway.opening.attachment(reader, opened.envelope.id, file.id)
        assert (file.name, b"".join([piece async for piece in stream])) == ("plan.pdf", plan)
