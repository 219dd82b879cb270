"""Printing: take a message out for a person to carry, and open it as its recipient gets it (docs/channels.md §2.6).

Why this exists: a print is content outside every key. So it is made late, by a member with a code for this act
alone, of the recipient's own projection and nothing more, and each time the log says so before a word is decrypted.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from gateway.audit import AuditAction
from gateway.carried import sealed_words, words_of
from gateway.carrying import Carrying
from gateway.decide import AccessAction
from gateway.deliver import consent_fact, holds, moved_delivery
from gateway.documents import Documents, page_of
from gateway.errors import ConflictError, NotFoundError, RefusedError
from gateway.forms import Form, FormCatalogue
from gateway.freshness import Freshness
from gateway.grants import Grants
from gateway.integrity import Integrity
from gateway.loads import Load, Loads, absent, broken, way_of
from gateway.model.base import AttachmentId, DeliveryId, InboxId, Instant, fact
from gateway.model.carrying import MESSAGE, HandOver
from gateway.model.identity import Act
from gateway.model.keys import EnvelopeWrap
from gateway.model.path import Conversation, Envelope, Way
from gateway.parcels import Parcels
from gateway.ports import AttachmentKey, Change, Clock, Insert, Opened, Opener, Store, Update, Vault, Work
from gateway.quarantine import by_member
from gateway.readable import markdown
from gateway.rights import Rights, Standing
from gateway.sessions import Signed
from gateway.states import DeliveryEvent, DeliveryState, HandOverState


@dataclass(frozen=True, slots=True, kw_only=True)
class Paper:
    """What is printed: the recipient's projection in the form's own words. `text` is the same for copying."""

    load: Load
    way: Way
    form: Form
    opened: Opened
    text: str
    digest: str  # SHA-256 of `text`, hexadecimal; kept sealed with the hand-over at the first print


class Printing:
    """The use cases of whoever takes a message out."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        grants: Grants,
        forms: FormCatalogue,
        integrity: Integrity,
        opener: Opener,
        parcels: Parcels,
        vault: Vault,
        loads: Loads,
        carrying: Carrying,
        freshness: Freshness,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._grants = grants
        self._forms = forms
        self._integrity = integrity
        self._opener = opener
        self._parcels = parcels
        self._vault = vault
        self._loads = loads
        self._carrying = carrying
        self._freshness = freshness
        self._clock = clock
        self._documents: Documents | None = None

    async def take(self, signed: Signed, inbox: InboxId, delivery: str) -> HandOver:
        """Take a message out to be printed; from now on it may have left. Taking what is taken is no error.

        Raises:
            NotFoundError: no such delivery.
            RefusedError: a consent that it rests on has ended; it was cancelled, nothing has left.
            ConflictError: it can still be undone, it is over, or somebody else took it in this moment.
        """
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        load = await self._loads.found(inbox, delivery)
        if load.hand_over is not None and load.delivery.state is DeliveryState.IN_TRANSIT:
            return load.hand_over
        now = self._clock.now()
        row, envelope = load.delivery, await self._loads.envelope(load.delivery)
        if row.state is not DeliveryState.QUEUED or row.due_at > now or row.expires_at <= now:
            raise ConflictError(
                "not waiting for a person now",
                swedish="Meddelandet väntar inte på att lämnas över.",
                next_step="Läs om sidan: det kan vara ångrat, stoppat eller redan taget.",
            )
        await self._opener.verify(envelope, load.message)
        way_of(envelope, row)
        consents = await self._loads.consents(envelope)
        if not all(holds(one, now) for one in consents):
            await self._carrying.stop(standing, load)
            raise _stopped()
        taken = await self._integrity.sign(
            HandOver(
                administration=standing.inbox.administration,
                id=row.id,
                inbox=inbox,
                party=row.inbox,
                case=load.case.id,
                message=row.message,
                channel=row.channel,
                what=MESSAGE,
                state=HandOverState.TAKEN,
                created_at=now,
                taken_by=signed.user.id,
            )
        )
        following = dataclasses.replace(
            moved_delivery(row, DeliveryEvent.HANDED_OVER, now), attempts=row.attempts + 1, reason="dispatched"
        )
        changes: list[Change] = [Update(following), Insert(taken)]
        conversation = await self._parcels.conversation(envelope, row.channel)
        if await self._store.get(Conversation, *conversation.key) is None:
            changes.append(Insert(conversation))
        entry = await self._loads.entry(AuditAction.DISPATCHED, standing, load, str(row.channel), envelope)
        expects = (*standing.facts, *map(consent_fact, consents))
        await self._store.commit(Work(expects=expects, changes=tuple(changes), entries=(entry,)))
        return taken

    async def permit(self, signed: Signed, inbox: InboxId, delivery: str, code: str) -> Instant:
        """Use a fresh code for printing what was taken out: its paper once, and each of its files once; until when.

        Raises:
            NotFoundError: nothing that was taken out.
            SignInError, TooManyAttemptsError: as for every code; nothing was permitted.
        """
        standing, load = await self._taken(signed, inbox, delivery)
        files = [row.attachment for row in await self._store.attachments_under(load.delivery.envelope)]
        objects = [load.delivery.id, *(_file(load.delivery.id, file) for file in files)]
        return await self._grants.give(signed, Act.PRINT, objects, code, administration=standing.inbox.administration)

    async def print(self, signed: Signed, inbox: InboxId, delivery: str) -> Paper:
        """Open what was taken out, as its recipient gets it; logged first, each time.

        Raises:
            NotFoundError: nothing that was taken out.
            ActCodeRequiredError: no code was given for it (`permit`), or it is used or over.
            RefusedError: a consent that it rests on has ended: hand nothing over.
            EnvelopeError, LogBehindError: as for every opening.
        """
        standing, load, _, way, opened = await self._opened(signed, inbox, delivery)
        form = self._forms.get(load.message.form_type, load.message.form_version)
        text = markdown(form, opened.body)
        digest = hashlib.sha256(text.encode()).hexdigest()
        await self._remember(standing, load, digest)
        return Paper(load=load, way=way, form=form, opened=opened, text=text, digest=digest)

    def connect(self, documents: Documents) -> None:
        """Make papers as PDF from now on; without, they are pages of the browser only."""
        self._documents = documents

    @property
    def makes_pdf(self) -> bool:
        return self._documents is not None

    async def pdf(self, signed: Signed, inbox: InboxId, delivery: str) -> bytes:
        """The same page that SDK carries, to be printed and signed for: PDF/A-3a without the data inside.

        Raises as `print`, and:
            DocumentError: it could not be made now; nothing was changed but the log.
        """
        if self._documents is None:
            raise NotFoundError("no documents are made here", swedish="PDF görs inte här. Skriv ut från sidan.")
        standing, load, envelope, way, opened = await self._opened(signed, inbox, delivery)
        parcel = await self._parcels.of(envelope, load.message, way, opened, standing.directory, by_member(standing))
        return await self._documents.pdf(page_of(parcel))

    async def file(
        self, signed: Signed, inbox: InboxId, delivery: str, attachment: AttachmentId
    ) -> tuple[AttachmentKey, AsyncIterator[bytes]]:
        """A file of what was taken out, to be printed with it, in pieces; logged first. Raises as `print`, and:

        FileWaitsError, FileRefusedError: it has no verdict and none is to be had now, or a bad one.
        """
        standing, load, envelope, _, opened = await self._opened(signed, inbox, delivery, attachment)
        key = next((file for file in opened.attachments if file.id == attachment), None)
        if key is None:
            raise NotFoundError("no such attachment", swedish="Bilagan finns inte, eller ska inte lämnas.")
        file = await self._parcels.file(envelope, load.message, key, by_member(standing))
        await file.cleared()
        return key, file.read()

    async def _opened(
        self, signed: Signed, inbox: InboxId, delivery: str, file: AttachmentId | None = None
    ) -> tuple[Standing, Load, Envelope, Way, Opened]:
        """S authorises, C opens, the log comes first; here in a member's session, who has given a code for it."""
        await self._freshness.require()
        standing, load = await self._taken(signed, inbox, delivery)
        now = self._clock.now()
        envelope = await self._loads.envelope(load.delivery)
        wrap = await self._store.get(EnvelopeWrap, envelope.id)
        if wrap is None:
            raise broken("a delivery without its envelope")
        await self._opener.verify(envelope, load.message)
        way = way_of(envelope, load.delivery)
        consents = await self._loads.consents(envelope)
        if not all(holds(one, now) for one in consents):
            raise _stopped()
        granted = load.delivery.id if file is None else _file(load.delivery.id, file)
        spent = await self._grants.spend(signed, Act.PRINT, granted)
        target = str(file or load.delivery.id)
        entry = await self._loads.entry(AuditAction.PRINTED, standing, load, "permit", envelope, target)
        expects = [*standing.facts, *map(consent_fact, consents), fact(load.delivery)]
        if load.hand_over is not None:
            expects.append(fact(load.hand_over))
        try:
            await self._store.commit(Work(expects=tuple(expects), changes=(spent,), entries=(entry,)))
        except ConflictError:
            await self._grants.spend(signed, Act.PRINT, granted)  # says so when it was spent in this moment
            raise
        return standing, load, envelope, way, await self._opener.open_leaving(envelope, wrap, way)

    async def _taken(self, signed: Signed, inbox: InboxId, delivery: str) -> tuple[Standing, Load]:
        standing = await self._rights.act(signed, inbox, AccessAction.CARRY)
        load = await self._loads.found(inbox, delivery)
        if load.hand_over is None or load.delivery.state is not DeliveryState.IN_TRANSIT:
            raise absent()
        return standing, load

    async def _remember(self, standing: Standing, load: Load, digest: str) -> None:
        """Keep, sealed, of which text the first print was: every later one must be of the same."""
        row = load.hand_over
        if row is None:
            raise absent()
        known = (await words_of(self._vault, row)).get("text")
        if known == digest:
            return
        if known is not None:
            raise broken("the printed text is not what was printed first")
        kept = dataclasses.replace(row, version=row.version + 1)
        kept = dataclasses.replace(kept, sealed=await sealed_words(self._vault, kept, {"text": digest}))
        await self._store.commit(Work(changes=(Update(await self._integrity.sign(kept)),)))


def _file(delivery: DeliveryId, attachment: AttachmentId) -> str:
    """A file of a hand-over, as a grant names it."""
    return f"{delivery}/{attachment}"


def _stopped() -> RefusedError:
    return RefusedError(
        "a consent that it rests on has ended",
        swedish="Samtycket har återkallats eller gått ut. Lämna inte över meddelandet (OSL 12 kap. 2 §).",
        next_step="Förstör utskriften och anteckna att den inte ska lämnas. Är den redan lämnad: anteckna det.",
    )
