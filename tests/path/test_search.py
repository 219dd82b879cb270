"""Find a case by its name, or exactly by whom it concerns, with a reason (ux.md row 30; security-decisions H6)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.errors import ForbiddenError, InvalidFormError, NotFoundError, TooManyAttemptsError
from gateway.model.base import HOUR
from gateway.model.queue import IdentityMark
from tests.county import ALVESTA, SEAT_E, UNIT_E, VAXJO, County, a_county

NUMBER = {"kind": "personnummer", "value": "199006022397"}
OTHER = {"kind": "personnummer", "value": "200001052380"}


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county() as ready:
        yield ready


async def sent(county: County, **changes: Any) -> tuple[Any, Any]:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    await county.send_referral(worker, case.id, **changes)
    await county.deliver()
    return worker, case


async def test_a_case_is_found_by_its_name_and_by_whom_it_concerns_however_the_number_is_written(
    county: County,
) -> None:
    worker, case = await sent(county)
    search = county.gateway.search
    assert [c.id for c in await search.reference(worker, ALVESTA, f" {case.reference.lower()} ")] == [case.id]
    assert await search.reference(worker, ALVESTA, "AL-26") == []
    for value in ("199006022397", "19900602-2397", " 19900602 2397 "):
        found = await search.identity(worker, ALVESTA, {"kind": "personnummer", "value": value}, "Personen ringer")
        assert [c.id for c in found] == [case.id]
    assert await search.identity(worker, ALVESTA, OTHER, "Personen ringer") == []


async def test_a_search_by_number_needs_a_number_and_a_reason_and_is_logged_without_the_number(county: County) -> None:
    worker, _ = await sent(county)
    for value, purpose in (
        (NUMBER, ""),
        (NUMBER, "x" * 201),
        ({"kind": "unknown", "reason": "vet ej"}, "skäl"),
        ("", "skäl"),
    ):
        with pytest.raises(InvalidFormError):
            await county.gateway.search.identity(worker, ALVESTA, value, purpose)
    await county.gateway.search.identity(worker, ALVESTA, NUMBER, "Personen ringer")
    auditor = await county.sign_in("gransk")
    name = county.gateway.auditor.origin(county.clock.now())
    [event] = await county.gateway.review.search(auditor, name, action="searched")
    assert event.detail["purpose"] == "Personen ringer"
    assert "19900602" not in str(event)


async def test_no_other_authority_and_nobody_without_the_case_finds_it(county: County) -> None:
    """Never a match across administrations: that a person is known is a disclosure."""
    _, case = await sent(county)
    other = await county.sign_in("vx-sos")
    assert await county.gateway.search.identity(other, VAXJO, NUMBER, "Personen ringer") == []
    chief = await county.sign_in("ek-chef")  # the seat has the case, but not the number: stage 1 names nobody
    assert await county.gateway.search.identity(chief, SEAT_E, NUMBER, "Personen ringer") == []
    assert [c.id for c in await county.gateway.search.reference(chief, SEAT_E, case.reference)] == [case.id]
    assert await county.gateway.search.reference(chief, UNIT_E, case.reference) == []
    with pytest.raises((NotFoundError, ForbiddenError)):
        await county.gateway.search.identity(await county.sign_in("it"), ALVESTA, NUMBER, "skäl")
    marks = county.store.all(IdentityMark)  # type: ignore[attr-defined]
    assert len(marks) == 1
    assert "19900602" not in marks[0].mark


async def test_the_unit_finds_the_person_after_it_has_opened_stage_two(county: County) -> None:
    worker, case = await sent(county)
    [referral] = await county.store.messages_of(case.id, limit=9)
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, referral.id)
    proposal = await county.gateway.answers.propose(ekeliden, SEAT_E, referral.id, county.answer())
    await county.deliver()
    await county.gateway.answers.confirm(novus, "seat.novus", proposal.message)  # type: ignore[arg-type]
    await county.deliver()
    stage_2 = await county.send_referral(worker, case.id, (UNIT_E,))
    await county.deliver()
    await county.step_up(ekeliden, UNIT_E)
    assert await county.gateway.search.identity(ekeliden, UNIT_E, NUMBER, "Personen ringer") == []
    await county.gateway.queue.open(ekeliden, await county.envelope(UNIT_E, stage_2.message))
    found = await county.gateway.search.identity(ekeliden, UNIT_E, NUMBER, "Personen ringer")
    assert [c.id for c in found] == [case.id]


async def test_thirty_searches_an_hour_and_then_a_pause(county: County) -> None:
    worker, _ = await sent(county)
    for _ in range(30):
        await county.gateway.search.identity(worker, ALVESTA, OTHER, "Personen ringer")
    with pytest.raises(TooManyAttemptsError):
        await county.gateway.search.identity(worker, ALVESTA, OTHER, "Personen ringer")
    county.clock.advance(HOUR + 1)
    worker = await county.sign_in("al-sos")
    assert await county.gateway.search.identity(worker, ALVESTA, OTHER, "Personen ringer") == []
