"""The command `sambud channels`: list them, test them, explain a way or a reason.

Why this exists: "why has it not arrived?" is asked on the telephone. Whoever answers must see in one look which way is
stuck and why, try the neighbour without sending anything, and read what a code means and what to do about it.

Rules: nothing is changed and nothing is sent; inboxes and channels are named, people and content never.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from gateway.channel_watch import OUTWARD, ChannelState, ChannelWatch, End, Path, goes_on
from gateway.clirun import Wiring, fail, run, settings_of
from gateway.directory import Snapshot
from gateway.doctor_channels import day, told_by
from gateway.errors import NotFoundError, SetupError
from gateway.model.base import HOUR, Instant
from gateway.model.directory import Inbox
from gateway.model.path import Channel
from gateway.neighbours import ENDED_IN_SWEDISH, IN_SWEDISH, Reason, Telling, reason_of
from gateway.plain import one_line
from gateway.settings import Settings
from gateway.states import DeliveryState

_STATES: Final = {
    DeliveryState.QUEUED: "väntar",
    DeliveryState.ATTEMPTING: "lämnas nu",
    DeliveryState.IN_TRANSIT: "på väg",
    DeliveryState.FAILED: "kom inte fram",
    DeliveryState.EXPIRED: "gick ut i tid",
}
_ENDS: Final = {
    End.SOON: " (förnya nu)",
    End.URGENT: " (BRÅDSKANDE: mindre än en vecka)",
    End.PAST: " (HAR GÅTT UT)",
}


@click.group("channels", invoke_without_command=True)
@click.pass_context
def channels(context: click.Context) -> None:
    """Kanalerna ut ur huset: läge, prov och förklaringar. Ändrar inget."""
    if context.invoked_subcommand is None:
        context.invoke(list_channels)


@channels.command("list")
@click.option("--json", "as_json", is_flag=True, help="Skriv allt som JSON.")
@click.pass_context
def list_channels(context: click.Context, as_json: bool = False) -> None:
    """Varje kanal: ansluten eller inte, kretsen, certifikat, vad som väntar och vad som misslyckades varför."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.channels(settings) as (gateway, numbers):
            now, told = gateway.ports.clock.now(), told_by(numbers)
            states = await gateway.channel_watch.states()
            unfetched = await gateway.channel_watch.unfetched()
            held = await gateway.channel_watch.held()
            if as_json:
                shown = {
                    "channels": [_as_dict(one, told, now) for one in states],
                    "unfetched": [
                        {"inbox": one.inbox, "count": one.count, "hours": (now - one.oldest) // HOUR}
                        for one in unfetched
                    ],
                    "held": [
                        {"inbox": one.inbox, "count": one.count, "late": one.late, "hours": (now - one.oldest) // HOUR}
                        for one in held
                    ],
                }
                click.echo(json.dumps(shown, indent=2, ensure_ascii=False))
                return
            for one in states:
                for line in _lines(one, told, now):
                    click.echo(line)
            for box in unfetched:
                hours = (now - box.oldest) // HOUR
                click.echo(f"! {one_line(box.inbox)}: ingen har öppnat {box.count} på {hours} timmar")
            for desk in held:
                mark, hours = "!" if desk.late else " ", (now - desk.oldest) // HOUR
                said = f"{desk.count} väntar på fördelning, det äldsta sedan {hours} timmar"
                click.echo(f"{mark} {one_line(desk.inbox)}: {said}")

    run(work())


@channels.command("test")
@click.argument("channel", required=False, type=click.Choice([str(one) for one in OUTWARD]))
@click.pass_context
def test_channels(context: click.Context, channel: str | None) -> None:
    """Fråga grannen om den svarar, utan att skicka något. Slutkod 1 när någon inte svarar."""
    settings = settings_of(context)
    wiring: Wiring = context.obj["wiring"]

    async def work() -> int:
        async with wiring.channels(settings) as (gateway, _):
            watch = gateway.channel_watch
            asked = [one for one in watch.connected() if channel is None or one == channel]
            if not asked:
                raise SetupError(
                    "no such channel is connected",
                    swedish="Ingen sådan kanal är ansluten." if channel else "Inga kanaler är anslutna.",
                    next_step="Se docs/operations.md, Settings, för vad en kanal behöver.",
                )
            return sum([await _tested(watch, one) for one in asked])

    sys.exit(1 if run(work()) else 0)


@channels.command("explain")
@click.argument("what")
@click.pass_context
def explain(context: click.Context, what: str) -> None:
    """Förklara WHAT: en inkorg (vilka vägar den har) eller ett skäl (vad koden betyder och vad man gör)."""
    reason = reason_of(what)
    if reason is not None:
        happened, then = IN_SWEDISH[reason]
        click.echo(f"{reason}: {happened} {then}")
        click.echo("Nästa väg i kuvertet prövas av sig själv." if goes_on(reason) else _STOPS)
        return
    try:
        settings: Settings = context.obj["load"]()
    except SetupError:  # the words of reasons need no gateway, and neither does it to say that this is none
        fail(
            _unknown(
                f"{one_line(what)} är inget skäl. Är det en inkorg behövs gatewayens inställningar (SAMBUD_DATA_DIR)."
            )
        )
    wiring: Wiring = context.obj["wiring"]

    async def work() -> None:
        async with wiring.channels(settings) as (gateway, numbers):
            directory = await gateway.directory.current()
            inbox = directory.inboxes.get(what)
            if inbox is None:
                raise _unknown(f"{one_line(what)} är varken en inkorg i adressboken eller ett skäl.")
            for line in _explained(directory, inbox, await gateway.channel_watch.paths(inbox), told_by(numbers)):
                click.echo(line)

    run(work())


def _unknown(swedish: str) -> NotFoundError:
    known = f"Skälen är {', '.join(one for one in Reason if one)}."
    return NotFoundError("neither an inbox nor a reason", swedish=swedish, next_step=known)


_STOPS: Final = "Ingen annan väg prövas av sig själv: felet gäller meddelandet, så en människa behöver se på det."


async def _tested(watch: ChannelWatch, channel: Channel) -> bool:
    """Ask one neighbour; whether it did not answer."""
    told = await watch.probe(channel)
    if told is None:
        click.echo(f"{channel}: kan inte provas utan att något skickas")
        return False
    if told.telling is Telling.DELIVERED:
        click.echo(f"{channel}: svarar")
        return False
    happened, then = IN_SWEDISH.get(told.reason, IN_SWEDISH[Reason.UNREACHABLE])
    detail = f" ({one_line(told.detail)})" if told.detail else ""
    click.echo(f"{channel}: {happened}{detail} {then}")
    return True


def _lines(one: ChannelState, told: Mapping[tuple[str, str], int], now: Instant) -> list[str]:
    name = str(one.channel)
    if not one.used:
        return [f"{name:<9} inte ansluten"]
    said = ["ansluten" if one.connected else "INTE ANSLUTEN, men används"]
    if one.by_hand:
        said = ["lämnas för hand av avsändarens personal"]
    if told.get(("circuit_open", name)):
        said.append("grannen svarar inte: försöken vilar")
    if told.get(("left", name)):
        said.append(f"{told['left', name]} ligger kvar hos grannen")
    if one.expires is not None:
        said.append(f"certifikat till {day(one.expires)}{_ENDS.get(one.end(now), '')}")
    said += [f"{one.in_state(state)} {word}" for state, word in _STATES.items() if one.in_state(state)]
    lines = [f"{name:<9} {', '.join(said)}"]
    for words, counts in ((IN_SWEDISH, one.delayed), (ENDED_IN_SWEDISH, one.failed)):
        for count in counts:
            reason = reason_of(count.reason)
            if reason is not None:
                lines.append(f"{'':<9} {count.count} {_STATES[count.state]}: {reason} – {words[reason][0]}")
    return lines


def _as_dict(one: ChannelState, told: Mapping[tuple[str, str], int], now: Instant) -> dict[str, Any]:
    name = str(one.channel)
    return {
        "channel": name,
        "connected": one.connected,
        "circuit_open": bool(told[key]) if (key := ("circuit_open", name)) in told else None,
        "left": told.get(("left", name)),
        "certificate_ends": day(one.expires) if one.expires else None,
        "certificate": str(one.end(now)),
        "deliveries": [
            {"state": str(count.state), "reason": count.reason, "count": count.count} for count in one.counts
        ],
    }


def _explained(directory: Snapshot, inbox: Inbox, paths: list[Path], told: Mapping[tuple[str, str], int]) -> list[str]:
    outside = directory.is_outside(inbox)
    where = "utanför gatewayen" if outside else "inkorg här"
    lines = [f"{inbox.id} – {one_line(inbox.name)} ({where})"]
    if not outside:
        lines.append("  härifrån: direkt, utan kanal")
    if outside and not paths:
        lines.append("  ingen väg: adressboken har ingen adress till den, så inget går att skicka")
    for place, path in enumerate(paths, 1):
        state = "ansluten" if path.connected else "inte ansluten: hoppas över"
        if path.by_hand:
            state = "för hand: avsändarens personal skriver ut och lämnar"
        if told.get(("circuit_open", str(path.channel))):
            state = "grannen svarar inte nu: väntar, sedan nästa väg"
        label = f"{place}." if outside else "utifrån:"
        lines.append(f"  {label} {path.channel} {one_line(path.address) or '–'} – {state}")
    return lines
