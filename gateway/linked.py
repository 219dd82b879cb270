"""Linked: how a case that a person entered into Cosmic Link stands there (level L1, docs/link.md §2).

Why this exists: whoever carried a message into Link is asked by a colleague what became of it, and had to sign in there
to say. Where the switch is on, the same person's function may ask from here: one case, one state, nothing else of it.

Rules: only what this inbox entered itself, under the reference that its own people noted; the log first, then the call;
only for an administration that has an inbox of its own there, so that nothing rests on the shared municipal one (G1);
a state is a word of our model (INF) and moves no delivery: that it is delivered, a person has said.
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.audit import AuditAction, Auditor
from gateway.carried import words_of
from gateway.collaboration import CareCollaborationPort, LinkStatus, Refusal, Trouble
from gateway.decide import AccessAction
from gateway.directory import Directory
from gateway.errors import ConflictError
from gateway.loads import Loads, absent
from gateway.model.base import InboxId
from gateway.model.carrying import Manner
from gateway.model.path import Channel
from gateway.ports import Store, Vault, Work
from gateway.rights import Rights
from gateway.sessions import Signed
from gateway.states import HandOverState


@dataclass(frozen=True, slots=True)
class SeenThere:
    """What Link said of a case: a state of our model (INF), or why there is none."""

    reference: str
    status: LinkStatus | None
    trouble: Trouble | None


class Linked:
    """The question, for whoever carried."""

    def __init__(
        self, store: Store, rights: Rights, vault: Vault, directory: Directory, loads: Loads, auditor: Auditor
    ) -> None:
        self._store = store
        self._rights = rights
        self._vault = vault
        self._directory = directory
        self._loads = loads
        self._auditor = auditor
        self._port: CareCollaborationPort | None = None

    @property
    def connected(self) -> bool:
        """Whether the switch is on (`SAMBUD_LINK_STATUS`)."""
        return self._port is not None

    def connect(self, port: CareCollaborationPort) -> None:
        """Ask this one from now on."""
        self._port = port

    async def look(self, signed: Signed, inbox: InboxId, delivery: str) -> SeenThere:
        """How the case stands in Link under which this message was entered there.

        Raises:
            NotFoundError: nothing that this inbox entered into Link.
            ConflictError: the switch is off, or this administration has no inbox of its own in Link; nothing was asked.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        load = await self._loads.found(inbox, delivery)
        row = load.hand_over
        if row is None or row.state is not HandOverState.DONE or row.manner != Manner.LINK:
            raise absent()
        if self._port is None:
            raise _not_possible("Link is not connected", "Sambud är inte kopplat till Cosmic Link.")
        if not await self._has_its_own(inbox):
            raise _not_possible("no own inbox in Link", "Er förvaltning har ingen egen inkorg i Cosmic Link.")
        reference = (await words_of(self._vault, row)).get("reference", "")
        envelope = await self._loads.envelope(load.delivery)
        entry = await self._loads.entry(AuditAction.LINK_ASKED, standing, load, "asked", envelope, target=delivery)
        await self._store.commit(Work(expects=standing.facts, changes=(), entries=(entry,)))
        answer = await self._port.status(reference, str(inbox))
        if isinstance(answer, Refusal):
            return SeenThere(reference, None, answer.trouble)
        return SeenThere(reference, answer, None)

    async def _has_its_own(self, inbox: InboxId) -> bool:
        """Whether a function of this administration has an inbox in Link; a directory takes each name there once."""
        directory = await self._directory.current()
        mine = directory.inbox(inbox).administration
        own = (one.id for one in directory.inboxes.values() if one.administration == mine)
        return any(route.channel is Channel.LINK for box in own for route in directory.ways_to(box))


def _not_possible(why: str, swedish: str) -> ConflictError:
    return ConflictError(why, swedish=swedish, next_step="Inget har frågats. Titta i Cosmic Link i stället.")
