"""A code for one act, once: printing and taking log rows out (design.md §7; gateway/grants.py)."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator

import pytest

from gateway.errors import (
    ActCodeRequiredError,
    ForbiddenError,
    IntegrityError,
    NotFoundError,
    SignInError,
    TooManyAttemptsError,
)
from gateway.factors import FREE_FAILURES, code_for
from gateway.grants import GRANT_LASTS, Lapse
from gateway.model.base import DAY, MINUTE, SECOND
from gateway.model.identity import Act, ActGrant
from gateway.model.log import AuditSide
from gateway.model.path import Delivery
from gateway.ports import Update, Work
from gateway.sessions import Signed
from tests import paper
from tests.county import ALVESTA, SEAT_E, County, a_county


@pytest.fixture
async def county() -> AsyncIterator[County]:
    async with a_county(directory=paper.DIRECTORY) as ready:
        yield ready


async def taken(county: County, *, file: bool = False) -> tuple[Signed, Delivery]:
    worker = await county.sign_in("al-sos")
    return worker, await paper.taken(county, worker, file=file)


def next_code(county: County, login: str) -> str:
    county.clock.advance(30 * SECOND)
    return code_for(county.seeds[login], county.clock.now())


async def logged(county: County, action: str) -> list[AuditSide]:
    [log] = await county.store.logs()
    return await county.store.sides_page(log, action=action, administration="", object="", before=10**9, limit=50)


async def lapse(county: County, signed: Signed, delivery: Delivery) -> str:
    """Why a print is refused; nothing was logged as printed by the try."""
    before = len(await logged(county, "printed"))
    with pytest.raises(ActCodeRequiredError) as refused:
        await county.gateway.printing.print(signed, ALVESTA, delivery.id)
    assert len(await logged(county, "printed")) == before
    assert "Inget har lämnats ut" in refused.value.next_step
    return refused.value.lapse


async def test_a_code_prints_once_and_then_asks_for_the_next(county: County) -> None:
    worker, delivery = await taken(county)
    assert await lapse(county, worker, delivery) == Lapse.NONE
    await county.permit_print(worker, ALVESTA, delivery.id)
    assert (await county.gateway.printing.print(worker, ALVESTA, delivery.id)).text
    assert await lapse(county, worker, delivery) == Lapse.SPENT
    await county.permit_print(worker, ALVESTA, delivery.id)
    assert (await county.gateway.printing.print(worker, ALVESTA, delivery.id)).text
    assert len(await logged(county, "printed")) == 2


async def test_neither_sign_in_nor_a_window_for_reading_is_a_code_for_printing(county: County) -> None:
    worker, delivery = await taken(county)
    await county.step_up(worker, ALVESTA)
    assert await lapse(county, worker, delivery) == Lapse.NONE


async def test_a_grant_ends_after_two_minutes_and_does_not_begin_in_the_future(county: County) -> None:
    worker, delivery = await taken(county)
    await county.permit_print(worker, ALVESTA, delivery.id)
    county.clock.advance(GRANT_LASTS)
    assert await lapse(county, worker, delivery) == Lapse.OVER
    await county.permit_print(worker, ALVESTA, delivery.id)
    county.clock.advance(-MINUTE)
    assert await lapse(county, worker, delivery) == Lapse.OVER


async def test_a_grant_is_of_one_hand_over_and_of_one_session(county: County) -> None:
    worker, delivery = await taken(county)
    other = await paper.taken(county, worker)
    elsewhere = await county.sign_in("al-sos")
    await county.permit_print(worker, ALVESTA, delivery.id)
    assert await lapse(county, worker, other) == Lapse.NONE
    assert await lapse(county, elsewhere, delivery) == Lapse.NONE
    assert (await county.gateway.printing.print(worker, ALVESTA, delivery.id)).text


async def test_a_paper_and_each_of_its_files_are_printed_once_with_one_code(county: County) -> None:
    worker, delivery = await taken(county, file=True)
    await county.permit_print(worker, ALVESTA, delivery.id)
    [file] = (await county.gateway.printing.print(worker, ALVESTA, delivery.id)).opened.attachments
    _, stream = await county.gateway.printing.file(worker, ALVESTA, delivery.id, file.id)
    assert b"".join([piece async for piece in stream]).startswith(b"%PDF")
    with pytest.raises(ActCodeRequiredError):
        await county.gateway.printing.file(worker, ALVESTA, delivery.id, file.id)


async def test_a_grant_goes_a_day_after_it_ended_spent_or_not(county: County) -> None:
    worker, delivery = await taken(county)
    await county.permit_print(worker, ALVESTA, delivery.id)
    await county.gateway.printing.print(worker, ALVESTA, delivery.id)
    county.clock.advance(DAY + 2 * MINUTE)
    assert await county.gateway.grants.sweep() == 0
    county.clock.advance(1)
    assert await county.gateway.grants.sweep() == 1
    assert await lapse(county, worker, delivery) == Lapse.NONE


async def test_of_two_who_spend_a_grant_at_once_one_prints(county: County) -> None:
    worker, delivery = await taken(county)
    await county.permit_print(worker, ALVESTA, delivery.id)
    done = await asyncio.gather(
        *(county.gateway.printing.print(worker, ALVESTA, delivery.id) for _ in range(4)), return_exceptions=True
    )
    refused = [one for one in done if isinstance(one, BaseException)]
    assert len(refused) == 3
    assert all(isinstance(one, ActCodeRequiredError) for one in refused)
    assert len(await logged(county, "printed")) == 1


async def test_a_code_works_for_one_thing_and_a_wrong_one_for_nothing(county: County) -> None:
    """RFC 6238 §5.2: what opened a window, or another print, permits no print."""
    worker, delivery = await taken(county)
    code = next_code(county, "al-sos")
    directory = await county.gateway.directory.current()
    await county.gateway.windows.open(worker, directory.inbox(ALVESTA), code)
    for wrong in (code, "000000", ""):
        with pytest.raises(SignInError):
            await county.gateway.printing.permit(worker, ALVESTA, delivery.id, wrong)
    assert await lapse(county, worker, delivery) == Lapse.NONE
    assert len(await logged(county, "step_up_failed")) == 3
    for _ in range(FREE_FAILURES - 3):
        with pytest.raises(SignInError):
            await county.gateway.printing.permit(worker, ALVESTA, delivery.id, "000000")
    with pytest.raises(TooManyAttemptsError):
        await county.gateway.printing.permit(worker, ALVESTA, delivery.id, next_code(county, "al-sos"))


async def test_an_altered_or_planted_grant_prints_nothing_and_is_an_alarm(county: County) -> None:
    worker, delivery = await taken(county)
    await county.permit_print(worker, ALVESTA, delivery.id)
    await county.gateway.printing.print(worker, ALVESTA, delivery.id)
    row = await county.store.get(ActGrant, worker.session.id, Act.PRINT, delivery.id)
    assert row is not None
    await county.store.commit(Work(changes=(Update(dataclasses.replace(row, spent=False, version=row.version + 1)),)))
    with pytest.raises(IntegrityError):
        await county.gateway.printing.print(worker, ALVESTA, delivery.id)
    assert len(await logged(county, "printed")) == 1
    assert len(await logged(county, "alarm")) == 1


async def test_a_code_is_asked_only_of_who_may_print(county: County) -> None:
    """Nobody's code is burned for what they may not do, and nothing is told of what is not theirs."""
    worker, delivery = await taken(county)
    delegate = await county.sign_in("al-del")
    with pytest.raises(ForbiddenError):
        await county.gateway.printing.permit(delegate, ALVESTA, delivery.id, next_code(county, "al-del"))
    for inbox, wanted in ((SEAT_E, delivery.id), (ALVESTA, "nothing")):
        with pytest.raises(NotFoundError):
            await county.gateway.printing.permit(worker, inbox, wanted, next_code(county, "al-sos"))
    assert await logged(county, "stepped_up") == []


async def test_rows_of_the_log_leave_with_a_code_of_their_own_once_and_of_one_log(county: County) -> None:
    reviewer = await county.sign_in("gransk")
    review = county.gateway.review
    name = county.gateway.auditor.origin(county.clock.now())
    with pytest.raises(ActCodeRequiredError):
        await review.search(reviewer, name, export=True)
    assert await logged(county, "log_read") == []
    await review.permit_export(reviewer, name, next_code(county, "gransk"))
    with pytest.raises(ActCodeRequiredError):
        await review.search(reviewer, f"{name}-1", export=True)
    assert await review.search(reviewer, name, export=True)
    with pytest.raises(ActCodeRequiredError):
        await review.search(reviewer, name, export=True)
    assert len(await logged(county, "log_read")) == 1
    worker = await county.sign_in("al-sos")
    with pytest.raises(ForbiddenError):
        await review.permit_export(worker, name, next_code(county, "al-sos"))
