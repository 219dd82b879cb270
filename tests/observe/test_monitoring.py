"""Alarms and dashboard: each names only numbers that exist, says in Swedish what is wrong, and leads to a runbook."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from adapters.metrics.prometheus import PrometheusMetrics
from gateway.measures import VALUES, ChannelSigns, Counted, Signs
from gateway.model.base import Instant

ROOT = Path(__file__).parent.parent.parent
RULES = ROOT / "deploy" / "monitoring" / "sambud.rules.yml"
DASHBOARD = ROOT / "deploy" / "monitoring" / "sambud-dashboard.json"
OPERATIONS = ROOT / "docs" / "operations.md"
#: The catalogue of alarms (security.md §7.11) as far as it exists here, and the alarm that stands for each.
CATALOGUE = {
    "verify failure": "SambudIntegrity",
    "audit write failure": "SambudLogWriteFails",
    "seal": "SambudKeysAway",
    "lockout burst": "SambudLockoutBurst",
    "clock": "SambudClock",
    "queue age > 15 min": "SambudQueueStands",
    "disk < 10 %": "SambudDiskSoonFull",
}


def alarms() -> list[dict[str, Any]]:
    [group] = yaml.safe_load(RULES.read_text("utf-8"))["groups"]
    return list(group["rules"])


def known() -> set[str]:
    """Every sample of /metrics, once something has happened; and what Prometheus makes itself."""
    metrics = PrometheusMetrics()
    metrics.know(["/"])
    metrics.request("GET", "/", 200, 0.1)
    channel = ChannelSigns(channel="sdk", circuit_open=False, left=0, expires=Instant(1), deliveries={"queued": 1})
    signs = Signs(
        at=Instant(1), ready={"keys": True}, deliveries={"queued": 1}, space={"data": (1, 2)}, channels=(channel,)
    )
    families = text_string_to_metric_families(metrics.exposition(signs).decode())
    return {sample.name for family in families for sample in family.samples} | {"up"}


def named(expression: str) -> set[str]:
    """The metrics of an expression: words that are followed by a label set, a range, an operator or nothing."""
    bare = re.sub(r"\{[^}]*\}|\"[^\"]*\"|\b(?:by|on) \([^)]*\)", "", expression)
    return set(re.findall(r"\b(?:sambud|process|up)\w*", bare))


def anchors() -> set[str]:
    headings = re.findall(r"^#+ (.+)$", OPERATIONS.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_alarm_names_numbers_that_exist() -> None:
    exist = known()
    for alarm in alarms():
        wanted = named(alarm["expr"])
        assert wanted, alarm
        assert wanted <= exist, (alarm["alert"], wanted - exist)


def test_each_label_that_an_alarm_asks_for_has_that_value() -> None:
    """An alarm on a value that nothing has would never ring."""
    sets = {f"sambud_{what}_total": VALUES[what] for what in Counted}
    asked = 0
    for alarm in alarms():
        for metric, label, values in re.findall(r'(sambud_\w+)\{(\w+)=~?"([^"]+)"\}', alarm["expr"]):
            if metric in sets:
                asked += 1
                assert sets[metric][0] == label, alarm
                assert set(values.split("|")) <= sets[metric][1] | {"other"}, alarm
    assert asked >= 6


def test_each_alarm_says_in_swedish_what_is_wrong_and_leads_to_a_runbook() -> None:
    exist = anchors()
    names = [alarm["alert"] for alarm in alarms()]
    assert len(names) == len(set(names))
    for alarm in alarms():
        assert alarm["labels"]["severity"] in ("page", "ticket"), alarm
        assert re.search(r"[åäö]| inte | i ", alarm["annotations"]["summary"]), alarm
        file, _, anchor = alarm["annotations"]["runbook"].partition("#")
        assert file == "docs/operations.md"
        assert anchor in exist, (alarm["alert"], anchor)


def test_the_catalogue_s_alarms_are_there_and_the_document_names_each() -> None:
    names = {alarm["alert"] for alarm in alarms()}
    assert set(CATALOGUE.values()) <= names
    text = OPERATIONS.read_text("utf-8")
    assert {name for name in names if f"`{name}`" not in text} == set()


def test_the_document_says_what_each_number_means() -> None:
    text = OPERATIONS.read_text("utf-8")
    families = {
        re.sub(r"_(?:total|bucket|sum|count|info)$", "", name) for name in known() if name.startswith("sambud_")
    }
    steps = {f"sambud_{step}_seconds" for step in ("compose", "decide", "seal", "store", "deliver", "open", "audit")}
    assert "sambud_<step>_seconds" in text
    assert {name for name in families - steps if f"`{name}" not in text} == set()


def test_the_dashboard_is_valid_and_shows_only_numbers_that_exist() -> None:
    board = json.loads(DASHBOARD.read_text("utf-8"))
    exist = known()
    expressions = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"]) >= 12
    for expression in expressions:
        assert named(expression), expression
        assert named(expression) <= exist, expression


def test_prometheus_own_tool_takes_the_rules() -> None:
    tool = shutil.which("promtool")
    if tool is None:
        assert os.environ.get("SAMBUD_REQUIRE_PEERS") != "1", "promtool is missing: install Debian's prometheus"
        pytest.skip("promtool is not here (Debian: prometheus)")
    done = subprocess.run([tool, "check", "rules", str(RULES)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
