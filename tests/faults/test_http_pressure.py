"""More than can be carried out (security.md §6, W08 and W09; design.md §3): refused early, in bounded memory, nothing lost.

The writer of a real SQLite database is made to wait by another connection that holds the write lock, as a backup tool
or a stuck disk would. What was acknowledged is there afterwards, what was refused can simply be sent again.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from adapters.http.admission import GATE, Gate, Lane, lane_of
from adapters.http.api import ROUTES
from adapters.http.limits import MOST_KEPT, UNPACED, Buckets, Limits, Pace
from adapters.http.routes import Rate
from adapters.http.web import PAGES
from adapters.sql.sqlite import SqliteStore
from gateway.forms.demo import demo_referral
from gateway.model.base import MINUTE
from gateway.model.path import Case, Message
from tests.clock import ManualClock
from tests.county import ALVESTA
from tests.faults.http_peers import Answer, Served, Stopwatch, served
from tests.faults.tally import tally

ACCEPTS, MESSAGES = 500, 40
MIB = 1024 * 1024


@asynccontextmanager
async def on_sqlite(folder: Path, limits: Limits) -> AsyncIterator[Served]:
    clock = ManualClock()
    store = await SqliteStore.open(folder / "sambud.db", clock, create=True)
    try:
        async with served(limits, store=store, clock=clock, keys_db=folder / "keys.db", real_time=True) as site:
            yield site
    finally:
        await store.close()


def rss() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096


@pytest.mark.slow
async def test_a_stalled_writer_fills_its_lane_and_no_more_and_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """500 accepts at once while the disk stands still: 503 with Retry-After for those beyond the lane, reading goes on."""
    limits = dataclasses.replace(UNPACED, writes_per_user=ACCEPTS)
    async with on_sqlite(tmp_path, limits) as site:
        gateway, token = site.county.gateway, await site.token("al-sos")
        signed = await gateway.sessions.authenticate(token)
        bodies = []
        for _ in range(MESSAGES):
            case, _ = await site.county.consented_case(signed)
            bodies.append(("messages/direct", {
                "inbox": ALVESTA, "case": case.id, "form_type": "placement_referral", "form_version": 1,
                "values": demo_referral(site.county.today), "recipients": ["remissgrupp"],
            }))  # fmt: skip
        bodies += [("cases", {"inbox": ALVESTA})] * (ACCEPTS - MESSAGES)

        async def accept(number: int) -> Answer:
            path, body = bodies[number]
            return await site.ask(
                "POST", f"/api/v1/{path}", json.dumps(body).encode(),
                Content_Type="application/json", Authorization=f"Bearer {token}", Idempotency_Key=f"accept-{number}",
            )  # fmt: skip

        lock = sqlite3.connect(tmp_path / "sambud.db", isolation_level=None)
        lock.execute("BEGIN IMMEDIATE")
        before = rss()
        waiting = [asyncio.create_task(accept(number)) for number in range(ACCEPTS)]
        ended = asyncio.as_completed(waiting, timeout=30)
        for _ in range(ACCEPTS - limits.writes):
            await next(ended)
        grown, running = rss() - before, site.app[GATE].running()
        assert running["write"] == limits.writes
        site.county.clock.advance(2 * MINUTE)  # the session is due to be touched, and the touch cannot be written
        bearer = f"Bearer {token}"
        assert (await site.ask("GET", "/api/v1/inboxes", Authorization=bearer)).status == 200
        duty = await site.ask("GET", "/jour")
        assert (duty.status, "0470-00 00 00" in duty.text) == (200, True)
        assert (await site.ask("GET", "/hjalp")).status == 200
        lock.execute("ROLLBACK")
        lock.close()

        first = await asyncio.gather(*waiting)
        told = Counter(answer.status for answer in first)
        refused = [number for number, answer in enumerate(first) if answer.status == 503]
        for number in refused:
            assert first[number].headers["retry-after"] == "5"
            assert json.loads(first[number].body)["type"] == "urn:sambud:problem:busy"
        answers = {number: answer for number, answer in enumerate(first) if answer.status == 201}
        while refused:  # as a well-behaved caller does, a few at a time
            batch, refused = refused[:100], refused[100:]
            for number, answer in zip(batch, await asyncio.gather(*map(accept, batch)), strict=True):
                assert answer.status == 201, answer.text
                answers[number] = answer
        lost = 0
        for number, answer in answers.items():
            made = json.loads(answer.body)
            kind, key = (Message, made["message"]) if number < MESSAGES else (Case, made["id"])
            lost += await site.county.store.get(kind, key) is None
        faults = [fault for report in await gateway.review.verify() for fault in report.faults]
        note = (
            f"{ACCEPTS} accepts at once: {told[201]} waited and were taken, {told[503]} told to come back; memory grew "
            f"{grown / MIB:.0f} MiB"
        )
        print(note)
        tally("W08", cases=ACCEPTS, acknowledged_lost=lost, note=note)
        assert (set(told), told[201]) == ({201, 503}, limits.writes)
        assert len(answers) == ACCEPTS
        assert lost == 0
        assert faults == []
        assert grown < 64 * MIB
        assert all(count == 0 for count in site.app[GATE].running().values())


@pytest.mark.slow
async def test_a_full_lane_is_a_page_with_the_duty_numbers_that_asks_the_store_for_nothing() -> None:
    """design.md §3: the static page shows the duty phone numbers and the draft is kept."""
    async with served(dataclasses.replace(UNPACED, writes=0, open_calls=0)) as site:
        store = site.county.store

        async def nothing(*_: object) -> None:
            raise AssertionError("the page of an outage asked the store")

        token = await site.token("al-sos")
        real, store.get = store.get, nothing  # type: ignore[method-assign, assignment]
        try:
            page = await site.ask("GET", "/hjalp", Cookie="__Host-sambud-lang=sv")
        finally:
            store.get = real  # type: ignore[method-assign]
        assert (page.status, page.headers["retry-after"]) == (503, "5")
        assert "0470-00 00 00" in page.text
        assert "Allt som sparats tidigare är kvar" in page.text
        written = await site.ask("GET", "/inkorg/alvesta.ifo.vuxen", Cookie=f"__Host-sambud={token}")
        assert written.status == 503  # a list that is logged waits for the writer, so it has the writer's lane


@pytest.mark.slow
async def test_who_asks_too_often_is_told_when_to_come_back_and_others_are_served() -> None:
    """W09, T38: paces per user and per address block, sign-in stricter; on pages and calls alike, in Swedish."""
    paces = {rate: Pace(3, 0.5) for rate in Rate}
    async with served(dataclasses.replace(UNPACED, per_user=paces, sign_in_per_block=Pace(3, 0.1))) as site:
        busy, calm = await site.token("al-sos"), await site.token("ek-chef")
        asked = [await site.ask("GET", "/api/v1/inboxes", Authorization=f"Bearer {busy}") for _ in range(5)]
        assert [answer.status for answer in asked] == [200, 200, 200, 429, 429]
        assert int(asked[-1].headers["retry-after"]) in (1, 2)
        assert json.loads(asked[-1].body)["type"] == "urn:sambud:problem:too-many-requests"
        page = await site.ask("GET", "/inloggningar", Cookie=f"__Host-sambud={busy}")
        assert (page.status, "många anrop på kort tid" in page.text) == (429, True)
        assert (await site.ask("GET", "/api/v1/inboxes", Authorization=f"Bearer {calm}")).status == 200
        body = b'{"login":"ingen","password":"fel","code":"000000"}'
        tried = [await site.ask("POST", "/api/v1/sessions", body, Content_Type="application/json") for _ in range(5)]
        assert [answer.status for answer in tried] == [401, 401, 401, 429, 429]
        assert int(tried[-1].headers["retry-after"]) in (9, 10)
    async with served(dataclasses.replace(UNPACED, per_block=Pace(3, 0.1))) as site:
        assert [(await site.ask("GET", "/hjalp")).status for _ in range(4)] == [200, 200, 200, 429]


def test_a_million_addresses_take_no_more_memory_than_twenty_thousand() -> None:
    """The tables of paces are bounded, and who is forgotten was the one who was silent for longest."""
    watch = Stopwatch()
    buckets = Buckets(Pace(2, 1.0), most=100, now=watch)
    for number in range(10_000):
        assert buckets.take(str(number)) == 0
    assert len(buckets) == 100
    assert (buckets.take("9999"), buckets.take("9999")) == (0, 1)
    watch.seconds += 1
    assert buckets.take("9999") == 0
    assert MOST_KEPT == 20_000


def test_every_route_has_a_lane_and_what_waits_for_the_writer_is_not_among_the_readers() -> None:
    """W12: generated from the table, so that a new route is in it."""
    lanes = {(route.method, route.path): lane_of(route) for route in (*ROUTES, *PAGES)}
    for route in (*ROUTES, *PAGES):
        lane = lanes[route.method, route.path]
        if lane in (Lane.READ, Lane.OPEN):
            assert route.rate is Rate.READ
            assert route.audit.startswith("none")
    assert lanes["GET", "/jour"] is Lane.OPEN
    assert lanes["GET", "/inkorg/{inbox}/handelser"] is Lane.STREAM
    assert set(lanes.values()) == set(Lane) - {Lane.PROBE}  # what watches the gateway stands beside the table


def test_room_and_lanes_are_given_back_whatever_happens() -> None:
    gate = Gate(dataclasses.replace(Limits(), writes=1, receiving_per_user=10))
    route = next(route for route in ROUTES if route.rate is Rate.WRITE and lane_of(route) is Lane.WRITE)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), gate.lane(route, "a"), gate.room(10, "a"):
            raise ZeroDivisionError
    assert set(gate.running().values()) == {0}
