"""The numbers for operators: what they count on a whole path, and that no label can hold what somebody typed."""

from __future__ import annotations

import ast
import importlib
import math
import pkgutil
import random
import string
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

import adapters
import gateway
import keys
import policies
from adapters.http import ops
from adapters.http.api import ROUTES
from adapters.http.server import application, listening
from adapters.http.web import NAV, PAGES
from adapters.http.web.frame import Web
from adapters.metrics import server
from adapters.metrics.prometheus import PrometheusMetrics
from gateway.errors import GatewayError, RefusedError, SignInError
from gateway.measures import VALUES, Counted, Job, Signs, Step
from gateway.model.base import Instant
from tests.county import ALVESTA, SEAT_E, County, a_county

pytestmark = pytest.mark.slow
ALL = (*ROUTES, *PAGES, *ops.ROUTES)


@pytest.fixture
async def measured() -> AsyncIterator[tuple[County, PrometheusMetrics]]:
    metrics = PrometheusMetrics()
    metrics.know(route.path for route in ALL)
    async with a_county(metrics=metrics) as county:
        yield county, metrics


async def numbers(county: County, metrics: PrometheusMetrics) -> dict[str, float]:
    """Every sample by its name and labels."""
    text = metrics.exposition(await county.gateway.health.signs()).decode()
    found = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels = ",".join(f"{name}={value}" for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_a_whole_path_is_counted_and_timed_by_its_seven_steps(
    measured: tuple[County, PrometheusMetrics],
) -> None:
    county, metrics = measured
    worker = await county.sign_in("al-sos")
    with pytest.raises(SignInError):
        await county.gateway.sign_in.sign_in("al-sos", "fel", "000000")
    case, _ = await county.consented_case(worker)
    without = await county.gateway.cases.open(worker, ALVESTA)
    with pytest.raises(RefusedError):
        await county.send_referral(worker, without.id)
    sent = await county.send_referral(worker, case.id)
    before = await numbers(county, metrics)
    assert before["sambud_deliver_deliveries{state=queued}"] == 2
    await county.deliver()
    ekeliden = await county.sign_in("ek-chef")
    await county.step_up(ekeliden, SEAT_E)
    await county.open(ekeliden, SEAT_E, sent.message)
    assert (await numbers(county, metrics))["sambud_audit_unpublished_leaves"] > 0
    await county.gateway.integrator.flush()
    found = await numbers(county, metrics)
    for step in Step:
        assert found[f"sambud_{step}_seconds_count"] >= 1, step
    wanted = {
        "sambud_decide_outcomes_total{outcome=ALLOW}": 2,
        "sambud_decide_outcomes_total{outcome=DENY}": 2,
        "sambud_store_accepts_total{outcome=new}": 1,
        "sambud_deliver_events_total{event=accepted}": 2,
        "sambud_deliver_deliveries{state=queued}": 0,
        "sambud_deliver_oldest_due_seconds": 0,
        "sambud_open_openings_total{outcome=opened}": 1,
        "sambud_open_step_ups_total{outcome=accepted}": 1,
        "sambud_sign_ins_total{outcome=accepted}": 2,
        "sambud_sign_ins_total{outcome=wrong}": 1,
        "sambud_sessions_active": 2,
        "sambud_audit_unpublished_leaves": 0,
        "sambud_audit_lag_seconds": 0,
        "sambud_ready{check=database}": 1,
    }
    assert {name: found[name] for name in wanted} == wanted
    assert found["sambud_audit_leaves"] > 50


async def test_alarms_and_waiting_are_seen(measured: tuple[County, PrometheusMetrics]) -> None:
    county, metrics = measured
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    await county.send_referral(worker, case.id)
    county.clock.advance(20 * 60 * 1_000_000)
    await county.gateway.auditor.entry(
        __import__("gateway.audit", fromlist=["AuditAction"]).AuditAction.ALARM,
        administration=worker.user.administration,
        actor=None,
        role="",
        object="",
        case=None,
        outcome="integrity-failure",
    )
    found = await numbers(county, metrics)
    assert found["sambud_deliver_oldest_due_seconds"] >= 20 * 60
    assert found["sambud_audit_alarms_total{kind=integrity-failure}"] == 1
    assert found["sambud_sessions_active"] == 0  # fifteen minutes without use
    assert found["sambud_ready{check=log}"] == 0


async def test_thousands_of_random_requests_make_no_new_series(measured: tuple[County, PrometheusMetrics]) -> None:
    """Labels have closed sets: paths, methods, codes and states that nobody knows are told as one."""
    county, metrics = measured
    rng = random.Random(20260302)
    print("seed 20260302")
    alphabet = string.ascii_letters + string.digits + "åäö-_%./{}"
    app = application(county.gateway, ALL, Web(county.gateway, ALL, NAV))
    async with listening(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as http:
        sizes = []
        for _ in range(2):
            for number in range(1500):
                part = "".join(rng.choice(alphabet) for _ in range(rng.randrange(1, 30)))
                path = rng.choice([f"/{part}", f"/api/v1/{part}", f"/inkorg/{part}", f"/static/{part}/{part}"])
                method = rng.choice(["GET", "POST", "HEAD", "PUT", "BREW", f"M{number}"])
                async with http.request(method, address + path.replace("%", "%25")) as response:
                    await response.read()
            for what in Counted:
                metrics.count(what, "".join(rng.choice(alphabet) for _ in range(12)))
            sizes.append(len(metrics.exposition(await county.gateway.health.signs()).splitlines()))
    most = len({(route.path, route.method) for route in ALL}) * 20
    print(f"cardinality: 3000 requests, {sizes} lines, at most {most} for requests")
    found = await numbers(county, metrics)
    families = text_string_to_metric_families(metrics.exposition(Signs(at=Instant(1))).decode())
    labels = [sample.labels for family in families for sample in family.samples]
    routes = {label["route"] for label in labels if "route" in label}
    assert routes <= {route.path for route in ALL} | {"unmatched", "/static/{digest}/{name}"}
    methods = {label["method"] for label in labels if "method" in label}
    assert methods <= {"GET", "POST", "HEAD", "PUT", "other"}
    assert sizes[1] - sizes[0] < 200  # a few known routes that the first half had not met
    assert all(found[f"sambud_{what}_total{{{VALUES[what][0]}=other}}"] == 2 for what in Counted)


async def test_the_port_gives_the_numbers_and_nothing_else(measured: tuple[County, PrometheusMetrics]) -> None:
    county, metrics = measured
    app = server.application(metrics, county.gateway.health)
    async with listening(app, "127.0.0.1", 0) as address, aiohttp.ClientSession() as http:
        async with http.get(f"{address}/metrics") as response:
            assert response.status == 200
            assert response.headers["Content-Type"].startswith("text/plain; version=")
            assert "sambud_build_info{" in await response.text()
        for method, path in (("GET", "/"), ("POST", "/metrics"), ("GET", "/readyz"), ("GET", "/metrics/x")):
            async with http.request(method, address + path) as response:
                assert response.status in (404, 405)


def test_what_could_not_be_read_is_not_told_as_nought() -> None:
    text = PrometheusMetrics().exposition(Signs(at=Instant(1))).decode()
    found = {s.name: s.value for f in text_string_to_metric_families(text) for s in f.samples}
    assert math.isnan(found["sambud_audit_lag_seconds"])
    assert math.isnan(found["sambud_deliver_oldest_due_seconds"])
    assert found["sambud_clock_synchronised"] == -1


def test_every_code_of_an_error_has_a_series() -> None:
    """A new error is told by its own name, not as "other"."""
    for package in (gateway, adapters, keys, policies):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__") and ".migrations" not in module.name:
                importlib.import_module(module.name)
    metrics = PrometheusMetrics()
    metrics.know([])
    kinds = [
        found
        for module in list(sys.modules.values())
        if module.__name__.partition(".")[0] in ("gateway", "adapters", "keys", "policies")
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, GatewayError)
    ]
    text = metrics.exposition(Signs(at=Instant(1))).decode()
    assert len(kinds) > 30
    for kind in kinds:
        assert f'sambud_refusals_total{{code="{kind.code}"}}' in text, kind


def test_every_kind_of_alarm_and_every_job_has_a_series() -> None:
    root = Path(gateway.__file__).parent
    kinds = set()
    for path in root.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call) and any("AuditAction.ALARM" in ast.unparse(given) for given in node.args):
                kinds |= {ast.literal_eval(k.value) for k in node.keywords if k.arg == "outcome"}
    assert len(kinds) >= 4
    assert kinds <= VALUES[Counted.ALARMS][1]
    assert {str(job) for job in Job} == VALUES[Counted.TROUBLES][1]
