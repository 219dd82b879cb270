"""A small world to test in: two administrations with keys, an inbox each, members, all over a real Keyring."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.memory import MemoryStore
from gateway.integrity import Integrity
from gateway.model.base import GATEWAY, AdministrationId, InboxId, UnitId, UserId
from gateway.model.directory import Inbox, InboxKind
from gateway.model.identity import User
from gateway.ports import Work
from keys.keyring import Keyring
from tests.clock import ManualClock

ROOT = bytes(range(32))
NAV = AdministrationId("vaxjo.nav")
HSV = AdministrationId("region.hsv")


def an_inbox(inbox: str = "vaxjo.vuxen.placering", administration: AdministrationId = NAV) -> Inbox:
    return Inbox(
        administration=administration,
        id=InboxId(inbox),
        unit=UnitId(inbox),
        name=inbox,
        kind=InboxKind.CASEWORK,
        accepts=("case_message", "placement_referral"),
    )


@dataclass
class World:
    """Keys and rows that stand ready."""

    clock: ManualClock
    store: MemoryStore
    keyring: Keyring
    integrity: Integrity

    async def administration(self, administration: AdministrationId) -> None:
        maker, at = self.keyring.maker, self.clock.now()
        made = await maker.administration(administration, at=at)
        await self.store.commit(Work(changes=made.changes))
        signed = await maker.signing(administration, by="test", at=at)
        await self.store.commit(Work(changes=signed.changes))

    async def user(self, login: str, administration: AdministrationId = NAV, roles: Sequence[str] = ()) -> User:
        user = await self.integrity.sign(
            User(
                administration=administration,
                id=UserId(str(uuid.uuid5(uuid.NAMESPACE_DNS, login))),
                login=login,
                title=login,
                roles=tuple(roles),
            )
        )
        made = await self.keyring.maker.member(user, by="test", at=self.clock.now())
        await self.store.commit(Work(changes=made.changes))
        return user

    async def inbox(self, inbox: Inbox, members: Sequence[User]) -> Inbox:
        ids = [member.id for member in members]
        made = await self.keyring.maker.inbox(inbox, ids, by="test", at=self.clock.now())
        await self.store.commit(Work(changes=made.changes))
        return inbox


async def a_world() -> World:
    clock = ManualClock()
    store = MemoryStore(clock)
    keyring = Keyring(ROOT, store, clock, None)
    await keyring.start(create=True)
    world = World(clock, store, keyring, Integrity(keyring.vault))
    for administration in (GATEWAY, NAV, HSV):
        await world.administration(administration)
    return world
