"""Count and time every answer, whatever made it, by the route's template.

Why this exists: it stands outside everything else, so that a refusal by a limit, a page of an error and a probe are
counted like an ordinary answer. It looks at no address, no header and no body.
"""

from __future__ import annotations

import time
from typing import Any

from aiohttp import web

from gateway.measures import Metrics


def measuring(metrics: Metrics) -> Any:
    """The outermost middleware."""

    @web.middleware
    async def measured(request: web.Request, handler):  # type: ignore[no-untyped-def]
        began = time.perf_counter()
        status = 500
        answer = None
        try:
            answer = await handler(request)
            status = answer.status
        except web.HTTPException as raised:
            status = raised.status
            raise
        finally:
            streamed = answer is not None and answer.content_type == "text/event-stream"
            seconds = None if streamed else time.perf_counter() - began
            resource = request.match_info.route.resource
            metrics.request(request.method, resource.canonical if resource else "", status, seconds)
        return answer

    return measured
