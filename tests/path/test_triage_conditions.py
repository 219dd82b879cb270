"""Each condition under which a registrator chooses, broken: nothing moves, and who changed a row is seen (docs/channels.md §3.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.audit import AuditAction
from gateway.errors import DecisionStaleError, IntegrityError
from gateway.holding import ordered_like
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.path import Held
from gateway.ports import Update, Work
from gateway.states import HeldState
from tests.county import ALVESTA, SEAT_E, County, a_county
from tests.holding import INTAKE, REGISTRATOR, a_collecting_county, collecting, to_the_municipality
from tests.neighbours import address_of, an_arrival

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
