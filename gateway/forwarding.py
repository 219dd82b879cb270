"""Forward what came to a registrator to the inbox that should have it, by the envelope alone and unread.

Why this exists: a sender who does not know the right function writes to the authority's registrator, and a registrator
sees envelopes, never content (domain.md §12). So forwarding is a signed act inside one administration: the gateway
opens the envelope in the registrator's session after the log, seals the same words to the chosen inbox, and shows
nobody anything. The first delivery ends as RELAYED: it is never called opened, since nobody has read it.

Rule: only within the own administration, where no secrecy border is crossed (OSL 8 kap. 1-2 §§; D1, JUR). Another
authority's matter is the sender's to send again.
"""

from __future__ import annotations

from collections.abc import Mapping

from gateway.attachments import Stored
from gateway.audit import AuditAction
from gateway.cases import Cases
from gateway.decide import AccessAction
from gateway.deliver import moved_delivery
from gateway.errors import NotFoundError, RecipientError
from gateway.forms import FormCatalogue
from gateway.forms.names import MESSAGE, OUTSIDE_MESSAGE
from gateway.model.base import EnvelopeId, InboxId
from gateway.model.classes import Category, Stage
from gateway.model.directory import Inbox, InboxKind
from gateway.model.keys import KeyHead, KeyRecordKind
from gateway.model.queue import Task
from gateway.opening import OpenedMessage, Opening
from gateway.ports import Change, Clock, Store, Update
from gateway.recalls import closed
from gateway.rights import Rights, Standing
from gateway.seal import Dispatch, Sealing
from gateway.sending import Sending
from gateway.sessions import Signed
from gateway.states import DeliveryEvent, TaskState
from gateway.store import Acceptance, Accepted


class Forwarding:
    """The use case of a registrator."""

    def __init__(
        self,
        store: Store,
        rights: Rights,
        cases: Cases,
        forms: FormCatalogue,
        opening: Opening,
        sending: Sending,
        sealing: Sealing,
        acceptance: Acceptance,
        clock: Clock,
    ) -> None:
        self._store = store
        self._rights = rights
        self._cases = cases
        self._forms = forms
        self._opening = opening
        self._sending = sending
        self._sealing = sealing
        self._acceptance = acceptance
        self._clock = clock

    async def targets(self, signed: Signed, registrator: InboxId, form_type: str) -> list[Inbox]:
        """The inboxes of the own administration that take such a form and that somebody reads.

        What came from a foreign client is a message, and no inbox names its form: it goes where messages go.
        """
        taken = MESSAGE if form_type == OUTSIDE_MESSAGE else form_type
        standing = await self._rights.act(signed, registrator, AccessAction.FORWARD)
        found = [
            inbox
            for inbox in standing.directory.inboxes.values()
            if inbox.administration == standing.inbox.administration
            and inbox.kind is not InboxKind.REGISTRATOR
            and taken in inbox.accepts
        ]
        return [box for box in found if await self._store.get(KeyHead, KeyRecordKind.INBOX, box.id) is not None]

    async def forward(self, signed: Signed, envelope: EnvelopeId, to: InboxId) -> Accepted:
        """Forward one unopened envelope of a registrator's inbox.

        Raises:
            NotFoundError: no such envelope, not yours, or it was forwarded already; one answer.
            RecipientError: `to` is not in the own administration, takes no such form, or nobody reads it.
            StepUpRequiredError: as for opening, though nothing is shown.
            RefusedError: the consent it rests on has ended, or the sender asks for it back.
            ConflictError: a colleague forwarded it in this moment.
        """
        task = await self._store.get(Task, envelope)
        if task is None or task.state is not TaskState.OPEN:
            raise _absent()
        standing = await self._rights.act(signed, task.inbox, AccessAction.FORWARD, absent=_absent())
        chosen = next((box for box in await self.targets(signed, task.inbox, task.form_type) if box.id == to), None)
        if chosen is None:
            raise RecipientError(
                "not an inbox of the own administration that takes this",
                swedish="Meddelandet kan bara lämnas vidare till en inkorg i den egna förvaltningen som tar emot det.",
                next_step="Välj en annan inkorg. Gäller det en annan myndighet: be avsändaren skicka dit.",
            )
        found, delivery = await self._opening.relayed(standing, envelope)
        dispatch = await self._dispatch(standing, chosen, found, task)
        decision = await self._sending.decide(standing, dispatch)
        at = self._clock.now()
        sealed = await self._sealing.seal(dispatch, decision, at=at)
        changes: tuple[Change, ...] = (
            Update(moved_delivery(delivery, DeliveryEvent.RELAYED, at)),
            Update(closed(task, at, by=signed.user.id)),
        )
        return await self._acceptance.accept(
            standing,
            sealed,
            decision,
            dispatch.case,
            event=None,
            request=None,
            due_at=at,
            extra=changes,
            action=AuditAction.FORWARDED,
        )

    async def _dispatch(self, standing: Standing, to: Inbox, found: OpenedMessage, task: Task) -> Dispatch:
        fields = found.opened.body.get("fields")
        values = dict(fields) if isinstance(fields, Mapping) else {}
        # A file was uploaded to a draft, or it came in from outside and was never in one: the envelope names its blob.
        blobs = {row.attachment: row.blob for row in await self._store.attachments_under(found.envelope.id)}
        stored = [
            Stored(blob=blobs[file.id], owner=found.message.administration, file=file, category=Category.SOCIAL)
            for file in found.opened.attachments
        ]
        first = await self._cases.find(standing.inbox.id, task.case)
        return Dispatch(
            sender=standing.inbox,
            case=first,
            form=self._forms.get(found.message.form_type, found.message.form_version),
            values=values,
            recipients=((to, Stage.S1),),
            attachments=tuple(stored),
            in_reply_to=task.message,
            meta={"forwarded_by": f"{standing.inbox.name}: {standing.signed.user.title}", "forwarded": task.message},
        )


def _absent() -> NotFoundError:
    return NotFoundError("no such item", swedish="Meddelandet finns inte, eller är redan vidarelämnat.")
