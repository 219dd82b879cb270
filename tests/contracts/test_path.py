"""The path is the same on every store: a referral is sent, delivered, opened, and the log verifies."""

from __future__ import annotations

from gateway.model.base import AdministrationId, EnvelopeId, UserId
from gateway.model.path import Reading
from gateway.ports import Insert, Store, Work
from tests.clock import ManualClock
from tests.county import SEAT_E, a_county


async def test_a_referral_walks_the_path_on_every_store(store: Store, clock: ManualClock) -> None:
    async with a_county(store, clock=clock) as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        chief = await county.sign_in("ek-chef")
        opened = await county.open(chief, SEAT_E, sent.message)
        assert opened.opened.body["stage"] == "S1"
        await county.gateway.integrator.flush()
        [report] = await county.gateway.review.verify()
        assert (report.exit_code, report.unpublished) == (0, 0)


async def test_many_rows_by_their_keys_come_in_the_order_asked_for(store: Store, clock: ManualClock) -> None:
    """The port: those that exist, in that order, a key asked for twice told twice; one statement or several."""
    keys = [(EnvelopeId(f"envelope-{number // 3}"), UserId(f"user-{number % 3}")) for number in range(150)]
    rows = [
        Reading(
            administration=AdministrationId("a.b"),
            envelope=envelope,
            user=user,
            first_at=clock.now(),
            last_at=clock.now(),
        )
        for envelope, user in keys
    ]
    await store.commit(Work(changes=tuple(Insert(row) for row in rows[::2])))
    asked = [*reversed(keys), keys[0], (EnvelopeId("none"), UserId("user-0"))]
    there = {row.key: row for row in rows[::2]}
    assert await store.get_many(Reading, asked) == [there[key] for key in asked if key in there]
    assert await store.get_many(Reading, []) == []
    for count in (1, 2, 3, 63, 64, 65, 128, 129):
        assert len(await store.get_many(Reading, keys[:count])) == (count + 1) // 2
