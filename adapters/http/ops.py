"""Two addresses for machines that watch: does the process live, and may it be given work.

Why this exists: a load balancer and a service manager ask every few seconds, without a session. So the answers hold
nothing about anybody, cost nothing worth counting (`gateway.health` keeps them a second), and take no part in the
limits for people. They are rows of the route table like every other, and no pages: their errors are JSON too.
"""

from __future__ import annotations

from typing import Final

from aiohttp import web
from pydantic import BaseModel

from adapters.http.routes import PROBES, Access, Call, Csrf, Rate, Route, Scope

_NO_LOG: Final = "none: says nothing about anybody and is asked every few seconds"


class Alive(BaseModel):
    """The process answers. `sealed`: the keys did not, when last asked. `draining`: it is being stopped."""

    status: str
    sealed: bool
    draining: bool


class FailingCheck(BaseModel):
    check: str
    detail: str
    next_step: str


class Ready(BaseModel):
    """Whether work may be sent here; with 503, `failing` says what does not hold."""

    status: str
    checks: dict[str, bool]
    failing: list[FailingCheck]


async def alive(call: Call) -> Alive:
    health = call.gateway.health
    return Alive(status="alive", sealed=health.sealed, draining=health.draining)


async def ready(call: Call) -> web.Response:
    found = await call.gateway.health.ready()
    told = Ready(
        status="ready" if found.ready else "not ready",
        checks=dict(found.checks),
        failing=[
            FailingCheck(check=str(one.check), detail=one.swedish, next_step=one.next_step) for one in found.failing
        ],
    )
    response = web.json_response(text=told.model_dump_json(), status=200 if found.ready else 503)
    if not found.ready:
        response.headers["Retry-After"] = "5"
    return response


def _probe(path: str, handler: object, gives: type[BaseModel], summary: str) -> Route:
    return Route(
        method="GET",
        path=path,
        handler=handler,  # type: ignore[arg-type]
        access=Access.PUBLIC,
        scope=Scope.NONE,
        csrf=Csrf.SAFE,
        rate=Rate.PROBE,
        audit=_NO_LOG,
        takes=None,
        gives=gives,
        summary=summary,
    )


ROUTES: Final = (
    _probe(PROBES[0], alive, Alive, "Processen lever"),
    _probe(PROBES[1], ready, Ready, "Gatewayen kan ta emot och öppna"),
)
