"""A message service that behaves, and misbehaves, as told: boxes, receipts, a counterpart (docs/sdk-simulator.md).

Why this exists: no test environment can be reached from a developer's desk or a build, and none can be told to lose a
receipt. So the service's side of interface D stands here, with time from outside and faults by a small API. It is built
from the specification (B1.4.2; sdk.md §10), not from our client, and stores nothing on disk.

Not simulated: envelopes, signatures and access points; between two organisations here there is no network.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any, Final

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key

from adapters.sdk.api_model import attributes
from adapters.sdk.counterpart import ORGANISATION, Behaviour, answer_to, behaviour_of, message_to
from adapters.sdk.faults import Why
from adapters.sdk.model import Attention, File, Message, Party
from adapters.sdk.service import CallError, Filter, created, event, shown
from adapters.sdk.status import FINAL, FINAL_ACCEPTED, FINAL_FAILED, FINAL_NEW
from gateway.model.base import SECOND, Instant
from gateway.ports import Clock

TOKEN_LIFE_S: Final = 600


@dataclass(slots=True)
class Faults:
    """What the next messages and calls meet (§3)."""

    reject: str = ""  # "SV/structure": the counterpart refuses with this code
    lose_receipt: int = 0  # so many messages arrive, and their receipts do not
    duplicate: int = 0  # so many messages arrive twice
    delay_s: int = 0  # how long a receipt takes
    away: int = 0  # so many calls are answered 503
    drop_answers: int = 0  # so many POSTs are taken and their answers cut
    expire_tokens: bool = False  # the next token ends at once

    def set(self, told: Mapping[str, Any]) -> None:
        """Raises CallError: no such fault, or a value that it cannot have; nothing was set."""
        for name, value in told.items():
            if type(value) is not type(getattr(self, name, None)) or not _possible(value):
                raise CallError(400, "Bad Request", [str(name)])
        for name, value in told.items():
            setattr(self, name, value)

    def takes(self, name: str) -> bool:
        """Whether a counted fault is due; it is counted down."""
        left: int = getattr(self, name)
        setattr(self, name, max(left - 1, 0))
        return left > 0


@dataclass(slots=True)
class Kept:
    """A message at the service, for one client."""

    attributes: dict[str, Any]
    status: str
    event: dict[str, Any] | None = None

    def shown(self, *, whole: bool) -> Any:
        return shown(self.attributes, self.status, whole=whole, events=self.event)


class What(Enum):
    """What comes later."""

    RECEIPT = auto()
    GIVING_UP = auto()
    ARRIVAL = auto()  # of a message from the counterpart
    AGAIN = auto()  # of a message that was there before, when it has been taken


@dataclass(frozen=True, slots=True)
class Coming:
    what: What
    client: str
    message: str
    due: Instant
    told: Mapping[str, Any] = field(default_factory=dict)  # of an arrival: its attributes


class Simulator:
    """One message service for several organisations, each known by its client key and its functional addresses."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._skew = 0
        self._clients: dict[str, tuple[frozenset[str], Key]] = {}  # client id -> organisations, public key
        self._addresses: dict[str, str] = {}  # functional address, in lower case -> client id
        self._tokens: dict[str, tuple[str, Instant]] = {}
        self._coming: list[Coming] = []
        self._seen: set[str] = set()
        self.boxes: dict[str, dict[str, Kept]] = {}  # client id -> message id
        self.book: dict[str, list[str]] = {}  # organisation -> functional addresses, as they were written
        self.faults = Faults()
        self.accepted = 0
        self.delivered = 0
        self.refused = 0

    def join(self, client_id: str, key: Key, addresses: Iterable[str]) -> None:
        """A client and the addresses (`organisation#function`) that it represents; a shared solution has several."""
        organisations = set()
        for address in addresses:
            organisation, _, function = address.partition("#")
            organisations.add(organisation.lower())
            self._addresses[function.lower()] = client_id
            self.book.setdefault(organisation, []).append(function)
        self._clients[client_id] = (frozenset(organisations), key)
        self.boxes.setdefault(client_id, {})

    def now(self) -> Instant:
        return Instant(self._clock.now() + self._skew)

    def advance(self, seconds: int) -> None:
        """Let time pass at once; what comes meanwhile has come."""
        self._skew += seconds * SECOND
        self.tick()

    # --- access ------------------------------------------------------------------------------------------------------

    def token(self, form: Mapping[str, str]) -> str:
        """A token for a signed assertion (RFC 7523 §2.2). Raises CallError: who asks is not known."""
        client, key = form.get("client_id", ""), self._clients.get(form.get("client_id", ""))
        try:
            if key is None or form.get("grant_type") != "client_credentials":
                raise ValueError
            claims = jwt.decode(form["client_assertion"], key[1], algorithms=["RS256", "ES256"]).claims
            if claims["sub"] != client or claims["exp"] * SECOND < self.now():
                raise ValueError
        except (JoseError, KeyError, ValueError, TypeError):
            raise CallError(401, "invalid_client") from None
        token = secrets.token_urlsafe(24)
        life = 0 if self.faults.expire_tokens else TOKEN_LIFE_S
        self.faults.expire_tokens = False
        self._tokens[token] = (client, Instant(self.now() + life * SECOND))
        return token

    def caller(self, token: str) -> str:
        """The client behind a token. Raises CallError: away (a fault), no token, or one that has ended."""
        if self.faults.takes("away"):
            raise CallError(503, "Service Unavailable")
        client, ends = self._tokens.get(token, ("", Instant(0)))
        if not client or ends <= self.now():
            raise CallError(401, "Unauthorized")
        self.tick()
        return client

    # --- the four operations -----------------------------------------------------------------------------------------

    def send(self, client: str, octets: bytes) -> Message:
        """Take a message. Raises CallError: it is none, or its sender is not this client's."""
        message, told = created(octets, at=self.now())
        if message.sender.id.lower() not in self._clients[client][0]:
            raise CallError(400, "Bad Request", ["sender"])
        if self._addresses.get(message.sender.attention.function.lower()) != client:
            raise CallError(400, "Bad Request", ["senderAttention"])
        if message.id in self._seen:
            raise CallError(400, "Bad Request", ["messageId is not unique"])
        self._seen.add(message.id)
        self.accepted += 1
        self.boxes[client][message.id] = Kept(told, "WAITING_FOR_RECEIPT")
        self._forward(client, message, told)
        return message

    def listed(self, client: str, wanted: Filter) -> list[Any]:
        return [
            kept.shown(whole=False)
            for kept in self.boxes[client].values()
            if wanted.takes(kept.attributes, kept.status)
        ]

    def get(self, client: str, name: str) -> Any:
        return self._kept(client, name).shown(whole=True)

    def delete(self, client: str, name: str) -> None:
        if self._kept(client, name).status not in FINAL:
            raise CallError(400, "Bad Request", ["messageStatus"])
        kept = self.boxes[client].pop(name.lower())
        if kept.status == FINAL_FAILED:
            self._seen.discard(name.lower())  # nobody has it, so its sender may try the same once more (UNK)

    def _kept(self, client: str, name: str) -> Kept:
        try:
            return self.boxes[client][name.lower()]
        except KeyError:
            raise CallError(404, "Not Found") from None

    # --- what happens between the organisations ----------------------------------------------------------------------

    def arrive(self, to: str, *, label: str, text: str, files: tuple[File, ...] = ()) -> str:
        """A message from the counterpart to `organisation#function`; gives its id. Raises CallError: nobody's."""
        organisation, _, function = to.partition("#")
        client = self._addresses.get(function.lower())
        if client is None:
            raise CallError(400, "Bad Request", ["to"])
        recipient = Party(id=organisation, attention=Attention(function=function))
        message = message_to(recipient, at=self.now(), label=label, text=text, files=files)
        self._arrived(client, attributes(message))
        return message.id

    def _arrived(self, client: str, told: Mapping[str, Any]) -> None:
        self.boxes[client][str(told["messageId"])] = Kept(dict(told), FINAL_NEW)
        self.delivered += 1

    def _forward(self, client: str, message: Message, told: dict[str, Any]) -> None:
        """What becomes of a message: the next fault's doing, the counterpart's, or another client's."""
        there = self._addresses.get(message.recipient.attention.function.lower())
        behaviour = Behaviour() if there is not None else _counterpart(message)
        refusal = self.faults.reject or behaviour.refusal
        if refusal:
            self.faults.reject = ""
            self.refused += 1
            self._fail(client, message.id, *refusal.split("/", 1))
            return
        if there is not None:
            self._arrived(there, told)
            if self.faults.takes("duplicate"):
                self._later(What.AGAIN, there, message.id, 0, told)
        elif behaviour.reachable:
            self.delivered += 1
        if not behaviour.reachable:
            self.boxes[client][message.id].status = "SCHEDULED_FOR_RESEND"
        if behaviour.receipt_s is not None and not self.faults.takes("lose_receipt"):
            self._later(What.RECEIPT, client, message.id, behaviour.receipt_s + self.faults.delay_s)
        if behaviour.gives_up_s is not None:
            self._later(What.GIVING_UP, client, message.id, behaviour.gives_up_s)
        if behaviour.answers_s is not None:
            answer = answer_to(message, at=Instant(self.now() + behaviour.answers_s * SECOND))
            self._later(What.ARRIVAL, client, answer.id, behaviour.answers_s, attributes(answer))
            if behaviour.twice:
                self._later(What.AGAIN, client, answer.id, behaviour.answers_s, attributes(answer))

    def _later(
        self, what: What, client: str, message: str, seconds: int, told: Mapping[str, Any] | None = None
    ) -> None:
        due = Instant(self.now() + seconds * SECOND)
        self._coming.append(Coming(what, client, message, due, told or {}))

    def tick(self) -> None:
        """Let happen whose time has come."""
        now, waiting, self._coming = self.now(), self._coming, []
        for one in waiting:
            kept = self.boxes[one.client].get(one.message)
            if one.due > now or (one.what is What.AGAIN and kept is not None):
                self._coming.append(one)
            elif one.what in (What.ARRIVAL, What.AGAIN):
                self._arrived(one.client, one.told)
            elif kept is not None and one.what is What.RECEIPT:
                kept.status = FINAL_ACCEPTED
            elif kept is not None:
                away = kept.status == "SCHEDULED_FOR_RESEND"
                self._fail(
                    one.client,
                    one.message,
                    FINAL_FAILED,
                    "The recipient's access point was not reached" if away else "No message receipt received",
                )

    def _fail(self, client: str, name: str, why: str, detail: str) -> None:
        kept = self.boxes[client][name]
        kept.status, kept.event = FINAL_FAILED, event(name, why, detail)


def _possible(value: object) -> bool:
    """Counts and seconds are not below nothing; a code is a reason and a detail, or none."""
    if isinstance(value, str):
        why, _, detail = value.partition("/")
        return not value or (why in set(Why) and bool(detail))
    return isinstance(value, bool) or (isinstance(value, int) and value >= 0)


def _counterpart(message: Message) -> Behaviour:
    known = message.recipient.id.lower() == ORGANISATION
    return behaviour_of(message.recipient.attention.function if known else "")
