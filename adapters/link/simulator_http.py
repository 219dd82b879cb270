"""The simulator over HTTP: token, subscription key, the operations, COS's referral, and calls that make faults.

Why this exists: a client is tried over a real connection. Operations on Link cases are our own (no API is published,
UNK); the token, the subscription key, the three error shapes, 429 and `POST /api/open/referrals` are COS's (V2).
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import parse_qsl

from aiohttp import web

from adapters.link.shapes import ACTING, RETRY_AFTER_S, STATUS, error, told_case, told_envelope, told_status
from adapters.link.simulator import Inboxes, NotDoneError, Simulator, User
from gateway.collaboration import Actor, ActorKind, CaseKind, LinkCase, PlanType, Refusal, Trouble
from gateway.model.base import Instant

KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"
MAX_BODY: Final = 1_000_000
Operation = Callable[[Simulator, User, str, Mapping[str, Any]], object]

OPERATIONS: Final[Mapping[str, Operation]] = {
    "invite": lambda sim, user, ref, told: sim.invite(user, ref, _actor(told["actor"])),
    "accept": lambda sim, user, ref, _: sim.accept(user, ref),
    "decline": lambda sim, user, ref, told: sim.decline(user, ref, str(told["actor"])),
    "messages": lambda sim, user, ref, told: sim.post_message(user, ref, str(told["text"])),
    "plan-notes": lambda sim, user, ref, told: sim.add_plan_note(user, ref, PlanType(told["plan"]), str(told["text"])),
    "agree": lambda sim, user, ref, _: sim.agree_plan(user, ref),
    "close": lambda sim, user, ref, _: sim.close_case(user, ref),
    "distribute": lambda sim, user, ref, told: sim.mark_distributed(user, ref, str(told["administration"])),
}


class _Calls:
    def __init__(self, sim: Simulator, subscription: str) -> None:
        self._sim = sim
        self._subscription = subscription
        self._tokens: dict[str, str] = {}  # token -> user
        self._skew = 0
        self.referrals: dict[tuple[str, str], str] = {}  # (user, client_ref) -> id

    async def token(self, request: web.Request) -> web.Response:
        form = dict(parse_qsl((await request.read()).decode("ascii", "replace")))
        name = form.get("client_id", "")
        refusal = self._sim.sign_in(name)
        if refusal is not None:
            return self._refused(request, refusal)
        token = secrets.token_urlsafe(24)
        self._tokens[token] = name
        return web.json_response({"access_token": token, "token_type": "Bearer", "expires_in": 900})

    async def list_new(self, request: web.Request) -> web.Response:
        inbox = request.match_info["inbox"]
        found = self._call(request, "list_new", lambda user: self._sim.list_new(user, inbox))
        if isinstance(found, Refusal):
            return self._refused(request, found)
        return web.json_response([told_envelope(one) for one in found])  # type: ignore[attr-defined]

    async def open(self, request: web.Request) -> web.Response:
        told = await _body(request)

        def work(user: User) -> object:
            actors = tuple(_actor(one) for one in told["invitees"])
            return self._sim.open_case(user, str(told["patient"]), CaseKind(told["kind"]), actors)

        return self._answer(request, self._call(request, "open_case", work, _ref(told)))

    async def get(self, request: web.Request) -> web.Response:
        ref = request.match_info["ref"]
        found = self._call(request, "get_case", lambda user: self._sim.get_case(user, ref))
        if isinstance(found, LinkCase):
            return web.json_response(told_case(found))
        return self._answer(request, found)

    async def status(self, request: web.Request) -> web.Response:
        """Ours (INF): the state alone. Without a function that asks there is no answer."""
        ref, acting = request.match_info["ref"], request.headers.get(ACTING, "")
        if not acting:
            return self._refused(request, Refusal(Trouble.INVALID))
        found = self._call(request, f"status for {acting}", lambda user: self._sim.get_case(user, ref))
        if isinstance(found, LinkCase):
            return web.json_response(told_status(found))
        return self._answer(request, found)

    async def act(self, request: web.Request) -> web.Response:
        ref, name = request.match_info["ref"], request.match_info["operation"]
        told = await _body(request)
        operation = OPERATIONS.get(name)
        if operation is None:
            return self._refused(request, Refusal(Trouble.NOT_FOUND))
        done = self._call(request, name, lambda user: operation(self._sim, user, ref, told), _ref(told))
        return self._answer(request, done)

    async def refer(self, request: web.Request) -> web.Response:
        """COS: a referral. A subscription key and a bearer token, the patient in a header (V2)."""
        told = await _body(request)
        if request.headers.get(KEY_HEADER) != self._subscription:
            shown = {"statusCode": 401, "message": "Access denied due to missing subscription key"}
            return web.json_response(shown, status=401)

        def work(_: User) -> object:
            if not request.headers.get("patient") or not told.get("recipient") or not told.get("text"):
                raise NotDoneError(Refusal(Trouble.INVALID, code="400"))
            return f"REM-{secrets.token_hex(6)}"

        return self._answer(request, self._call(request, "refer", work, _ref(told)), status=201)

    # --- how it misbehaves -------------------------------------------------------------------------------------------

    async def state(self, request: web.Request) -> web.Response:
        lines = [list(line) for line in self._sim.log]
        return web.json_response({"inboxes": self._sim.inboxes, "now": self._sim.clock.now(), "log": lines})

    async def arrive(self, request: web.Request) -> web.Response:
        told = await _body(request)
        ref = self._sim.arrive(
            CaseKind(told["kind"]),
            str(told["administration"]),
            str(told["unit"]),
            str(told["patient"]),
            text=str(told.get("text", "")),
            protected=told.get("protected") is True,
            says_administration=told.get("says_administration", True) is True,
        )
        return web.json_response({"case": ref}, status=201)

    async def add_user(self, request: web.Request) -> web.Response:
        told = await _body(request)
        siths = told.get("siths", True) is True
        self._sim.add_user(str(told["name"]), str(told["administration"]), str(told["unit"]), siths=siths)
        return web.json_response({}, status=201)

    async def faults(self, request: web.Request) -> web.Response:
        for name, value in (await _body(request)).items():
            if type(getattr(self._sim.faults, name, None)) is not type(value):
                return web.json_response({"error": "no such fault"}, status=400)
            setattr(self._sim.faults, name, value)
        return web.json_response({})

    async def configure(self, request: web.Request) -> web.Response:
        self._sim.inboxes = Inboxes((await _body(request))["inboxes"])
        return web.json_response({})

    # --- details -----------------------------------------------------------------------------------------------------

    def _call(self, request: web.Request, name: str, work: Callable[[User], object], ref: str = "") -> object:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        user = self._tokens.get(token, "") if scheme == "Bearer" else ""
        if not user:
            return Refusal(Trouble.SESSION, code="401")
        return self._sim.call(user, name, work, ref)

    def _answer(self, request: web.Request, done: object, *, status: int = 200) -> web.Response:
        if isinstance(done, Refusal):
            return self._refused(request, done)
        return web.json_response({"done": done}, status=status)

    def _refused(self, request: web.Request, refusal: Refusal) -> web.Response:
        headers = {"Retry-After": str(RETRY_AFTER_S)} if refusal.trouble is Trouble.BUSY else {}
        body = error(self._sim.faults.shape, refusal, request.path, Instant(self._sim.clock.now()))
        return web.json_response(body, status=STATUS[refusal.trouble], headers=headers)


@web.middleware
async def _told(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """A body that is no body of these calls is told as such, and changes nothing."""
    try:
        return await handler(request)
    except (KeyError, TypeError, ValueError):
        return web.json_response({"statusCode": 400, "message": "invalid"}, status=400)


def application(sim: Simulator, subscription: str) -> web.Application:
    calls = _Calls(sim, subscription)
    app = web.Application(client_max_size=MAX_BODY, middlewares=[_told])
    app.add_routes(
        [
            web.post("/token", calls.token),
            web.get("/link/inboxes/{inbox}/new", calls.list_new),
            web.post("/link/cases", calls.open),
            web.get("/link/cases/{ref}", calls.get),
            web.get("/link/cases/{ref}/status", calls.status),
            web.post("/link/cases/{ref}/{operation}", calls.act),
            web.post("/api/open/referrals", calls.refer),
            web.get("/simulator", calls.state),
            web.post("/simulator/cases", calls.arrive),
            web.post("/simulator/users", calls.add_user),
            web.post("/simulator/faults", calls.faults),
            web.post("/simulator/inboxes", calls.configure),
        ]
    )
    return app


@asynccontextmanager
async def serving(sim: Simulator, *, subscription: str = "simulator", port: int = 0) -> AsyncIterator[str]:
    """The simulator on loopback while the context lasts; gives its address. Raises OSError: the port is taken."""
    runner = web.AppRunner(application(sim, subscription), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def _body(request: web.Request) -> dict[str, Any]:
    told = await request.json()
    if not isinstance(told, dict):
        raise TypeError("not an object")
    return told


def _ref(told: Mapping[str, Any]) -> str:
    return str(told.get("client_ref", ""))


def _actor(told: Any) -> Actor:
    kind, name = told
    return Actor(ActorKind(kind), str(name))
