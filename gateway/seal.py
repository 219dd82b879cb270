"""Seal: turn a decided message into one envelope for each recipient and one for the sender.

Why this exists: here a body stops being readable. Each recipient gets a projection of its own under a key of its own;
the sender's copy is the complete form with the list of what went to whom. What a recipient may not have is not in its
envelope at all. Keys and octets are `keys.sealing`'s task (docs/envelope.md).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway import failpoints
from gateway.attachments import Stored
from gateway.compose import attachment_permitted, project
from gateway.decide import Decision, RecipientDecision
from gateway.forms import Form
from gateway.model.base import DAY, EnvelopeId, Fact, InboxId, Instant, MessageId
from gateway.model.classes import Stage
from gateway.model.directory import Inbox
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Case, Channel, Envelope, EnvelopeAttachment, Message, Origin, Way
from gateway.ports import AttachmentKey, Endorsement, Letter, Sealed, Sealer


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispatch:
    """What is to be sent, before anything was decided.

    `document` and its blind are set for a joint answer; `meta` is what the gateway adds beside the form's fields.
    """

    sender: Inbox
    case: Case
    form: Form
    values: Mapping[str, Any]
    recipients: tuple[tuple[Inbox, Stage], ...]
    attachments: tuple[Stored, ...] = ()
    ways: Mapping[InboxId, tuple[Way, ...]] = field(default_factory=dict)  # of recipients outside
    shared: Mapping[InboxId, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)  # consents told outside
    in_reply_to: MessageId | None = None
    document: bytes = b""
    document_blind: bytes = b""
    endorsements: tuple[Endorsement, ...] = ()
    meta: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedMessage:
    """Rows that are ready to be stored, and the facts (key epochs, open batches) that they rest on."""

    message: Message
    envelopes: tuple[Envelope, ...]
    wraps: tuple[EnvelopeWrap, ...]
    files: tuple[EnvelopeAttachment, ...]
    facts: tuple[Fact, ...]
    not_after: Instant
    channels: Mapping[EnvelopeId, Channel]  # the first way of each envelope that leaves


class Sealing:
    """The step between a decision and the store."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def seal(self, dispatch: Dispatch, decision: Decision, *, at: Instant) -> SealedMessage:
        """One envelope per recipient of `decision`, which must permit, and the sender's copy.

        Raises:
            InvalidFormError: a projection does not fit its stage; nothing was kept.
            IntegrityError: a recipient's key record does not verify; nothing was kept.
        """
        decision.require_permit()
        message = Message(
            administration=dispatch.sender.administration,
            id=MessageId(str(uuid.uuid4())),
            case=dispatch.case.id,
            form_type=dispatch.form.id,
            form_version=dispatch.form.version,
            sender=dispatch.sender.id,
            origin=Origin.LOCAL,
            decision=decision.id,
            in_reply_to=dispatch.in_reply_to,
            document=dispatch.document,
            created_at=at,
        )
        not_after = Instant(at + dispatch.form.ttl_days * DAY)
        letters: list[Letter] = []
        inboxes = {inbox.id: inbox for inbox, _ in dispatch.recipients}
        for decided in decision.recipients:
            body, files = _projection(dispatch, decided)
            letters.append(_letter(dispatch, message, inboxes[decided.inbox], body, files, not_after))
        sealed = [await self._sealer.seal(letter) for letter in letters]
        failpoints.reached("send.sealed")
        siblings = tuple((letter.envelope, result.transcript) for letter, result in zip(letters, sealed, strict=True))
        copy = _letter(
            dispatch,
            message,
            dispatch.sender,
            _whole(dispatch, decision),
            [stored.file for stored in dispatch.attachments],
            not_after,
            siblings=siblings,
        )
        letters.append(copy)
        sealed.append(await self._sealer.seal(copy))
        return SealedMessage(
            message=message,
            envelopes=tuple(
                _row(letter, result, dispatch.case) for letter, result in zip(letters, sealed, strict=True)
            ),
            wraps=tuple(result.wrap for result in sealed),
            files=_files(letters, dispatch.attachments),
            facts=tuple(dict.fromkeys(fact for result in sealed for fact in result.facts)),
            not_after=not_after,
            channels={letter.envelope: letter.ways[0].channel for letter in letters if letter.ways},
        )


def _projection(dispatch: Dispatch, decided: RecipientDecision) -> tuple[dict[str, Any], list[AttachmentKey]]:
    form, stage, permitted = dispatch.form, decided.stage, decided.permitted
    projection = project(form, dispatch.values, stage, permitted)
    files = files_for(dispatch, decided)
    held_files = len(dispatch.attachments) - len(files)
    body = {
        "stage": str(stage),
        "fields": dict(projection.values),
        "held_back": list(projection.held_back),
        "attachments_held_back": held_files,
        "basis": sorted({ruling.basis for ruling in decided.rulings.values() if ruling.permits and ruling.basis}),
        **({"consents": list(dispatch.shared[decided.inbox])} if decided.inbox in dispatch.shared else {}),
        **(dispatch.meta or {}),
    }
    return body, files


def files_for(dispatch: Dispatch, decided: RecipientDecision) -> list[AttachmentKey]:
    """The files that a recipient gets; none where the decision denies it."""
    return [
        stored.file
        for stored in dispatch.attachments
        if attachment_permitted(dispatch.form, stored.category, decided.stage, decided.permitted)
    ]


def _whole(dispatch: Dispatch, decision: Decision) -> dict[str, Any]:
    """The sender's copy: the complete form, and per recipient what it was decided to get."""
    return {
        "stage": str(Stage.S3),
        "fields": dict(dispatch.values),
        "held_back": [],
        "attachments_held_back": 0,
        "categories": [str(stored.category) for stored in dispatch.attachments],  # of the files, in their order
        "basis": [],
        "recipients": [
            {"inbox": decided.inbox, "stage": str(decided.stage), "rules": list(decided.rules)}
            for decided in decision.recipients
        ],
        **(dispatch.meta or {}),
    }


def _letter(
    dispatch: Dispatch,
    message: Message,
    recipient: Inbox,
    body: Mapping[str, Any],
    files: Sequence[AttachmentKey],
    not_after: Instant,
    *,
    siblings: tuple[tuple[EnvelopeId, bytes], ...] = (),
) -> Letter:
    return Letter(
        envelope=EnvelopeId(str(uuid.uuid4())),
        message=message.id,
        sender=dispatch.sender,
        recipient=recipient,
        sender_copy=bool(siblings),
        origin=message.origin,
        form_type=message.form_type,
        form_version=message.form_version,
        created=message.created_at,
        decision=message.decision,
        not_after=not_after,
        body=body,
        attachments=tuple(files),
        siblings=siblings,
        document=dispatch.document,
        document_blind=dispatch.document_blind,
        endorsements=dispatch.endorsements,
        ways=dispatch.ways.get(recipient.id, ()),
    )


def _row(letter: Letter, sealed: Sealed, case: Case) -> Envelope:
    return Envelope(
        administration=letter.keeper,
        id=letter.envelope,
        message=letter.message,
        case=case.id,
        inbox=letter.recipient.id,
        sender_copy=letter.sender_copy,
        transcript=sealed.transcript,
        created_at=letter.created,
        octets=sealed.octets,
    )


def _files(letters: Sequence[Letter], attachments: Sequence[Stored]) -> tuple[EnvelopeAttachment, ...]:
    blobs = {stored.file.id: stored.blob for stored in attachments}
    return tuple(
        EnvelopeAttachment(
            administration=letter.keeper,
            envelope=letter.envelope,
            attachment=file.id,
            blob=blobs[file.id],
        )
        for letter in letters
        for file in letter.attachments
    )
