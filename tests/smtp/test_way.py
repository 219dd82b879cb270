"""What the gateway makes of the mail neighbour's word: states of a delivery, alarms, the circuit (docs/channels.md §2)."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.smtp.relay import Security
from gateway.audit import AuditAction
from gateway.demo_federated import seen_from
from gateway.model.base import DAY, MINUTE, MessageId
from gateway.model.path import Channel
from gateway.states import DeliveryState
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, County, a_county
from tests.faults.tally import tally
from tests.smtp.servers import Kept, Script, a_server, scripted
from tests.smtp.site import Site

pytestmark = pytest.mark.slow


def directory_of(pin: str) -> str:
    """Alvesta's gateway; everybody else is outside, the seat of Ekeliden reached by e-mail alone."""
    text = seen_from({"alvesta.ifo"}, DEMO_DIRECTORY)
    routes = text.split("[[route]]\n")
    kept = [routes[0], *(one for one in routes[1:] if f'"{SEAT_E}"' not in one and f'"{ALVESTA}"' not in one)]
    ours = f'inbox = "{ALVESTA}"\nchannel = "smime"\naddress = "placering@vaxjo.example"\npin = "{pin}"\n'
    theirs = f'inbox = "{SEAT_E}"\nchannel = "smime"\naddress = "remiss@region.example"\npin = "{pin}"\n'
    return "[[route]]\n".join([*kept, ours, theirs])


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


async def _sent(county: County) -> MessageId:
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    return (await county.send_referral(worker, case.id, (SEAT_E,))).message


async def _states(county: County, message: MessageId) -> set[tuple[DeliveryState, str]]:
    return {(row.state, row.reason) for row in await county.store.deliveries_of(message)}


async def test_a_referral_goes_out_by_mail_and_is_in_transit(site: Site) -> None:
    """250 is never "delivered"."""
    kept = Kept()
    async with a_county(directory=directory_of(site.theirs.pin), clock=site.clock) as county, a_server(kept) as port:
        county.gateway.channels.connect(site.neighbour(port))
        message = await _sent(county)
        await county.gateway.channels.run_once(Channel.SMIME)
        assert await _states(county, message) == {(DeliveryState.IN_TRANSIT, "")}
        assert len(kept.mails) == 1


async def test_a_server_that_says_later_for_five_days_is_given_up_and_the_sender_is_told(site: Site) -> None:
    """Q01: 7 to 66 minutes between two tries, five days in all; the circuit stays closed for everybody else."""
    script = Script({"RCPT": "451 4.7.1 greylisted"})
    async with a_county(directory=directory_of(site.theirs.pin), clock=site.clock) as county, scripted(script) as port:
        county.gateway.channels.connect(site.neighbour(port))
        message = await _sent(county)
        began, pauses, last = site.clock.now(), [], 0
        while await _states(county, message) <= {(DeliveryState.QUEUED, "busy"), (DeliveryState.QUEUED, "")}:
            before = len(script.heard)
            await county.gateway.channels.run_once(Channel.SMIME)
            if len(script.heard) > before:
                pauses.append(site.clock.now() - last)
                last = site.clock.now()
            site.clock.advance(5 * MINUTE)
        tally("Q01", cases=1, note="one of five days")
        assert await _states(county, message) == {(DeliveryState.EXPIRED, "unreachable")}
        assert 5 * DAY - 2 * 66 * MINUTE <= last - began <= 5 * DAY
        assert min(pauses[1:]) >= 5 * MINUTE
        assert max(pauses[1:]) <= 71 * MINUTE  # and the five minutes of this test's steps
        assert [row.kind for row in await county.store.notices_waiting(ALVESTA, limit=50)] == ["undelivered"]


async def test_a_5xx_is_one_try_and_the_sender_is_told_at_once(site: Site) -> None:
    """Q02."""
    script = Script({"RCPT": "550 5.1.1 no such user"})
    async with a_county(directory=directory_of(site.theirs.pin), clock=site.clock) as county, scripted(script) as port:
        county.gateway.channels.connect(site.neighbour(port))
        message = await _sent(county)
        await county.gateway.channels.run_once(Channel.SMIME)
        tally("Q02", cases=1)
        assert await _states(county, message) == {(DeliveryState.FAILED, "not-found")}
        assert [row.kind for row in await county.store.notices_waiting(ALVESTA, limit=50)] == ["undelivered"]


async def test_a_way_that_cannot_be_made_safe_raises_one_alarm_and_waits(site: Site) -> None:
    """Q04: an alarm in the log, at most one a minute; nothing in clear; the delivery is tried again."""
    script = Script()
    async with a_county(directory=directory_of(site.theirs.pin), clock=site.clock) as county, scripted(script) as port:
        county.gateway.channels.connect(site.neighbour(port, security=Security.STARTTLS))
        messages = [await _sent(county), await _sent(county)]
        await county.gateway.channels.run_once(Channel.SMIME)
        tally("Q04", cases=1)
        for message in messages:
            assert await _states(county, message) == {(DeliveryState.QUEUED, "insecure")}
        origin = county.gateway.auditor.origin(site.clock.now())
        sides = await county.store.sides(origin, 0, await county.store.log_size(origin))
        assert [side.object for side in sides if side.action == AuditAction.ALARM] == ["smime"]
        assert county.gateway.channels.circuit(Channel.SMIME).failures == 0
