"""Two first messages to one recipient in one case, at the same time: both go, and the recipient is a party once."""

from __future__ import annotations

import asyncio

from gateway.errors import ConflictError, DecisionStaleError, IllegalTransitionError
from gateway.forms.demo import demo_referral
from gateway.forms.names import MESSAGE, REFERRAL
from gateway.ports import Store
from gateway.sending import Submission
from gateway.store import Accepted
from tests.clock import ManualClock
from tests.county import ALVESTA, SEAT_E, SEAT_N, a_county

SENDERS = 8


async def test_first_messages_at_the_same_time_all_go_and_make_one_party(store: Store, clock: ManualClock) -> None:
    """A party is a fact that both say; the second to say it is no loser (gateway/store.py)."""
    async with a_county(store, clock=clock) as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)

        def letter(number: int) -> Submission:
            to = (SEAT_E, SEAT_N) if number % 2 else (SEAT_N,)
            values = {"text": f"Fråga {number}", "categories": ["NEED"]}
            return Submission(case=case.id, form_type=MESSAGE, form_version=1, values=values, recipients=to)

        sent = await asyncio.gather(
            *(county.gateway.sending.send(worker, ALVESTA, letter(number)) for number in range(SENDERS))
        )

        assert len({one.message for one in sent}) == SENDERS
        assert {row.id for row in await store.messages_of(case.id, limit=50)} == {one.message for one in sent}
        parties = [row.inbox for row in await store.parties_of(case.id)]
        assert sorted(parties) == sorted({ALVESTA, SEAT_E, SEAT_N})
        for one in sent:
            assert await store.deliveries_of(one.message)


async def test_two_referrals_of_one_case_at_the_same_time_are_still_a_conflict(
    store: Store, clock: ManualClock
) -> None:
    """What both change, the case, goes to one of them; the other's sender is told to look again."""
    async with a_county(store, clock=clock) as county:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        asked = Submission(
            case=case.id,
            form_type=REFERRAL,
            form_version=1,
            values=demo_referral(county.today),
            recipients=("remissgrupp",),
        )
        done = await asyncio.gather(
            *(county.gateway.sending.send(worker, ALVESTA, asked) for _ in range(3)), return_exceptions=True
        )
        won = [one for one in done if isinstance(one, Accepted)]
        lost = [one for one in done if not isinstance(one, Accepted)]
        # Who reads before the first has committed meets a conflict, who reads after it a case that was asked already.
        assert won
        assert all(isinstance(one, ConflictError | DecisionStaleError | IllegalTransitionError) for one in lost), done
        assert len(await store.messages_of(case.id, limit=50)) == len(won)
