"""Each condition under which a registrator chooses, broken: nothing moves, and who changed a row is seen (docs/channels.md §3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.audit import AuditAction
from gateway.errors import DecisionStaleError, IntegrityError, RecipientError
from gateway.holding import ordered_like
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.path import Held
from gateway.ports import Update, Work
from gateway.states import HeldState
from tests.county import ALVESTA, SEAT_E, County, a_county
from tests.holding import CLOSED, INTAKE, REGISTRATOR, a_collecting_county, collecting, to_the_municipality
from tests.neighbours import Wire, address_of, an_arrival, seen_from

REGION = InboxId("region.registrator")


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_collecting_county() as ready:
        yield ready


async def held(county: County, **changes: Any) -> Held:
    """One letter that waits."""
    assert (await county.gateway.intake.take(to_the_municipality(**changes))).taken
    rows = await county.store.held(HeldState.WAITING, limit=50)
    return next(row for row in rows if row.arrival == changes.get("id", "arrival-1"))


async def row_of(county: County, envelope: EnvelopeId) -> Held:
    row = await county.store.get(Held, envelope)
    assert row is not None
    return row


async def altered(county: County, row: Held, **changes: Any) -> None:
    """Somebody writes to the database, without the key of its MACs."""
    await county.store.commit(Work(changes=(Update(dataclasses.replace(row, version=row.version + 1, **changes)),)))


async def logged(county: County, action: AuditAction) -> int:
    auditor, name = await county.sign_in("gransk"), county.gateway.auditor.origin(county.clock.now())
    return len(await county.gateway.review.search(auditor, name, action=action))


async def test_a_list_with_a_row_that_was_changed_is_not_shown(county: County) -> None:
    row, registrator = await held(county), await county.sign_in("vx-reg")
    await altered(county, row, conversation="of somebody else")
    with pytest.raises(IntegrityError):
        await county.gateway.triage.desk(registrator, REGISTRATOR)


async def test_a_choice_does_not_take_along_a_row_of_its_conversation_that_was_changed(county: County) -> None:
    """Else the order would sign what an intruder wrote."""
    first, second = await held(county), await held(county, id="arrival-2", original=b"2")
    await altered(county, second, sender="ekeliden.enhet", arrival="arrival-1")
    await altered(county, await row_of(county, second.envelope), sender=first.sender)
    with pytest.raises(IntegrityError):
        await county.gateway.triage.order(await county.sign_in("vx-reg"), first.envelope, INTAKE)
    for row in (first, second):
        assert (await row_of(county, row.envelope)).state is HeldState.WAITING


@pytest.mark.parametrize(
    "changes", [{"conversation": "another"}, {"conversation": "another", "ordered_as": "Registrator: somebody"}]
)
async def test_an_order_counts_for_the_conversation_that_it_was_signed_for_alone(
    county: County, changes: dict[str, str]
) -> None:
    """Even whoever holds the key of the MACs cannot move a registrator's signature to another letter."""
    first, second = await held(county), await held(county, id="arrival-2", original=b"2", conversation="another")
    ordered = await county.gateway.triage.order(await county.sign_in("vx-reg"), first.envelope, INTAKE)
    moved = dataclasses.replace(ordered_like(second, ordered), version=second.version + 1, **changes)
    await county.store.commit(Work(changes=(Update(await county.gateway.integrity.sign(moved)),)))
    await county.gateway.placing.run_once()
    row = await row_of(county, second.envelope)
    assert (row.state, row.to, row.reason) == (HeldState.WAITING, None, "signature")
    page = await county.gateway.inboxes.page(await county.sign_in("vx-bf"), INTAKE)
    assert len(page) == 1


async def test_what_comes_later_does_not_follow_a_choice_that_was_changed(county: County) -> None:
    row = await held(county)
    await county.gateway.triage.order(await county.sign_in("vx-reg"), row.envelope, INTAKE)
    await county.gateway.placing.run_once()
    await altered(county, await row_of(county, row.envelope), to=SEAT_E)
    with pytest.raises(IntegrityError):
        await county.gateway.intake.take(to_the_municipality(id="arrival-2", original=b"2"))
    assert await county.gateway.inboxes.page(await county.sign_in("ek-chef"), SEAT_E) == []


async def test_looking_and_choosing_are_each_in_the_log_before_anything_is_opened(county: County) -> None:
    first = await held(county)
    await held(county, id="arrival-2", original=b"2")
    registrator = await county.sign_in("vx-reg")
    await county.gateway.triage.desk(registrator, REGISTRATOR)
    await county.gateway.triage.order(registrator, first.envelope, INTAKE)
    assert await logged(county, AuditAction.REGISTER_READ) == 1
    assert await logged(county, AuditAction.FORWARDED) == 2
    assert await logged(county, AuditAction.PLACED) == 0


async def test_a_choice_touches_nothing_that_waits_at_the_address_of_another_registrator() -> None:
    """Not even for a moment: one that was taken along would come back with a reason that nobody understands."""
    theirs = f'address = "{address_of(REGION)}"'
    text = collecting("vaxjo.nav").replace(theirs, f'{theirs}\nserves = ["region.hsv"]')
    async with a_county(directory=text) as county:
        ours = await held(county)
        assert (await county.gateway.intake.take(an_arrival(ALVESTA, REGION, id="arrival-2"))).taken
        [before] = await county.store.held_at(REGION, HeldState.WAITING, limit=9)
        await county.gateway.triage.order(await county.sign_in("vx-reg"), ours.envelope, INTAKE)
        await county.gateway.placing.run_once()
        assert await county.store.held_at(REGION, HeldState.WAITING, limit=9) == [before]


async def test_a_choice_by_somebody_who_was_changed_in_that_moment_does_not_happen(
    county: County, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit is the moment that counts: who may no longer choose has not chosen."""
    row, registrator = await held(county), await county.sign_in("vx-reg")
    sealer = county.keyring.sealer
    signing = sealer.order

    async def meanwhile(*args: Any, **named: Any) -> Any:
        user = registrator.user
        following = dataclasses.replace(user, title="Slutar i dag", version=user.version + 1)
        await county.store.commit(Work(changes=(Update(await county.gateway.integrity.sign(following)),)))
        return await signing(*args, **named)

    monkeypatch.setattr(sealer, "order", meanwhile)
    with pytest.raises(DecisionStaleError):
        await county.gateway.triage.order(registrator, row.envelope, INTAKE)
    assert (await row_of(county, row.envelope)).state is HeldState.WAITING


def _without_registrator(text: str) -> str:
    """The same county where Växjö's administration has no registrator's inbox."""
    blocks = text.split("[[")
    return "[[".join(
        block
        for block in blocks
        if not (
            (block.startswith("inbox]]") and 'id = "vaxjo.registrator"' in block)
            or (block.startswith("route]]") and 'inbox = "vaxjo.registrator"' in block)
        )
    )


async def test_mail_to_a_closed_inbox_that_no_registrator_sees_stays_where_it_is() -> None:
    """Nobody could see it wait, and nobody has a key to read it: the neighbour keeps it, and it is no message here."""
    text = _without_registrator(seen_from({"vaxjo.nav", "region.hsv"}))
    async with a_county(directory=text) as county:
        wire = Wire(waiting=[an_arrival(ALVESTA, CLOSED), an_arrival(ALVESTA, INTAKE, id="arrival-2")])
        wire.other = wire
        county.gateway.channels.connect(wire)
        for _ in range(4):
            await county.gateway.arriving.taken_in(wire)
        assert [one.id for one in wire.waiting] == ["arrival-1"]
        assert await county.store.held(HeldState.WAITING, limit=9) == []
        reader = await county.sign_in("vx-bf")
        assert len(await county.gateway.inboxes.page(reader, INTAKE)) == 1


async def test_another_registrator_of_the_same_administration_is_no_choice() -> None:
    """A choice gives it to whom it is for; from one registrator to the next it would only wait again."""
    second = InboxId("vaxjo.registrator2")
    unit = (
        f'[[unit]]\nid = "{second}"\nadministration = "vaxjo.nav"\nname = "Registrator 2"\nsecrecy_regime = "OSL_26"\n'
    )
    unit += 'legal_form = "förvaltningsenhet"\n'
    inbox = f'[[inbox]]\nid = "{second}"\nunit = "{second}"\nname = "Registrator 2"\nkind = "registrator"\n'
    inbox += 'accepts = ["case_message"]\nmembers = ["vx-reg", "vx-del:deputy"]\n'
    async with a_county(directory=f"{collecting('vaxjo.nav')}\n{unit}\n{inbox}") as county:
        row, registrator = await held(county), await county.sign_in("vx-reg")
        targets = await county.gateway.triage.targets(registrator, row.envelope)
        assert second not in {box.id for box in targets}
        with pytest.raises(RecipientError):
            await county.gateway.triage.order(registrator, row.envelope, second)
