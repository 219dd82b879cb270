"""schemathesis against the API: calls made from its description, valid and invalid, over a real connection.

Every check of schemathesis holds: no server error, no status, type, header or body that is not described, nothing
invalid accepted, no call without a session, no method that is not there. The description that it is given has the ids
of things that exist, so that calls reach what they name. Seed and counts are printed.
"""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.http.api import CALLS, ROUTES
from adapters.http.limits import UNPACED
from adapters.http.openapi import described
from adapters.http.server import application, listening
from adapters.sql.sqlite import SqliteStore
from gateway.directory_file import user_id
from gateway.errors import GatewayError
from gateway.model.base import UserId
from gateway.model.identity import MembershipState, User, UserState
from gateway.ports import Insert, Work
from tests.api_examples import EXAMPLES, Maker
from tests.clock import ManualClock
from tests.county import County, a_county

SEED = 20260302
#: What is valid by its schema may still be refused by what is kept: an id of nothing, a user of another authority.
LAWFUL = ["2xx", "400", "401", "403", "404", "409", "422", "429"]
#: Calls whose good answer needs what no description can give: an unused code, a file with a name, or ten quick seconds.
#: And whatever is carried by hand is carried once: schemathesis hands it over, by the ids that it saw, before it takes out and prints.
OUT_OF_REACH = {
    "sign_in",
    "step_up",
    "attach_file",
    "take_back",
    "take_out",
    "permit_print",
    "print_by_hand",
    "print_file",
}


@dataclass
class Served:
    """A gateway on SQLite that listens, in a thread with a loop of its own."""

    county: County
    maker: Maker
    address: str
    loop: asyncio.AbstractEventLoop
    tokens: dict[str, str] = field(default_factory=dict)

    def run(self, work: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def token(self, login: str) -> str:
        """A session that is alive, of a member: a campaign ends sessions, disables accounts and takes members out."""
        return str(self.run(self._token(login)))

    async def _token(self, login: str) -> str:
        gateway = self.county.gateway
        if login in self.tokens:
            try:
                await gateway.sessions.authenticate(self.tokens[login])
            except GatewayError:
                del self.tokens[login]
        await self._let_in_again(user_id(login))
        if login not in self.tokens:
            user = await self.county.store.get(User, user_id(login))
            assert user is not None
            if user.state is not UserState.ACTIVE:
                await gateway.accounts.enable(user.id, by=user)
                user = await self.county.store.get(User, user_id(login))
                assert user is not None
            token, row = await gateway.sessions.begun(user, method="password+totp", at=self.county.clock.now())
            await self.county.store.commit(Work(changes=(Insert(row),)))
            self.tokens[login] = token
        return self.tokens[login]

    async def _let_in_again(self, user: UserId) -> None:
        members, directory = self.county.gateway.members, await self.county.gateway.directory.current()
        for row in await self.county.store.memberships_of(user):
            if row.state is MembershipState.REMOVED:
                inbox = directory.inbox(row.inbox)
                present = [one for one in await members.members(inbox.id) if one.state is MembershipState.ACTIVE]
                by = await self.county.store.get(User, present[0].user)
                assert by is not None
                await members.propose(inbox, user, row.role, by=None)
                await members.admit(inbox, user, by=by)


@pytest.fixture
def served() -> Iterator[Served]:
    made: list[Served] = []
    ready, stop = threading.Event(), asyncio.Event()

    async def serve(folder: Path) -> None:
        clock = ManualClock()
        store = await SqliteStore.open(folder / "sambud.db", clock, create=True)
        try:
            async with (
                a_county(store, clock=clock, keys_db=folder / "keys.db") as county,
                listening(application(county.gateway, ROUTES, limits=UNPACED), "127.0.0.1", 0) as address,
            ):
                made.append(Served(county, Maker(county), address, asyncio.get_running_loop()))
                ready.set()
                await stop.wait()
        finally:
            await store.close()

    with tempfile.TemporaryDirectory() as scratch:
        thread = threading.Thread(target=lambda: asyncio.run(serve(Path(scratch))), name="gateway")
        thread.start()
        assert ready.wait(60)
        try:
            yield made[0]
        finally:
            made[0].loop.call_soon_threadsafe(stop.set)
            thread.join(30)


async def known(maker: Maker) -> tuple[dict[str, Any], dict[str, str]]:
    """The description with things that exist as its examples, and who makes each call."""
    document, logins = json.loads(json.dumps(described(CALLS))), {}
    for route in CALLS:
        example = await EXAMPLES[route.handler.__name__](maker)
        logins[f"{route.method} {route.path}"] = example.login or "al-sos"
        operation = document["paths"][route.path][route.method.lower()]
        pattern = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", route.path)
        parts = re.fullmatch(pattern, "/api/v1" + example.path.partition("?")[0])
        assert parts, route.path
        for parameter in operation.get("parameters", ()):
            if parameter["in"] == "path":
                parameter["example"] = parts[parameter["name"]]
        if example.body is not None:
            body = json.loads(json.dumps(example.body))
            operation["requestBody"]["content"]["application/json"]["example"] = body
    return document, logins


@dataclass
class Found:
    """What a campaign did and saw."""

    answers: dict[str, Counter[int]] = field(default_factory=lambda: defaultdict(Counter))
    phases: Counter[str] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)

    @property
    def reached(self) -> set[str]:
        """The calls that were answered well at least once."""
        return {label for label, counts in self.answers.items() if any(200 <= status < 300 for status in counts)}


def campaign(served: Served, *, examples: int, stateful: bool) -> Found:
    import schemathesis
    from schemathesis.config import SchemathesisConfig
    from schemathesis.engine import events, from_schema

    document, logins = served.run(known(served.maker))
    config = SchemathesisConfig.from_dict(
        {
            "seed": SEED,
            "generation": {"max-examples": examples, "deterministic": True},
            "phases": {"stateful": {"enabled": stateful}, "fuzzing": {"enabled": examples > 0}},
            "checks": {"positive_data_acceptance": {"expected-statuses": LAWFUL}},
        }
    )
    schema = schemathesis.openapi.from_dict(document, config=config)
    schema.config.update(base_url=served.address, continue_on_failure=True)

    @schema.auth(refresh_interval=None)
    class Session:
        """The session of whoever can make the call."""

        def get(self, case: Any, context: Any) -> str:
            return served.token(logins[context.operation.label])

        def set(self, case: Any, token: str, context: Any) -> None:
            case.headers["Authorization"] = f"Bearer {token}"

    found = Found()
    for event in from_schema(schema).execute():
        if isinstance(event, events.ScenarioFinished):
            note(found, event.phase.name, event.recorder)
        elif isinstance(event, events.NonFatalError | events.FatalError):
            found.faults[f"error {getattr(event, 'label', '')}"] = str(getattr(event, "value", event))
    return found


def note(found: Found, phase: str, recorder: Any) -> None:
    for case_id, interaction in recorder.interactions.items():
        if interaction.response is not None:
            label = recorder.cases[case_id].value.operation.label
            found.answers[label][interaction.response.status_code] += 1
            found.phases[phase] += 1
    for case_id, checks in recorder.checks.items():
        for check in checks:
            if check.failure_info is not None:
                failure, label = check.failure_info.failure, recorder.cases[case_id].value.operation.label
                told = f"{failure.title}: {failure.message}\n{check.failure_info.code_sample}"
                found.faults.setdefault(f"{check.name} {label}", told[:1500])


def told(found: Found) -> str:
    calls = sum(found.phases.values())
    phases = ", ".join(f"{name} {count}" for name, count in sorted(found.phases.items()))
    return (
        f"schemathesis, seed {SEED}: {calls} calls ({phases}), {len(found.reached)} of {len(CALLS)} calls answered well"
    )


def holds(found: Found) -> None:
    print(told(found))
    assert not found.faults, "\n\n".join(f"{name}\n{text}" for name, text in found.faults.items())
    assert set(found.answers) == {f"{route.method} {route.path}" for route in CALLS}
    unreached = {
        route.handler.__name__ for route in CALLS if f"{route.method} {route.path}" not in found.reached
    } - OUT_OF_REACH
    assert not unreached
    assert sum(found.phases.values()) >= 25 * len(CALLS)


@pytest.mark.slow
def test_calls_made_from_the_description_get_what_it_promises(served: Served) -> None:
    """design.md §9: routing, checking and the description are one table."""
    holds(campaign(served, examples=0, stateful=False))


@pytest.mark.full
def test_many_calls_made_from_the_description_in_any_order_get_what_it_promises(served: Served) -> None:
    """The same with thirty random calls of each kind, valid and not, and sequences that follow what was answered."""
    holds(campaign(served, examples=30, stateful=True))
