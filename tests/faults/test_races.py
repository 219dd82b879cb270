"""Somebody withdraws, removes, recalls, takes back or changes the directory while a message is sent, delivered, opened.

The rival's act runs whole before and after every single call that the first act makes to its store. The order of the two commits (the
order of their leaves in the log) decides: what was withdrawn before is never acted upon, what comes later changes
nothing of what was done.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from adapters.memory import MemoryBlobs, MemoryStore, MemoryTiles
from adapters.sql.postgres import PostgresStore
from adapters.sql.sqlite import SqliteStore
from gateway.errors import EnvelopeError, GatewayError, IntegrityError
from gateway.forms.demo import demo_referral
from gateway.model.base import CaseId, InboxId, MessageId
from gateway.model.identity import MembershipRole, User
from gateway.model.path import Consent, Delivery
from gateway.sending import Submission
from gateway.sessions import Signed
from gateway.states import ConsentState, DeliveryState
from gateway.usecases import Gateway
from tests.clock import ManualClock
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E, County, a_county, password_of, plugged
from tests.faults.cluster import Cluster
from tests.faults.on_postgres import a_message, a_schema
from tests.faults.schedules import Pausing
from tests.faults.tally import tally

pytestmark = pytest.mark.slow
SEED = 20260305
#: An act that meets a rival may make a few calls more than one that meets nobody (it reads something again).
MORE = 12
CLOSED_DIRECTORY = DEMO_DIRECTORY.replace(
    'accepts = ["board_response", "case_message", "placement_referral"]\nmembers = ["ek-chef"',
    'accepts = ["board_response"]\nmembers = ["ek-chef"',
)


@dataclass
class Stage:
    """A county over a store that can be paused, and the gateway of another process over the same rows."""

    county: County
    pausing: Pausing
    other: Gateway
    people: dict[str, Signed] = field(default_factory=dict)
    turns: int = 0

    def user(self, login: str) -> User:
        return self.people[login].user

    async def logged(self, *acts: str) -> list[tuple[str, str, str]]:
        """(act, object, outcome) of the newest leaves of these acts, oldest first."""
        store, log = self.county.store, self.county.gateway.auditor.origin(self.county.clock.now())
        size = await store.log_size(log)
        start = max(0, size - 60)
        sides = [row for row in await store.sides(log, start, size) if row.action in acts]
        leaves = {row.number: row.leaf for row in await store.leaves(log, start, size)}
        return [
            (row.action, row.object, "deny" if b'"outcome":"deny"' in leaves[row.number] else "done") for row in sides
        ]


@dataclass
class Scene:
    """One case and message, made anew for each schedule."""

    case: CaseId
    consent: Consent
    message: MessageId | None = None
    delivery: Delivery | None = None


@asynccontextmanager
async def a_stage(engine: str, tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    clock = ManualClock()
    if engine == "memory":
        async with _staged(MemoryStore(clock), clock) as stage:
            yield stage
    elif engine == "sqlite":
        sqlite = await SqliteStore.open(tmp_path / "sambud.db", clock, create=True)
        try:
            async with _staged(sqlite, clock) as stage:
                yield stage
        finally:
            await sqlite.close()
    else:
        cluster: Cluster = request.getfixturevalue("cluster")
        async with a_schema(cluster.dsn) as schema:
            postgres = await PostgresStore.open(cluster.dsn, clock, schema=schema)
            try:
                async with _staged(postgres, clock) as stage:
                    yield stage
            finally:
                await postgres.close()


@asynccontextmanager
async def _staged(store: Any, clock: ManualClock) -> AsyncIterator[Stage]:
    pausing = Pausing(store)
    blobs, tiles = MemoryBlobs(), MemoryTiles()
    async with a_county(pausing, clock=clock, blobs=blobs, tiles=tiles) as county:  # type: ignore[arg-type]
        stage = Stage(county, pausing, plugged(county.keyring, store, clock, blobs, tiles))
        for login in ("al-sos", "al-del", "ek-chef", "ek-sam"):
            stage.people[login] = await county.sign_in(login)
        yield stage


# --- the acts that are raced -----------------------------------------------------------------------------------------


async def _nothing_sent(stage: Stage) -> Scene:
    case, consent = await stage.county.consented_case(stage.people["al-sos"])
    return Scene(case.id, consent)


async def _queued(stage: Stage) -> Scene:
    scene = await _nothing_sent(stage)
    await _send(stage, scene)
    return await _found(stage, scene)


async def _arrived(stage: Stage) -> Scene:
    scene = await _queued(stage)
    await stage.county.deliver()
    stage.turns += 1
    if stage.turns % 20 == 1:
        await stage.county.step_up(stage.people["ek-chef"], SEAT_E)
    return await _found(stage, scene)


async def _found(stage: Stage, scene: Scene) -> Scene:
    assert scene.message is not None
    [scene.delivery] = await stage.county.store.deliveries_of(scene.message)
    return scene


async def _send(stage: Stage, scene: Scene) -> None:
    done = await stage.county.gateway.sending.send(
        stage.people["al-sos"], ALVESTA, a_message(scene.case, "Hej", [SEAT_E]), undo_seconds=0
    )
    scene.message = done.message


async def _refer(stage: Stage, scene: Scene) -> None:
    submission = Submission(
        case=scene.case,
        form_type="placement_referral",
        form_version=1,
        values=demo_referral(stage.county.today),
        recipients=("remissgrupp",),
    )
    done = await stage.county.gateway.sending.send(stage.people["al-sos"], ALVESTA, submission)
    scene.message = done.message


async def _deliver(stage: Stage, scene: Scene) -> None:
    await stage.county.gateway.outbox.run_once()


async def _open(stage: Stage, scene: Scene) -> None:
    assert scene.delivery is not None
    await stage.county.gateway.opening.open(stage.people["ek-chef"], scene.delivery.envelope)


@dataclass(frozen=True)
class Act:
    """What is raced: how its scene is made, the act, the leaf that says it was done, and whose absence proves it."""

    ready: Callable[[Stage], Awaitable[Scene]]
    act: Callable[[Stage, Scene], Awaitable[None]]
    leaf: str
    inbox: InboxId
    actor: str
    colleague: str


ACTS = {
    "send": Act(_nothing_sent, _send, "sent", ALVESTA, "al-sos", "al-del"),
    "refer": Act(_nothing_sent, _refer, "sent", ALVESTA, "al-sos", "al-del"),
    "deliver": Act(_queued, _deliver, "delivered", ALVESTA, "al-sos", "al-del"),
    "open": Act(_arrived, _open, "opened", SEAT_E, "ek-chef", "ek-sam"),
}


# --- the rivals ------------------------------------------------------------------------------------------------------


async def _withdraw(stage: Stage, act: Act, scene: Scene) -> None:
    await stage.other.consents.withdraw(stage.people["al-sos"], ALVESTA, scene.consent.id)


async def _remove(stage: Stage, act: Act, scene: Scene) -> None:
    inbox = (await stage.other.directory.current()).inbox(act.inbox)
    await stage.other.members.remove(inbox, stage.user(act.actor).id, by=stage.user(act.colleague))


async def _readmit(stage: Stage, act: Act) -> None:
    inbox = (await stage.other.directory.current()).inbox(act.inbox)
    user, colleague = stage.user(act.actor), stage.user(act.colleague)
    await stage.other.members.propose(inbox, user.id, MembershipRole.MEMBER, by=colleague)
    await stage.other.members.admit(inbox, user.id, by=colleague)


async def _disable(stage: Stage, act: Act, scene: Scene) -> None:
    await stage.other.accounts.disable(stage.user(act.actor).id, by=stage.user(act.colleague))


async def _enable(stage: Stage, act: Act) -> None:
    await stage.other.accounts.enable(stage.user(act.actor).id, by=stage.user(act.colleague))
    stage.people[act.actor] = await stage.county.sign_in(act.actor)


async def _close_inbox(stage: Stage, act: Act, scene: Scene) -> None:
    await stage.other.register.apply(CLOSED_DIRECTORY, passwords=password_of, by="test")


async def _reopen_inbox(stage: Stage, act: Act) -> None:
    await stage.other.register.apply(DEMO_DIRECTORY, passwords=password_of, by="test")


async def _ask_back(stage: Stage, act: Act, scene: Scene) -> None:
    assert scene.message is not None
    await stage.other.recalls.request(stage.people["al-sos"], ALVESTA, scene.message)


async def _take_back(stage: Stage, act: Act, scene: Scene) -> None:
    assert scene.message is not None
    try:
        await stage.other.recalls.take_back(stage.people["al-sos"], ALVESTA, scene.message)
    except GatewayError:
        [delivery] = await stage.county.store.deliveries_of(scene.message)
        assert delivery.state is not DeliveryState.QUEUED  # too late, and told so


async def _nothing(stage: Stage, act: Act) -> None:
    pass


@dataclass(frozen=True)
class Rival:
    """What comes in between, the leaf that it writes, how the stage is put right, and whether the act must not
    follow it."""

    act: Callable[[Stage, Act, Scene], Awaitable[None]]
    leaf: str
    undo: Callable[[Stage, Act], Awaitable[None]] = _nothing
    forbids: bool = True


WITHDRAW = Rival(_withdraw, "consent_withdrawn")
REMOVE = Rival(_remove, "member_removed", _readmit)
DISABLE = Rival(_disable, "user_disabled", _enable)
CLOSE = Rival(_close_inbox, "directory_applied", _reopen_inbox)
RIVALS: dict[str, dict[str, Rival]] = {
    "send": {"withdraw": WITHDRAW, "remove": REMOVE, "disable": DISABLE, "close": CLOSE},
    "refer": {"withdraw": WITHDRAW, "remove": REMOVE, "disable": DISABLE, "close": CLOSE},
    "deliver": {
        "withdraw": WITHDRAW,
        "take back": Rival(_take_back, "taken_back"),
        "remove": Rival(_remove, "member_removed", _readmit, forbids=False),  # it was sent by a member
        "close": Rival(_close_inbox, "directory_applied", _reopen_inbox, forbids=False),
    },
    "open": {
        "withdraw": WITHDRAW,
        "remove": REMOVE,
        "disable": DISABLE,
        "ask back": Rival(_ask_back, "recall_requested"),
        "close": Rival(_close_inbox, "directory_applied", _reopen_inbox, forbids=False),  # it has arrived
    },
}
PAIRS = [(act, rival) for act, rivals in RIVALS.items() for rival in rivals]


@dataclass
class Score:
    """What became of the schedules of one pair."""

    schedules: int = 0
    first_won: int = 0
    rival_won: int = 0
    broken: list[str] = field(default_factory=list)
    refusals: Counter[str] = field(default_factory=Counter)


async def _schedule(stage: Stage, name: str, rival_name: str, at: int, score: Score) -> None:
    act, rival = ACTS[name], RIVALS[name][rival_name]
    scene = await act.ready(stage)
    outcome, had_its_turn = await stage.pausing.run(
        lambda: act.act(stage, scene), lambda: rival.act(stage, act, scene), at=at
    )
    if not had_its_turn:
        return
    score.schedules += 1
    leaves = await stage.logged(act.leaf, rival.leaf)
    mine = [number for number, leaf in enumerate(leaves) if leaf[0] == act.leaf and leaf[2] != "deny"]
    theirs = [number for number, leaf in enumerate(leaves) if leaf[0] == rival.leaf]
    done = bool(mine) and await _is_mine(leaves[mine[-1]], stage, scene, name)
    if isinstance(outcome, Exception) and (
        not isinstance(outcome, GatewayError)
        or isinstance(outcome, IntegrityError | EnvelopeError)
        or outcome.status >= 500
    ):
        score.broken.append(f"point {at}: {outcome!r}")
    if done and rival.forbids and theirs and theirs[-1] < mine[-1] and await _was_now(stage, rival, scene, leaves):
        score.broken.append(f"point {at}: {act.leaf} after {rival.leaf}")
    if isinstance(outcome, GatewayError):
        score.refusals[outcome.code] += 1
    score.first_won += done
    score.rival_won += not done
    await stage.county.deliver()
    score.broken += [f"point {at}: {fault}" for fault in await _standing(stage, scene)]
    await rival.undo(stage, act)


async def _points(stage: Stage, act: Act) -> int:
    scene = await act.ready(stage)
    return await stage.pausing.counted(lambda: act.act(stage, scene))


async def _is_mine(leaf: tuple[str, str, str], stage: Stage, scene: Scene, name: str) -> bool:
    if ACTS[name].leaf == "sent":
        messages = await stage.county.store.messages_of(scene.case, limit=10)
        return leaf[1] in {str(message.id) for message in messages}
    return scene.delivery is not None and leaf[1] == str(scene.delivery.envelope)


async def _was_now(stage: Stage, rival: Rival, scene: Scene, leaves: list[tuple[str, str, str]]) -> bool:
    """Whether the newest leaf of the rival is this schedule's: a take-back that came too late writes none."""
    newest = [leaf for leaf in leaves if leaf[0] == rival.leaf][-1]
    if rival.leaf in ("taken_back", "recall_requested"):
        return newest[1] == str(scene.message)
    if rival.leaf == "consent_withdrawn":
        return newest[1] == str(scene.consent.id)
    return True


async def _standing(stage: Stage, scene: Scene) -> list[str]:
    """What must hold whoever won: nothing is queued or arrives on a withdrawn consent, and nothing is half."""
    store, faults = stage.county.store, []
    consent = await store.get(Consent, scene.consent.id)
    withdrawn = consent is not None and consent.state is ConsentState.WITHDRAWN
    log = stage.county.gateway.auditor.origin(stage.county.clock.now())
    for message in await store.messages_of(scene.case, limit=10):
        deliveries = await store.deliveries_of(message.id)
        if not deliveries or len(await store.envelopes_of(message.id)) != len(deliveries) + 1:
            faults.append("half a message")
        for row in deliveries:
            if row.state in (DeliveryState.QUEUED, DeliveryState.ATTEMPTING):
                faults.append(f"a delivery left {row.state}")
            elif withdrawn and row.state in (DeliveryState.DELIVERED, DeliveryState.OPENED):
                order = [
                    (await store.sides_page(log, action=action, administration="", object=name, before=2**40, limit=1))
                    for action, name in (("delivered", str(row.envelope)), ("consent_withdrawn", str(scene.consent.id)))
                ]
                if order[0][0].number > order[1][0].number:
                    faults.append("delivered after the withdrawal")
    return faults


@pytest.mark.parametrize(
    ("engine", "most"),
    [
        ("memory", 9),
        ("sqlite", 3),
        ("postgres", 1),
        pytest.param("memory", 10_000, marks=pytest.mark.full),
        pytest.param("sqlite", 10_000, marks=pytest.mark.full),
        pytest.param("postgres", 20, marks=pytest.mark.full),
    ],
)
async def test_of_an_act_and_what_forbids_it_the_earlier_commit_wins_at_every_await(
    engine: str, most: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """H-race, H1: withdraw, remove, disable, recall, close at each call of send, deliver and open."""
    print(f"seed {SEED}")
    chance, scores = random.Random(SEED), {}
    async with a_stage(engine, tmp_path, request) as stage:
        for name, rival in PAIRS:
            score = scores[name, rival] = Score()
            act = ACTS[name]
            points = min([await _points(stage, act) for _ in range(2)])  # the first time prepares what is then known
            drawn = range(1, points + MORE + 1) if most >= points else sorted(chance.sample(range(1, points + 1), most))
            for at in drawn:
                await _schedule(stage, name, rival, at, score)
        reports = await stage.county.gateway.review.verify()
    for (name, rival), score in scores.items():
        print(
            f"{name} x {rival}: {score.schedules} schedules, {score.first_won} stood, {score.rival_won} refused {dict(score.refusals)}"
        )
    broken = {pair: score.broken for pair, score in scores.items() if score.broken}
    tally("H-race", cases=sum(score.schedules for score in scores.values()), half=sum(map(len, broken.values())))
    assert broken == {}
    assert [report.faults for report in reports] == [[]]
    for (name, rival), score in scores.items():
        assert score.schedules > 0
        if most >= 100 and RIVALS[name][rival].forbids:
            assert score.first_won and score.rival_won, (name, rival)
