"""Whose is it? Every address of the table, with objects of somebody else (security.md §6, W01, W02; T26).

Generated from the route table: each call and each page that names an object is asked for by people it does not concern,
once with the object's real ids and once with ids that nothing has. The two answers are the same, octet for octet but for
the ids that were sent and the number of the answer: absent = not yours, and nothing of the object is in either.
"""

from __future__ import annotations

import enum
import json
import re
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
import pytest_asyncio

from adapters.http.api import ROUTES
from adapters.http.routes import Access, Csrf, Rate, Route, Scope
from adapters.http.web import PAGES, security
from gateway.forms.demo import demo_answer, demo_referral
from gateway.model.classes import Category
from tests.county import ALVESTA, SEAT_E, VAXJO
from tests.faults.http_peers import Answer, Served, served
from tests.faults.tally import tally
from tests.paper import taken, to_say

pytestmark = [pytest.mark.slow, pytest.mark.asyncio(loop_scope="module")]
CANARY = "Kanariefågeln sitter i det här fältet"
#: Names of parts of paths and of members of bodies, as they are called here.
SAME = {
    "bilaga": "attachment", "meddelande": "message", "anvandare": "user", "request": "message", "proposal": "message",
    "kuvert": "envelope", "inkorg": "inbox", "arende": "case", "samtycke": "consent", "leverans": "delivery",
    "notis": "notice",
}  # fmt: skip
#: Who may see whatever it is: what is of the whole gateway is theirs (tests/path/test_page_matrix.py says which).
OVERSEERS = {"gransk", "it", "stat"}


@dataclass
class Owned:
    """Objects of one inbox, and people they do not concern, each with an inbox of their own."""

    ids: dict[str, str]
    strangers: dict[str, str]


@dataclass
class Place:
    site: Served
    tokens: dict[str, str]
    owned: dict[str, Owned] = field(default_factory=dict)
    ended: str = ""

    def secrets(self) -> set[str]:
        return {
            value
            for one in self.owned.values()
            for name, value in one.ids.items()
            if name not in ("inbox", "user", "session")
        }


async def pdf() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n" + CANARY.encode() * 100


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def place() -> AsyncIterator[Place]:
    """A referral with an answer on its way, and a case in each of two municipalities with a draft, a consent and a file."""
    async with served() as site:
        county, gateway = site.county, site.county.gateway
        found = Place(site, {})
        for inbox, login, strangers in (
            (ALVESTA, "al-sos", {"vx-sos": VAXJO, "vx-reg": "vaxjo.registrator", "no-kp1": "novus.enhet"}),
            (VAXJO, "vx-sos", {"al-sos": ALVESTA, "al-reg": "alvesta.registrator", "ek-chef": SEAT_E}),
        ):
            worker = await county.sign_in(login)
            case, consent = await county.consented_case(worker, inbox)
            values = {**demo_referral(county.today), "need_summary": CANARY}
            sent = None
            if inbox == ALVESTA:
                sent = await county.send_referral(worker, case.id, need_summary=CANARY)
                await county.deliver()
            draft = await gateway.drafts.create(worker, inbox, case.id, "placement_referral", 1, values)
            file = await gateway.attachments.add(worker, draft.id, "kanarie.pdf", Category.SOCIAL, pdf())
            ids = {
                "inbox": inbox, "case": case.id, "consent": consent.id, "draft": draft.id, "attachment": file.id,
                "user": worker.user.id, "session": worker.session.id[:12], "reference": case.reference,
            }  # fmt: skip
            if sent is not None:
                own = next(row.id for row in await county.store.envelopes_of(sent.message) if row.sender_copy)
                paper, saying = await taken(county, worker), await to_say(county, worker)
                ids |= {"message": sent.message, "envelope": own, "delivery": paper.id, "notice": saying}
                chief = await county.sign_in("ek-chef")
                envelope = await county.envelope(SEAT_E, sent.message)
                await gateway.queue.open(chief, envelope)
                proposal = await gateway.answers.propose(chief, SEAT_E, sent.message, demo_answer(county.today))
                found.owned["seat"] = Owned(
                    {"inbox": SEAT_E, "envelope": envelope, "message": proposal.message, "user": chief.user.id},
                    {"vx-sos": VAXJO, "al-reg": "alvesta.registrator", "no-kp1": "novus.enhet"},
                )
            found.owned[login] = Owned(ids, strangers)
        for one in found.owned.values():
            one.strangers |= dict.fromkeys(sorted(OVERSEERS), "")
        for login in sorted({login for one in found.owned.values() for login in one.strangers} | {"al-sos"}):
            found.tokens[login] = await site.token(login)
        found.ended = await site.token("vx-del")
        await gateway.sessions.end(await gateway.sessions.authenticate(found.ended))
        yield found


def absent(ids: Mapping[str, str]) -> dict[str, str]:
    """The same names with ids that nothing has."""
    made = {name: str(uuid.uuid5(uuid.NAMESPACE_URL, name)) for name in ids}
    return made | {"inbox": ids["inbox"], "session": "0" * 12}


def names_in(route: Route) -> list[str]:
    """The objects that a route names, in its path or its body."""
    named = re.findall(r"\{(\w+)\}", route.path) + list(route.takes.model_fields if route.takes else ())
    return [SAME.get(name, name) for name in named]


def path_of(route: Route, ids: Mapping[str, str]) -> str:
    other = {
        "form": "consent",
        "version": "1",
        "section": "behov",
        "amne": "kod",
        "nummer": "3",
        "nyckel": "x",
        "atgard": "losenord",
        "kapitel": "x",
    }
    return re.sub(
        r"\{(\w+)\}", lambda part: quote(other.get(part[1]) or ids[SAME.get(part[1], part[1])], safe=""), route.path
    )


def body_of(route: Route, ids: Mapping[str, str]) -> tuple[bytes, str]:
    """A body that fits the route, so that the answer is about the object and not about the form of the body."""
    if route.rate is Rate.UPLOAD:
        part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.pdf"\r\n\r\n%PDF-1.7\nx\r\n--x--\r\n'
        return part, "multipart/form-data; boundary=x"
    if route.takes is not None:
        return json.dumps(
            {name: member_of(route, name, ids) for name in route.takes.model_fields}
        ).encode(), "application/json"
    if route.page and route.method != "GET":
        fields = {"kuvert": ids.get("envelope", ""), "inkorg": ids["inbox"], "inbox": ids["inbox"], "lage": "reading"}
        fields |= {
            "case": ids.get("case", ""),
            "anvandare": ids.get("user", ""),
            "text": "x",
            "till": ids.get("user", ""),
        }
        return urlencode(fields).encode(), "application/x-www-form-urlencoded"
    return b"", ""


def member_of(route: Route, name: str, ids: Mapping[str, str]) -> Any:
    known = SAME.get(name, name)
    if known in ids:
        return ids[known]
    plain: dict[str, Any] = {
        "recipients": ["remissgrupp"], "values": {}, "form_type": "placement_referral", "form_version": 1, "version": 1,
        "undo_seconds": 0, "code": "000000", "over": None, "uphold": True, "refused": False, "in_reply_to": "",
        "to": "vaxjo.registrator", "note": "x", "text": "x", "purpose": "x", "deputy_reason": "",
        "identity_number": "199006022397", "handed_at": "2026-03-02T09:00:00Z", "given_to": "x", "reference": "x", "checks": [],
        "ceiling": None, "risk_decision": "", "client_id": "x", "title": "x", "authority": "alvesta.ifo", "key": {},
        "ends_at": 1_800_000_000_000_000, "address": "x@y.example", "language": "sv", "digest_at": 480, "quiet_from": 0,
        "quiet_to": 0, "weekends": False, "away_from": "", "away_to": "", "deputy": "",
    }  # fmt: skip
    if name in plain:
        return plain[name]
    kind = route.takes.model_fields[name].annotation if route.takes else None
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return next(iter(kind)).value
    raise AssertionError(f"say what {name} of {route.path} may hold")


async def ask(place: Place, route: Route, ids: Mapping[str, str], token: str, **more: str) -> Answer:
    body, kind = body_of(route, ids)
    headers = {"Content_Type": kind} if kind else {}
    if route.page:
        headers |= {"Cookie": f"{security.SESSION}={token}", "X_CSRF_Token": security.token_for(token)} if token else {}
    elif token:
        headers["Authorization"] = f"Bearer {token}"
    return await place.site.ask(route.method, path_of(route, ids), body, **headers, **more)


def plain(answer: Answer, ids: Mapping[str, str]) -> str:
    """What an answer says, without the ids that were sent and without its own number."""
    text = answer.text
    for value in ids.values():
        for form in (value, quote(value, safe="")):
            text = text.replace(form, "ID") if len(value) > 8 else text
    text = re.sub(r"\b[0-9a-f]{64}\b", "TOKEN", text)
    return re.sub(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", "NUMBER", text)


def difference(one: str, other: str) -> tuple[str, str]:
    """Where two texts part."""
    at = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[max(0, at - 60) : at + 60], other[max(0, at - 60) : at + 60]


def tries(place: Place) -> Iterator[tuple[Route, str, dict[str, str], str]]:
    """Route, who asks, real ids, and in which way they are foreign."""
    for one in place.owned.values():
        for route in (*ROUTES, *PAGES):
            named = [name for name in names_in(route) if name in ("inbox", *one.ids)]
            wanted = [
                name for name in names_in(route) if name in {*SAME.values(), "case", "consent", "draft", "session"}
            ]
            if route.access is Access.PUBLIC or not named or not set(wanted) <= set(one.ids):
                continue
            for login, own in one.strangers.items():
                if route.scope is Scope.GATEWAY and login in OVERSEERS:
                    continue
                yield route, login, one.ids, "foreign"
                if own and "inbox" in named and len(set(named)) > 1:
                    yield route, login, one.ids | {"inbox": own}, "own inbox, foreign object"


async def test_what_is_somebody_elses_is_answered_as_what_does_not_exist(place: Place) -> None:
    """W01: routes x foreign administration, foreign inbox, wrong role, own inbox with a foreign object."""
    count: Counter[str] = Counter()
    secrets, wrong, routes = place.secrets(), [], set()
    for route, login, ids, way in tries(place):
        token, none = place.tokens[login], absent(ids)
        real, gone = await ask(place, route, ids, token), await ask(place, route, none, token)
        count[f"{real.status}"] += 1
        routes.add((route.method, route.path))
        what = (route.method, route.path, login, way, real.status, gone.status)
        only_inbox = not set(names_in(route)) & (set(ids) - {"inbox", "user", "session"})
        if real.status != gone.status or plain(real, ids) != plain(gone, none):
            wrong.append(("not the same as absent", *what, *difference(plain(real, ids), plain(gone, none))))
        if real.status < 400 and not only_inbox:
            wrong.append(("answered", *what))
        for secret in secrets - set(ids.values()):
            if secret in real.text:
                wrong.append(("leaks an id", *what))
        if CANARY in real.text or "kanarie.pdf" in real.text:
            wrong.append(("leaks content", *what))
    tally("W01", cases=sum(count.values()), note=f"{len(routes)} routes")
    print(f"{sum(count.values())} tries at {len(routes)} routes, by status {dict(sorted(count.items()))}")
    assert wrong == [], "\n".join(map(str, wrong[:60])) + f"\n{len(wrong)} in all"
    assert count["404"] > sum(count.values()) / 2


async def test_without_a_session_that_runs_real_and_absent_are_the_same_too(place: Place) -> None:
    """W01: no session, a made-up one, an ended one."""
    count = 0
    for one in place.owned.values():
        for route in (*ROUTES, *PAGES):
            names = set(names_in(route))
            if (
                route.access is Access.PUBLIC
                or not names & set(one.ids)
                or names & {*SAME.values(), "draft", "consent"} - set(one.ids)
            ):
                continue
            for token in ("", "x" * 43, place.ended):
                answer = await ask(place, route, one.ids, token)
                wanted = {401} if not route.page else {303, 401, 403}
                assert answer.status in wanted, (route.path, answer.status)
                gone = await ask(place, route, absent(one.ids), token)
                assert (gone.status, plain(gone, absent(one.ids))) == (answer.status, plain(answer, one.ids)), (
                    route.path
                )
                count += 1
    tally("W01", cases=count)
    print(f"{count} tries without a session")


FORGED = {
    "X_Tenant": "TENANT", "X_Administration": "TENANT", "X_Organisation_Id": "TENANT", "X_Inbox": "INBOX", "X_User": "USER",
    "X_User_Id": "USER", "X_Roles": "reviewer,operator", "X_Forwarded_User": "USER", "X_Remote_User": "USER",
}  # fmt: skip


async def test_ids_of_others_in_headers_cookies_and_queries_change_nothing(place: Place) -> None:
    """W02: an own page or list stays what it is, whatever is said beside the address."""
    own, other, token = place.owned["al-sos"].ids, place.owned["vx-sos"].ids, place.tokens["al-sos"]
    said = {"TENANT": "vaxjo.social", "INBOX": other["inbox"], "USER": other["user"]}
    forged = {name: said.get(value, value) for name, value in FORGED.items()}
    cookie = "; ".join(f"{name}={value}" for name, value in {"inbox": other["inbox"], "user": other["user"], "administration": "vaxjo.social", "__Host-sambud-inbox": other["inbox"]}.items())  # fmt: skip
    count = 0
    for route in (*ROUTES, *PAGES):
        names = set(names_in(route))
        known = {*own, "form", "version", "section", "amne"}
        if (
            route.method != "GET"
            or route.scope is Scope.GATEWAY
            or route.stream
            or not names <= known
            or route.access is Access.PUBLIC
        ):
            continue
        before = await ask(place, route, own, token)
        for more in ({name: value} for name, value in forged.items()):
            after = await ask(place, route, own, token, **more)
            assert (after.status, plain(after, own)) == (before.status, plain(before, own)), (route.path, more)
            count += 1
        if route.page:
            headers = {"Cookie": f"{security.SESSION}={token}; {cookie}"}
            after = await place.site.ask("GET", path_of(route, own), **headers)
            assert (after.status, plain(after, own)) == (before.status, plain(before, own)), route.path
            query = urlencode({"inbox": other["inbox"], "administration": "vaxjo.social", "case": other["case"], "user": other["user"]})  # fmt: skip
            after = await place.site.ask("GET", f"{path_of(route, own)}?{query}", Cookie=f"{security.SESSION}={token}")
            assert after.status in (before.status, 303, 400, 404), route.path
            assert not any(
                other[name] in plain(after, {"q": query}).replace(query, "") for name in ("case", "draft")
            ), route.path
            count += 2
        else:
            after = await place.site.ask("GET", f"{path_of(route, own)}?administration=vaxjo.social", Authorization=f"Bearer {token}")  # fmt: skip
            assert after.status == 400, route.path
            count += 1
    tally("W02", cases=count)
    print(f"{count} forged headers, cookies and queries changed nothing")
    assert count > 400


async def test_members_that_no_model_has_are_refused_in_every_body(place: Place) -> None:
    """W02: a tenant in a body is not passed over but refused; nothing is done."""
    token, own, other = place.tokens["al-sos"], place.owned["al-sos"].ids, place.owned["vx-sos"].ids
    count = 0
    for route in ROUTES:
        if (
            route.takes is None
            or route.access is Access.PUBLIC
            or not set(re.findall(r"\{(\w+)\}", route.path)) <= {*own, "proposal"}
        ):
            continue
        good = {name: member_of(route, name, own) for name in route.takes.model_fields}
        for name in ("administration", "tenant", "sender", "owner", "user_id", "__proto__", "roles"):
            body = json.dumps({**good, name: other["user"]}).encode()
            answer = await place.site.ask(
                route.method, path_of(route, own), body,
                Authorization=f"Bearer {token}", Content_Type="application/json",
            )  # fmt: skip
            assert answer.status == 422, (route.path, name, answer.status)
            assert "extra_forbidden" in answer.text
            count += 1
    tally("W02", cases=count)
    print(f"{count} bodies with a member too many refused")


#: What is wrong with a form (W06); every one is refused with 403.
FORGERIES: Mapping[str, dict[str, str]] = {
    "no token": {},
    "an empty token": {"X_CSRF_Token": ""},
    "a wrong token": {"X_CSRF_Token": "0" * 64},
    "another session's token": {"X_CSRF_Token": security.token_for("another")},
    "from another site": {"X_CSRF_Token": "OURS", "Sec_Fetch_Site": "cross-site"},
    "from a neighbour's site": {"X_CSRF_Token": "OURS", "Sec_Fetch_Site": "same-site"},
    "from another origin": {"X_CSRF_Token": "OURS", "Origin": "https://fel.example"},
    "from no origin at all": {"X_CSRF_Token": "OURS", "Origin": "null"},
    "as JSON in plain text": {"Content_Type": "text/plain"},
    "as JSON": {"Content_Type": "application/json"},
}


async def test_every_form_of_the_table_refuses_every_forgery(place: Place) -> None:
    """W06: all unsafe pages x 10, 403 each; and no page does anything with GET."""
    token, own = place.tokens["al-sos"], place.owned["al-sos"].ids
    logs = await place.site.county.store.logs()
    before = [await place.site.county.store.log_size(name) for name in logs]
    count = 0
    for route in PAGES:
        if route.csrf is not Csrf.FORM:
            assert route.method == "GET", route.path
            continue
        path = path_of(route, own | {"envelope": own["envelope"]})
        for name, forgery in FORGERIES.items():
            headers = {"Content_Type": "application/x-www-form-urlencoded", "Cookie": f"{security.SESSION}={token}"}
            headers |= {key: security.token_for(token) if value == "OURS" else value for key, value in forgery.items()}
            answer = await place.site.ask("POST", path, b'{"a":"b"}' if "JSON" in name else b"a=b", **headers)
            assert answer.status == 403, (route.path, name, answer.status)
            assert "hörde inte till" in answer.text, (route.path, name)
            count += 1
        assert (await place.site.ask("GET", path, Cookie=f"{security.SESSION}={token}")).status != 500
    assert [await place.site.county.store.log_size(name) for name in logs] <= [size + 200 for size in before]
    tally("W06", cases=count)
    print(f"{count} forged forms refused")


async def test_the_api_takes_no_cookie_so_a_browser_cannot_be_made_to_call_it(place: Place) -> None:
    """W06: every unsafe call with the cookie of a running session and nothing else: 401."""
    token, own = place.tokens["al-sos"], place.owned["al-sos"].ids | {"proposal": "x"}
    count = 0
    for route in ROUTES:
        if route.method == "GET" or route.access is Access.PUBLIC:
            continue
        path = path_of(route, own)
        for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
            answer = await place.site.ask("POST", path, b"{}", Cookie=f"{security.SESSION}={token}", Content_Type=kind)
            assert answer.status in (401, 405), (path, answer.status)
            count += 1
    tally("W06", cases=count)
