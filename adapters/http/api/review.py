"""The directory and the log over the API: what may be seen of everybody, and what a reviewer sees."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import limit_of, number_of
from adapters.http.routes import Call, Model, Scope
from gateway.decide import AccessAction


class Place(Model):
    id: str
    name: str
    administration: str
    kind: str
    accepts: list[str]


class DirectoryBody(Model):
    generation: int
    inboxes: list[Place]
    boards: list[dict[str, Any]]


class EventLine(Model):
    log: str
    number: int
    at: int
    administration: str
    action: str
    outcome: str
    actor: str
    detail: dict[str, Any]
    erased: bool


class EventPage(Model):
    events: list[EventLine]
    next: int


class Checkpoints(Model):
    checkpoints: list[str]


class Reports(Model):
    reports: list[dict[str, Any]]


async def read_directory(call: Call) -> DirectoryBody:
    directory = await call.gateway.directory.current()
    return DirectoryBody(
        generation=directory.generation.version,
        inboxes=[
            Place(id=box.id, name=box.name, administration=box.administration, kind=box.kind, accepts=list(box.accepts))
            for box in directory.inboxes.values()
        ],
        boards=[
            {"id": board.id, "name": board.name, "seats": list(board.seats)} for board in directory.boards.values()
        ],
    )


async def read_events(call: Call) -> EventPage:
    name = call.request.query.get("log", "") or call.gateway.auditor.origin(call.gateway.ports.clock.now())
    start, limit = number_of(call.request, "start", 0), limit_of(call.request)
    found = await call.gateway.review.events(call.signed, name, start=start, limit=limit)
    return EventPage(
        events=[
            EventLine(
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
            for event in found
        ],
        next=start + len(found),
    )


async def read_checkpoints(call: Call) -> Checkpoints:
    await call.gateway.integrator.flush()
    return Checkpoints(checkpoints=await call.gateway.review.checkpoint(call.signed))


async def verify(call: Call) -> Reports:
    await call.gateway.rights.without_inbox(call.signed, AccessAction.READ_LOG)
    return Reports(reports=[report.as_dict() for report in await call.gateway.review.verify()])


async def prove(call: Call) -> web.Response:
    await call.gateway.rights.without_inbox(call.signed, AccessAction.READ_LOG)
    name = call.request.query.get("log", "") or call.gateway.auditor.origin(call.gateway.ports.clock.now())
    await call.gateway.integrator.flush()
    text = await call.gateway.review.prove(name, number_of(call.request, "number", 0))
    return web.Response(text=text, content_type="text/plain")


ROUTES: Final = (
    call_row(
        "GET",
        "/directory",
        read_directory,
        "Adressboken",
        audit="none: the directory is known to every user",
        gives=DirectoryBody,
        scope=Scope.OWN,
    ),
    call_row(
        "GET",
        "/audit/events",
        read_events,
        "Händelser i loggen, utan namn och innehåll",
        audit="log_read",
        gives=EventPage,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/checkpoint",
        read_checkpoints,
        "Senaste signerade kontrollpunkt",
        audit="none: sizes and roots",
        gives=Checkpoints,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/verify",
        verify,
        "Kontrollera loggen",
        audit="none: counts only",
        gives=Reports,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "GET",
        "/audit/proof",
        prove,
        "Bevis för en loggrad",
        audit="none: a leaf holds no identity",
        scope=Scope.GATEWAY,
    ),
)
