"""One's own notices over the API: whether, where and when one is told by e-mail; nobody reads or sets another's.

Why this exists: where people work in a case system all day, their choice belongs there too. Rules are
`gateway.notice_choices`'s, and the page's.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import MaybeId
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.errors import InvalidFormError, NotFoundError
from gateway.model.base import UserId
from gateway.notice_times import Choice, When

Minute = Annotated[int, Field(ge=0, lt=24 * 60, description="Minut på dygnet i svensk tid.")]
Day = Annotated[str, Field(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$", description="ÅÅÅÅ-MM-DD, eller tom.")]


class MyNotices(Model):
    """What one has chosen. Equal quiet times mean no quiet hours; empty days mean not away."""

    when: When
    address: Annotated[str, Field(pattern="^[^\\x00-\\x1f\\x7f]{0,254}$", examples=["funktion@kommun.example"])] = ""
    language: Literal["sv", "en"] = "sv"
    digest_at: Minute = 8 * 60
    quiet_from: Minute = 17 * 60
    quiet_to: Minute = 8 * 60
    weekends: bool = False
    away_from: Day = ""
    away_to: Day = ""
    deputy: MaybeId = ""


class ShownNotices(Model):
    """The choice, and how it goes: the last notice did not arrive (`failed`), no more go to the address until it is
    saved anew (`stopped`), or the address is told the organisation's name alone (`private`)."""

    choice: MyNotices
    failed: bool
    stopped: bool
    private: bool


async def read_my_notices(call: Call) -> ShownNotices:
    shown = await call.gateway.notice_choices.mine(call.signed)
    chosen = shown.choice
    return ShownNotices(
        choice=MyNotices(
            when=chosen.when,
            address=chosen.address,
            language="en" if chosen.language == "en" else "sv",
            digest_at=chosen.digest_at,
            quiet_from=chosen.quiet_from,
            quiet_to=chosen.quiet_to,
            weekends=chosen.weekends,
            away_from=chosen.away_from,
            away_to=chosen.away_to,
            deputy=chosen.deputy or "",
        ),
        failed=shown.failed,
        stopped=shown.stopped,
        private=shown.private,
    )


async def choose_my_notices(call: Call) -> ShownNotices:
    body: MyNotices = call.body
    told = body.model_dump(exclude={"deputy"})
    await call.gateway.notice_choices.choose(call.signed, Choice(**told, deputy=UserId(body.deputy) or None))
    return await read_my_notices(call)


ROUTES: Final = (
    call_row(
        "GET",
        "/my-notices",
        read_my_notices,
        "Mina aviseringar: vad jag har valt, och om de kommer fram",
        tag=Tag.INBOXES,
        audit="none: one's own",
        gives=ShownNotices,
        scope=Scope.OWN,
    ),
    call_row(
        "PUT",
        "/my-notices",
        choose_my_notices,
        "Välj mina aviseringar; det som var stoppat för att det studsade börjar igen",
        tag=Tag.INBOXES,
        audit="notices_chosen",
        takes=MyNotices,
        gives=ShownNotices,
        scope=Scope.OWN,
        fails=(InvalidFormError, NotFoundError),
    ),
)
