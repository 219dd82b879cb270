"""The fourteen behaviours of cosmic-link.md §7, each met by the client over a real loopback connection."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import aiohttp
import pytest

from adapters.link import rules
from adapters.link.client import LinkAccess, LinkClient
from adapters.link.shapes import refusal_of
from adapters.link.simulator import IDLE, SHARED, Inboxes, Simulator
from adapters.link.simulator_http import serving
from gateway.collaboration import (
    Actor,
    ActorKind,
    CaseKind,
    LinkCase,
    LinkStatus,
    PlanType,
    Refusal,
    Trouble,
)
from gateway.model.base import DAY, HOUR, MINUTE, SECOND, Instant
from tests.clock import ManualClock

SIP = CaseKind.OUTPATIENT_SIP
UNIT = Actor(ActorKind.UNIT, "vaxjo.vuxen")
PATIENT = "199006022397"
RESERVE = "982403010006"
pytestmark = pytest.mark.slow  # real connections, and a gateway for each


@dataclass
class World:
    clock: ManualClock
    sim: Simulator
    base: str
    session: aiohttp.ClientSession

    def client(self, user: str, subscription: str = "simulator") -> LinkClient:
        return LinkClient(LinkAccess(base=self.base, user=user, subscription=subscription), self.session)

    def user(self, name: str, administration: str, unit: str, *, siths: bool = True) -> LinkClient:
        """A user who has been let in by the night's synchronisation."""
        self.sim.add_user(name, administration, unit, siths=siths)
        self.sim.users[name].from_ = self.clock.now()
        return self.client(name)


@pytest.fixture
async def world() -> AsyncIterator[World]:
    clock = ManualClock()
    sim = Simulator(clock, Inboxes.PER_ADMINISTRATION)
    async with serving(sim) as base, aiohttp.ClientSession() as session:
        yield World(clock, sim, base, session)


@pytest.fixture
def adults(world: World) -> LinkClient:
    return world.user("vuxen", "vaxjo.nav", "vaxjo.vuxen")


def arrive(world: World, *, unit: str = "vaxjo.vuxen", administration: str = "vaxjo.nav", **more: object) -> str:
    return world.sim.arrive(SIP, administration, unit, PATIENT, text="Om boendet.", **more)  # type: ignore[arg-type]


def at(text: str) -> Instant:
    moment = datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Stockholm"))
    return Instant(int(moment.astimezone(UTC).timestamp()) * SECOND)


async def case_of(client: LinkClient, ref: str) -> LinkCase:
    found = await client.get_case(ref)
    assert isinstance(found, LinkCase), found
    return found


async def test_1_a_shared_inbox_lets_every_member_of_the_pool_read_and_one_of_its_own_does_not(world: World) -> None:
    """(1): the flaw is there to be seen (V3 §7.1), and so is its remedy."""
    adults = world.user("vuxen", "vaxjo.nav", "vaxjo.vuxen")
    elderly = world.user("aldre", "vaxjo.omsorg", "vaxjo.hemtjanst")
    world.sim.faults.distribution_us = DAY
    ref = arrive(world)
    assert await elderly.get_case(ref) == Refusal(Trouble.FORBIDDEN, code="403")
    assert await elderly.list_new("vaxjo.nav") == Refusal(Trouble.FORBIDDEN, code="403")
    [own] = await adults.list_new("vaxjo.nav")  # type: ignore[misc]
    assert (own.case, own.administration) == (ref, "vaxjo.nav")

    world.clock.advance(2 * SECOND)
    world.sim.inboxes = Inboxes.SHARED_MUNICIPALITY
    [shared] = await elderly.list_new(SHARED)  # type: ignore[misc]
    assert shared.case == ref
    assert (await case_of(elderly, ref)).messages[0].text == "Om boendet."  # another authority's matter, read


async def test_2_no_siths_no_entry_and_a_session_that_idles_is_renewed(world: World) -> None:
    nobody = world.user("utan", "vaxjo.nav", "vaxjo.vuxen", siths=False)
    assert await nobody.list_new("vaxjo.nav") == Refusal(Trouble.FORBIDDEN, code="403")
    adults = world.user("vuxen", "vaxjo.nav", "vaxjo.vuxen")
    assert await adults.list_new("vaxjo.nav") == ()
    world.clock.advance(IDLE + MINUTE)
    assert await adults.list_new("vaxjo.nav") == ()  # signed in again, once, by the client
    assert [line[3] for line in world.sim.log] == ["done", "session", "done"]


async def test_3_distribution_takes_its_time_and_goes_wrong(world: World) -> None:
    world.sim.inboxes = Inboxes.SHARED_MUNICIPALITY
    school = world.user("skola", "vaxjo.skola", "vaxjo.elevhalsa")
    elderly = world.user("aldre", "vaxjo.omsorg", "vaxjo.hemtjanst")
    world.sim.faults.distribution_us = 3 * DAY
    world.sim.faults.wrong_administration = "vaxjo.omsorg"
    ref = arrive(world)
    assert isinstance(await school.get_case(ref), LinkCase)  # undistributed: whoever is in the pool
    world.clock.advance(4 * DAY)
    assert isinstance(await elderly.get_case(ref), LinkCase)  # distributed to the wrong one
    assert await school.get_case(ref) == Refusal(Trouble.FORBIDDEN, code="403")
    done = await elderly.mark_distributed("rätta", ref, "vaxjo.nav")
    assert isinstance(done, int)
    assert await elderly.get_case(ref) == Refusal(Trouble.FORBIDDEN, code="403")


@pytest.mark.parametrize(
    ("posted", "read"),
    [
        ("2026-03-02T07:10", "2026-03-02T08:00"),
        ("2026-03-02T08:00", "2026-03-02T12:00"),
        ("2026-03-02T13:00", "2026-03-02T15:30"),
        ("2026-03-02T15:31", "2026-03-03T08:00"),
        ("2026-03-28T20:00", "2026-03-29T08:00"),  # the night when clocks go forward
    ],
)
async def test_4_people_read_three_times_a_day(posted: str, read: str) -> None:
    assert rules.read_at(at(posted)) == at(read)


async def test_5_too_many_calls_are_told_to_wait_five_seconds(world: World, adults: LinkClient) -> None:
    answers = [await adults.list_new("vaxjo.nav") for _ in range(6)]
    assert answers[-1] == Refusal(Trouble.BUSY, 5, "429")
    world.clock.advance(5 * SECOND)
    assert await adults.list_new("vaxjo.nav") == ()


@pytest.mark.parametrize("shape", ["gateway", "app", "fhir"])
@pytest.mark.parametrize(
    ("trouble", "code"), [(Trouble.FORBIDDEN, "403"), (Trouble.NOT_FOUND, "404"), (Trouble.CLOSED, "409")]
)
async def test_6_each_of_the_three_shapes_of_errors_is_one_refusal(
    world: World, adults: LinkClient, shape: str, trouble: Trouble, code: str
) -> None:
    world.sim.faults.shape = shape
    ref = arrive(world, administration="vaxjo.omsorg", unit="x") if trouble is Trouble.FORBIDDEN else arrive(world)
    if trouble is Trouble.CLOSED:
        world.sim.close(ref)
    asked = "LINK-99999" if trouble is Trouble.NOT_FOUND else ref
    assert await adults.post_message("a", asked, "Hej") == Refusal(trouble, 0, code)


@pytest.mark.parametrize(
    "body", [None, [], "x", 7, {}, {"status": "403"}, {"issue": 3}, {"resourceType": "OperationOutcome", "issue": [1]}]
)
def test_6_an_error_in_no_known_shape_is_a_refusal_all_the_same(body: object) -> None:
    assert refusal_of(403, body).trouble is Trouble.FORBIDDEN
    assert refusal_of(418, body).trouble is Trouble.INVALID
    assert refusal_of(500, body).trouble is Trouble.AWAY


async def test_7_there_is_no_push_and_no_cursor_the_newest_comes_first_and_the_same_again(
    world: World, adults: LinkClient
) -> None:
    first = arrive(world)
    world.clock.advance(HOUR)
    adults = world.client("vuxen")
    second = arrive(world)
    world.sim.faults.duplicates = 2
    for _ in range(2):
        found = await adults.list_new("vaxjo.nav")
        assert [one.case for one in found] == [second, second, first, first]  # type: ignore[union-attr]


async def test_8_a_reservnummer_becomes_a_personnummer_late(world: World, adults: LinkClient) -> None:
    ref = world.sim.arrive(SIP, "vaxjo.nav", "vaxjo.vuxen", RESERVE)
    before = await case_of(adults, ref)
    assert world.sim.merge(RESERVE, PATIENT) == 1
    after = await case_of(adults, ref)
    assert (before.patient, after.patient) == (RESERVE, PATIENT)
    assert after.version > before.version


async def test_9_a_protected_identity_is_masked_and_opened_by_the_named_unit_only(
    world: World, adults: LinkClient
) -> None:
    ref = arrive(world, protected=True)
    other = world.user("annan", "vaxjo.nav", "vaxjo.annan")
    [shown] = await other.list_new("vaxjo.nav")  # type: ignore[misc]
    assert (shown.masked, shown.unit) == (True, "")
    assert await other.get_case(ref) == Refusal(Trouble.FORBIDDEN, code="403")
    assert isinstance(await adults.get_case(ref), LinkCase)


async def test_10_a_case_that_the_other_side_closed_takes_no_more(world: World, adults: LinkClient) -> None:
    ref = arrive(world)
    before = len((await case_of(adults, ref)).messages)
    world.sim.close(ref)
    assert await adults.post_message("osänt", ref, "Hej") == Refusal(Trouble.CLOSED, code="409")
    assert len((await case_of(adults, ref)).messages) == before


async def test_11_a_relative_can_be_an_actor_and_the_whole_flow_is_walked(world: World, adults: LinkClient) -> None:
    relative = Actor(ActorKind.RELATIVE, "närstående")
    ref = await adults.open_case("ny", PATIENT, SIP, "vaxjo.vuxen", [UNIT, relative], "SIP")
    assert isinstance(ref, str)
    assert relative in (await case_of(adults, ref)).actors
    world.clock.advance(2 * SECOND)
    assert isinstance(await adults.invite("bjud", ref, Actor(ActorKind.CONTACT, "fast vårdkontakt")), int)
    assert isinstance(await adults.accept("ja", ref, "vaxjo.vuxen"), int)
    assert isinstance(await adults.post_message("hej", ref, "Möte på tisdag."), str)
    world.clock.advance(2 * SECOND)
    assert await adults.agree_plan("för tidigt", ref) == Refusal(Trouble.INVALID, code="400")
    assert isinstance(await adults.add_plan_note("plan", ref, PlanType.SIP, "Stöd i hemmet."), int)
    assert isinstance(await adults.agree_plan("klar", ref), int)
    world.clock.advance(2 * SECOND)
    assert isinstance(await adults.decline("nej", ref, "närstående", "vill inte"), int)
    assert isinstance(await adults.close_case("slut", ref, "behovet har upphört"), int)
    assert (await case_of(adults, ref)).status is LinkStatus.CLOSED


@pytest.mark.parametrize(
    ("ready", "call_by", "payment"),
    [
        ("2026-03-02T11:59", "2026-03-06T00:00", "2026-03-06T00:00"),
        ("2026-03-02T12:01", "2026-03-06T00:00", "2026-03-07T00:00"),  # after 12.00: a day more (5:4)
    ],
)
async def test_12_the_clocks_of_the_law_of_2017(world: World, ready: str, call_by: str, payment: str) -> None:
    ref = arrive(world)
    world.clock.set(at(ready))
    assert world.sim.ready(ref) == (at(call_by), at(payment))
    assert world.sim.admit(ref) == Instant(world.clock.now() + DAY)  # 2:3: within 24 hours


async def test_13_an_outage_of_a_day_is_a_value_and_nothing_is_done(world: World, adults: LinkClient) -> None:
    world.sim.faults.away_until = Instant(world.clock.now() + DAY)
    assert await adults.open_case("ny", PATIENT, SIP, "vaxjo.vuxen", [UNIT], "SIP") == Refusal(Trouble.AWAY, 0, "503")
    world.clock.advance(DAY)
    assert await adults.list_new("vaxjo.nav") == ()


async def test_14_a_new_user_comes_in_the_next_day(world: World) -> None:
    world.sim.add_user("ny", "vaxjo.nav", "vaxjo.vuxen")
    new = world.client("ny")
    assert await new.list_new("vaxjo.nav") == Refusal(Trouble.FORBIDDEN, code="403")
    world.clock.set(rules.next_night(world.clock.now()))
    assert await new.list_new("vaxjo.nav") == ()


async def test_the_same_operation_twice_is_once(world: World, adults: LinkClient) -> None:
    refs = {await adults.open_case("ny", PATIENT, SIP, "vaxjo.vuxen", [UNIT], "SIP") for _ in range(3)}
    assert len(refs) == 1
    [ref] = refs
    world.clock.advance(2 * SECOND)
    assert len({await adults.post_message("hej", str(ref), "Hej") for _ in range(2)}) == 1
    assert len((await case_of(adults, str(ref))).messages) == 1


async def test_what_has_ended_is_kept_no_longer_than_the_setting(world: World, adults: LinkClient) -> None:
    """§7: no content is stored after hand-over beyond the retention setting."""
    ref = arrive(world)
    world.sim.close(ref)
    world.clock.advance(world.sim.kept)
    assert await adults.get_case(ref) == Refusal(Trouble.NOT_FOUND, code="404")


async def test_a_referral_is_taken_with_key_token_and_patient_and_with_none_of_them_missing(
    world: World, adults: LinkClient
) -> None:
    """§6 (V2): a subscription key and a bearer token, the patient in a header."""
    first = await adults.refer("r1", PATIENT, "vaxjo.vuxen", "Underlag.")
    assert isinstance(first, str)
    assert await adults.refer("r1", PATIENT, "vaxjo.vuxen", "Underlag.") == first
    assert await adults.refer("r2", "", "vaxjo.vuxen", "Underlag.") == Refusal(Trouble.INVALID, 0, "400")
    without = world.client("vuxen", subscription="")
    refused = await without.refer("r3", PATIENT, "vaxjo.vuxen", "Underlag.")
    assert refused == Refusal(Trouble.SESSION, 0, "401")


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"done": 7}', "null", '"x"', "[1]", '{"ref": 1}'])
async def test_an_answer_that_says_yes_and_holds_nothing_is_none(answer: str) -> None:
    from aiohttp import web

    async def anything(request: web.Request) -> web.Response:
        if request.path == "/token":
            return web.json_response({"access_token": "x"})
        return web.Response(text=answer, content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", anything)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        base = f"http://127.0.0.1:{runner.addresses[0][1]}"
        async with aiohttp.ClientSession() as session:
            client = LinkClient(LinkAccess(base=base, user="x"), session)
            assert await client.get_case("x") == Refusal(Trouble.AWAY)
            assert await client.post_message("r", "x", "y") == Refusal(Trouble.AWAY)
            if answer != "[]":
                assert await client.list_new("x") == Refusal(Trouble.AWAY)
    finally:
        await runner.cleanup()


async def test_nobody_there_is_a_value() -> None:
    async with aiohttp.ClientSession() as session:
        client = LinkClient(LinkAccess(base="http://127.0.0.1:9", user="x"), session)
        assert await client.list_new("x") == Refusal(Trouble.AWAY)
