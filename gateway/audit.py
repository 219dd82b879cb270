"""Audit: one tree per gateway and year, whose leaves hold commitments and whose side rows can be erased.

Why this exists: who read what must be provable for years without the log itself becoming a register of people. So the
leaf, which never changes, says when, which administration, which act, with what outcome, under which rules, and commits
to the rest; the rest (who, in which function, which case, which object) stands in a side row that is sealed under the
administration's audit key and a shred key of its case and year (docs/audit-log.md).

Rules: the business transaction writes the leaf (no log, no act); this module only makes entries, publishes the tree and
proves it. Nothing here ever holds content.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from gateway import canonical
from gateway.errors import ConflictError
from gateway.measures import Counted
from gateway.model.base import SECOND, AdministrationId, CaseId, Instant
from gateway.model.identity import User
from gateway.model.keys import SideKey
from gateway.model.log import AuditSide, LogEntry
from gateway.plain import fit
from gateway.ports import UNMEASURED, Clock, Insert, Metrics, ShredKeys, Store, Vault, Work

LEAF_VERSION: Final = 1
#: How a side row's plaintext begins: {"salt":"<64 hexadecimal digits>","told":{…}}.
_SALT: Final = b'{"salt":"'
_TOLD: Final = b'","told":'
_TOLD_AT: Final = len(_SALT) + 64 + len(_TOLD)


class AuditAction(StrEnum):
    """What is logged. The name stands in the leaf, so it never says more than the act."""

    YEAR_OPENED = "year_opened"
    HEARTBEAT = "heartbeat"
    SIGNED_IN = "signed_in"
    SIGN_IN_FAILED = "sign_in_failed"
    SESSION_ENDED = "session_ended"
    STEPPED_UP = "stepped_up"
    STEP_UP_FAILED = "step_up_failed"
    ACCESS_REFUSED = "access_refused"
    CASE_OPENED = "case_opened"
    DRAFT_OPENED = "draft_opened"
    ATTACHMENT_ADDED = "attachment_added"
    FILE_REFUSED = "file_refused"
    FILE_RELEASED = "file_released"
    CONSENT_RECORDED = "consent_recorded"
    CONSENT_REFUSED = "consent_refused"
    CONSENT_WITHDRAWN = "consent_withdrawn"
    DECIDED = "decided"
    SENT = "sent"
    TAKEN_BACK = "taken_back"
    DISPATCHED = "dispatched"
    HANDED_TO_NEIGHBOUR = "handed_to_neighbour"
    RECEIVED = "received"
    ANNOUNCED = "announced"
    NOTIFIED = "notified"
    NOTICES_CHOSEN = "notices_chosen"
    HELD = "held"
    PLACED = "placed"
    ARRIVAL_REFUSED = "arrival_refused"
    RETRIED = "retried"
    DELIVERED = "delivered"
    NOT_DELIVERED = "not_delivered"
    PRINTED = "printed"
    LINK_ASKED = "link_asked"
    CARRIED = "carried"
    OPENED = "opened"
    ATTACHMENT_READ = "attachment_read"
    ANSWER_PROPOSED = "answer_proposed"
    ANSWER_CONFIRMED = "answer_confirmed"
    ANSWER_DISAGREED = "answer_disagreed"
    KEY_RECORDED = "key_recorded"
    SYSTEM_LET_GO = "system_let_go"
    USER_CREATED = "user_created"
    USER_DISABLED = "user_disabled"
    USER_ENABLED = "user_enabled"
    USER_UNLOCKED = "user_unlocked"
    FACTOR_REPLACED = "factor_replaced"
    MEMBER_PROPOSED = "member_proposed"
    MEMBER_ADMITTED = "member_admitted"
    MEMBER_REMOVED = "member_removed"
    DIRECTORY_APPLIED = "directory_applied"
    QUEUE_LISTED = "queue_listed"
    CLAIMED = "claimed"
    RELEASED = "released"
    HANDED_OVER = "handed_over"
    TASK_CLOSED = "task_closed"
    TASK_REOPENED = "task_reopened"
    NOTE_WRITTEN = "note_written"
    NOTES_READ = "notes_read"
    DEPUTY_ACTED = "deputy_acted"
    FORWARDED = "forwarded"
    RECALL_REQUESTED = "recall_requested"
    RECALL_DECIDED = "recall_decided"
    REGISTER_READ = "register_read"
    TRANSPORT_READ = "transport_read"
    SEARCHED = "searched"
    LOG_READ = "log_read"
    LOG_VERIFIED = "log_verified"
    USERS_READ = "users_read"
    RESTORED = "restored"
    ALARM = "alarm"
    SWEPT = "swept"


@dataclass(frozen=True, slots=True)
class Event:
    """A side row as the reviewer sees it: pseudonymous, without names and without content."""

    log: str
    number: int
    at: Instant
    administration: AdministrationId
    action: str
    outcome: str
    actor: str  # pseudonym, hexadecimal
    detail: Mapping[str, Any]  # role, object, case, purpose, basis and extras; empty when erased
    erased: bool
    policies: tuple[str, ...] = ()  # ids of the rules that decided


class Auditor:
    """Makes log entries."""

    def __init__(
        self, name: str, store: Store, vault: Vault, shred: ShredKeys, clock: Clock, *, metrics: Metrics = UNMEASURED
    ) -> None:
        self._name = name
        self._store = store
        self._vault = vault
        self._shred = shred
        self._clock = clock
        self._metrics = metrics
        self._side_keys: dict[tuple[str, int], SideKey] = {}
        self._continued: dict[int, int] = {}
        self._loaded = False

    def origin(self, at: Instant) -> str:
        """The log that an event at this instant belongs to: one per gateway and year, or since the last restore."""
        year = year_of(at)
        continued = self._continued.get(year)
        return f"{self._name}/audit/{year}-{continued}" if continued else f"{self._name}/audit/{year}"

    async def load(self) -> None:
        """Learn which logs a restore began; once per process, because only a restore begins one."""
        if not self._loaded:
            for name in await self._store.logs():
                year, continued = log_order(name)
                self._continued[year] = max(continued, self._continued.get(year, 0))
            self._loaded = True

    async def begin_again(self, at: Instant) -> str:
        """After a restore: the name of the log to write from now on. Nothing is ever added to an old one.

        Its number is the second of the year, so that two restores of one backup do not begin the same log.
        """
        await self.load()
        year = year_of(at)
        since = at // SECOND - int(datetime(year, 1, 1, tzinfo=UTC).timestamp()) + 1
        self._continued[year] = max(since, self._continued.get(year, 0) + 1)
        return self.origin(at)

    async def entry(
        self,
        action: AuditAction,
        *,
        administration: AdministrationId,
        actor: User | None,
        role: str,
        object: str,
        case: CaseId | None,
        outcome: str,
        policies: Iterable[str] = (),
        basis: str = "",
        purpose: str = "",
        detail: Mapping[str, Any] | None = None,
    ) -> LogEntry:
        """An entry for the caller's transaction.

        `detail` may hold ids, counts and codes; never content, names, identity numbers or codes of factors.
        """
        await self.load()
        at = self._clock.now()
        object, outcome = fit(object), fit(outcome)
        if action is AuditAction.ALARM:
            self._metrics.count(Counted.ALARMS, outcome)
        scope = case or administration
        side_key = await self._side_key(scope, administration, year_of(at))
        told = {
            **fit(detail or {}),  # first: an extra never takes the place of what the side row's columns say
            "actor": actor.id if actor else "",
            "role": fit(role),
            "object": object,
            "case": case or "",
            "basis": fit(basis),
            "purpose": fit(purpose),
        }
        salt = secrets.token_bytes(32)
        leaf = canonical.dumps(
            {
                "v": LEAF_VERSION,
                "n": secrets.token_hex(32),
                "t": at,
                "tenant": administration,
                "action": action,
                "outcome": outcome,
                "policies": sorted(policies),
                "detail_c": commitment(salt, told).hex(),
            }
        )
        plaintext = canonical.dumps({"salt": salt.hex(), "told": told})
        origin = self.origin(at)
        return LogEntry(
            administration=administration,
            log=origin,
            leaf=leaf,
            at=at,
            action=action,
            actor=await self._vault.pseudonym(administration, year_of(at), actor.id) if actor else b"",
            object=object,
            scope=scope,
            shred_key=side_key.shred_key,
            sealed=await self._vault.seal_side(administration, side_key.shred_key, _context(leaf), plaintext),
        )

    async def _side_key(self, scope: str, administration: AdministrationId, year: int) -> SideKey:
        """The side key of a scope and year; made when it is first needed, in a transaction of its own."""
        known = self._side_keys.get((scope, year))
        if known is not None:
            return known
        found = await self._store.get(SideKey, scope, year)
        if found is None:
            [fresh] = await self._shred.take(1)
            found = SideKey(administration=administration, scope=scope, year=year, shred_key=fresh.id)
            try:
                await self._store.commit(Work(changes=(Insert(found),)))
            except ConflictError:
                found = await self._store.get(SideKey, scope, year) or found
        if len(self._side_keys) > 4096:
            self._side_keys.clear()
        self._side_keys[scope, year] = found
        return found

    async def opened(self, side: AuditSide, leaf: bytes) -> Event:
        """A side row opened for a reviewer; `erased` when its key or text is gone."""
        told: Mapping[str, Any] = {}
        erased = not side.sealed
        if side.sealed:
            plaintext = json.loads(
                await self._vault.open_side(side.administration, side.shred_key, _context(leaf), side.sealed)
            )
            told = {key: value for key, value in plaintext["told"].items() if key != "actor"}
        said = json.loads(leaf)
        return Event(
            side.log,
            side.number,
            side.at,
            side.administration,
            side.action,
            said["outcome"],
            side.actor.hex(),
            told,
            erased,
            tuple(said["policies"]),
        )

    async def holds(self, side: AuditSide, leaf: bytes) -> bool:
        """Whether a side row is the one its leaf commits to.

        Raises:
            IntegrityError: it was altered, or its shred key is gone.
        """
        said = json.loads(leaf)
        context = str(said["n"])
        plaintext = await self._vault.open_side(side.administration, side.shred_key, context, side.sealed)
        # The plaintext is canonical, so what is committed to is the rest of it as it stands: nothing is written anew.
        if not plaintext.startswith(_SALT) or plaintext[_TOLD_AT - len(_TOLD) : _TOLD_AT] != _TOLD:
            return False
        octets = plaintext[_TOLD_AT:-1]
        salt = bytes.fromhex(plaintext[len(_SALT) : _TOLD_AT - len(_TOLD)].decode())
        same = hmac.digest(salt, octets, "sha256").hex() == said["detail_c"]
        told = json.loads(octets)
        return same and (side.action, side.at, side.administration, side.object) == (
            said["action"],
            said["t"],
            said["tenant"],
            told["object"],
        )


def commitment(salt: bytes, told: Mapping[str, Any]) -> bytes:
    """detail_c: hiding by its salt, binding by HMAC."""
    return hmac.digest(salt, canonical.dumps(told), "sha256")


def year_of(at: Instant) -> int:
    """The UTC year that an instant belongs to."""
    return datetime.fromtimestamp(at / 1_000_000, UTC).year


def log_order(name: str) -> tuple[int, int]:
    """Year and number of a log's origin, in which logs follow one another; (0, 0) when it is not one."""
    year, _, continued = name.rpartition("/")[2].partition("-")
    if not year.isdigit() or not (continued or "0").isdigit():
        return 0, 0
    return int(year), int(continued or 0)


def _context(leaf: bytes) -> str:
    """Binds a side row to its leaf: the leaf holds 32 random octets, so no two are alike."""
    return str(json.loads(leaf)["n"])
