"""How the channels stand, seen without reading anything (docs/channels.md §6)."""

from __future__ import annotations

import dataclasses

import pytest

from gateway.channel_watch import CERTIFICATE_ALARM, UNFETCHED_AFTER, End, end_of
from gateway.model.base import DAY, HOUR, MINUTE, Instant
from gateway.model.path import Channel
from gateway.neighbours import Circuit, Pace, Reason, Telling, Told
from gateway.states import DeliveryState
from tests.clock import ManualClock
from tests.county import SEAT_E, SEAT_N, a_county
from tests.neighbours import WIRE, Pair, a_pair


async def one_sent_outside(pair: Pair) -> None:
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    await pair.first.send_referral(worker, case.id)


@pytest.mark.parametrize(
    ("left", "end"),
    [
        (61 * DAY, End.FAR),
        (60 * DAY, End.SOON),
        (7 * DAY + 1, End.SOON),
        (7 * DAY, End.URGENT),
        (1, End.URGENT),
        (0, End.PAST),
        (-DAY, End.PAST),
    ],
)
def test_a_certificate_alarms_from_sixty_days_before_its_end_and_louder_in_the_last_week(left: int, end: End) -> None:
    now = ManualClock().now()
    assert end_of(Instant(now + left), now) is end
    assert end_of(None, now) is End.UNKNOWN
    assert CERTIFICATE_ALARM == 60 * DAY


@pytest.mark.slow
async def test_a_channel_tells_what_waits_after_a_failed_try_and_that_its_circuit_is_open() -> None:
    async with a_pair() as pair:
        gateway = pair.first.gateway
        await one_sent_outside(pair)
        pair.one.away = 99
        for _ in range(4):
            await gateway.channels.run_once(WIRE)
            pair.first.clock.advance(20 * MINUTE)
        state = await gateway.channel_watch.state(WIRE)
        assert state.connected
        assert [(one.state, one.reason) for one in state.delayed] == [(DeliveryState.QUEUED, "unreachable")]
        assert sum(one.count for one in state.delayed) == 2
        for _ in range(2):
            await gateway.channels.run_once(WIRE)
        state = await gateway.channel_watch.state(WIRE)
        assert state.closed_until is not None
        pair.first.clock.advance(20 * MINUTE)
        assert (await gateway.channel_watch.state(WIRE)).closed_until is None


@pytest.mark.slow
async def test_what_ended_is_told_by_its_reason_the_most_frequent_first() -> None:
    async with a_pair() as pair:
        gateway = pair.first.gateway
        await one_sent_outside(pair)
        await gateway.channels.run_once(WIRE)
        for name in pair.one.carried:
            pair.one.outcomes[name] = Told(Telling.REFUSED, Reason.TYPE, name)
        pair.first.clock.advance(MINUTE)
        await gateway.channels.run_once(WIRE)
        [failed] = (await gateway.channel_watch.state(WIRE)).failed
        assert (failed.channel, failed.state, failed.reason, failed.count) == (
            Channel.SDK,
            DeliveryState.FAILED,
            "type-not-accepted",
            2,
        )


@pytest.mark.slow
async def test_a_channel_that_nobody_connected_and_nobody_uses_has_nothing_to_say() -> None:
    async with a_county() as county:
        assert [one.used for one in await county.gateway.channel_watch.states()] == [False] * 4


@pytest.mark.slow
async def test_an_inbox_that_nobody_opens_is_told_after_the_set_time_and_no_longer_once_it_is_opened() -> None:
    async with a_county() as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        watch = county.gateway.channel_watch
        county.clock.advance(UNFETCHED_AFTER - HOUR)
        assert list(await watch.unfetched()) == []
        chief = await county.sign_in("ek-chef")
        await county.step_up(chief, SEAT_E)
        county.clock.advance(HOUR)
        assert [(one.inbox, one.count) for one in await watch.unfetched()] == [(SEAT_E, 1), (SEAT_N, 1)]
        signs = await county.gateway.health.signs()
        assert signs.unfetched == 2
        assert signs.unfetched_s is not None
        assert signs.unfetched_s >= UNFETCHED_AFTER / 1_000_000
        chief = await county.sign_in("ek-chef")
        await county.step_up(chief, SEAT_E)
        await county.open(chief, SEAT_E, sent.message)
        county.clock.advance(MINUTE)
        assert [one.inbox for one in await watch.unfetched()] == [SEAT_N]


def test_a_pace_doubles_from_the_first_pause_to_the_longest_and_never_marches_in_step() -> None:
    pace = Pace(first=7 * MINUTE, longest=66 * MINUTE)
    for attempts, longest in ((1, 7), (2, 14), (3, 28), (4, 56), (5, 66), (6, 66), (400, 66)):
        pauses = {pace.pause(attempts) for _ in range(200)}
        assert all(0.75 * longest * MINUTE <= pause <= longest * MINUTE for pause in pauses), attempts
        assert len(pauses) > 100
    assert pace.pause(0) <= 7 * MINUTE


def test_a_pace_gives_up_so_long_after_the_first_failure_and_never_after_the_form_s_own_time() -> None:
    now = ManualClock().now()
    far, near = Instant(now + 30 * DAY), Instant(now + 2 * DAY)
    pace = Pace(give_up=5 * DAY)
    assert pace.ends(far, 1, now) == now + 5 * DAY
    assert pace.ends(near, 1, now) == near
    # The end was set when the first try failed: later failures do not move it.
    ends = pace.ends(far, 1, now)
    assert pace.ends(ends, 2, Instant(now + DAY)) == ends
    assert Pace().ends(far, 1, now) == far


def test_a_circuit_opens_after_three_failures_in_a_row_for_longer_each_time_and_closes_when_one_works() -> None:
    now, circuit = ManualClock().now(), Circuit()
    for _ in range(2):
        circuit.failed(now)
        assert circuit.closed(now)
    for seconds in (30, 60, 120, 240, 480, 900, 900):
        circuit.failed(now)
        assert circuit.until == now + seconds * 1_000_000
        assert not circuit.closed(Instant(circuit.until - 1))
        now = circuit.until
    circuit.worked()
    assert circuit.closed(now)
    assert dataclasses.replace(circuit).opened == 0


def test_attempts_side_by_side_open_a_circuit_once_and_one_is_made_for_all_after_the_pause() -> None:
    """§2.3: what fails while it is open was begun before; thirty-two at once are no thirty-two tries in a row."""
    now, circuit = ManualClock().now(), Circuit()
    assert circuit.most(32) == 32
    for _ in range(32):
        circuit.failed(now)
    assert circuit.until == now + 30_000_000
    assert circuit.most(32) == 1
    circuit.worked()
    assert circuit.most(32) == 32


async def test_a_way_that_the_directory_leads_by_is_used_before_anything_has_gone_by_it() -> None:
    """Also when everything that went by hand has arrived: nobody shall read that paper is not used here."""
    async with a_pair(also={"handover": "Postadress "}) as pair:
        used = {one.channel: one.used for one in await pair.first.gateway.channel_watch.states()}
        assert used == {Channel.SDK: True, Channel.SMIME: False, Channel.LINK: False, Channel.HANDOVER: True}
