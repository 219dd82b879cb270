"""The octets of an envelope: header, attachments list, layout, transcript, payload (docs/envelope.md).

Why this exists: what is signed and sealed must be the same octets for every reader, so they are made and parsed in one
place, with nothing but SHA-256. Keys and AEADs are `keys.sealing`'s task.

Rules: strict in both directions. A reader checks every length against its limit and against what is left before it
slices; there is exactly one encoding of each value, and anything else is malformed.
"""

from __future__ import annotations

import binascii
import hashlib
import json
import struct
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gateway.canonical import exact
from gateway.errors import EnvelopeError
from gateway.model.base import (
    AdministrationId,
    AttachmentId,
    DecisionId,
    EnvelopeId,
    InboxId,
    Instant,
    KeyRecordId,
    MessageId,
)
from gateway.model.path import MAX_WAYS, Channel, Origin, Way
from gateway.ports import AttachmentKey, Endorsement, Letter, Opened

MAGIC: Final = b"SBD1"
SUITE: Final = 0x0010
MAX_ENVELOPE: Final = 3 * 512 * 1024
MAX_HEADER: Final = 16 * 1024
MAX_ATTACHMENTS: Final = 20
MAX_PAYLOAD: Final = 1024 * 1024
MAX_BODY: Final = 1_310_720
MAX_TEXT: Final = 128
MAX_ENDORSEMENTS: Final = 4
MAX_ADDRESS: Final = 512
PAD_STEP: Final = 4096
SIGNATURE: Final = 64
_ATT: Final = struct.Struct(">16sQ32s")
_RECIPIENT_INBOX: Final = b"\x01"
_RECIPIENT_CHANNEL: Final = b"\x02"
_RECIPIENT_HOLD: Final = b"\x03"
_RECIPIENTS: Final = frozenset({_RECIPIENT_INBOX, _RECIPIENT_CHANNEL, _RECIPIENT_HOLD})
_PAYLOAD: Final = frozenset({"form", "body", "blind", "attachments", "siblings", "document_blind"})


class MalformedError(ValueError):
    """The octets are not an envelope; for the log only, outside it is one EnvelopeError."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Header:
    """The clear, signed part of an envelope."""

    envelope: EnvelopeId
    message: MessageId
    sender_copy: bool
    sealer: AdministrationId
    signer: KeyRecordId
    sender: InboxId
    origin: Origin
    administration: AdministrationId
    recipient: InboxId
    form_type: str
    created: Instant
    decision: DecisionId
    not_after: Instant
    document: bytes = b""
    endorsements: tuple[Endorsement, ...] = ()
    ways: tuple[Way, ...] = ()  # of a recipient outside; then `administration` is the sealer's own
    hold: bool = False  # for nobody yet; `recipient` is the registrator's inbox that sees that it waits


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One attachment in the clear list: enough to check a blob, not to open it."""

    id: AttachmentId
    size: int
    sha256: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """A parsed envelope: the octets that hashes cover, and what the header says."""

    suite: int
    header_octets: bytes
    header: Header
    atts_octets: bytes
    atts: tuple[Listed, ...]
    body: bytes
    content_commitment: bytes
    signatures: tuple[bytes, ...]

    @property
    def header_hash(self) -> bytes:
        return hashlib.sha256(self.header_octets).digest()

    @property
    def transcript(self) -> bytes:
        """TH, the name of this envelope in the log and in receipts (§4.5)."""
        body_hash = hashlib.sha256(self.body).digest()
        return transcript(self.suite, self.header_hash, body_hash, self.content_commitment, self.atts_octets)


def rejected(cause: Exception | str) -> EnvelopeError:
    """The one outward error; the cause rides along for the log."""
    error = EnvelopeError(
        "the envelope was rejected",
        swedish="Meddelandet kan inte öppnas: det har skadats eller ändrats.",
        next_step="Inget har visats. Händelsen är loggad. Be avsändaren skicka igen och kontakta säkerhetsansvarig.",
    )
    error.__cause__ = cause if isinstance(cause, Exception) else MalformedError(cause)
    return error


def ctx(label: str, *fields: bytes) -> bytes:
    """The context of §3: injective in (label, fields) because the number of fields of a label never varies."""
    parts = [b"sambud/v1/", label.encode("ascii"), b"\x00"]
    for field in fields:
        parts.append(struct.pack(">I", len(field)))
        parts.append(field)
    return b"".join(parts)


def u16(value: int) -> bytes:
    return struct.pack(">H", value)


def u32(value: int) -> bytes:
    return struct.pack(">I", value)


def u64(value: int) -> bytes:
    return struct.pack(">Q", value)


def uuid_octets(text: str) -> bytes:
    """The 16 octets of a UUID as text. Raises ValueError: it is none."""
    octets = binascii.unhexlify(text.replace("-", ""))
    if len(octets) != 16:
        raise ValueError("a UUID has 16 octets")
    return octets


def transcript(suite: int, header_hash: bytes, body_hash: bytes, content: bytes, atts: bytes) -> bytes:
    """TH = H(ctx("envelope", suite, H(header), H(body), cc, atts))."""
    return hashlib.sha256(ctx("envelope", u16(suite), header_hash, body_hash, content, atts)).digest()


def content_commitment(header_hash: bytes, blind: bytes, payload: bytes) -> bytes:
    """cc = H(ctx("content", H(header), blind, payload)) (§4.4)."""
    return hashlib.sha256(ctx("content", header_hash, blind, payload)).digest()


def document_commitment(content: Mapping[str, object], blind: bytes) -> bytes:
    """The commitment that two authorities sign (§7)."""
    return hashlib.sha256(ctx("document", blind, canonical(content))).digest()


def endorsement_hash(administration: AdministrationId, document: bytes) -> bytes:
    return hashlib.sha256(ctx("endorsement", administration.encode(), document)).digest()


def canonical(value: object) -> bytes:
    """RFC 8785 JSON.

    Raises:
        ValueError: a float, an integer beyond 2^53, or a lone surrogate.
    """
    return exact(value)


# --- header ----------------------------------------------------------------------------------------------------------


def header_of(letter: Letter, signer: KeyRecordId) -> Header:
    """The header that `letter` gets when `signer` seals it."""
    return Header(
        envelope=letter.envelope,
        message=letter.message,
        sender_copy=letter.sender_copy,
        sealer=letter.sealer,
        signer=signer,
        sender=letter.sender.id,
        origin=letter.origin,
        administration=letter.keeper,
        recipient=letter.recipient.id,
        form_type=letter.form_type,
        created=letter.created,
        decision=letter.decision,
        not_after=letter.not_after,
        document=letter.document,
        endorsements=letter.endorsements,
        ways=letter.ways,
        hold=letter.hold,
    )


def encode_header(header: Header) -> bytes:
    """The one encoding of a header (§4.1)."""
    fields: list[tuple[int, bytes]] = [
        (1, uuid_octets(header.envelope)),
        (2, uuid_octets(header.message)),
        (3, bytes([header.sender_copy])),
        (4, _text(header.sealer)),
        (5, uuid_octets(header.signer)),
        (6, _text(header.sender)),
        (7, _text(header.origin)),
        (8, _recipient_kind(header)),
        (9, _text(header.administration)),
        (10, _text(header.recipient)),
        (11, _text(header.form_type)),
        (12, u64(header.created)),
        (13, uuid_octets(header.decision)),
        (14, u64(header.not_after)),
    ]
    if header.document:
        fields.append((15, header.document))
        if header.endorsements:
            fields.append((16, b"".join(map(_encode_endorsement, header.endorsements))))
    if header.ways:
        fields.append((17, b"".join(map(_encode_way, header.ways))))
    return b"".join(u16(tag) + u32(len(value)) + value for tag, value in fields)


def _recipient_kind(header: Header) -> bytes:
    if header.hold:
        return _RECIPIENT_HOLD
    return _RECIPIENT_CHANNEL if header.ways else _RECIPIENT_INBOX


def _text(text: str) -> bytes:
    octets = text.encode()
    if not 1 <= len(octets) <= MAX_TEXT:
        raise ValueError("a header text has 1 to 128 octets")
    return octets


def _encode_endorsement(endorsement: Endorsement) -> bytes:
    name = endorsement.administration.encode()
    return u16(len(name)) + name + uuid_octets(endorsement.signer) + endorsement.signature


def _encode_way(way: Way) -> bytes:
    channel, address = way.channel.encode(), way.address.encode()
    if len(address) > MAX_ADDRESS:
        raise ValueError("an address has at most 512 octets")
    return u16(len(channel)) + channel + u16(len(address)) + address


def parse_header(octets: bytes) -> Header:
    """The header, when `octets` are its one encoding.

    Raises:
        MalformedError: anything else.
    """
    if len(octets) > MAX_HEADER:
        raise MalformedError("header too long")
    fields = _fields(octets)
    if set(range(1, 15)) - fields.keys() or fields.keys() - set(range(1, 18)):
        raise MalformedError("a header field is missing or unknown")
    if fields[3] not in (b"\x00", b"\x01") or fields[8] not in _RECIPIENTS:
        raise MalformedError("unknown part or recipient kind")
    if (17 in fields) != (fields[8] == _RECIPIENT_CHANNEL) or (17 in fields and fields[3] != b"\x00"):
        raise MalformedError("ways belong to a recipient outside, and to nobody else")
    if fields[8] == _RECIPIENT_HOLD and (fields[3] != b"\x00" or 15 in fields or fields[7] == b"local"):
        raise MalformedError("what is held came from outside, and nobody here has signed what it says")
    if 16 in fields and 15 not in fields:
        raise MalformedError("endorsements without a document")
    if 15 in fields and len(fields[15]) != 32:
        raise MalformedError("a document commitment has 32 octets")
    try:
        return Header(
            envelope=EnvelopeId(_uuid(fields[1])),
            message=MessageId(_uuid(fields[2])),
            sender_copy=fields[3] == b"\x01",
            sealer=AdministrationId(_read_text(fields[4])),
            signer=KeyRecordId(_uuid(fields[5])),
            sender=InboxId(_read_text(fields[6])),
            origin=Origin(_read_text(fields[7])),
            administration=AdministrationId(_read_text(fields[9])),
            recipient=InboxId(_read_text(fields[10])),
            form_type=_read_text(fields[11]),
            created=_instant(fields[12]),
            decision=DecisionId(_uuid(fields[13])),
            not_after=_instant(fields[14]),
            document=fields.get(15, b""),
            endorsements=_endorsements(fields.get(16)),
            ways=_ways(fields.get(17)),
            hold=fields[8] == _RECIPIENT_HOLD,
        )
    except MalformedError:
        raise
    except ValueError as fault:
        raise MalformedError("a header field does not parse") from fault


def _fields(octets: bytes) -> dict[int, bytes]:
    fields: dict[int, bytes] = {}
    at, last = 0, 0
    while at < len(octets):
        if len(octets) - at < 6:
            raise MalformedError("a header field is cut")
        tag, length = struct.unpack_from(">HI", octets, at)
        at += 6
        if tag <= last or length > len(octets) - at:
            raise MalformedError("header tags out of order, or a length too long")
        fields[tag] = octets[at : at + length]
        at, last = at + length, tag
    return fields


def _uuid(octets: bytes) -> str:
    if len(octets) != 16:
        raise MalformedError("an id has 16 octets")
    return str(uuid.UUID(bytes=octets))


def _instant(octets: bytes) -> Instant:
    if len(octets) != 8:
        raise MalformedError("a time has 8 octets")
    return Instant(int.from_bytes(octets))


def _read_text(octets: bytes) -> str:
    if not 1 <= len(octets) <= MAX_TEXT:
        raise MalformedError("a header text has 1 to 128 octets")
    return octets.decode()


def _endorsements(octets: bytes | None) -> tuple[Endorsement, ...]:
    if octets is None:
        return ()
    found: list[Endorsement] = []
    at = 0
    while at < len(octets):
        if len(found) == MAX_ENDORSEMENTS or len(octets) - at < 2:
            raise MalformedError("too many endorsements, or one is cut")
        length = int.from_bytes(octets[at : at + 2])
        end = at + 2 + length + 16 + SIGNATURE
        if end > len(octets):
            raise MalformedError("an endorsement is cut")
        name = octets[at + 2 : at + 2 + length]
        found.append(
            Endorsement(
                administration=AdministrationId(_read_text(name)),
                signer=KeyRecordId(_uuid(octets[end - SIGNATURE - 16 : end - SIGNATURE])),
                signature=octets[end - SIGNATURE : end],
            )
        )
        at = end
    if not found:
        raise MalformedError("an empty list of endorsements")
    return tuple(found)


def _ways(octets: bytes | None) -> tuple[Way, ...]:
    if octets is None:
        return ()
    found: list[Way] = []
    at = 0
    while at < len(octets):
        channel, at = _short(octets, at)
        address, at = _short(octets, at)
        found.append(Way(Channel(channel.decode()), address.decode()))
        if len(found) > MAX_WAYS or len(address) > MAX_ADDRESS or found[-1].channel is Channel.LOCAL:
            raise MalformedError("too many ways, an address too long, or a way that is none")
    if not found or len({way.channel for way in found}) != len(found):
        raise MalformedError("no way, or one twice")
    return tuple(found)


def _short(octets: bytes, at: int) -> tuple[bytes, int]:
    """A text with its length before it, and where the next begins."""
    if len(octets) - at < 2:
        raise MalformedError("a way is cut")
    end = at + 2 + int.from_bytes(octets[at : at + 2])
    if end > len(octets):
        raise MalformedError("a way is cut")
    return octets[at + 2 : end], end


# --- layout ----------------------------------------------------------------------------------------------------------


def encode_atts(attachments: Sequence[AttachmentKey]) -> bytes:
    """The clear list of attachments (§4.2), ascending by id."""
    rows = sorted((uuid_octets(file.id), file.sealed_size, file.sealed_sha256) for file in attachments)
    return bytes([len(rows)]) + b"".join(_ATT.pack(*row) for row in rows)


def assemble(suite: int, header: bytes, atts: bytes, body: bytes, content: bytes, signatures: Sequence[bytes]) -> bytes:
    """The envelope's octets (§4)."""
    return b"".join(
        [
            MAGIC,
            u16(suite),
            u32(len(header)),
            header,
            u32(len(atts)),
            atts,
            u32(len(body)),
            body,
            content,
            bytes([len(signatures)]),
            *signatures,
        ]
    )


class _Reader:
    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def take(self, count: int) -> bytes:
        if count > len(self._octets) - self._at:
            raise MalformedError("the envelope is cut")
        self._at += count
        return self._octets[self._at - count : self._at]

    def block(self, limit: int) -> bytes:
        length = int.from_bytes(self.take(4))
        if length > limit:
            raise MalformedError("a part is longer than its limit")
        return self.take(length)

    def end(self) -> None:
        if self._at != len(self._octets):
            raise MalformedError("octets after the end")


def parse(octets: bytes) -> Parts:
    """The parts of an envelope, when its layout holds. Says nothing of who sealed it.

    Raises:
        MalformedError: the layout does not hold, or the suite is not one of ours.
    """
    if len(octets) > MAX_ENVELOPE:
        raise MalformedError("the envelope is too long")
    reader = _Reader(octets)
    if reader.take(4) != MAGIC:
        raise MalformedError("not an envelope")
    suite = int.from_bytes(reader.take(2))
    if suite != SUITE:
        raise MalformedError("the suite is unknown or not allowed")
    header = reader.block(MAX_HEADER)
    atts = reader.block(1 + MAX_ATTACHMENTS * _ATT.size)
    body = reader.block(MAX_BODY)
    content = reader.take(32)
    count = reader.take(1)[0]
    if count != 1:
        raise MalformedError("the suite has exactly one signature")
    signature = reader.take(SIGNATURE)
    reader.end()
    return Parts(
        suite=suite,
        header_octets=header,
        header=parse_header(header),
        atts_octets=atts,
        atts=_parse_atts(atts),
        body=body,
        content_commitment=content,
        signatures=(signature,),
    )


def _parse_atts(octets: bytes) -> tuple[Listed, ...]:
    if not octets or len(octets) != 1 + octets[0] * _ATT.size or octets[0] > MAX_ATTACHMENTS:
        raise MalformedError("the list of attachments has another length")
    rows = [_ATT.unpack_from(octets, 1 + index * _ATT.size) for index in range(octets[0])]
    ids = [row[0] for row in rows]
    if ids != sorted(set(ids)):
        raise MalformedError("attachments are not in order")
    return tuple(Listed(id=AttachmentId(_uuid(row[0])), size=row[1], sha256=row[2]) for row in rows)


# --- payload ---------------------------------------------------------------------------------------------------------


def encode_payload(letter: Letter, blind: bytes) -> bytes:
    """The payload of §4.3.

    Raises:
        ValueError: it is longer than 1 MiB, or holds what canonical JSON does not.
    """
    payload = canonical(
        {
            "form": [letter.form_type, letter.form_version],
            "body": dict(letter.body),
            "blind": blind.hex(),
            "attachments": [
                {
                    "id": file.id,
                    "key": file.key.hex(),
                    "name": file.name,
                    "type": file.media_type,
                    "size": file.size,
                    "sealed_size": file.sealed_size,
                    "sealed_sha256": file.sealed_sha256.hex(),
                }
                for file in letter.attachments
            ],
            "siblings": [[envelope, name.hex()] for envelope, name in letter.siblings],
            "document_blind": letter.document_blind.hex(),
        }
    )
    if len(payload) > MAX_PAYLOAD:
        raise ValueError("the payload is longer than 1 MiB; shorten the text or attach it")
    return payload


def pad(payload: bytes) -> bytes:
    """Length, payload and zeros up to the next multiple of 4 KiB."""
    framed = u32(len(payload)) + payload
    return framed + bytes(-len(framed) % PAD_STEP)


def unpad(padded: bytes) -> bytes:
    """The payload; MalformedError when the padding is not the one that `pad` makes."""
    if len(padded) < 4:
        raise MalformedError("the body is cut")
    length = int.from_bytes(padded[:4])
    payload = padded[4 : 4 + length]
    if length > MAX_PAYLOAD or padded != pad(payload):
        raise MalformedError("the padding is not as it must be")
    return payload


def decode_payload(payload: bytes, parts: Parts) -> tuple[Opened, bytes]:
    """What the payload holds, and its blind; checked against the header and the clear list (§8 step 9).

    Raises:
        MalformedError: not canonical, another form type, or other attachments than the list names.
    """
    try:
        value = json.loads(payload)
        if canonical(value) != payload:
            raise MalformedError("the payload is not canonical")
        if value.keys() != _PAYLOAD or not isinstance(value["body"], dict):
            raise MalformedError("the payload has another shape")
        form_type, form_version = value["form"]
        if form_type != parts.header.form_type or type(form_version) is not int:
            raise MalformedError("the payload is another form than the header says")
        attachments = tuple(_attachment(item) for item in value["attachments"])
        listed = {(file.id, file.sealed_size, file.sealed_sha256) for file in attachments}
        if listed != {(row.id, row.size, row.sha256) for row in parts.atts} or len(listed) != len(attachments):
            raise MalformedError("the payload names other attachments than the list")
        opened = Opened(
            form_version=form_version,
            body=value["body"],
            attachments=attachments,
            siblings=tuple((EnvelopeId(pair[0]), bytes.fromhex(pair[1])) for pair in value["siblings"]),
            document=parts.header.document,
            document_blind=bytes.fromhex(value["document_blind"]),
            endorsements=parts.header.endorsements,
        )
        return opened, bytes.fromhex(value["blind"])
    except MalformedError:
        raise
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError) as fault:
        raise MalformedError("the payload does not parse") from fault


def _attachment(item: Mapping[str, object]) -> AttachmentKey:
    return AttachmentKey(
        id=AttachmentId(str(item["id"])),
        key=bytes.fromhex(str(item["key"])),
        name=str(item["name"]),
        media_type=str(item["type"]),
        size=int(str(item["size"])),
        sealed_size=int(str(item["sealed_size"])),
        sealed_sha256=bytes.fromhex(str(item["sealed_sha256"])),
    )
