"""Seal, then sign what is sealed; verify before anything is decrypted (docs/envelope.md).

Why this exists: this is the only place where a body turns into ciphertext and back. One envelope has one recipient and
a fresh K4; the recipient's administration and inbox stand in the signed header, in the body's key derivation and in
the wrap's `info`, so nothing can be moved. A retry re-sends stored octets; nothing is sealed twice.
"""

from __future__ import annotations

import hashlib
import secrets
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Final

from cryptography.cobblestone import Cobblestone256Decryptor, Cobblestone256Encryptor
from cryptography.exceptions import InvalidTag

from gateway import envelope as form
from gateway.envelope import ctx, u16, u32, u64, uuid_octets
from gateway.errors import IntegrityError
from gateway.model.base import AdministrationId, Instant, KeyRecordId, ReceiptId, UserId, fact
from gateway.model.keys import EnvelopeWrap, KeyHead, KeyRecord, KeyRecordKind, ShredBatchState
from gateway.model.path import Envelope, Message, Origin, Receipt, ReceiptKind, Way
from gateway.ports import Clock, Endorsement, Letter, Opened, Sealed, ShredKeys
from keys import suites
from keys.channelkeys import HOLD, OUT, ChannelKeys, channel_owner
from keys.memberkeys import MemberKeys
from keys.records import Records, fingerprint

_ENVELOPE: Final = b"sambud/v1/envelope\x00"
_RECEIPT: Final = b"sambud/v1/receipt\x00"
_ORDER: Final = b"sambud/v1/order\x00"
_ENDORSEMENT: Final = b"sambud/v1/endorsement\x00"
KEPT_PUBLIC_KEYS: Final = 1024


class EnvelopeSealer:
    """The Sealer port."""

    def __init__(self, records: Records, shred: ShredKeys, clock: Clock) -> None:
        self._records = records
        self._shred = shred
        self._clock = clock
        self._public: OrderedDict[KeyRecordId, suites.PublicKey] = OrderedDict()

    async def seal(self, letter: Letter) -> Sealed:
        head, recipient = await self._recipient_key(letter)
        local = letter.origin is Origin.LOCAL
        signer = await self._records.signing(letter.sealer, intake=not local)
        [shred_key] = await self._shred.take(1)
        batch = await self._shred.batch(shred_key.batch)
        if batch.state is not ShredBatchState.OPEN:
            raise suites.broken("shred key batch")

        header = form.encode_header(form.header_of(letter, signer.id))
        header_hash = hashlib.sha256(header).digest()
        blind = secrets.token_bytes(32)
        payload = form.encode_payload(letter, blind)
        k4 = secrets.token_bytes(32)
        body = _encrypt(k4, _body_context(header_hash), form.pad(payload))
        atts = form.encode_atts(letter.attachments)
        content = form.content_commitment(header_hash, blind, payload)
        name = form.transcript(form.SUITE, header_hash, hashlib.sha256(body).digest(), content, atts)
        signature = await self._records.sign(letter.sealer, _ENVELOPE + name, intake=not local)

        info = _wrap_info(header_hash, letter.keeper, letter.recipient.id, recipient.epoch)
        wrapped = suites.HPKE.encrypt(k4, self._public_key(recipient), info=info)
        wrap = EnvelopeWrap(
            administration=letter.keeper,
            envelope=letter.envelope,
            inbox=letter.recipient.id,
            epoch=recipient.epoch,
            record=recipient.id,
            shred_key=shred_key.id,
            batch=shred_key.batch,
            locked=suites.lock(shred_key.key, wrapped, _lock_context(letter.envelope, shred_key.id)),
        )
        return Sealed(
            octets=form.assemble(form.SUITE, header, atts, body, content, [signature]),
            transcript=name,
            wrap=wrap,
            facts=(fact(head), fact(batch)),
        )

    async def _recipient_key(self, letter: Letter) -> tuple[KeyHead, KeyRecord]:
        """The record that K4 is wrapped to: the inbox's, or the sealer's channel key for what leaves."""
        if letter.hold:
            owner = channel_owner(letter.keeper, HOLD)
            found = await self._records.newest_with_head(KeyRecordKind.CHANNEL, owner)
        elif letter.ways:
            found = await self._records.newest_with_head(KeyRecordKind.CHANNEL, channel_owner(letter.sealer, OUT))
        else:
            found = await self._records.newest_with_head(KeyRecordKind.INBOX, letter.recipient.id)
        if found[1].administration != letter.keeper:
            raise suites.broken("recipient's key record")
        return found

    def _public_key(self, record: KeyRecord) -> suites.PublicKey:
        """The parsed key of a record; records never change, so parsing once is enough."""
        key = self._public.get(record.id)
        if key is None:
            key = self._public[record.id] = suites.public_key(record.public_key)
            if len(self._public) > KEPT_PUBLIC_KEYS:
                self._public.popitem(last=False)
        return key

    def commit_document(self, content: Mapping[str, object]) -> tuple[bytes, bytes]:
        blind = secrets.token_bytes(32)
        return form.document_commitment(content, blind), blind

    def check_document(self, content: Mapping[str, object], commitment: bytes, blind: bytes) -> None:
        try:
            same = len(blind) == 32 and form.document_commitment(content, blind) == commitment
        except ValueError as fault:
            raise form.rejected(fault) from fault
        if not same:
            raise form.rejected("the document is not the one that was signed")

    async def endorse(self, administration: AdministrationId, document: bytes) -> Endorsement:
        signer = await self._records.signing(administration)
        octets = _ENDORSEMENT + form.endorsement_hash(administration, document)
        signature = await self._records.sign(administration, octets)
        return Endorsement(administration=administration, signer=signer.id, signature=signature)

    async def order(self, administration: AdministrationId, choice: Sequence[str], *, at: Instant) -> Endorsement:
        signer = await self._records.signing(administration)
        signature = await self._records.sign(administration, _order(administration, choice, at))
        return Endorsement(administration=administration, signer=signer.id, signature=signature)

    async def check_order(self, order: Endorsement, choice: Sequence[str], *, at: Instant) -> None:
        try:
            signer = await _signer(self._records, order.signer, order.administration, at)
        except IntegrityError as fault:
            raise form.rejected(fault) from fault
        if not suites.verifies(signer.public_key, order.signature, _order(order.administration, choice, at)):
            raise form.rejected("nobody signed that it goes there")

    async def check_endorsement(self, endorsement: Endorsement, document: bytes, *, at: Instant) -> None:
        await check_endorsement(self._records, endorsement, document, at=at)

    async def own_key(self, administration: AdministrationId, public_key: bytes) -> str:
        newest = await self._records.signing(administration)
        chain = await self._records.chain(newest)
        return fingerprint(public_key if public_key in {one.public_key for one in chain} else newest.public_key)

    def check_outside(
        self, public_key: bytes, signature: bytes, administration: AdministrationId, document: bytes, pinned: str
    ) -> bool:
        if public_key in suites.SMALL_ORDER or (pinned and fingerprint(public_key) != pinned):
            raise form.rejected("an authority outside signs with another key than is known")
        octets = _ENDORSEMENT + form.endorsement_hash(administration, document)
        if not suites.verifies(public_key, signature, octets):
            raise form.rejected("the signature of an authority outside does not hold")
        return bool(pinned)

    async def receipt(self, envelope: Envelope, kind: ReceiptKind, *, at: Instant) -> Receipt:
        signer = await self._records.signing(envelope.administration)
        statement = ctx(
            "receipt",
            envelope.administration.encode(),
            uuid_octets(envelope.id),
            uuid_octets(envelope.message),
            envelope.inbox.encode(),
            kind.encode(),
            u64(at),
            envelope.transcript,
            uuid_octets(signer.id),
        )
        octets = _RECEIPT + hashlib.sha256(statement).digest()
        signature = await self._records.sign(envelope.administration, octets)
        # The id follows from what is stated, so that two writers of one receipt meet at one row.
        digest = hashlib.sha256(ctx("receipt-id", uuid_octets(envelope.id), kind.encode())).hexdigest()
        return Receipt(
            administration=envelope.administration,
            id=ReceiptId(digest[:32]),
            envelope=envelope.id,
            message=envelope.message,
            inbox=envelope.inbox,
            kind=kind,
            at=at,
            transcript=envelope.transcript,
            signer=signer.id,
            octets=statement + signature,
        )

    async def check_receipt(self, receipt: Receipt) -> None:
        """Whether a stored receipt is the one its signer made.

        Raises:
            EnvelopeError: it is not, or the row says other than the signed octets.
        """
        statement, signature = receipt.octets[: -form.SIGNATURE], receipt.octets[-form.SIGNATURE :]
        expected = ctx(
            "receipt",
            receipt.administration.encode(),
            uuid_octets(receipt.envelope),
            uuid_octets(receipt.message),
            receipt.inbox.encode(),
            receipt.kind.encode(),
            u64(receipt.at),
            receipt.transcript,
            uuid_octets(receipt.signer),
        )
        signer = await _signer(self._records, receipt.signer, receipt.administration, receipt.at)
        holds = suites.verifies(signer.public_key, signature, _RECEIPT + hashlib.sha256(statement).digest())
        if statement != expected or not holds:
            raise form.rejected("the receipt does not verify")


class EnvelopeOpener:
    """The Opener port."""

    def __init__(self, records: Records, members: MemberKeys, channels: ChannelKeys, shred: ShredKeys) -> None:
        self._records = records
        self._members = members
        self._channels = channels
        self._shred = shred

    async def verify(self, envelope: Envelope, message: Message) -> None:
        await self._verified(envelope, message)

    async def open(self, envelope: Envelope, wrap: EnvelopeWrap, user: UserId) -> Opened:
        parts = await self._verified(envelope, None)
        if parts.header.ways or parts.header.hold:
            raise form.rejected("what leaves, or waits for its inbox, is no member's to open")
        key = await self._inbox_key(envelope, wrap, user)
        return await self._opened(envelope, wrap, parts, key)

    async def open_leaving(self, envelope: Envelope, wrap: EnvelopeWrap, way: Way) -> Opened:
        parts = await self._verified(envelope, None)
        if way not in parts.header.ways:
            raise form.rejected("the sender's signature does not permit this way")
        try:
            key = await self._channels.open(channel_owner(parts.header.sealer, OUT), wrap.epoch)
        except IntegrityError as fault:
            raise form.rejected(fault) from fault
        return await self._opened(envelope, wrap, parts, key)

    async def open_held(self, envelope: Envelope, wrap: EnvelopeWrap) -> Opened:
        parts = await self._verified(envelope, None)
        if not parts.header.hold:
            raise form.rejected("this is not held")
        try:
            key = await self._channels.open(channel_owner(parts.header.administration, HOLD), wrap.epoch)
        except IntegrityError as fault:
            raise form.rejected(fault) from fault
        return await self._opened(envelope, wrap, parts, key)

    async def _inbox_key(self, envelope: Envelope, wrap: EnvelopeWrap, user: UserId) -> suites.PrivateKey:
        try:
            return (await self._members.open(envelope.inbox, wrap.epoch, user)).kem
        except IntegrityError as fault:
            raise form.rejected(fault) from fault

    async def _opened(
        self, envelope: Envelope, wrap: EnvelopeWrap, parts: form.Parts, key: suites.PrivateKey
    ) -> Opened:
        """Steps 8 and 9 of §8."""
        try:
            k4 = await self._k4(envelope, wrap, key, parts.header_hash)
            padded = _decrypt(k4, _body_context(parts.header_hash), parts.body)
            payload = form.unpad(padded)
            opened, blind = form.decode_payload(payload, parts)
        except (form.MalformedError, IntegrityError, InvalidTag) as fault:
            raise form.rejected(fault) from fault
        if form.content_commitment(parts.header_hash, blind, payload) != parts.content_commitment:
            raise form.rejected("the content is not what the envelope commits to")
        return opened

    async def _k4(self, envelope: Envelope, wrap: EnvelopeWrap, key: suites.PrivateKey, header_hash: bytes) -> bytes:
        if (
            wrap.envelope != envelope.id
            or wrap.inbox != envelope.inbox
            or wrap.administration != envelope.administration
        ):
            raise form.MalformedError("the wrap belongs to another envelope")
        shred_key = await self._shred.get(wrap.shred_key)
        wrapped = suites.unlock(
            shred_key, wrap.locked, _lock_context(envelope.id, wrap.shred_key), what="envelope wrap"
        )
        info = _wrap_info(header_hash, envelope.administration, envelope.inbox, wrap.epoch)
        return suites.HPKE.decrypt(wrapped, key, info=info)

    async def _verified(self, envelope: Envelope, message: Message | None) -> form.Parts:
        """Steps 1 to 6 of §8."""
        try:
            parts = form.parse(envelope.octets)
            _check_rows(parts.header, envelope, message)
            signer = await _sealer(self._records, parts.header)
            name = parts.transcript
            if name != envelope.transcript:
                raise form.MalformedError("the row names another transcript")
            if not suites.verifies(signer.public_key, parts.signatures[0], _ENVELOPE + name):
                raise form.MalformedError("the signature does not hold")
            endorsed = [endorsement.administration for endorsement in parts.header.endorsements]
            if len(set(endorsed)) != len(endorsed):
                raise form.MalformedError("one authority endorses twice")
            for endorsement in parts.header.endorsements:
                await check_endorsement(self._records, endorsement, parts.header.document, at=parts.header.created)
        except (form.MalformedError, IntegrityError) as fault:
            raise form.rejected(fault) from fault
        return parts


def _check_rows(header: form.Header, envelope: Envelope, message: Message | None) -> None:
    """The rows beside the envelope must say what the signed header says (§8 step 3)."""
    same = (
        header.envelope == envelope.id
        and header.message == envelope.message
        and header.sender_copy == envelope.sender_copy
        and header.recipient == envelope.inbox
        and header.administration == envelope.administration
        and header.created == envelope.created_at
    )
    if message is not None:
        same = (
            same
            and header.message == message.id
            and header.sender == message.sender
            and header.sealer == (message.administration if header.origin is Origin.LOCAL else envelope.administration)
            and header.origin == message.origin
            and header.form_type == message.form_type
            and header.decision == message.decision
            and header.document == message.document
        )
    if not same:
        raise form.MalformedError("the rows say other than the header")


async def check_endorsement(records: Records, endorsement: Endorsement, document: bytes, *, at: Instant) -> None:
    """Raises EnvelopeError unless the endorsement is its administration's own signature over `document`."""
    try:
        signer = await _signer(records, endorsement.signer, endorsement.administration, at)
    except IntegrityError as fault:
        raise form.rejected(fault) from fault
    octets = _ENDORSEMENT + form.endorsement_hash(endorsement.administration, document)
    if not suites.verifies(signer.public_key, endorsement.signature, octets):
        raise form.rejected("an endorsement does not hold")


async def _sealer(records: Records, header: form.Header) -> KeyRecord:
    """The record that sealed: S for what was written here, the intake key for what came in, never the other."""
    kind = KeyRecordKind.SIGNING if header.origin is Origin.LOCAL else KeyRecordKind.INTAKE
    return await _signer(records, header.signer, header.sealer, header.created, kind=kind)


async def _signer(
    records: Records,
    identifier: KeyRecordId,
    administration: AdministrationId,
    at: Instant,
    *,
    kind: KeyRecordKind = KeyRecordKind.SIGNING,
) -> KeyRecord:
    record = await records.by_id(identifier)
    if record.kind is not kind or record.administration != administration or record.created_at > at:
        raise suites.broken("signing key record")
    return record


def _order(administration: AdministrationId, choice: Sequence[str], at: Instant) -> bytes:
    said = ctx(
        "order", administration.encode(), b"".join(u32(len(one.encode())) + one.encode() for one in choice), u64(at)
    )
    return _ORDER + hashlib.sha256(said).digest()


def _body_context(header_hash: bytes) -> bytes:
    return ctx("body", u16(form.SUITE), header_hash)


def _wrap_info(header_hash: bytes, administration: AdministrationId, inbox: str, epoch: int) -> bytes:
    return ctx("wrap", u16(form.SUITE), header_hash, administration.encode(), inbox.encode(), u32(epoch))


def _lock_context(envelope: str, shred_key: str) -> bytes:
    return ctx("lock", uuid_octets(envelope), shred_key.encode())


def _encrypt(key: bytes, context: bytes, plaintext: bytes) -> bytes:
    encryptor = Cobblestone256Encryptor(key, context)
    return bytes(encryptor.update(plaintext)) + bytes(encryptor.finalize())


def _decrypt(key: bytes, context: bytes, ciphertext: bytes) -> bytes:
    try:
        decryptor = Cobblestone256Decryptor(key, context)
        return bytes(decryptor.update(ciphertext)) + bytes(decryptor.finalize())
    except ValueError as fault:
        raise form.MalformedError("the body is cut, or its key is none") from fault
