"""People who sign in: the identity part of the gateway, wired over a real store and a real Keyring.

Argon2id runs with its smallest parameters here (the PHC string carries them), so that a test may sign in a hundred
times; what is promised about its cost is tested with the real ones.
"""

from __future__ import annotations

import dataclasses
import json
import os
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self, TypeVar

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from adapters.memory import MemoryStore
from gateway.accounts import Accounts
from gateway.audit import Auditor
from gateway.factors import Factors, code_for
from gateway.identity import PasswordLane, SignedIn, SignIn
from gateway.integrity import Integrity
from gateway.members import Members
from gateway.model.base import MINUTE, SECOND, AdministrationId, Instant, UserId, VersionedRow
from gateway.model.directory import Inbox
from gateway.model.identity import MembershipRole, User
from gateway.ports import Delete, Insert, Store, Work
from gateway.sessions import SessionRules, Sessions, Signed
from gateway.windows import Windows
from keys.keyring import Keyring
from keys.vault import KeyVault
from tests.clock import ManualClock
from tests.world import NAV, World, a_world

PASSWORD = "blå kantareller sjunger tyst"
STEP = 30 * SECOND
R = TypeVar("R", bound=VersionedRow)


class QuickVault(KeyVault):
    """The vault with the cheapest Argon2id that RFC 9106 knows."""

    def hash_password(self, password: str) -> bytes:
        argon2 = Argon2id(salt=os.urandom(16), length=32, iterations=1, lanes=1, memory_cost=8)
        return argon2.derive_phc_encoded(password.encode()).encode()


@dataclass(frozen=True, slots=True)
class Person:
    """A user with what only that user has."""

    user: User
    seed: bytes
    password: str = PASSWORD

    def code(self, at: Instant, *, steps: int = 0) -> str:
        """The code shown at `at`, or some 30-second steps from it."""
        return code_for(self.seed, Instant(at + steps * STEP))


class People:
    """One process of the gateway, as far as identity goes. `restarted` is another one over the same store."""

    def __init__(
        self,
        world: World,
        *,
        window: int = 0,
        rules: SessionRules | None = None,
        vault: Callable[[Keyring], KeyVault] = lambda keyring: QuickVault(keyring.hierarchy, keyring.shred),
    ) -> None:
        self.world = world
        self.clock: ManualClock = world.clock
        self.store: MemoryStore = world.store
        self.vault = vault(world.keyring)
        self.integrity = Integrity(self.vault)
        self.auditor = an_auditor(world, self.vault)
        self.factors = Factors(self.vault, self.integrity, window=window)
        self.lane = PasswordLane(self.vault)
        self.sessions = Sessions(self.store, self.integrity, self.auditor, self.clock, rules)
        self.windows = Windows(self.store, self.integrity, self.factors, self.auditor, self.clock, rules)
        self.sign_in = SignIn(
            self.store,
            self.vault,
            self.integrity,
            self.factors,
            self.sessions,
            self.lane,
            self.auditor,
            self.clock,
        )
        self.accounts = Accounts(
            self.store, self.integrity, self.factors, self.sessions, self.lane, self.auditor, self.clock
        )
        self.members = Members(self.store, world.keyring.maker, self.integrity, self.auditor, self.clock)

    def restarted(self, *, window: int = 0) -> People:
        """A process that starts now: nothing but the store is left of the former."""
        return People(self.world, window=window)

    async def person(
        self, login: str, administration: AdministrationId = NAV, *, roles: Sequence[str] = ("case_worker",)
    ) -> Person:
        """A user with both factors and a member key, committed."""
        row = User(
            administration=administration,
            id=UserId(str(uuid.uuid5(uuid.NAMESPACE_DNS, login))),
            login=login,
            title=f"Funktion {login}",
            roles=tuple(roles),
        )
        made = await self.accounts.create(row, PASSWORD, at=self.clock.now())
        keys = await self.world.keyring.maker.member(made.user, by="test", at=self.clock.now())
        await self.store.commit(Work(changes=(*made.changes, *keys.changes)))
        return Person(made.user, made.seed)

    async def signed_in(self, person: Person) -> Signed:
        """A session, begun in a time step that no test uses again."""
        token = (await self.enters(person)).token
        signed = await self.sessions.authenticate(token)
        self.clock.advance(STEP)
        return signed

    async def enters(self, person: Person, *, steps: int = 0) -> SignedIn:
        code = person.code(self.clock.now(), steps=steps)
        return await self.sign_in.sign_in(person.user.login, person.password, code)

    async def told(self) -> list[tuple[str, str, str]]:
        """The log so far: action, outcome, object."""
        found = []
        for log in await self.store.logs():
            size = await self.store.log_size(log)
            leaves, sides = await self.store.leaves(log, 0, size), await self.store.sides(log, 0, size)
            for leaf, side in zip(leaves, sides, strict=True):
                found.append((side.action, json.loads(leaf.leaf)["outcome"], side.object))
        return found

    async def alarms(self) -> list[tuple[str, str]]:
        """Outcome and object of each alarm in the log."""
        return [(outcome, target) for action, outcome, target in await self.told() if action == "alarm"]

    async def inbox_of(self, inbox: Inbox, first: Person, second: Person) -> Inbox:
        """`inbox` with its bootstrap members."""
        await self.members.bootstrap(inbox, as_members(first, second), by="test")
        return inbox

    @classmethod
    async def in_a_world(cls, *, window: int = 0, rules: SessionRules | None = None) -> Self:
        return cls(await a_world(), window=window, rules=rules)


def as_members(*people: Person) -> list[tuple[User, MembershipRole]]:
    """`people` as ordinary members, for a bootstrap."""
    return [(person.user, MembershipRole.MEMBER) for person in people]


def an_auditor(world: World, vault: KeyVault) -> Auditor:
    """The Auditor over the world's keys."""
    return Auditor("sambud.example", world.store, vault, world.keyring.shred, world.clock)


async def by_sql(store: Store, row: R, **changed: Any) -> R:
    """Alter (or plant) a row as somebody does who writes to the database and has no key."""
    altered = dataclasses.replace(row, **changed)
    await store.commit(Work(changes=(Delete(type(row), row.key), Insert(altered))))
    return altered


__all__ = ["MINUTE", "PASSWORD", "STEP", "People", "Person", "QuickVault", "as_members", "by_sql"]
