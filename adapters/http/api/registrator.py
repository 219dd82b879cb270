"""The registrator over the API: the register, what is stopped or asked back, and forwarding unread; and asking back.

Why this exists: what is received is registered as soon as it has come (OSL 5 kap. 1-2 §§), often in the registry's own
system. Nothing here opens anything; rules are `gateway.traffic`'s, `gateway.recalls`'s and `gateway.forwarding`'s.
"""

from __future__ import annotations

from typing import Final

from adapters.http.api.post import OPENING, SENDING, Sent
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, FormName, Id, InboxName, InInbox, MaybeId, Next, cursor, cursor_text
from adapters.http.parameters import AFTER, PARTS, limit, text
from adapters.http.routes import Call, Model, Tag
from gateway.errors import IllegalTransitionError
from gateway.model.base import EnvelopeId, InboxId, MessageId
from gateway.model.queue import Recall
from gateway.states import DeliveryState, RecallState
from gateway.traffic import Registered


class RecallLine(Model):
    """That a sender asks an envelope back. `incident`: it was opened already, so both sides handle it."""

    envelope: Id
    message: Id
    case: Id
    inbox: InboxName
    sender: InboxName
    state: RecallState
    requested_by: Id
    requested_at: At
    decided_by: MaybeId
    decided_at: At | None


class RecallList(Model):
    recalls: list[RecallLine]


class RecallPage(Model):
    recalls: list[RecallLine]
    next: Next


class Ruling(Model):
    """`uphold` keeps members out for good; else they may open it again."""

    uphold: bool


class RegisterEntry(Model):
    """A received envelope from its outside; `consent_ended` and `recall` say why members may be kept from it."""

    envelope: Id
    message: Id
    case: Id
    case_reference: str
    form_type: FormName
    sender: InboxName
    inbox: InboxName
    state: DeliveryState
    delivered_at: At
    consent_ended: bool
    recall: RecallState | None


class RegisterPage(Model):
    entries: list[RegisterEntry]
    next: Next


class RegisterList(Model):
    entries: list[RegisterEntry]


class Target(Model):
    id: InboxName
    name: str


class TargetList(Model):
    targets: list[Target]


class ForwardTo(Model):
    to: InboxName


async def ask_back(call: Call) -> RecallList:
    body: InInbox = call.body
    made = await call.gateway.recalls.request(call.signed, InboxId(body.inbox), MessageId(call.part("message")))
    return RecallList(recalls=[_recall(row) for row in made])


async def list_recalls(call: Call) -> RecallPage:
    most, inbox = call.number("limit"), InboxId(call.part("inbox"))
    found = await call.gateway.recalls.asked(call.signed, inbox, after=cursor(call), limit=most)
    last = found[-1] if len(found) == most else None
    return RecallPage(
        recalls=[_recall(row) for row in found],
        next=cursor_text(last.requested_at, last.envelope) if last else "",
    )


async def read_recall(call: Call) -> RecallLine:
    inbox, envelope = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))
    return _recall(await call.gateway.recalls.one(call.signed, inbox, envelope))


async def decide_recall(call: Call) -> RecallLine:
    body: Ruling = call.body
    inbox, envelope = InboxId(call.part("inbox")), EnvelopeId(call.part("envelope"))
    return _recall(await call.gateway.recalls.decide(call.signed, inbox, envelope, uphold=body.uphold))


async def list_register(call: Call) -> RegisterPage:
    most, inbox = call.number("limit"), InboxId(call.part("inbox"))
    found = await call.gateway.traffic.received(call.signed, inbox, after=cursor(call), limit=most)
    last = found[-1].line if len(found) == most else None
    return RegisterPage(
        entries=[_entry(one) for one in found],
        next=cursor_text(last.delivered_at, last.delivery) if last else "",
    )


async def list_stopped(call: Call) -> RegisterList:
    found = await call.gateway.traffic.stopped(call.signed, InboxId(call.part("inbox")))
    return RegisterList(entries=[_entry(one) for one in found])


async def list_targets(call: Call) -> TargetList:
    inbox = InboxId(call.part("inbox"))
    found = await call.gateway.forwarding.targets(call.signed, inbox, call.text("form_type"))
    return TargetList(targets=[Target.of(box) for box in found])


async def forward_envelope(call: Call) -> Sent:
    body: ForwardTo = call.body
    accepted = await call.gateway.forwarding.forward(call.signed, EnvelopeId(call.part("envelope")), InboxId(body.to))
    return Sent.of(accepted)


def _recall(row: Recall) -> RecallLine:
    return RecallLine(
        envelope=row.envelope,
        message=row.message,
        case=row.case,
        inbox=row.inbox,
        sender=row.sender,
        state=row.state,
        requested_by=row.requested_by,
        requested_at=row.requested_at,
        decided_by=row.decided_by or "",
        decided_at=row.decided_at,
    )


def _entry(one: Registered) -> RegisterEntry:
    line = one.line
    return RegisterEntry(
        envelope=line.envelope,
        message=line.message,
        case=line.case,
        case_reference=line.case_reference,
        form_type=line.form_type,
        sender=line.sender,
        inbox=line.inbox,
        state=DeliveryState(line.state),
        delivered_at=line.delivered_at,
        consent_ended=one.consent_ended,
        recall=one.recall.state if one.recall else None,
    )


RECALL: Final = "/inboxes/{inbox}/recalls/{envelope}"
FORM_TYPE: Final = text("form_type", "Blanketten som ska tas emot.", pattern=PARTS["form"].pattern)
ROUTES: Final = (
    call_row(
        "POST",
        "/messages/{message}/recall",
        ask_back,
        "Begär tillbaka ett meddelande som har kommit fram",
        tag=Tag.SEND,
        audit="recall_requested",
        takes=InInbox,
        gives=RecallList,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/register",
        list_register,
        "Registraturen: allt som förvaltningens inkorgar har fått",
        tag=Tag.DELIVER,
        audit="register_read",
        gives=RegisterPage,
        query=(AFTER, limit()),
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/register/stopped",
        list_stopped,
        "Det som medlemmar inte får öppna för att ett samtycke har upphört",
        tag=Tag.DELIVER,
        audit="register_read",
        gives=RegisterList,
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/recalls",
        list_recalls,
        "Det som avsändare begär tillbaka av förvaltningen",
        tag=Tag.DELIVER,
        audit="none: states without content",
        gives=RecallPage,
        query=(AFTER, limit()),
    ),
    call_row(
        "GET",
        RECALL,
        read_recall,
        "En begäran om återtagande",
        tag=Tag.DELIVER,
        audit="none: a state without content",
        gives=RecallLine,
    ),
    call_row(
        "POST",
        f"{RECALL}/decide",
        decide_recall,
        "Avgör en begäran om återtagande",
        tag=Tag.DELIVER,
        audit="recall_decided",
        takes=Ruling,
        gives=RecallLine,
        fails=(IllegalTransitionError,),
    ),
    call_row(
        "GET",
        "/inboxes/{inbox}/forward-targets",
        list_targets,
        "Vart registratorn kan lämna vidare en blankett",
        tag=Tag.DELIVER,
        audit="none: from the directory",
        gives=TargetList,
        query=(FORM_TYPE,),
    ),
    call_row(
        "POST",
        "/envelopes/{envelope}/forward",
        forward_envelope,
        "Lämna vidare oläst, inom förvaltningen",
        tag=Tag.DELIVER,
        audit="forwarded",
        takes=ForwardTo,
        gives=Sent,
        status=201,
        fails=(*SENDING, *OPENING),
    ),
)
