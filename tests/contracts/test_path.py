"""The path is the same on every store: a referral is sent, delivered, opened, and the log verifies."""

from __future__ import annotations

from gateway.ports import Store
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
