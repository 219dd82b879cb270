"""Catalogue A10: canaries through every route, valid, invalid and failing; 0 in logs, numbers, and answers of trouble."""

from __future__ import annotations

import io
import json
import logging
import random
import re
from collections.abc import Iterator

import pytest
import structlog

from adapters.http import ops
from adapters.http.api import ROUTES
from adapters.http.web import PAGES
from adapters.http.web.demo import DEMO_PAGES
from adapters.metrics.prometheus import PrometheusMetrics
from gateway import logs
from tests.browser.conftest import Site, served
from tests.clock import ManualClock
from tests.observe.canaries import BODY, CANARIES, Campaign, Trouble, raw_requests

pytestmark = pytest.mark.slow
ALL = (*ROUTES, *PAGES, *ops.ROUTES, *DEMO_PAGES)
SEED = 20260302


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """What the process logs, through the pipeline as it ships; the test run's own set-up comes back afterwards."""
    root, before = logging.getLogger(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    levels = {
        name: logging.getLogger(name).level for name in ("aiohttp", "alembic", "asyncio", "asyncpg", "sqlalchemy")
    }
    kept = io.StringIO()
    logs.configure(kept)
    yield kept
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)
    for name, found in levels.items():
        logging.getLogger(name).setLevel(found)
    structlog.configure(**before)


@pytest.mark.parametrize("rounds", [4, pytest.param(20, marks=pytest.mark.full)])
def test_no_log_no_number_and_no_answer_of_trouble_holds_what_a_caller_sent(
    rounds: int, stream: io.StringIO, capfd: pytest.CaptureFixture[str]
) -> None:
    metrics = PrometheusMetrics()
    metrics.know(route.path for route in ALL)
    serving = served(demo=True, metrics=metrics, store=(store := Trouble(ManualClock())))
    campaign = Campaign(next(serving), store, random.Random(SEED))
    try:
        _walk(campaign.site)
        for number in range(rounds):
            turn = (
                number
                if rounds > 7
                else (0, 3, 5, 6)[number]  # well-formed, unknown members, a bug, a store that is away
            )  # three rounds: unknown members, a bug, a store that is away
            for route in ALL:
                if route.path not in ("/logga-ut",):
                    campaign.ask(route, turn)
        for octets in raw_requests():
            campaign.broken(octets)
        numbers = metrics.exposition(campaign.site.run(campaign.site.county.gateway.health.signs())).decode()
    finally:
        serving.close()
    out, err = capfd.readouterr()
    lines = stream.getvalue()
    hits = [
        f"{name}: {canary}"
        for name, text in (("log", lines + out + err), ("numbers", numbers))
        for canary in CANARIES
        if canary in text
    ]
    statuses = dict(sorted(campaign.statuses.items()))
    print(
        f"A10: seed {SEED}, {len(ALL)} routes x {rounds}, {campaign.sent} requests, {statuses}, {len(lines.splitlines())} lines"
    )
    print(f"A10: {len(hits)} hits in logs and numbers, {len(campaign.echoes)} echoes")
    assert hits == []
    assert campaign.echoes == [], campaign.echoes[:20]
    assert {200, 303, 400, 401, 403, 404, 422, 500, 503} <= set(statuses)
    assert len(lines.splitlines()) > len(ALL)
    assert campaign.sent == rounds * (len(ALL) - 1) + len(raw_requests())


def test_the_campaign_would_see_a_canary_that_got_through(stream: io.StringIO) -> None:
    """What names nobody's number passes the wall: a line that holds what a caller wrote is found by the campaign."""
    structlog.get_logger().info("refused", what=f"Hej {BODY}")
    assert [canary for canary in CANARIES if canary in stream.getvalue()] == [BODY]


def test_a_request_and_its_lines_carry_one_number_that_the_caller_can_name(stream: io.StringIO) -> None:
    serving = served(demo=False)
    site: Site = next(serving)
    try:
        import http.client
        from urllib.parse import urlsplit

        connection = http.client.HTTPConnection(urlsplit(site.address).netloc, timeout=20)
        connection.request("GET", "/api/v1/inboxes", headers={"Host": urlsplit(site.address).netloc})
        number = json.loads(connection.getresponse().read())["instance"].removeprefix("urn:uuid:")
        connection.close()
    finally:
        serving.close()
    assert re.fullmatch(r"[0-9a-f-]{36}", number)
    [line] = [line for line in stream.getvalue().splitlines() if number in line]
    assert '"code": "session-ended"' in line


def _walk(site: Site) -> None:
    """A whole path with canaries in what people write, so that the log of what goes well is in it too."""

    async def walk() -> None:
        county = site.county
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker, excluded=BODY)
        sent = await county.send_referral(
            worker, case.id, need_summary=f"{BODY} lugn miljö och struktur", individual_name="Kanarienamn Prov"
        )
        await county.deliver()
        chief = await county.sign_in("ek-chef")
        await county.open(chief, (await county.gateway.directory.current()).inbox("seat.ekeliden").id, sent.message)  # type: ignore[arg-type]
        await county.gateway.integrator.flush()

    site.run(walk())
