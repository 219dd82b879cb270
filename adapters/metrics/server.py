"""The port of the numbers: GET /metrics on loopback, apart from the gateway's own port.

Why this exists: numbers about everybody's traffic are for operators, so they are not in the route table, need no
session and are reached by whoever may log in on the machine; a reverse proxy in front of the gateway never leads here.
"""

from __future__ import annotations

from aiohttp import web

from adapters.http.admission import GATE, Gate
from adapters.http.limits import Limits
from adapters.http.listeners import DUTY_PHONES
from adapters.metrics.prometheus import CONTENT_TYPE, PrometheusMetrics
from gateway.health import Health


def application(metrics: PrometheusMetrics, health: Health) -> web.Application:
    """The application of the metrics port."""

    async def show(_: web.Request) -> web.Response:
        text = metrics.exposition(await health.signs())
        return web.Response(body=text, headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    app = web.Application(client_max_size=1024)
    app[GATE], app[DUTY_PHONES] = Gate(Limits()), {}
    app.router.add_get("/metrics", show)
    return app
