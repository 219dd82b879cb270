"""The joint answer over the API: one seat of a board proposes, the other confirms or disagrees."""

from __future__ import annotations

from typing import Final

from adapters.http.api.post import OPENING, SENDING, Sent
from adapters.http.api.rows import call_row
from adapters.http.api.shapes import Done, FormValues, Id, InboxName, InInbox, Reason
from adapters.http.routes import Call, Model, Tag
from gateway.errors import IllegalTransitionError
from gateway.model.base import InboxId, MessageId


class NewAnswer(Model):
    """`values` are the answers of the form `board_response`; a deputy says why."""

    inbox: InboxName
    request: Id
    values: FormValues
    deputy_reason: Reason = ""


class Confirmation(Model):
    inbox: InboxName
    deputy_reason: Reason = ""


async def propose_answer(call: Call) -> Sent:
    body: NewAnswer = call.body
    accepted = await call.gateway.answers.propose(
        call.signed,
        InboxId(body.inbox),
        MessageId(body.request),
        body.values,
        idempotency_key=call.key,
        deputy_reason=body.deputy_reason,
    )
    await call.gateway.watching.changed(call.signed, InboxId(body.inbox))
    return Sent.of(accepted)


async def confirm_answer(call: Call) -> Sent:
    body: Confirmation = call.body
    accepted = await call.gateway.answers.confirm(
        call.signed,
        InboxId(body.inbox),
        MessageId(call.part("proposal")),
        idempotency_key=call.key,
        deputy_reason=body.deputy_reason,
    )
    await call.gateway.watching.changed(call.signed, InboxId(body.inbox))
    return Sent.of(accepted)


async def disagree_with_answer(call: Call) -> Done:
    body: InInbox = call.body
    answer = await call.gateway.answers.disagree(call.signed, InboxId(body.inbox), MessageId(call.part("proposal")))
    await call.gateway.watching.changed(call.signed, InboxId(body.inbox))
    return Done(id=answer.proposal)


ROUTES: Final = (
    call_row(
        "POST",
        "/answers",
        propose_answer,
        "Föreslå ett svar till den andra platsen",
        tag=Tag.ANSWER,
        audit="answer_proposed",
        takes=NewAnswer,
        gives=Sent,
        status=201,
        fails=SENDING,
        keyed=True,
    ),
    call_row(
        "POST",
        "/answers/{proposal}/confirm",
        confirm_answer,
        "Bekräfta ett förslag: svaret går till avsändaren",
        tag=Tag.ANSWER,
        audit="answer_confirmed",
        takes=Confirmation,
        gives=Sent,
        status=201,
        fails=(*SENDING, *OPENING),
        keyed=True,
    ),
    call_row(
        "POST",
        "/answers/{proposal}/disagree",
        disagree_with_answer,
        "Vara oense: inget går till avsändaren",
        tag=Tag.ANSWER,
        audit="answer_disagreed",
        takes=InInbox,
        gives=Done,
        fails=(IllegalTransitionError,),
    ),
)
