"""A case system sends a message (ADR-0009, B1.4.2).

Why this exists: a system is a member like others and walks the same path as they do: compose, decide, seal, accept.
Here it is put into the words of such a client: one message has one recipient, and ids and conversations are its own.

Rules:
- The client's message id is what makes a repeated call the same message; another content under it is refused.
- Whether consent and secrecy allow it is decided for it as for people. What needs a person's word (NEEDS_AFFIRM,
  MANUAL) a system does not get (JUR).
- What is said of the text's content is the client's word, as it is a person's in the form; said nothing, the message
  counts as speaking of everything, and goes only where everything may.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gateway.attachments import Attachments
from gateway.canonical import dumps
from gateway.cases import Cases
from gateway.decide import AccessAction
from gateway.directory import Directory
from gateway.drafts import Drafts
from gateway.errors import ConflictError, FieldError, InvalidFormError, NotFoundError
from gateway.forms import FormCatalogue
from gateway.forms.names import MESSAGE
from gateway.model.base import CaseId, EnvelopeId, MessageId
from gateway.model.classes import Category
from gateway.model.directory import Inbox
from gateway.model.path import Case, Envelope
from gateway.model.systems import SystemMessage, SystemThread
from gateway.ports import Change, Insert, Store, Vault
from gateway.rights import Rights, Standing
from gateway.seal import SealedMessage
from gateway.sending import Sending
from gateway.sessions import Signed
from gateway.system_places import at, in_scope, sealed_context


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """A message that a client hands in. `said` is all of it but text and files, given back as it came."""

    id: str
    conversation: str
    replies_to: str
    sender: str
    recipient: str
    text: str
    files: Sequence[tuple[str, bytes]] = ()
    categories: Sequence[str] = ()
    said: Mapping[str, Any] = field(default_factory=dict)
    digest: bytes = b""  # of the whole of it


class SystemPost:
    """The sending of a system. The caller has authenticated it and checked the token's operations."""

    def __init__(
        self,
        store: Store,
        vault: Vault,
        directory: Directory,
        rights: Rights,
        cases: Cases,
        drafts: Drafts,
        attachments: Attachments,
        sending: Sending,
        forms: FormCatalogue,
    ) -> None:
        self._store = store
        self._vault = vault
        self._directory = directory
        self._rights = rights
        self._cases = cases
        self._drafts = drafts
        self._attachments = attachments
        self._sending = sending
        self._forms = forms

    # --- send --------------------------------------------------------------------------------------------------------

    async def send(self, signed: Signed, out: Outgoing) -> str:
        """Send a case message to one recipient; gives the client's id of it. A repeated call is the first.

        Raises:
            InvalidFormError: a field that cannot be so; its pointer is the name that the client knows it by.
            RecipientError, RefusedError, AttachmentError: as for people; nothing was sent.
            ConflictError: something moved; the same call again.
        """
        fingerprint = await self._vault.fingerprint(signed.user.administration, "system-message", out.digest)
        if await self._again(signed, out, fingerprint):
            return out.id
        directory = await self._directory.current()
        sender = at(directory, out.sender)
        if sender is None or not in_scope(signed, sender.id):
            raise wrong("senderAttention", "Systemet får inte skicka för den funktionen.")
        try:
            standing = await self._rights.act(signed, sender.id, AccessAction.SEND, form_type=MESSAGE)
        except NotFoundError:
            raise wrong("senderAttention", "Systemet får inte skicka för den funktionen.") from None
        recipient = at(directory, out.recipient)
        if recipient is None:
            raise wrong("recipientAttention", "Mottagaren finns inte i adressboken.")
        if out.categories and not set(out.categories) <= {str(one) for one in Category}:
            raise wrong("senderAttention", "Meddelandet anger ett innehåll som inte finns.")
        case = await self._case(signed, standing, out.conversation)
        try:
            return await self._sent(signed, standing, case, recipient, out, fingerprint)
        except ConflictError:
            if await self._again(signed, out, fingerprint):
                return out.id  # the same call won in this moment
            raise

    async def _again(self, signed: Signed, out: Outgoing, fingerprint: bytes) -> bool:
        known = await self._store.get(SystemMessage, signed.user.id, out.id)
        if known is None:
            return False
        if not known.sent or known.fingerprint != fingerprint:
            raise wrong("messageId", "Meddelandets id har använts för något annat.")
        return True

    async def _case(self, signed: Signed, standing: Standing, conversation: str) -> Case:
        """The case of a conversation: the one that this client knows by it, the case itself, or a new one."""
        inbox = standing.inbox.id
        thread = await self._store.get(SystemThread, signed.user.id, f"conversation:{conversation}")
        try:
            return await self._cases.find(inbox, CaseId(thread.value if thread else conversation))
        except NotFoundError:
            if thread is not None:
                raise wrong("conversationId", "Ärendet är inte den avsändande funktionens.") from None

        def named(case: Case) -> Sequence[Change]:
            rows = (("conversation", conversation, case.id), ("case", case.id, conversation))
            return [
                Insert(
                    SystemThread(
                        administration=case.administration, user=signed.user.id, name=f"{kind}:{name}", value=str(value)
                    )
                )
                for kind, name, value in rows
            ]

        # With its name, so that a call that is refused and repeated opens no second one.
        return await self._cases.open(signed, inbox, also=named)

    async def _sent(
        self,
        signed: Signed,
        standing: Standing,
        case: Case,
        recipient: Inbox,
        out: Outgoing,
        fingerprint: bytes,
    ) -> str:
        categories = list(out.categories) or _codes(self._forms)
        owner = standing.inbox.administration
        sealed = await self._vault.seal_field(owner, sealed_context(signed.user.id, out.id), dumps(dict(out.said)))
        answered = await self._answered(signed, case, out.replies_to)

        def also(made: SealedMessage) -> Sequence[Change]:
            [envelope] = [one for one in made.envelopes if not one.sender_copy]
            row = SystemMessage(
                administration=owner,
                user=signed.user.id,
                id=out.id,
                inbox=standing.inbox.id,
                message=made.message.id,
                envelope=envelope.id,
                sent=True,
                created_at=made.message.created_at,
                fingerprint=fingerprint,
                sealed=sealed,
            )
            return (Insert(row),)

        values = {"text": out.text, "categories": categories}
        form = self._forms.latest(MESSAGE)
        draft = await self._drafts.create(signed, standing.inbox.id, case.id, MESSAGE, form.version, values)
        try:
            for name, octets in out.files:
                await self._attachments.add(signed, draft.id, name, Category(categories[0]), _once(octets))
            await self._sending.send_draft(signed, draft.id, [str(recipient.id)], in_reply_to=answered, also=also)
        except BaseException:
            await self._drafts.discard(signed, draft.id)  # the client has it; members find no half of it
            raise
        return out.id

    async def _answered(self, signed: Signed, case: Case, replies_to: str) -> MessageId | None:
        """The message of the case that is answered; an id that nobody knows is no fault (B1.3.3 §5.3 row 7)."""
        if not replies_to:
            return None
        own = await self._store.get(SystemMessage, signed.user.id, replies_to)
        envelope = await self._store.get(Envelope, own.envelope if own else EnvelopeId(replies_to))
        return envelope.message if envelope is not None and envelope.case == case.id else None


def _codes(forms: FormCatalogue) -> list[str]:
    return list(forms.latest(MESSAGE).fields["categories"].codes)


async def _once(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


def wrong(name: str, swedish: str) -> InvalidFormError:
    return InvalidFormError(
        f"{name} cannot be so",
        [FieldError(f"/{name}", "value", swedish)],
        swedish=swedish,
        next_step="Rätta och skicka igen. Inget har skickats.",
    )
