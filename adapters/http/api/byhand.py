"""By hand over the API: what an inbox has to print and hand over, to say, and what people said of it.

Why this exists: where a case system keeps people's lists, what they must carry belongs in them. Rules are
`gateway.printing`'s and `gateway.carrying`'s: nothing is delivered or told before a person says so.
"""

from __future__ import annotations

from typing import Annotated, Final

from aiohttp import web
from pydantic import Field

from adapters.http.api.attachments import OCTETS
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, FormName, Id, InboxName
from adapters.http.api.signin import Code
from adapters.http.downloads import download
from adapters.http.routes import Call, Model, Rate, Tag
from gateway.carried import LONGEST, Check, Said
from gateway.collaboration import LinkStatus, Trouble
from gateway.errors import (
    ActCodeRequiredError,
    AttachmentError,
    ConflictError,
    EnvelopeError,
    FileWaitsError,
    IllegalTransitionError,
    InvalidFormError,
    RefusedError,
    SignInError,
    TooManyAttemptsError,
)
from gateway.loads import Load
from gateway.model.base import AttachmentId, InboxId, Instant
from gateway.model.carrying import HandOver, Manner, Obstacle
from gateway.model.path import Channel
from gateway.states import DeliveryState

Words = Annotated[str, Field(max_length=LONGEST)]


class ByHand(Model):
    """A message that people carry. `stopped`: a consent that it rests on has ended, so it is not to be handed over."""

    delivery: Id
    message: Id
    case: Id
    case_reference: str
    form_type: FormName
    inbox: InboxName
    channel: Channel
    state: DeliveryState
    taken_out: bool
    stopped: bool
    expires_at: At


class ToSay(Model):
    """Something that `party` must be told by a person; `what` is the kind of the notice."""

    notice: Id
    party: InboxName
    case: Id
    case_reference: str
    what: str
    since: At


class ByHandList(Model):
    loads: list[ByHand]
    sayings: list[ToSay]


class PaperFile(Model):
    id: Id
    name: str
    media_type: str
    size: int


class Permitted(Model):
    """A code was used for this print: the paper once and each of its files once, until `ends_at`."""

    delivery: Id
    ends_at: At


class PaperText(Model):
    """What is printed: the recipient's projection as text, its SHA-256 (hexadecimal), and where it goes."""

    text: str
    sha256: str
    address: str
    files: list[PaperFile]


class HandedOver(Model):
    """A person's word. `checks` must have every point of the channel's checklist; `given_to` names a function."""

    manner: Manner
    handed_at: At
    given_to: Words
    reference: Words = ""
    checks: list[Check] = Field(default_factory=list)


class NotHandedOver(Model):
    why: Obstacle


class Settled(Model):
    id: Id
    party: InboxName
    manner: str
    handed_at: At | None
    settled_at: At | None


class SeenInLink(Model):
    """How a case stands in Cosmic Link: a state of our model (inferred, no label of theirs), or why there is none."""

    delivery: Id
    status: LinkStatus | None
    trouble: Trouble | None


async def list_by_hand(call: Call) -> ByHandList:
    found = await call.gateway.carrying.waiting(call.signed, InboxId(call.part("inbox")))
    return ByHandList(
        loads=[_load(one) for one in found.loads],
        sayings=[
            ToSay(
                notice=row.id,
                party=row.party,
                case=case.id,
                case_reference=case.reference,
                what=row.what,
                since=row.created_at,
            )
            for row, case in found.sayings
        ],
    )


async def read_by_hand(call: Call) -> ByHand:
    inbox, delivery = _where(call)
    return _load(await call.gateway.carrying.find(call.signed, inbox, delivery))


async def take_out(call: Call) -> ByHand:
    inbox, delivery = _where(call)
    await call.gateway.printing.take(call.signed, inbox, delivery)
    return _load(await call.gateway.carrying.find(call.signed, inbox, delivery))


async def permit_print(call: Call) -> Permitted:
    inbox, delivery = _where(call)
    body: Code = call.body
    ends_at = await call.gateway.printing.permit(call.signed, inbox, delivery, body.code)
    return Permitted(delivery=delivery, ends_at=ends_at)


async def print_by_hand(call: Call) -> PaperText:
    inbox, delivery = _where(call)
    paper = await call.gateway.printing.print(call.signed, inbox, delivery)
    return PaperText(
        text=paper.text,
        sha256=paper.digest,
        address=paper.way.address,
        files=[
            PaperFile(id=file.id, name=file.name, media_type=file.media_type, size=file.size)
            for file in paper.opened.attachments
        ],
    )


async def print_file(call: Call) -> web.StreamResponse:
    inbox, delivery = _where(call)
    key = AttachmentId(call.part("attachment"))
    file, pieces = await call.gateway.printing.file(call.signed, inbox, delivery, key)
    return await download(call, file, pieces)


async def hand_over_message(call: Call) -> Settled:
    inbox, delivery = _where(call)
    return _settled(await call.gateway.carrying.hand_over(call.signed, inbox, delivery, _said(call.body)))


async def ask_link(call: Call) -> SeenInLink:
    inbox, delivery = _where(call)
    seen = await call.gateway.linked.look(call.signed, inbox, delivery)
    return SeenInLink(delivery=delivery, status=seen.status, trouble=seen.trouble)


async def not_handed_over(call: Call) -> ByHand:
    inbox, delivery = _where(call)
    body: NotHandedOver = call.body
    await call.gateway.carrying.give_up(call.signed, inbox, delivery, body.why)
    return _load(await call.gateway.carrying.find(call.signed, inbox, delivery))


async def say_to_party(call: Call) -> Settled:
    inbox, notice = InboxId(call.part("inbox")), call.part("notice")
    return _settled(await call.gateway.carrying.say(call.signed, inbox, notice, _said(call.body)))


def _where(call: Call) -> tuple[InboxId, str]:
    return InboxId(call.part("inbox")), call.part("delivery")


def _said(body: HandedOver) -> Said:
    return Said(
        manner=body.manner,
        handed_at=Instant(body.handed_at),
        given_to=body.given_to,
        reference=body.reference,
        checks=frozenset(body.checks),
    )


def _load(one: Load) -> ByHand:
    return ByHand(
        delivery=one.delivery.id,
        message=one.message.id,
        case=one.case.id,
        case_reference=one.case.reference,
        form_type=one.message.form_type,
        inbox=one.delivery.inbox,
        channel=one.delivery.channel,
        state=one.delivery.state,
        taken_out=one.hand_over is not None,
        stopped=one.stopped,
        expires_at=one.delivery.expires_at,
    )


def _settled(row: HandOver) -> Settled:
    return Settled(id=row.id, party=row.party, manner=row.manner, handed_at=row.handed_at, settled_at=row.settled_at)


PRINTING: Final = (ActCodeRequiredError, RefusedError, EnvelopeError)
ONE: Final = "/inboxes/{inbox}/by-hand/{delivery}"
ROUTES: Final = (
    call_row(
        "GET",
        "/inboxes/{inbox}/by-hand",
        list_by_hand,
        "Det som inkorgens personal ska lämna för hand, och det som en mottagare ska få höra",
        tag=Tag.DELIVER,
        audit="none: lists without content",
        gives=ByHandList,
    ),
    call_row(
        "GET",
        ONE,
        read_by_hand,
        "Ett meddelande som lämnas för hand",
        tag=Tag.DELIVER,
        audit="none: a state without content",
        gives=ByHand,
    ),
    call_row(
        "POST",
        f"{ONE}/take",
        take_out,
        "Ta ut ett meddelande för utskrift: från nu kan det ha lämnat er",
        tag=Tag.DELIVER,
        audit="dispatched",
        gives=ByHand,
        fails=(RefusedError,),
    ),
    call_row(
        "POST",
        f"{ONE}/step-up",
        permit_print,
        "Använd en ny kod för en utskrift",
        tag=Tag.DELIVER,
        audit="stepped_up",
        takes=Code,
        gives=Permitted,
        rate=Rate.SIGN_IN,
        fails=(SignInError, TooManyAttemptsError),
    ),
    call_row(
        "POST",
        f"{ONE}/print",
        print_by_hand,
        "Öppna det som är uttaget, så som mottagaren får det",
        tag=Tag.DELIVER,
        audit="printed",
        gives=PaperText,
        fails=PRINTING,
    ),
    call_row(
        "GET",
        f"{ONE}/files/{{attachment}}",
        print_file,
        "En bilaga till det som är uttaget",
        tag=Tag.DELIVER,
        audit="printed",
        media=OCTETS,
        fails=(*PRINTING, AttachmentError, FileWaitsError),
    ),
    call_row(
        "POST",
        f"{ONE}/handed-over",
        hand_over_message,
        "Anteckna att det är lämnat: hur, när och till vilken funktion",
        tag=Tag.DELIVER,
        audit="carried",
        takes=HandedOver,
        gives=Settled,
        fails=(InvalidFormError, IllegalTransitionError),
    ),
    call_row(
        "POST",
        f"{ONE}/link-status",
        ask_link,
        "Fråga Cosmic Link hur ärendet står där (L1, bara när det är påslaget)",
        tag=Tag.DELIVER,
        audit="link_asked",
        gives=SeenInLink,
        fails=(ConflictError,),
    ),
    call_row(
        "POST",
        f"{ONE}/not-handed-over",
        not_handed_over,
        "Anteckna att det inte är lämnat, och varför",
        tag=Tag.DELIVER,
        audit="not_delivered",
        takes=NotHandedOver,
        gives=ByHand,
        fails=(IllegalTransitionError,),
    ),
    call_row(
        "POST",
        "/inboxes/{inbox}/sayings/{notice}/said",
        say_to_party,
        "Anteckna att en mottagare har fått höra det",
        tag=Tag.DELIVER,
        audit="announced",
        takes=HandedOver,
        gives=Settled,
        fails=(InvalidFormError, IllegalTransitionError),
    ),
)
