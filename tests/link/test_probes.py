"""What must never happen with Link (cosmic-link.md §7, acceptance probes), with a gateway and the simulator."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import aiohttp
import pytest

from adapters.link.client import LinkAccess, LinkClient
from adapters.link.neighbour import LinkNeighbour
from adapters.link.simulator import SHARED, Inboxes, Simulator
from adapters.link.simulator_http import serving
from gateway.audit import AuditAction
from gateway.carried import CHECKS, Said
from gateway.collaboration import Actor, ActorKind, CaseKind, Refusal, Trouble
from gateway.errors import InvalidFormError
from gateway.exchange import turn
from gateway.model.base import HOUR, InboxId
from gateway.model.carrying import Manner
from gateway.model.path import Channel, Message, Origin
from gateway.states import DeliveryState
from tests.clock import ManualClock
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, VAXJO, County, a_county
from tests.path.test_by_hand import Carried, on_paper

pytestmark = pytest.mark.slow  # real connections, and a gateway for each

CANARY = "KANARIEINNEHÅLL om boendet"
CHILDREN = InboxId("vaxjo.barnfamilj.mottagning")
#: Link in the directory: who writes there, and under which name each function's own inbox stands there.
LINKED = (
    DEMO_DIRECTORY
    + """
[[administration]]
id = "link"
organisation = "REGION_KRONOBERG"
name = "Cosmic Link"
outside = true

[[unit]]
id = "link"
administration = "link"
name = "Cosmic Link"
secrecy_regime = "OSL_25"
legal_form = "system"

[[inbox]]
id = "link.avsandare"
unit = "link"
name = "Cosmic Link"
kind = "intake"
accepts = ["case_message"]
members = []

[[route]]
inbox = "link.avsandare"
channel = "link"
address = "link"

[[route]]
inbox = "vaxjo.vuxen.placering"
channel = "link"
address = "vaxjo.nav"

[[route]]
inbox = "alvesta.ifo.vuxen"
channel = "link"
address = "alvesta.ifo"
"""
)


@dataclass
class World:
    county: County
    sim: Simulator
    neighbour: LinkNeighbour
    client: LinkClient

    def arrive(self, administration: str, **more: bool) -> str:
        kind = CaseKind.OUTPATIENT_SIP
        return self.sim.arrive(kind, administration, f"{administration}.vuxen", "199006022397", text=CANARY, **more)

    async def look(self) -> None:
        """One turn of the worker; the rate limit of the other side has passed."""
        self.county.clock.advance(HOUR)
        self.sim.sign_in("vuxen")
        await turn(self.county.gateway, Channel.LINK)

    def operations(self) -> set[str]:
        return {operation for _, _, operation, _ in self.sim.log}

    async def told(self, inbox: InboxId) -> list[Message]:
        items = await self.county.store.inbox_page(inbox, after=None, limit=50)
        rows = await self.county.store.get_many(Message, [(item.message,) for item in items])
        return [row for row in rows if row.origin is Origin.LINK]


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    sim = Simulator(clock, Inboxes.PER_ADMINISTRATION)
    async with (
        serving(sim) as base,
        aiohttp.ClientSession() as session,
        a_county(clock=clock, directory=LINKED) as county,
    ):
        sim.add_user("vuxen", "vaxjo.nav", "vaxjo.vuxen")
        sim.users["vuxen"].from_ = clock.now()
        client = LinkClient(LinkAccess(base=base, user="vuxen"), session)
        neighbour = LinkNeighbour(client, ["vaxjo.nav"])
        county.gateway.channels.connect(neighbour)
        yield World(county, sim, neighbour, client)


async def test_a_function_is_told_where_to_look_and_nothing_of_what_stands_there(world: World) -> None:
    """G3, G6: a notice instead of logging in three times a day; Link's content is never mirrored."""
    ref = world.arrive("vaxjo.nav")
    await world.look()
    [message] = await world.told(VAXJO)
    reader = await world.county.sign_in("vx-sos")
    opened = await world.county.open(reader, VAXJO, message.id)
    text = str(opened.opened.body)
    assert ref in text
    assert "Öppna det i Cosmic Link" in text
    assert CANARY not in text
    assert "199006022397" not in text
    assert world.operations() == {"list_new"}  # envelopes only: no case was read


async def test_a_repeated_look_gives_one_message(world: World) -> None:
    """Probe: duplicate poll; also by a process that remembers nothing."""
    world.arrive("vaxjo.nav")
    world.sim.faults.duplicates = 3
    for _ in range(3):
        await world.look()
    world.county.gateway.channels.connect(LinkNeighbour(world.client, ["vaxjo.nav"]))
    await world.look()
    assert len(await world.told(VAXJO)) == 1


async def test_routing_never_needs_the_shared_municipal_inbox(world: World) -> None:
    """Probe (V3 §7.3.1): where the shared inbox is all there is, nothing of it is asked for and nobody here is told."""
    world.sim.inboxes = Inboxes.SHARED_MUNICIPALITY
    world.arrive("vaxjo.nav")
    await world.look()
    assert await world.told(VAXJO) == []
    assert [(operation, outcome) for _, _, operation, outcome in world.sim.log] == [("list_new", "not_found")]

    world.sim.inboxes = Inboxes.PER_ADMINISTRATION
    await world.look()
    assert len(await world.told(VAXJO)) == 1
    assert SHARED not in str(await world.county.store.routes())


async def test_another_administrations_case_reaches_nobody_here(world: World) -> None:
    """OSL 8:1-2: the one that may see it is asked by its own user alone."""
    world.arrive("alvesta.ifo")
    await world.look()
    assert await world.told(VAXJO) == []
    assert await world.told(ALVESTA) == []


async def test_what_the_envelope_cannot_decide_is_left_for_a_person_and_never_opened(world: World) -> None:
    """G2, probe: no content to triage. Whoever looks after it sees that it lies there, and no more."""
    ref = world.arrive("vaxjo.nav", says_administration=False)
    world.sim.inboxes = Inboxes.SHARED_MUNICIPALITY
    shared = LinkNeighbour(world.client, [SHARED])  # even if somebody set it up so
    assert [one async for one in LinkNeighbour(world.client, [SHARED]).arrivals()] == []  # held back before intake
    world.county.gateway.channels.connect(shared)
    await world.look()
    assert dict(shared.left) == {ref: "not-found"}
    assert world.operations() == {"list_new"}
    assert not [row for row in world.county.store.all(Message) if row.origin is Origin.LINK]  # type: ignore[attr-defined]


async def test_a_refused_user_leaves_no_partial_case(world: World) -> None:
    """Probe; (2): without SITHS nothing begins."""
    world.sim.add_user("utan", "vaxjo.nav", "vaxjo.vuxen", siths=False)
    without = LinkClient(dataclasses.replace(world.client._access, user="utan"), world.client._session)
    unit = Actor(ActorKind.UNIT, "vaxjo.vuxen")
    opened = await without.open_case("ny", "199006022397", CaseKind.OUTPATIENT_SIP, "vaxjo.vuxen", [unit], "SIP")
    assert opened == Refusal(Trouble.FORBIDDEN, code="403")
    assert await world.client.list_new("vaxjo.nav") == ()


async def test_every_call_is_logged_there_and_every_message_here_with_who_acted(world: World) -> None:
    world.arrive("vaxjo.nav")
    await world.look()
    assert {user for _, user, _, _ in world.sim.log} == {"vuxen"}
    log = world.county.gateway.auditor.origin(world.county.clock.now())
    sides = await world.county.store.sides(log, 0, await world.county.store.log_size(log))
    assert AuditAction.RECEIVED in {side.action for side in sides}


async def test_an_outage_there_stops_nothing_here(world: World) -> None:
    world.arrive("vaxjo.nav")
    world.sim.faults.away_until = world.county.clock.now() + 24 * HOUR  # type: ignore[assignment]
    await world.look()
    assert await world.told(VAXJO) == []
    world.county.clock.advance(24 * HOUR)
    await world.look()
    assert len(await world.told(VAXJO)) == 1


# --- L0: by hand --------------------------------------------------------------------------------------------------------


@pytest.fixture
async def by_link() -> AsyncIterator[Carried]:
    """Alvesta's gateway, where Ekeliden is reached in Link alone, also while a neighbour looks into Link's inboxes."""
    async with a_county(clock=ManualClock(), directory=on_paper("link")) as county:
        county.gateway.channels.connect(LinkNeighbour(None, []))  # type: ignore[arg-type]
        worker = await county.sign_in("al-sos")
        case, consent = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id, (SEAT_E,))
        yield Carried(county, worker, case, consent, sent.message)


async def test_a_delivery_to_link_waits_for_a_person_and_its_text_is_the_one_whose_hash_is_kept(
    by_link: Carried,
) -> None:
    """L0 and probe: the exported text equals the stored version's hash; the reference leads back to the case there."""
    await turn(by_link.county.gateway, Channel.LINK)
    assert (await by_link.delivery()).state is DeliveryState.QUEUED
    delivery = await by_link.taken()
    paper = await by_link.printed(delivery)
    again = await by_link.printed(delivery)
    assert hashlib.sha256(again.text.encode()).hexdigest() == paper.digest

    said = Said(
        manner=Manner.LINK,
        handed_at=by_link.county.clock.now(),
        given_to="samordnare",
        reference="",
        checks=frozenset(CHECKS[Channel.LINK]),
    )
    with pytest.raises(InvalidFormError):  # no reference: nobody finds the case again, and it may be opened twice (G5)
        await by_link.carrying.hand_over(by_link.worker, ALVESTA, delivery, said)
    whole = dataclasses.replace(said, reference="LINK-00001")
    handed = await by_link.carrying.hand_over(by_link.worker, ALVESTA, delivery, whole)
    assert await by_link.carrying.said(handed) == ("samordnare", "LINK-00001")
    assert (await by_link.delivery()).state is DeliveryState.DELIVERED


async def test_the_log_says_which_function_acted_at_every_step_to_link(by_link: Carried) -> None:
    delivery = await by_link.taken()
    await by_link.printed(delivery)
    reviewer = await by_link.county.sign_in("gransk")
    log = by_link.county.gateway.auditor.origin(by_link.county.clock.now())
    for action in (AuditAction.DISPATCHED, AuditAction.PRINTED):
        [event] = await by_link.county.gateway.review.search(reviewer, log, action=action, limit=5)
        assert event.detail["role"] == "case_worker/member"
        assert event.actor
