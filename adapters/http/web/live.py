"""What moves by itself: a stream that tells who else reads or answers, and the page's own word that somebody is here.

Why this exists: two people must not answer the same referral unknowingly, so presence is told within two seconds. A
stream holds one waiting task and no content: functions and message ids. A page asks for it by itself; so it is no use
that keeps a session alive, and when the session ends the stream says so and closes.
"""

from __future__ import annotations

import json
from contextlib import aclosing
from typing import Final

from aiohttp import web

from adapters.http.routes import Call
from adapters.http.web.inbox import HELP, present_text
from adapters.http.web.rows import acts, shows
from adapters.http.web.words import N_
from gateway.errors import GatewayError
from gateway.model.base import EnvelopeId, InboxId
from gateway.watching import Told

LOOK_EVERY_S: Final = 5.0  # people also leave in silence
BEAT_EVERY: Final = 3  # looks without news before a word that the stream lives


async def events(call: Call) -> web.StreamResponse:
    """Who else is at what, as text/event-stream (WHATWG HTML, 9.2)."""
    inbox = InboxId(call.part("inbox"))
    async with aclosing(call.gateway.watching.watch(call.signed, inbox, every_s=LOOK_EVERY_S)) as stream:
        first = await anext(stream, None)  # a refusal is an ordinary answer, before the stream begins
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "X-Accel-Buffering": "no"}
        )
        await response.prepare(call.request)
        if first is None:  # the server stops: come back soon
            await response.write(b"retry: 3000\n\n")
            return response
        told, quiet = _text(call, first), 0
        try:
            await response.write(told)
            async for news in stream:
                if call.request.transport is None or call.request.transport.is_closing():
                    return response
                text, quiet = _text(call, news), quiet + 1
                if text != told:
                    told, quiet = text, 0
                    await response.write(text)
                elif quiet >= BEAT_EVERY:
                    quiet = 0
                    await response.write(b": lever\n\n")
            await response.write(b"retry: 3000\n\n")  # the server stops: come back soon
        except GatewayError:
            await response.write(b"event: slut\ndata: slut\n\n")
        except ConnectionResetError:
            return response  # the reader left
    return response


def _text(call: Call, told: Told) -> bytes:
    by_message: dict[str, list[int]] = {}
    for number, one in enumerate(told.others):
        by_message.setdefault(one.message, []).append(number)
    here = {
        message: present_text(call, [told.others[number] for number in numbers])
        for message, numbers in by_message.items()
    }
    data = json.dumps({"here": here, "changes": told.changes}, ensure_ascii=False)
    return f"event: narvaro\ndata: {data}\n\n".encode()


async def present(call: Call) -> web.Response:
    """The page's word that its reader is at an item, reads or answers, or has left."""
    inbox, envelope, state = InboxId(call.part("inbox")), EnvelopeId(call.field("kuvert")), call.field("lage")
    if state == "leaving":
        await call.gateway.watching.left(call.signed, inbox, envelope)
    else:
        await call.gateway.watching.seen(call.signed, inbox, envelope, answering=state == "answering")
    return web.Response(status=204)


NOT_LOGGED: Final = "none: presence is neither stored nor logged"
ROUTES: Final = (
    shows(
        "/inkorg/{inbox}/handelser",
        events,
        N_("Händelser"),
        HELP,
        audit=NOT_LOGGED,
        html=False,
        background=True,
        stream=True,
    ),
    acts("/inkorg/{inbox}/narvaro", present, N_("Närvaro"), HELP, audit=NOT_LOGGED, background=True),
)
