"""The demo's counterpart outside: each function does what its name says, and without SDK the demo says so and goes on."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from adapters.memory import MemoryStore
from adapters.sdk.connect import simulated
from adapters.sdk.counterpart import ORGANISATION, UNKNOWN, behaviour_of
from adapters.sdk.simulator import Simulator
from gateway.demo_federated import sdk_address
from gateway.demo_outside import (
    COLLECTING,
    FUNCTIONS,
    MISSING,
    OPEN_CARE,
    PAPER,
    PARTICIPANT,
    SILENT,
    Outside,
    with_outside,
)
from gateway.model.base import MINUTE, InboxId
from gateway.model.path import Channel
from tests.clock import ManualClock
from tests.county import ALVESTA, a_county

ROOT = Path(__file__).parent.parent.parent
NO_SDK = "import sys; sys.modules['lxml'] = sys.modules['typst'] = None; from gateway.__main__ import main; main()"


def test_every_function_of_the_demo_is_one_that_the_simulator_has_or_that_people_reach() -> None:
    assert PARTICIPANT == ORGANISATION
    for one in FUNCTIONS:
        assert one.sdk or one.paper
        assert not one.sdk or behaviour_of(one.sdk) is not UNKNOWN


async def test_who_looks_around_finds_a_refusal_a_silence_paper_an_answer_and_mail_to_assign() -> None:
    """What `sambud demo` leaves behind, told by the functions' names (docs/sdk-simulator.md §2)."""
    clock = ManualClock()
    async with a_county(MemoryStore(clock), clock=clock, directory=with_outside()) as county:
        service = Simulator(clock)
        addresses = {"demo": [COLLECTING, sdk_address(ALVESTA)]}
        async with simulated(addresses, service, clock) as neighbours:
            county.gateway.channels.connect(neighbours["demo"])
            outside = Outside(
                county.gateway, clock.advance, lambda to, label, text: str(service.arrive(to, label=label, text=text))
            )
            said: list[str] = []
            await outside.prepare(await county.sign_in("al-sos"), said.append)
            registrator = await county.sign_in("al-reg")
            desk = await county.gateway.triage.desk(registrator, InboxId("alvesta.registrator"))
            assert [held.sender for held in desk.waiting] == [OPEN_CARE.id]
            cases = await county.store.cases_of(ALVESTA, after=None, limit=10)
            rows = [
                row
                for case in cases
                for message in await county.store.messages_of(case.id, limit=50)
                for row in await county.store.deliveries_of(message.id)
            ]
            states = {(row.inbox, str(row.state), row.reason) for row in rows}
            assert states >= {
                (OPEN_CARE.id, "delivered", ""),
                ("motparten.slutenvard", "failed", "not-found"),
                ("motparten.psykiatri", "failed", "no-receipt"),
                (PAPER.id, "queued", ""),
                (ALVESTA, "delivered", ""),  # the answer
            }
            assert {row.channel for row in rows if row.inbox == PAPER.id} == {Channel.HANDOVER}
            assert said
            [silent] = [row for row in rows if row.inbox == SILENT.id]
            worker = await county.sign_in("al-sos")
            await county.gateway.retries.again(worker, ALVESTA, silent.message, silent.envelope)
            await outside.exchange()
            after = [row for row in await county.store.deliveries_of(silent.message) if row.id != silent.id]
            assert [str(row.state) for row in after] == ["in_transit"], "the same envelope is tried once more"
            clock.advance(MINUTE)
            await outside.exchange()
            assert len(await county.store.cases_of(ALVESTA, after=None, limit=10)) == len(cases), "nothing came twice"


@pytest.mark.slow
def test_the_demo_walks_outside_and_its_log_holds_it() -> None:
    said = _said("-m", "gateway")
    assert "motparten.oppenvard: delivered (sdk)" in said
    assert "motparten.slutenvard: failed (sdk), Adressen finns inte hos mottagaren" in said
    assert "svar i inkorgen: 1" in said
    assert said.index("Utanför:") < said.index("inga fel")


@pytest.mark.slow
def test_a_machine_without_the_packages_of_sdk_is_told_so_and_sees_the_rest() -> None:
    said = _said("-c", NO_SDK)
    assert MISSING in said
    assert said.rstrip().endswith("Klart.")


def _said(*program: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "SAMBUD_SDK_URL": "https://sdk.example/nobody"}
    done = subprocess.run(
        [sys.executable, *program, "demo", "--once"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=True,
    )
    return done.stdout
