"""Our client and our simulated service, judged by the SDK API's own description (served by Prism)."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from joserfc.jwk import ECKey

from adapters.sdk.api_model import create_body, message_of
from adapters.sdk.client import Access, NotTakenError, SdkApi, ServiceAwayError
from adapters.sdk.simulator import Simulator
from adapters.sdk.simulator_http import BASE
from adapters.sdk.simulator_http import serving as simulated
from gateway.model.path import Case
from gateway.states import CaseState, DeliveryState
from tests.clock import ManualClock
from tests.county import SEAT_E, SEAT_N
from tests.sdk.federation import Federation, a_federation, sent, states
from tests.sdk.peer import OFFICIAL, Prism, corrected, serving, violations
from tests.sdk.test_message import ID, a_message

pytestmark = pytest.mark.slow
EXAMPLE = "ff325210-0690-42fe-b86f-95ecab821223"  # the file's own message id


@pytest.fixture(scope="module")
def prism(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prism]:
    folder = tmp_path_factory.mktemp("prism")
    with serving(corrected(folder), folder) as started:
        yield started


@asynccontextmanager
async def a_client(address: str, *, known: bool = True) -> AsyncIterator[SdkApi]:
    """Our client at `address`, with its tokens from the simulated service: Prism has no token endpoint."""
    clock, key = ManualClock(), ECKey.generate_key("P-256")
    service = Simulator(clock)
    service.join("c", key if known else ECKey.generate_key("P-256"), ["0203:kommun.example#sdk:inkorg"])
    async with simulated(service) as tokens, aiohttp.ClientSession() as session:
        access = Access(base=f"{address}/", token_url=f"{tokens}/token", client_id="c", key=key, algorithm="ES256")
        yield SdkApi(access, session, clock, timeout_s=20)


async def test_every_call_of_our_client_is_one_that_the_description_knows(prism: Prism) -> None:
    """B1.4.2: the four operations, and the examples of the file read as messages."""
    prism.said()
    async with a_client(prism.address) as api:
        await api.send(a_message())
        found = await api.get(EXAMPLE)
        assert found is not None
        assert message_of(found).sender.id == "0203:inera.se"
        assert await api.waiting("sdk:inkorg:0203:digg.se") == []  # the example is not NEW
        await api.delete(EXAMPLE)
    said = prism.said()
    assert said.count("The request passed the validation rules") == 4
    assert not [line for line in violations(said) if line.startswith("request")]


async def test_what_the_description_forbids_is_refused_and_its_refusal_is_understood(prism: Prism) -> None:
    good: dict[str, Any] = create_body(a_message())["data"]["attributes"]
    bad: list[Any] = [
        {key: value for key, value in good.items() if key != "confidentiality"},
        {**good, "confidentiality": "yes"},
        {**good, "senderAttention": {}},
        {**good, "digitalDocument": [{"documentName": "no id"}]},
        {**good, "digitalDocument": [{"documentId": "1", "contentFiles": [{"fileName": "a.pdf"}]}]},
        {**good, "digitalDocument": {"documentId": "1"}},
        {**good, "messageStatus": "SOMEWHERE"},
    ]
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer t"}) as session:
        for attributes in bad:
            body = {"data": {"type": "messages", "attributes": attributes}}
            async with session.post(f"{prism.address}/sdk/messages", json=body) as answer:
                assert answer.status == 400, attributes
                assert (await answer.json())["type"] == "urn:problem-type:sdk:badRequest"
    async with a_client(prism.address) as api:
        with pytest.raises(NotTakenError) as refused:
            await api.send(dataclasses.replace(a_message(), label="x" * 257))
        assert (refused.value.status, refused.value.title) == (400, "Bad Request")


async def test_an_empty_object_passes_the_description_so_nobody_may_rely_on_it(prism: Prism) -> None:
    async with (
        aiohttp.ClientSession(headers={"Authorization": "Bearer t"}) as session,
        session.post(f"{prism.address}/sdk/messages", json={}) as answer,
    ):
        assert answer.status == 201


async def test_who_gets_no_token_asks_nothing_and_a_call_without_one_is_refused(prism: Prism) -> None:
    prism.said()
    async with a_client(prism.address, known=False) as stranger:
        with pytest.raises(ServiceAwayError):
            await stranger.get(ID)
    assert "Request received" not in prism.said()
    async with aiohttp.ClientSession() as session, session.get(f"{prism.address}/sdk/messages/{ID}") as answer:
        assert answer.status == 401


async def test_the_file_as_published_asks_for_what_no_message_has(tmp_path: Path) -> None:
    """A service that checks by this file with a tool like Prism refuses every message that the specification allows."""
    with serving(OFFICIAL, tmp_path) as literal:
        async with a_client(literal.address) as api:
            with pytest.raises(NotTakenError):
                await api.send(a_message())
        [line] = [line for line in violations(literal.said()) if line.startswith("request")]
        assert "data.attributes must have required property 'type'" in line.replace("Request body property ", "")


async def test_two_gateways_and_the_service_between_them_keep_to_the_description(tmp_path: Path) -> None:
    """Prism stands between both gateways and the service, and turns any breach, of either side, into an error."""
    said = ""

    @asynccontextmanager
    async def judged(address: str) -> AsyncIterator[str]:
        nonlocal said
        with serving(corrected(tmp_path), tmp_path, upstream=address + BASE.rstrip("/")) as between:
            yield f"{between.address}/"
            said = between.said()

    async with a_federation(judged) as federation:
        assert (await _answered(federation)).state is CaseState.MATCHED
        federation.service.faults.reject = "BV/not-supported"
        _, _, message = await sent(federation, (SEAT_E,))
        await federation.exchange(1)
        assert await states(federation.pair.first, message) == {(DeliveryState.FAILED, "type-not-accepted")}
    assert violations(said) == []
    assert said.count("Received forward response") > 20


async def _answered(federation: Federation) -> Case:
    """A referral out, a joint answer back."""
    first, second = federation.pair.first, federation.pair.second
    _, case, message = await sent(federation)
    await federation.exchange()
    ekeliden, novus = await second.sign_in("ek-chef"), await second.sign_in("no-chef")
    await second.open(ekeliden, SEAT_E, message)
    await second.open(novus, SEAT_N, message)
    proposal = await second.gateway.answers.propose(ekeliden, SEAT_E, message, second.answer())
    await second.deliver()
    await second.gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await federation.exchange()
    ours = await first.store.get(Case, case.id)
    assert ours is not None
    return ours
