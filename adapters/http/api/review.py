"""The log over the API: what a reviewer reads, checks and proves, without names and without content."""

from __future__ import annotations

from typing import Annotated, Any, Final

from aiohttp import web
from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At
from adapters.http.parameters import limit, number, text
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.audit import Event
from gateway.decide import AccessAction
from gateway.errors import InvalidFormError, NotFoundError

Number = Annotated[int, Field(ge=0, description="Radens nummer i loggen.")]


class EventLine(Model):
    """`actor` is a pseudonym; `detail` is empty when it was erased."""

    log: str
    number: Number
    at: At
    administration: str
    action: str
    outcome: str
    actor: str
    detail: dict[str, Any]
    erased: bool


class EventPage(Model):
    """`next` is where a reading goes on: the number of the first row that is not in it."""

    events: list[EventLine]
    next: Number


class EventList(Model):
    events: list[EventLine]


class LogLine(Model):
    year: int
    log: str


class LogList(Model):
    logs: list[LogLine]


class Checkpoints(Model):
    checkpoints: list[str]


class Report(Model):
    """`exit_code`: 0 whole, 1 changed, 2 incomplete."""

    log: str
    leaves: int
    checkpoints: int
    unpublished: int
    erased: int
    faults: list[str]
    missing: list[str]
    exit_code: int


class Reports(Model):
    """Without `ended` the check did not end within its time: then the command line does it."""

    ended: bool
    reports: list[Report]


async def list_logs(call: Call) -> LogList:
    found = await call.gateway.review.logs(call.signed)
    return LogList(logs=[LogLine(year=int(label.partition("-")[0]), log=name) for label, name in found.items()])


async def read_events(call: Call) -> EventPage:
    start = call.number("start")
    found = await call.gateway.review.events(call.signed, await _log(call), start=start, limit=call.number("limit"))
    return EventPage(events=[_line(event) for event in found], next=start + len(found))


async def search_events(call: Call) -> EventList:
    found = await call.gateway.review.search(
        call.signed,
        await _log(call),
        action=call.text("action"),
        administration=call.text("administration"),
        object=call.text("object"),
        before=call.number("before") if "before" in call.args else None,
        limit=call.number("limit"),
    )
    return EventList(events=[_line(event) for event in found])


async def read_checkpoints(call: Call) -> Checkpoints:
    await call.gateway.rights.without_inbox(call.signed, AccessAction.READ_LOG)
    await call.gateway.integrator.flush()
    return Checkpoints(checkpoints=await call.gateway.review.checkpoint(call.signed))


async def verify_log(call: Call) -> Reports:
    found = await call.gateway.inspection.run(call.signed)
    return Reports(ended=found.ended, reports=[Report.model_validate(report.as_dict()) for report in found.reports])


async def prove_event(call: Call) -> web.Response:
    await call.gateway.rights.without_inbox(call.signed, AccessAction.READ_LOG)
    await call.gateway.integrator.flush()
    proof = await call.gateway.review.prove(await _log(call), call.number("number"))
    return web.Response(text=proof, content_type="text/plain")


async def _log(call: Call) -> str:
    """The log that is meant. What was typed reaches no log when there is none of that name."""
    wanted = call.text("log") or call.gateway.auditor.origin(call.gateway.ports.clock.now())
    if wanted not in (await call.gateway.review.logs(call.signed)).values():
        raise NotFoundError("no such log", swedish="Det finns ingen logg med det namnet.", next_step="Lista loggarna.")
    return wanted


def _line(event: Event) -> EventLine:
    return EventLine(
        log=event.log,
        number=event.number,
        at=event.at,
        administration=event.administration,
        action=event.action,
        outcome=event.outcome,
        actor=event.actor,
        detail=dict(event.detail),
        erased=event.erased,
    )


LOG: Final = text("log", "Loggens namn; utan det årets.", most=200)
ROUTES: Final = (
    call_row(
        "GET",
        "/audit/logs",
        list_logs,
        "Loggarna, en per år",
        tag=Tag.AUDIT,
        audit="none: names of logs",
        gives=LogList,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/events",
        read_events,
        "Händelser i loggen i ordning, utan namn och innehåll",
        tag=Tag.AUDIT,
        audit="log_read",
        gives=EventPage,
        scope=Scope.GATEWAY,
        query=(LOG, number("start", "Från och med det radnumret."), limit()),
        fails=(NotFoundError,),
    ),
    call_row(
        "GET",
        "/audit/search",
        search_events,
        "Sök händelser, de nyaste först",
        tag=Tag.AUDIT,
        audit="log_read",
        gives=EventList,
        scope=Scope.GATEWAY,
        query=(
            LOG,
            text("action", "Bara den sortens händelser.", most=64),
            text("administration", "Bara den förvaltningens händelser.", most=128),
            text("object", "Bara händelser om det id:t."),
            number("before", "Bara rader före det numret.", default=None),
            limit(),
        ),
        fails=(InvalidFormError, NotFoundError),
    ),
    call_row(
        "GET",
        "/audit/checkpoint",
        read_checkpoints,
        "Senaste signerade kontrollpunkt",
        tag=Tag.AUDIT,
        audit="none: sizes and roots",
        gives=Checkpoints,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/verify",
        verify_log,
        "Kontrollera loggen",
        tag=Tag.AUDIT,
        audit="log_verified",
        gives=Reports,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/proof",
        prove_event,
        "Bevis för en loggrad",
        tag=Tag.AUDIT,
        audit="none: a leaf holds no identity",
        media="text/plain",
        scope=Scope.GATEWAY,
        query=(LOG, number("number", "Radens nummer.")),
        fails=(NotFoundError,),
    ),
)
