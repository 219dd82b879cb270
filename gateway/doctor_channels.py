"""The doctor's look at the channels: certificates that end, neighbours that are away, inboxes that nobody fetches.

Why this exists: what a channel stands on is renewed by somebody else, on another day, and forgotten by everybody. The
doctor reads it from the settings that the serving process has, and asks that process (by its numbers) what only it
knows: whether a neighbour is away now and what lies at it. No neighbour is asked and nothing is sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from typing import Final

from gateway.channel_watch import ChannelState, End, end_of
from gateway.doctor import Finding, Level, good, of_error, wrong
from gateway.errors import GatewayError
from gateway.model.base import DAY, HOUR, Instant
from gateway.model.identity import UserState
from gateway.usecases import Gateway

AREA: Final = "kanaler"
_SAMPLE: Final = re.compile(r'^sambud_channel_(left|circuit_open)\{channel="([a-z]+)"\} ([0-9.e+]+)$', re.M)
Connected = Callable[[Gateway], AbstractAsyncContextManager[None]]


def told_by(numbers: str) -> Mapping[tuple[str, str], int]:
    """What the serving process says of its channels: (number, channel) -> value. Empty when it says nothing."""
    return {(name, channel): int(float(value)) for name, channel, value in _SAMPLE.findall(numbers)}


async def channels(gateway: Gateway, connected: Connected, numbers: str) -> list[Finding]:
    """Everything about the ways out and the inboxes."""
    findings: list[Finding] = []
    told = told_by(numbers)
    try:
        async with connected(gateway):
            for channel in gateway.channel_watch.connected():
                state = await gateway.channel_watch.state(channel)
                findings += _certificate(state, gateway.ports.clock.now())
                findings += _serving(str(channel), told)
            if not findings:
                findings.append(good(AREA, "Inga kanaler ut är anslutna: allt går mellan gatewayens egna inkorgar."))
    except GatewayError as trouble:
        findings.append(of_error(AREA, trouble))
    return [*findings, *await systems(gateway), *await unfetched(gateway), *await held(gateway)]


async def systems(gateway: Gateway) -> list[Finding]:
    """Case systems whose key ends: from 60 days before, as the certificates of channels."""
    now, findings = gateway.ports.clock.now(), []
    for one in await gateway.systems.listed():
        end = end_of(one.ends_at, now)
        if one.user.state is not UserState.ACTIVE or end is End.FAR:
            continue
        said = f"{one.user.login}: nyckeln {'gick ut' if end is End.PAST else 'gäller till'} {day(one.ends_at)}."
        level = Level.WARNING if end is End.SOON else Level.WRONG
        findings.append(wrong("system", said, _NEW_KEY, level))
    return findings


def _certificate(state: ChannelState, now: Instant) -> list[Finding]:
    name, end = str(state.channel), state.end(now)
    if state.expires is None:
        return [good(AREA, f"{name}: ansluten, utan certifikat att förnya.")]
    said = f"{name}: certifikatet gäller till {day(state.expires)}"
    if end is End.PAST:
        return [wrong(AREA, f"{name}: certifikatet gick ut {day(state.expires)}.", _RENEW)]
    if end is End.FAR:
        return [good(AREA, f"{said}.")]
    days = max(1, (state.expires - now) // DAY)
    return [wrong(AREA, f"{said}, {days} dygn till.", _RENEW, Level.WRONG if end is End.URGENT else Level.WARNING)]


_NEW_KEY: Final = (
    "Be den som sköter systemet om en ny publik nyckel och kör 'sambud system key'. Den gäller efter 24 timmar."
)
_RENEW: Final = "Beställ ett nytt, lägg in det på båda sidor och starta om. Se docs/operations.md, A certificate ends."


def _serving(channel: str, told: Mapping[tuple[str, str], int]) -> list[Finding]:
    findings = []
    if told.get(("circuit_open", channel)):
        said = f"{channel}: grannen svarar inte, så försöken vilar. Det som väntar skickas när den svarar."
        findings.append(wrong(AREA, said, "Kör 'sambud channels test' och ring den som sköter grannen.", Level.WARNING))
    left = told.get(("left", channel), 0)
    if left:
        said = f"{channel}: {left} meddelanden ligger kvar hos grannen för att de inte togs emot här."
        findings.append(wrong(AREA, said, "Driftloggen säger nummer och skäl. Kontakta avsändaren.", Level.WARNING))
    return findings


async def unfetched(gateway: Gateway) -> list[Finding]:
    """How many inboxes nobody opens; which ones, the command says: a finding goes into support bundles."""
    found = await gateway.channel_watch.unfetched()
    if not found:
        return []
    hours = (gateway.ports.clock.now() - min(one.oldest for one in found)) // HOUR
    said = f"{len(found)} inkorgar har arbete som ingen har öppnat, det äldsta i {hours} timmar."
    then = "'sambud channels' säger vilka. Ring funktionen; har inkorgen rätt medlemmar?"
    return [wrong("inkorgar", said, then, Level.WARNING)]


async def held(gateway: Gateway) -> list[Finding]:
    """What waits for a registrator for over a working day; whose, the command says."""
    late = sum(one.late for one in await gateway.channel_watch.held())
    if not late:
        return []
    said = f"{late} meddelanden har väntat mer än en arbetsdag på att en registrator fördelar dem."
    return [wrong("inkorgar", said, "'sambud channels' säger var. Ring registratorn.", Level.WARNING)]


def day(at: Instant) -> str:
    """The calendar day of an instant, UTC."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).date().isoformat()
