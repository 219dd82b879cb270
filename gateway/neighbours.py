"""What a channel needs from an adapter: take parcels, tell outcomes, hand us arrivals (docs/channels.md).

Why this exists: SDK, e-mail and a person with an envelope differ in everything but this. An adapter is one folder
that speaks a neighbour's language and implements `Neighbour`; the order of claim, log, open, hand over, and of known,
allowed, sealed, acknowledged stands in the gateway and is the same for all.

Rules: expected trouble is a `Told`, never an exception; a neighbour gets our id and uses it, so that the same parcel
handed over twice is one message; nothing in here is kept.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Protocol

from gateway.forms import Form
from gateway.model.base import DAY, MINUTE, SECOND, EnvelopeId, Instant, MessageId
from gateway.model.directory import Inbox
from gateway.model.path import Channel, Origin


class Telling(StrEnum):
    """What a neighbour says of a parcel."""

    DELIVERED = "delivered"  # final: the recipient's function can reach it
    IN_TRANSIT = "in_transit"  # taken for transport; ask again
    DELAYED = "delayed"  # away, busy: try the same again later
    REFUSED = "refused"  # final: it will never be delivered this way


class Reason(StrEnum):
    """Why a parcel is where it is; the first group is about the way, the second about the message (§2.2)."""

    NONE = ""
    UNREACHABLE = "unreachable"
    BUSY = "busy"  # the neighbour is there, and this recipient is not to be had now
    NO_RECEIPT = "no-receipt"
    NOT_CONNECTED = "not-connected"
    INSECURE = "insecure"  # no connection that is safe enough: nothing was sent in clear
    FILE_WAITS = "file-waits"  # ours: a file has no verdict yet
    FAULT = "fault"  # ours: a bug, met each time it was tried
    MALWARE = "malware"
    TOO_LARGE = "too-large"
    TYPE = "type-not-accepted"
    NOT_FOUND = "not-found"
    STRUCTURE = "structure"
    RULE = "rule"
    DUPLICATE = "duplicate"
    SIGNATURE = "signature"
    CERTIFICATE = "certificate"
    UNTRUSTED = "untrusted-sender"
    REFUSED = "refused"


#: About the way: another way may do.
OF_THE_WAY: Final = frozenset(
    {Reason.UNREACHABLE, Reason.BUSY, Reason.NO_RECEIPT, Reason.NOT_CONNECTED, Reason.INSECURE, Reason.FAULT}
)

#: What a person may try again with the same envelope, once it has been put right; the rest lies in the message.
AGAIN: Final = OF_THE_WAY | {Reason.CERTIFICATE, Reason.FILE_WAITS}

#: What happened, and what to do, as a colleague would say it.
IN_SWEDISH: Final[Mapping[Reason, tuple[str, str]]] = {
    Reason.UNREACHABLE: (
        "Mottagarens system svarar inte.",
        "Systemet försöker igen. Ring mottagaren om det är bråttom.",
    ),
    Reason.BUSY: (
        "Mottagarens system tar inte emot just nu.",
        "Systemet försöker igen. Ring mottagaren om det är bråttom.",
    ),
    Reason.NO_RECEIPT: (
        "Ingen kvittens har kommit från mottagaren.",
        "Ring mottagaren och fråga om meddelandet har kommit fram innan du skickar igen.",
    ),
    Reason.NOT_CONNECTED: (
        "Mottagaren är inte ansluten till kanalen.",
        "Välj en annan väg, eller skriv ut och lämna för hand.",
    ),
    Reason.INSECURE: (
        "Förbindelsen till mottagarens system gick inte att skydda.",
        "Inget har skickats. Systemet försöker igen. Skriv ut och lämna för hand om det är bråttom.",
    ),
    Reason.FILE_WAITS: (
        "En bilaga väntar på viruskontrollen hos er.",
        "Systemet försöker igen. Ring mottagaren om det är bråttom.",
    ),
    Reason.FAULT: (
        "Ett fel i systemet stoppade meddelandet.",
        "Systemet försöker igen. Lämna det en annan väg om det är bråttom.",
    ),
    Reason.MALWARE: (
        "En bilaga stoppades av viruskontrollen.",
        "Skicka inte filen igen. Kontakta den som ansvarar för säkerheten.",
    ),
    Reason.TOO_LARGE: ("Meddelandet är för stort för kanalen.", "Ta bort eller dela upp bilagorna och skicka igen."),
    Reason.TYPE: ("Mottagaren tar inte emot filtypen.", "Spara bilagan som PDF och skicka igen."),
    Reason.NOT_FOUND: (
        "Adressen finns inte hos mottagaren.",
        "Kontrollera adressen i adressboken med den som sköter den, och skicka igen.",
    ),
    Reason.STRUCTURE: (
        "Mottagarens system kunde inte läsa meddelandet.",
        "Anmäl felet till systemförvaltaren. Skriv ut och lämna för hand om det är bråttom.",
    ),
    Reason.RULE: (
        "Meddelandet bröt mot en regel i kanalen.",
        "Anmäl felet till systemförvaltaren. Skriv ut och lämna för hand om det är bråttom.",
    ),
    Reason.DUPLICATE: (
        "Mottagaren har redan ett annat meddelande med samma nummer.",
        "Skicka igen som ett nytt meddelande.",
    ),
    Reason.SIGNATURE: (
        "Mottagaren godtog inte organisationens signatur.",
        "Kontakta den som sköter certifikaten.",
    ),
    Reason.CERTIFICATE: (
        "Mottagarens certifikat stämmer inte med det som är känt.",
        "Inget har lämnats ut. Kontakta den som sköter adressboken.",
    ),
    Reason.UNTRUSTED: (
        "Mottagaren känner inte igen avsändaren.",
        "Kontakta den som sköter anslutningen till kanalen.",
    ),
    Reason.REFUSED: ("Mottagaren tog inte emot meddelandet.", "Ring mottagaren."),
}

#: The same once nothing is tried any more: what IN_SWEDISH says of these would no longer be true.
ENDED_IN_SWEDISH: Final[Mapping[Reason, tuple[str, str]]] = {
    **IN_SWEDISH,
    Reason.UNREACHABLE: (
        "Mottagarens system svarade inte.",
        "Ring mottagaren om det är bråttom. Försök igen när systemet svarar.",
    ),
    Reason.BUSY: (
        "Mottagarens system tog inte emot.",
        "Ring mottagaren om det är bråttom. Försök igen när systemet tar emot.",
    ),
    Reason.NO_RECEIPT: (
        "Ingen kvittens kom från mottagaren.",
        "Ring mottagaren och fråga om meddelandet har kommit fram innan du försöker igen.",
    ),
    Reason.INSECURE: (
        "Förbindelsen till mottagarens system gick inte att skydda.",
        "Inget har skickats. Skriv ut och lämna för hand om det är bråttom. Kontakta den som sköter anslutningen.",
    ),
    Reason.FILE_WAITS: (
        "En bilaga fick inget besked av viruskontrollen hos er, så inget skickades.",
        "Ring mottagaren om det är bråttom. Försök igen när viruskontrollen svarar.",
    ),
    Reason.FAULT: (
        "Ett fel i systemet stoppade meddelandet.",
        "Driften har fått larm. Lämna det en annan väg om det är bråttom.",
    ),
}


def reason_of(code: str) -> Reason | None:
    """The reason that a delivery's column holds; None for a step of the way that is no reason ("dispatched")."""
    try:
        return Reason(code) or None
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Told:
    """What a neighbour said. `reference` is what it calls the parcel; `detail` is for operators and names no person."""

    telling: Telling
    reason: Reason = Reason.NONE
    reference: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class MatterReference:
    """What a party outside calls the matter, in a code system of its choice: it may be an identity number."""

    root: str
    extension: str
    label: str = ""


async def _at_once() -> None:
    """For a file that nobody has to ask about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParcelFile:
    """A file of a parcel: its plaintext is read by calling `read`, in pieces, as often as needed.

    Both raise FileWaitsError or FileRefusedError when the file may not be given out; `cleared` reads nothing else.
    """

    name: str
    media_type: str
    size: int
    read: Callable[[], AsyncIterator[bytes]]
    cleared: Callable[[], Awaitable[None]] = _at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Parcel:
    """One opened projection on its way out; in memory only.

    `id` is the envelope's and is the message's id to the neighbour: one for each recipient, the same in every attempt.
    `replies_to` is the neighbour's id of the message that this one answers, `references` what its sender called the
    matter in it: they go back with the answer. `again`: an earlier attempt may have come through unheard.
    """

    id: EnvelopeId
    message: MessageId
    sender: Inbox
    sender_address: str
    recipient: Inbox
    address: str
    pin: str
    conversation: str
    replies_to: str
    case_reference: str
    form: Form
    body: Mapping[str, Any]
    data: Mapping[str, Any]  # the form for a gateway like this one: what `Arrived.data` is on the other side
    created: Instant
    references: tuple[MatterReference, ...] = ()
    files: tuple[ParcelFile, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrivedFile:
    name: str
    media_type: str  # as the neighbour says; the gateway looks at the content
    octets: bytes


class Marks(StrEnum):
    """How the text of an arrival is written."""

    NONE = ""
    MARKDOWN = "markdown"  # SDK's subset (B1.3.3 §4.3.3.2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """Whom one side names, and what it calls the matter: words of the sender's, and no rule of ours about access."""

    persons: tuple[str, ...] = ()
    references: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Remarks:
    """What a sender said beside the message and its reader is to see (SDK: B1.3.3 §4, SAD §1.7).

    `confidential` is the sender's own assessment of secrecy; None where the channel has no word for it. Here everything
    is handled as secret, whatever it says.
    """

    confidential: bool | None = None
    sender: Side = Side()
    recipient: Side = Side()


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """What a neighbour handed us, parsed; `original` is what it was parsed from, for the fingerprint.

    `carrier` is the file that `data` lay in: when they are no form of ours after all, it is one more attachment.
    """

    channel: Channel
    origin: Origin
    id: str
    sender: str
    recipient: str
    conversation: str
    replies_to: str
    reference: str  # the sender's name of the matter, when it gave one
    subject: str
    text: str
    created: Instant
    original: bytes
    marks: Marks = Marks.NONE
    remarks: Remarks = Remarks()
    references: tuple[MatterReference, ...] = ()  # all of them, to be given back in an answer
    data: Mapping[str, Any] | None = None  # a form of ours, as it was sent
    carrier: ArrivedFile | None = None
    files: tuple[ArrivedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """What the neighbour is told of an arrival: taken (no reason), or why not."""

    reason: Reason = Reason.NONE
    repeated: bool = False

    @property
    def taken(self) -> bool:
        return self.reason is Reason.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What is known before sending: does the address exist, what does it take, when was it last heard of."""

    exists: bool | None  # None: the neighbour cannot say
    takes: tuple[str, ...] = ()
    max_octets: int = 0
    heard_at: Instant | None = None


class Neighbour(Protocol):
    """The far end of a channel."""

    @property
    def channel(self) -> Channel: ...

    @property
    def left(self) -> Mapping[str, Reason]:
        """Arrivals that lie at the neighbour for a person to look at, by their id there, and why they do."""

    async def hand_over(self, parcel: Parcel) -> Told:
        """Give it the parcel, or find that it has it already."""

    async def outcome(self, reference: str) -> Told:
        """What became of a parcel in transit. Asked again, it says the same: nothing is taken off the neighbour."""

    async def settled(self, reference: str) -> None:
        """The final outcome is durable here, and the neighbour may forget it; that it cannot be told is no trouble."""

    async def lingering(self) -> Mapping[str, Told]:
        """Its last words about parcels of ours that it still keeps, by reference; empty also when it is away."""

    def arrivals(self) -> AsyncIterator[Arrived]:
        """What waits for us now; what is not acknowledged comes again, what was left does not."""

    async def acknowledge(self, arrived: Arrived, answer: Answer) -> None:
        """Called only when the arrival is durable here, or refused for good.

        Where the sender was told that it arrived before we looked, a refused one stays at the neighbour (`left`).
        """

    async def look_up(self, address: str) -> Seen: ...

    def expires(self) -> Instant | None:
        """When the first of the certificates that this channel needs ends; None: it needs none, or cannot say."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How a channel tries again: pauses that double from `first` to `longest`, and when it gives up."""

    first: int = 5 * SECOND
    longest: int = 15 * MINUTE
    give_up: int | None = None  # after the first failure; None: when the form's time to live ends

    def pause(self, attempts: int) -> int:
        """With jitter, so that retries do not march in step."""
        longest = min(self.first * 2 ** min(max(attempts - 1, 0), 16), self.longest)
        return int(longest * random.uniform(0.75, 1.0))  # noqa: S311

    def ends(self, expires: Instant, attempts: int, now: Instant) -> Instant:
        """Until when it is tried, told when an attempt has failed."""
        return Instant(min(expires, now + self.give_up)) if self.give_up and attempts == 1 else expires


#: Channels with a pace of their own. E-mail: RFC 5321 §4.5.4.1 wants retries for four to five days; queues of others
#: (greylists among them) expect minutes between two tries, never seconds.
PACES: Final[Mapping[Channel, Pace]] = {
    Channel.SMIME: Pace(first=7 * MINUTE, longest=66 * MINUTE, give_up=5 * DAY),
}


@dataclass(slots=True)
class Circuit:
    """Whether a neighbour is worth asking: opens after three failures in a row, for longer each time (§2.3).

    Attempts side by side fail together: what fails while it is open was begun before, and says nothing new. After the
    pause one attempt is made for all; it closes the circuit, or opens it again at once.
    """

    failures: int = 0
    opened: int = 0
    until: Instant = field(default=Instant(0))

    FAILURES = 3
    FIRST_US = 30_000_000
    LONGEST_US = 900_000_000

    def closed(self, now: Instant) -> bool:
        return now >= self.until

    def most(self, batch: int) -> int:
        """How many may be tried at once: one, when the circuit was open and nothing has worked since."""
        return 1 if self.opened else batch

    def failed(self, now: Instant) -> None:
        if not self.closed(now):
            return
        self.failures += 1
        if self.failures >= self.FAILURES or self.opened:
            pause = min(self.FIRST_US * 2**self.opened, self.LONGEST_US)
            self.opened, self.failures, self.until = min(self.opened + 1, 16), 0, Instant(now + pause)

    def worked(self) -> None:
        self.failures, self.opened, self.until = 0, 0, Instant(0)
