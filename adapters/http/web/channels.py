"""The channels for whoever operates the gateway and whoever reviews it: each way out in words, and unfetched inboxes.

Why this exists: "it has not arrived" is answered here before anybody opens a log. Nothing of any message is on the
page: channels, counts, reasons, times, and inboxes by their function.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from adapters.http.routes import Call, Scope
from adapters.http.web.nav import NavItem
from adapters.http.web.rows import page_row
from adapters.http.web.words import CHANNEL, N_
from gateway.channel_watch import ChannelState, End
from gateway.model.base import DAY, HOUR, Instant
from gateway.model.identity import Role
from gateway.neighbours import ENDED_IN_SWEDISH, IN_SWEDISH, Reason, reason_of
from gateway.states import DeliveryState

#: Why an arrival was not taken here, as whoever answers for the gateway would say it.
LEFT: Final[Mapping[Reason, str]] = {
    Reason.UNTRUSTED: N_("Avsändaren finns inte i adressboken."),
    Reason.NOT_FOUND: N_("Adressen hör inte till någon inkorg här."),
    Reason.MALWARE: N_("Viruskontrollen stoppade en bilaga."),
    Reason.TYPE: N_("En bilaga är av en sort som inkorgen inte tar emot."),
    Reason.TOO_LARGE: N_("Det är för stort, eller har för många bilagor."),
    Reason.SIGNATURE: N_("Signaturen stämmer inte."),
    Reason.DUPLICATE: N_("Ett annat meddelande med samma nummer har redan kommit."),
}
LEFT_ELSE: Final = N_("Det går inte att läsa.")
CALL_FIRST: Final = N_("Ring avsändaren innan någon tar bort det hos grannen.")


@dataclass(frozen=True, slots=True)
class Trouble:
    """So many deliveries for one reason: what it means and what to do."""

    count: int
    what: str
    do: str


@dataclass(frozen=True, slots=True)
class Shown:
    """A channel as its card says it; `colour` is of the word that stands first."""

    name: str
    word: str
    colour: str
    state: ChannelState
    waiting: int
    in_transit: int
    delayed: Sequence[Trouble]
    failed: Sequence[Trouble]
    left: Sequence[Trouble]
    days: int | None  # of the certificate
    end: End


async def show(call: Call) -> web.Response:
    found = await call.gateway.channel_watch.overview(call.signed)
    directory = found.directory
    return await call.web.page(
        call,
        "channels.html",
        title=call.tr("Kanaler"),
        channels=[_shown(call, one, found.at) for one in found.states if one.used],
        unused=[call.tr(CHANNEL[one.channel]) for one in found.states if not one.used],
        unfetched=[
            (directory.inboxes[one.inbox].name if one.inbox in directory.inboxes else one.inbox, one)
            for one in found.unfetched
        ],
        hours=call.gateway.options.unfetched_after // HOUR,
    )


def _shown(call: Call, one: ChannelState, now: Instant) -> Shown:
    word, colour = N_("Ansluten"), "success"
    if one.by_hand:
        word, colour = N_("Lämnas av människor"), "info"
    elif not one.connected:
        word, colour = N_("Inte ansluten"), "danger"
    elif one.closed_until is not None:
        word, colour = N_("Svarar inte"), "warning"
    return Shown(
        name=call.tr(CHANNEL[one.channel]),
        word=call.tr(word),
        colour=colour,
        state=one,
        waiting=one.in_state(DeliveryState.QUEUED) + one.in_state(DeliveryState.ATTEMPTING),
        in_transit=one.in_state(DeliveryState.IN_TRANSIT),
        delayed=[_trouble(call, row.count, reason_of(row.reason), ended=False) for row in one.delayed],
        failed=[_trouble(call, row.count, reason_of(row.reason), ended=True) for row in one.failed],
        left=[
            Trouble(count, call.tr(LEFT.get(reason, LEFT_ELSE)), call.tr(CALL_FIRST))
            for reason, count in one.left_by_reason.items()
        ],
        days=max(0, (one.expires - now) // DAY) if one.expires is not None else None,
        end=one.end(now),
    )


def _trouble(call: Call, count: int, reason: Reason | None, *, ended: bool) -> Trouble:
    what, do = (ENDED_IN_SWEDISH if ended else IN_SWEDISH)[reason or Reason.UNREACHABLE]
    return Trouble(count, call.tr(what), call.tr(do))


ROUTES: Final = (
    page_row(
        "GET",
        "/drift/kanaler",
        show,
        N_("Kanaler"),
        audit="transport_read",
        help_="kanaler",
        scope=Scope.GATEWAY,
    ),
)
NAV: Final = (
    NavItem(
        path="/drift/kanaler",
        label=N_("Kanaler"),
        roles=frozenset({Role.SYSTEM_ADMINISTRATOR, Role.AUDITOR}),
        order=21,
    ),
)
