"""What a gateway does not take stays at the message service: its sender was told that it arrived."""

from __future__ import annotations

import aiohttp
import pytest
from joserfc.jwk import ECKey
from structlog.testing import capture_logs

from adapters.sdk.client import Access, SdkApi
from adapters.sdk.model import Attention, Party
from adapters.sdk.neighbour import SdkNeighbour
from adapters.sdk.simulator import Kept
from adapters.sdk.simulator_http import BASE
from gateway.documents import Page
from gateway.model.path import Channel
from gateway.neighbours import Reason
from tests.county import SEAT_E
from tests.neighbours import address_of
from tests.sdk.federation import Federation, sent
from tests.sdk.test_message import ID, a_message

pytestmark = pytest.mark.slow
STRANGER = "0203:stranger.example#sdk:inkorg:stranger"


def from_a_stranger() -> dict[str, Party]:
    there, _, function = address_of(SEAT_E).partition("#")
    own, _, box = STRANGER.partition("#")
    return {
        "sender": Party(id=own, attention=Attention(function=box)),
        "recipient": Party(id=there, attention=Attention(function=function)),
    }


async def test_a_refused_arrival_stays_at_the_service_is_told_once_and_is_not_fetched_again(
    federation: Federation,
) -> None:
    """sdk.md §10: NEW is final, the sender has ACCEPTED; deleting what we refuse would lose it for both sides."""
    key = ECKey.generate_key("P-256")
    federation.service.join("stranger", key, [STRANGER])
    access = Access(
        base=federation.address + BASE,
        token_url=f"{federation.address}/token",
        client_id="stranger",
        key=key,
        algorithm="ES256",
    )
    async with aiohttp.ClientSession() as session:
        with capture_logs() as logs:
            await SdkApi(access, session, federation.pair.second.clock).send(a_message(**from_a_stranger()))
            await federation.exchange(1)
        gateway = federation.pair.second.gateway
        left = [line for line in logs if line["log_level"] == "error"]
        assert [(line["message"], line["reason"]) for line in left] == [(ID, "untrusted-sender")]
        assert "Kallelse" not in repr(logs)
        assert federation.service.boxes["county"][ID].status == "NEW"
        assert federation.two.left == {ID: Reason.UNTRUSTED}
        assert [one.left for one in (await gateway.health.signs()).channels] == [1]
        await federation.two._api.delete(ID)  # a person looked at it, and took it away
        await federation.exchange(1)
        assert [one.left for one in (await gateway.health.signs()).channels] == [0]


async def test_what_cannot_be_read_stays_too_and_holds_up_nothing(federation: Federation) -> None:
    there, _, function = address_of(SEAT_E).partition("#")
    broken = {
        "messageId": ID,
        "label": "Kallelse",
        "recipient": there,
        "recipientAttention": {"subOrganization": {"extension": function}},
    }
    box = federation.service.boxes["county"]
    box[ID] = Kept(broken, "NEW")
    with capture_logs() as logs:
        await federation.exchange(1)
    left = [line for line in logs if line["log_level"] == "error"]
    assert [(line["message"], line["reason"]) for line in left] == [(ID, "structure")]
    assert federation.two.left == {ID: Reason.STRUCTURE}
    assert list(box) == [ID]


class Brittle:
    """A reader of pages that meets a bug in each of them."""

    def may_hold_data(self, octets: bytes) -> bool:
        raise RecursionError(f"met in {len(octets)} octets")

    async def data(self, octets: bytes) -> bytes | None:
        raise AssertionError("never reached")

    async def pdf(self, page: Page, data: bytes = b"") -> bytes:
        raise AssertionError("nothing is sent")


async def test_what_meets_a_bug_when_it_is_read_stays_and_holds_up_nothing(federation: Federation) -> None:
    """Q12 at the message service: what came before and after it is listed and looked at."""
    service, two = federation.service, federation.two
    brittle = SdkNeighbour(two._api, two._addresses, Brittle())
    await sent(federation, (SEAT_E,))
    await federation.pair.first.gateway.channels.run_once(Channel.SDK)
    there, _, function = address_of(SEAT_E).partition("#")
    service.boxes["county"][ID] = Kept(
        {
            "messageId": ID,
            "label": "Kallelse",
            "recipient": there,
            "recipientAttention": {"subOrganization": {"extension": function}},
        },
        "NEW",
    )
    with capture_logs() as logs:
        assert [arrived.id async for arrived in brittle.arrivals()] == []
    assert sorted(brittle.left.values()) == [Reason.FAULT, Reason.STRUCTURE]
    [told] = [line for line in logs if line["event"] == "unforeseen"]
    assert told["kind"] == "RecursionError"
    assert "octets" not in repr(told)
    assert len(service.boxes["county"]) == 2
