"""L1: how a case that a person entered into Link stands there, asked over loopback (docs/link.md §2)."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from adapters.http.web.carry_words import LINK_WORDS
from adapters.link.client import LinkAccess, LinkClient
from adapters.link.simulator import IDLE, Inboxes, Simulator
from adapters.link.simulator_http import serving
from gateway.__main__ import _neighbours
from gateway.audit import AuditAction
from gateway.collaboration import CaseKind, LinkStatus, Refusal, Trouble
from gateway.errors import ConflictError, ForbiddenError, InvalidFormError, NotFoundError, SetupError
from gateway.linked import SeenThere
from gateway.model.path import Delivery
from gateway.sessions import Signed
from gateway.settings import Settings
from tests import paper
from tests.clock import ManualClock
from tests.county import ALVESTA, VAXJO, County, a_county

pytestmark = pytest.mark.slow  # real connections, and a gateway for each
CANARY = "KANARIEINNEHÅLL om boendet"


@dataclass
class World:
    county: County
    sim: Simulator
    client: LinkClient
    worker: Signed
    ref: str
    delivery: Delivery

    async def look(self) -> SeenThere:
        return await self.county.gateway.linked.look(self.worker, ALVESTA, self.delivery.id)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    """Alvesta has entered a message into Link under the reference of a case of its own there."""
    clock = ManualClock()
    sim = Simulator(clock, Inboxes.PER_ADMINISTRATION)
    async with serving(sim) as base, aiohttp.ClientSession() as session, a_county(clock=clock) as county:
        sim.add_user("alvesta", "alvesta.ifo", "alvesta.vuxen")
        sim.users["alvesta"].from_ = clock.now()
        ref = sim.arrive(CaseKind.OUTPATIENT_SIP, "alvesta.ifo", "alvesta.vuxen", "199006022397", text=CANARY)
        worker = await county.sign_in("al-sos")
        delivery = await paper.entered(county, worker, ref)
        client = LinkClient(LinkAccess(base=base, user="alvesta"), session)
        county.gateway.linked.connect(client)
        yield World(county, sim, client, worker, ref, delivery)


async def test_whoever_entered_a_case_learns_its_state_and_nothing_else_of_it(world: World) -> None:
    """G6: the state alone; a word of our model (INF)."""
    assert await world.look() == SeenThere(world.ref, LinkStatus.INVITED, None)
    world.sim.close(world.ref)
    seen = await world.look()
    assert seen.status is LinkStatus.CLOSED
    assert CANARY not in str(seen)


async def test_the_state_there_moves_no_delivery_here(world: World) -> None:
    """Delivered is what a person says; Link gives no receipt that is known of (UNK)."""
    before = await world.county.store.get(Delivery, world.delivery.id)
    world.sim.close(world.ref)
    await world.look()
    assert await world.county.store.get(Delivery, world.delivery.id) == before


async def test_each_question_names_the_function_there_and_the_person_in_our_log(world: World) -> None:
    """Probe: every call audited with the acting function; the log comes first, so also what got no answer is in it."""
    world.sim.faults.away_until = world.county.clock.now() + 1  # type: ignore[assignment]
    world.sim.sign_in("alvesta")
    assert (await world.look()).trouble is Trouble.AWAY
    world.county.clock.advance(1_000_000)
    assert (await world.look()).status is LinkStatus.INVITED
    assert {(user, what) for _, user, what, _ in world.sim.log} == {("alvesta", f"status for {ALVESTA}")}
    reviewer = await world.county.sign_in("gransk")
    log = world.county.gateway.auditor.origin(world.county.clock.now())
    events = await world.county.gateway.review.search(reviewer, log, action=AuditAction.LINK_ASKED, limit=5)
    assert [event.detail["role"] for event in events] == ["case_worker/member"] * 2
    assert all(event.actor for event in events)


async def test_a_session_that_ended_there_is_begun_again_once(world: World) -> None:
    await world.look()
    world.county.clock.advance(2 * IDLE)
    worker = await world.county.sign_in("al-sos")
    seen = await world.county.gateway.linked.look(worker, ALVESTA, world.delivery.id)
    assert seen.status is LinkStatus.INVITED
    assert [outcome for _, _, _, outcome in world.sim.log] == ["done", "session", "done"]


async def test_a_case_of_another_administration_is_not_told(world: World) -> None:
    """OSL 8:1: what Link does not let the function see is a refusal, and not a state."""
    other = world.sim.arrive(CaseKind.OUTPATIENT_SIP, "vaxjo.nav", "vaxjo.vuxen", "199006022397", text=CANARY)
    theirs = await paper.entered(world.county, world.worker, other)
    seen = await world.county.gateway.linked.look(world.worker, ALVESTA, theirs.id)
    assert seen == SeenThere(other, None, Trouble.FORBIDDEN)


async def test_nothing_is_asked_without_an_inbox_of_ones_own_in_link() -> None:
    """G1: neither routing nor looking needs the shared municipal inbox."""
    async with a_county(clock=ManualClock()) as county:
        worker, link = await county.sign_in("al-sos"), paper.LinkAnswers()
        county.gateway.linked.connect(link)
        delivery = await paper.entered(county, worker, directory=paper.IN_LINK.rpartition("[[route]]")[0])
        with pytest.raises(ConflictError, match="no own inbox"):
            await county.gateway.linked.look(worker, ALVESTA, delivery.id)
        assert link.asked == []


async def test_a_directory_does_not_take_one_inbox_in_link_for_two_administrations(world: World) -> None:
    """G1: one name for two is the shared municipal inbox, whatever it is called."""
    two = f'{paper.IN_LINK}\n[[route]]\ninbox = "{VAXJO}"\nchannel = "link"\naddress = "alvesta.ifo"\n'
    with pytest.raises(InvalidFormError):
        await paper.known(world.county, two)


async def test_nobody_but_the_inbox_that_entered_it_may_ask(world: World) -> None:
    stranger = await world.county.sign_in("vx-sos")
    for inbox in (ALVESTA, VAXJO):
        with pytest.raises((ForbiddenError, NotFoundError)):
            await world.county.gateway.linked.look(stranger, inbox, world.delivery.id)
    assert world.sim.log == []


async def test_what_nobody_has_entered_into_link_is_not_asked_about(world: World) -> None:
    """Taken out is not entered, and what went on paper has no case there."""
    taken = await paper.a_message(world.county, world.worker, directory=paper.IN_LINK, to=paper.LINKED)
    await world.county.gateway.printing.take(world.worker, ALVESTA, taken.id)
    on_paper = await paper.taken(world.county, world.worker)
    await world.county.gateway.carrying.hand_over(world.worker, ALVESTA, on_paper.id, paper.said(world.county))
    for delivery in (taken, on_paper):
        with pytest.raises(NotFoundError):
            await world.county.gateway.linked.look(world.worker, ALVESTA, delivery.id)
    assert world.sim.log == []


async def test_the_switch_is_off_until_somebody_sets_it() -> None:
    assert Settings.model_fields["link_status"].default is False
    async with a_county(clock=ManualClock()) as county:
        worker = await county.sign_in("al-sos")
        delivery = await paper.entered(county, worker)
        with pytest.raises(ConflictError, match="not connected"):
            await county.gateway.linked.look(worker, ALVESTA, delivery.id)


async def test_the_settings_connect_the_question_or_say_what_is_missing(tmp_path: Path) -> None:
    """docs/operations.md, Settings: off unless it is set, and never without an address."""
    clock = ManualClock()
    async with serving(Simulator(clock)) as base, a_county(clock=clock) as county:
        chosen = {"data_dir": tmp_path, "root_key_file": tmp_path / "key", "link_user": "alvesta"}
        async with _neighbours(Settings(**chosen, link_url=base), county.gateway):  # type: ignore[arg-type]
            assert not county.gateway.linked.connected
        with pytest.raises(SetupError, match="SAMBUD_LINK_STATUS"):
            async with _neighbours(Settings(**chosen, link_status=True), county.gateway):  # type: ignore[arg-type]
                pass
        async with _neighbours(Settings(**chosen, link_url=base, link_status=True), county.gateway):  # type: ignore[arg-type]
            assert county.gateway.linked.connected


@pytest.mark.parametrize(
    "reference",
    ["../../api/open/referrals", "..", "19900602-2397", "199006022397", "LINK 1", "LINK/1", "Å-1", "x" * 65, ""],
)
async def test_what_cannot_be_a_reference_is_sent_nowhere(world: World, reference: str) -> None:
    """People write it by hand: a path of somebody's making, or an identity, does not leave the house."""
    assert await world.client.status(reference, ALVESTA) == Refusal(Trouble.INVALID)
    assert world.sim.log == []


@pytest.mark.parametrize(
    ("status", "body", "trouble"),
    [
        (200, {"ref": "LINK-1", "status": "Avslutad"}, Trouble.UNKNOWN),  # a label that nobody here knows
        (200, {"ref": "LINK-2", "status": "closed"}, Trouble.UNKNOWN),  # of another case
        (200, {"ref": "LINK-1"}, Trouble.UNKNOWN),
        (200, ["closed"], Trouble.UNKNOWN),
        (200, None, Trouble.UNKNOWN),
        (302, {}, Trouble.INVALID),
        (500, {}, Trouble.AWAY),
        (429, {"statusCode": 429, "message": "Rate limit is exceeded. Try again in 5 seconds."}, Trouble.BUSY),
        (404, {"error": "x", "path": "/", "status": 404, "timestamp": 1}, Trouble.NOT_FOUND),
        (403, {"resourceType": "OperationOutcome", "issue": [{"code": "forbidden"}]}, Trouble.FORBIDDEN),
        (401, {"statusCode": 401, "message": "expired"}, Trouble.SESSION),
    ],
)
async def test_an_answer_that_is_no_state_is_a_refusal_and_never_a_guess(
    status: int, body: object, trouble: Trouble
) -> None:
    async def token(_: web.Request) -> web.Response:
        return web.json_response({"access_token": "x"})

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=json.dumps(body).encode())

    app = web.Application()
    app.add_routes([web.post("/token", token), web.get("/link/cases/{ref}/status", answer)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        async with aiohttp.ClientSession() as session:
            base = f"http://127.0.0.1:{runner.addresses[0][1]}"
            found = await LinkClient(LinkAccess(base=base, user="x"), session).status("LINK-1", ALVESTA)
    finally:
        await runner.cleanup()
    assert isinstance(found, Refusal)
    assert found.trouble is trouble


def test_every_state_and_every_trouble_has_words_for_people() -> None:
    assert set(LINK_WORDS) == {*LinkStatus, *Trouble}
