"""Case systems over the API, for an administrator: which there are, a new one, another key (ADR-0009).

Why this exists: a system signs in at the SDK API with a key that it alone has; the authority's own tools register it
and follow when its key ends. Letting it into an inbox is a member's act, as for everybody (`inboxes`).
"""

from __future__ import annotations

from typing import Annotated, Any, Final

from pydantic import Field

from adapters.http.api.rows import call_row
from adapters.http.api.shapes import At, Id
from adapters.http.routes import Call, Model, Scope, Tag
from gateway.errors import ConflictError, NotFoundError
from gateway.model.base import AdministrationId, Instant, UserId
from gateway.model.identity import UserState
from gateway.systems import Registered

Jwk = Annotated[
    dict[str, Any],
    Field(description="Den publika nyckeln som JWK (RFC 7517): RSA, minst 2 048 bitar, eller P-256.", max_length=16),
]


class SystemBody(Model):
    """`usable_from` is later than now when an administrator replaced the key; from `ends_at` on it proves nothing."""

    id: Id
    client_id: str
    title: str
    administration: str
    state: UserState
    usable_from: At
    ends_at: At


class SystemsBody(Model):
    systems: list[SystemBody]


class NewSystem(Model):
    client_id: Annotated[str, Field(max_length=64)]
    title: Annotated[str, Field(max_length=128, description="Systemets funktion, aldrig en persons namn.")]
    authority: Annotated[str, Field(max_length=128, description="Förvaltningens id i adressboken.")]
    key: Jwk
    ends_at: At


class NewKey(Model):
    key: Jwk
    ends_at: At


async def list_systems(call: Call) -> SystemsBody:
    return SystemsBody(systems=[_body(one) for one in await call.gateway.systems.all(call.signed)])


async def register_system(call: Call) -> SystemBody:
    body: NewSystem = call.body
    made = await call.gateway.systems.register(
        call.signed,
        body.client_id,
        title=body.title,
        administration=AdministrationId(body.authority),
        key=body.key,
        ends_at=Instant(body.ends_at),
    )
    return _body(made)


async def replace_system_key(call: Call) -> SystemBody:
    body: NewKey = call.body
    user = UserId(call.part("user"))
    return _body(await call.gateway.systems.replace_key(call.signed, user, key=body.key, ends_at=Instant(body.ends_at)))


def _body(one: Registered) -> SystemBody:
    return SystemBody(
        id=one.user.id,
        client_id=one.user.login,
        title=one.user.title,
        administration=one.user.administration,
        state=one.user.state,
        usable_from=one.usable_from,
        ends_at=one.ends_at,
    )


ROUTES: Final = (
    call_row(
        "GET",
        "/systems",
        list_systems,
        "System som är anslutna",
        tag=Tag.MANAGE,
        audit="none: names and days, as the list of members shows them",
        gives=SystemsBody,
        scope=Scope.GATEWAY,
    ),
    call_row(
        "POST",
        "/systems",
        register_system,
        "Registrera ett system",
        tag=Tag.MANAGE,
        audit="user_created",
        takes=NewSystem,
        gives=SystemBody,
        status=201,
        scope=Scope.GATEWAY,
        fails=(ConflictError,),
    ),
    call_row(
        "POST",
        "/systems/{user}/key",
        replace_system_key,
        "Byt ett systems nyckel; den nya gäller efter 24 timmar",
        tag=Tag.MANAGE,
        audit="factor_replaced",
        takes=NewKey,
        gives=SystemBody,
        scope=Scope.GATEWAY,
        fails=(NotFoundError,),
    ),
)
