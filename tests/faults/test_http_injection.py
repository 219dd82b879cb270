"""SQL in every parameter (security.md §6, W10): the same result set as for a word that nothing has, and no error told.

Payloads in the manner of sqlmap's lists, in paths, queries, bodies and form fields of the whole table, over SQLite. Each
run takes a spread of them; `--full` takes five thousand.
"""

from __future__ import annotations

import itertools
import json
import random
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode

import pytest

from adapters.http.api import ROUTES
from adapters.http.routes import Access, Rate, Route
from adapters.http.web import PAGES, security
from adapters.sql.sqlite import SqliteStore
from tests.clock import ManualClock
from tests.county import ALVESTA
from tests.faults.http_peers import Served, served
from tests.faults.tally import tally
from tests.faults.test_http_foreign import SAME, body_of, member_of, path_of

SEED = 10
CLOSINGS = ("'", '"', "')", "'))", '")', "`", "]", "", "%27", "\\'", "’", "'||'")
CORES = (
    " OR 1=1", " OR 'a'='a", " AND 1=2", " UNION SELECT NULL", " UNION ALL SELECT sql,2,3 FROM sqlite_master",
    "; DROP TABLE users", "; UPDATE users SET state='active'", " ORDER BY 100", " AND randomblob(100000000)",
    " AND 1=(SELECT count(*) FROM users)", " HAVING 1=1", " LIMIT 1 OFFSET 1", "; SELECT pg_sleep(5)",
    " AND load_extension('x')", "; ATTACH DATABASE '/tmp/x' AS x", " OR id LIKE '%", " IS NOT NULL", "; PRAGMA writable_schema=1",
)  # fmt: skip
ENDS = ("", "--", "-- -", "#", "/*", ";\x00", "\n--")
PAYLOADS = [closing + core + end for closing, core, end in itertools.product(CLOSINGS, CORES, ENDS)]
TELLING = re.compile(
    r"sqlite|syntax error|operationalerror|psycopg|asyncpg|sqlalchemy|traceback|near \"", re.IGNORECASE
)


def places(ids: dict[str, str]) -> Iterator[tuple[Route, str, str]]:
    """Every route and parameter: part of the path, of the query, member of the body, field of a form."""
    for route in (*ROUTES, *PAGES):
        if (
            route.access is Access.PUBLIC
            or route.stream
            or route.rate is Rate.UPLOAD
            or "inloggningar" in route.path
            or route.path == "/logga-ut"
        ):
            continue
        if not {SAME.get(name, name) for name in re.findall(r"\{(\w+)\}", route.path)} <= {
            *ids,
            "form",
            "version",
            "section",
            "amne",
        }:
            continue
        if route.path == "/api/v1/sessions/current":
            continue
        yield from ((route, "path", name) for name in re.findall(r"\{(\w+)\}", route.path))
        yield from ((route, "query", one.name) for one in route.query)
        if route.page and route.method == "GET":
            yield from ((route, "query", name) for name in ("namn", "vy", "efter", "sok", "fran", "svar", "next"))
        if route.takes is not None:
            texts = [name for name, one in route.takes.model_fields.items() if "str" in str(one.annotation)]
            yield from ((route, "body", name) for name in texts)
        if route.page and route.method == "POST":
            yield from ((route, "form", name) for name in ("kuvert", "namn", "case", "till", "nummer"))


async def ask(
    site: Served, token: str, ids: dict[str, str], place: tuple[Route, str, str], payload: str
) -> tuple[int, str]:
    route, where, name = place
    if where == "path":
        path = re.sub(r"\{(\w+)\}", lambda part: part[0] if part[1] != name else "\x00", route.path)
        path = path_of_text(path, ids).replace("\x00", quote(payload, safe=""))
    else:
        path = path_of(route, ids)
    if where == "query":
        path += "?" + urlencode({name: payload})
    body, kind = body_of(route, ids)
    if where == "body" and route.takes is not None:
        body = json.dumps(
            {one: member_of(route, one, ids) for one in route.takes.model_fields} | {name: payload}
        ).encode()
    if where == "form":
        body = urlencode({name: payload}).encode()
    headers = {"Content_Type": kind} if kind else {}
    if route.page:
        headers |= {"Cookie": f"{security.SESSION}={token}", "X_CSRF_Token": security.token_for(token)}
    else:
        headers["Authorization"] = f"Bearer {token}"
    answer = await site.ask(route.method, path, body, **headers)
    return answer.status, answer.text


def path_of_text(path: str, ids: dict[str, str]) -> str:
    other = {"form": "consent", "version": "1", "section": "behov", "amne": "kod"}
    return re.sub(
        r"\{(\w+)\}", lambda part: quote(other.get(part[1]) or ids[SAME.get(part[1], part[1])], safe=""), path
    )


async def injected(folder: Path, count: int) -> None:
    clock = ManualClock()
    store = await SqliteStore.open(folder / "sambud.db", clock, create=True)
    try:
        async with served(store=store, clock=clock, keys_db=folder / "keys.db") as site:
            await _injected(site, count)
    finally:
        await store.close()


async def _injected(site: Served, count: int) -> None:
    county = site.county
    worker = await county.sign_in("al-sos")
    case, consent = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id)
    await county.deliver()
    draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, {})
    own = next(row.id for row in await county.store.envelopes_of(sent.message) if row.sender_copy)
    ids = {
        "inbox": ALVESTA, "case": case.id, "consent": consent.id, "draft": draft.id, "user": worker.user.id,
        "message": sent.message, "envelope": own, "attachment": own, "session": "0" * 12,
    }  # fmt: skip
    token = await site.token("al-sos")
    users = sorted(user.id for user in await county.store.users())
    random.seed(SEED)
    found = list(places(ids))
    tried, statuses, wrong = (
        list(zip(random.choices(found, k=count), random.choices(PAYLOADS, k=count), strict=True)),
        Counter[int](),
        [],
    )
    for place, payload in tried:
        route, where, name = place
        # What a word that nothing has gives, just before: acts are not compared, they act.
        before = await ask(site, token, ids, place, "ingenting") if route.method == "GET" else (0, "")
        status, text = await ask(site, token, ids, place, payload)
        statuses[status] += 1
        what = (route.method, route.path, where, name, payload, status)
        if status >= 500:
            wrong.append(("fault", *what))
        if TELLING.search(text.replace(payload, "")) and "SELECT" not in text:
            wrong.append(("told", *what))
        if route.method == "GET" and status < 300:
            shown, told = (len(re.findall(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}", one)) for one in (text, before[1]))
            if before[0] < 300 and shown > told:
                wrong.append(("shows more", *what))
    after = sorted(user.id for user in await county.store.users())
    print(
        f"seed {SEED}: {len(tried)} of {len(found) * len(PAYLOADS)} payloads in places, by status {dict(sorted(statuses.items()))}"
    )
    tally("W10", cases=len(tried))
    assert wrong == [], "\n".join(map(str, wrong[:20]))
    assert after == users
    assert [fault for report in await county.gateway.review.verify() for fault in report.faults] == []


@pytest.mark.slow
async def test_sql_in_any_parameter_shows_nothing_more_and_is_told_of_by_nothing(tmp_path: Path) -> None:
    await injected(tmp_path, 600)


@pytest.mark.full
async def test_sql_in_any_parameter_five_thousand_times(tmp_path: Path) -> None:
    await injected(tmp_path, 5_000)
