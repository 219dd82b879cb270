"""Deliveries for whoever operates the gateway and whoever reviews it: from which function to which, state, times.

Why this exists: when something does not arrive, somebody must see it without being able to read it. These pages know
ids, functions, states and times; no page here opens, names or even counts what a message says, and each look is logged.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Final
from urllib.parse import urlencode

from aiohttp import web

from adapters.http.routes import Call, Handler, Route, Scope
from adapters.http.web.nav import Link, NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import DELIVERY, N_
from gateway.consents import STOCKHOLM
from gateway.errors import FieldError, InvalidFormError
from gateway.model.base import Instant, MessageId
from gateway.model.identity import Role
from gateway.model.path import Delivery, ReceiptKind
from gateway.neighbours import ENDED_IN_SWEDISH, IN_SWEDISH, reason_of
from gateway.ports import Cursor
from gateway.retries import ENDED
from gateway.states import DeliveryState
from gateway.traffic import Transported

PAGE: Final = 50


async def show_list(call: Call) -> web.Response:
    query = call.request.query
    state, message = query.get("status", ""), query.get("meddelande", "").strip()
    until = query.get("dag", "").strip()
    state = state if state in set(DeliveryState) else ""
    faults: tuple[FieldError, ...] = ()
    lines: Sequence[Transported] = ()
    try:
        after = _cursor(query) or _end_of(call, until)
        lines = await call.gateway.traffic.lines(call.signed, state=state, message=message, after=after, limit=PAGE)
    except InvalidFormError as invalid:
        faults = invalid.faults
    kept = {"status": state, "meddelande": message, "dag": until}
    return await call.web.page(
        call,
        "transport.html",
        title=call.tr("Leveranser"),
        status=422 if faults else 200,
        faults=faults,
        lines=lines,
        inboxes=await _names(call),
        states=[("", call.tr("Alla")), *((str(key), call.tr(word)) for key, word in DELIVERY.items())],
        state=state,
        message=message,
        until=until,
        troubled={key: count for key, count in (await call.gateway.traffic.troubled(call.signed)).items() if count},
        unfetched=len(await call.gateway.channel_watch.unfetched()),
        most=PAGE,
        filtered=bool(state or message or until),
        first=_query(kept) if "efter" in query else None,
        older=_query({**kept, "efter": _mark(lines[-1].delivery)}) if len(lines) == PAGE else None,
    )


async def show_message(call: Call) -> web.Response:
    journey = await call.gateway.traffic.journey(call.signed, MessageId(call.part("meddelande")))
    names = await _names(call)
    return await call.web.page(
        call,
        "transport_message.html",
        title=call.tr("Ett meddelandes väg"),
        back=Link("/drift/meddelanden", call.tr("Till leveranserna")),
        journey=journey,
        words={row.id: _reason(call, row) for row in journey.deliveries},
        deliveries=sorted(journey.deliveries, key=lambda delivery: names.get(delivery.inbox, delivery.inbox)),
        inboxes=names,
        opened=ReceiptKind.OPENED,
        delivered=ReceiptKind.DELIVERED,
        waiting=(DeliveryState.QUEUED, DeliveryState.ATTEMPTING, DeliveryState.IN_TRANSIT),
    )


def _reason(call: Call, delivery: Delivery) -> tuple[str, str]:
    """What the neighbour said and what to do, in words; empty when it said nothing."""
    reason = reason_of(delivery.reason)
    if reason is None or delivery.delivered_at is not None:
        return "", ""
    what, do = (ENDED_IN_SWEDISH if delivery.state in ENDED else IN_SWEDISH)[reason]
    return call.tr(what), call.tr(do)


async def _names(call: Call) -> Mapping[str, str]:
    directory = await call.gateway.directory.current()
    return {inbox.id: inbox.name for inbox in directory.inboxes.values()}


def _end_of(call: Call, day: str) -> Cursor | None:
    """A page that begins with the last change of `day`."""
    if not day:
        return None
    try:
        found = date.fromisoformat(day)
        end = datetime.combine(found + timedelta(days=1), time(), STOCKHOLM)
    except (ValueError, OverflowError):
        text = call.tr("Skriv dagen som ÅÅÅÅ-MM-DD, till exempel 2026-03-02.")
        fault = FieldError("/dag", "day", text)
        raise InvalidFormError("not a day", [fault], swedish=text, next_step="Rätta dagen.") from None
    return Cursor(Instant(int(end.timestamp()) * 1_000_000 - 1), "")


def _cursor(query: Mapping[str, str]) -> Cursor | None:
    at, _, last = query.get("efter", "").partition(".")
    if not (at.isascii() and at.isdigit() and len(at) <= 18 and len(last) <= 64):
        return None
    return Cursor(Instant(int(at)), last)


def _mark(delivery: Delivery) -> str:
    return f"{delivery.changed_at}.{delivery.id}"


def _query(values: Mapping[str, str]) -> str:
    return urlencode({name: value for name, value in values.items() if value})


def _page(path: str, handler: Handler, title: str) -> Route:
    return page_row("GET", path, handler, title, audit="transport_read", help_="leveranser", scope=Scope.GATEWAY)


ROUTES: Final = (
    _page("/drift/meddelanden", show_list, N_("Leveranser")),
    _page("/drift/meddelanden/{meddelande}", show_message, N_("Ett meddelandes väg")),
)
NAV: Final = (
    NavItem(
        path="/drift/meddelanden",
        label=N_("Leveranser"),
        roles=frozenset({Role.SYSTEM_ADMINISTRATOR, Role.AUDITOR}),
        order=20,
    ),
)
