"""A served gateway with a case system that is registered, and the system's client: time is injected, peers are real."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from joserfc import jwt
from joserfc.jwk import ECKey

from adapters.http.api import ROUTES
from adapters.http.server import application, listening
from adapters.sdk import server
from adapters.sdk.client import Access, SdkApi
from adapters.sdk.model import Attention, Document, Identifier, Message, Party, Reference
from gateway.forms.names import MESSAGE
from gateway.model.base import DAY, SECOND, InboxId, Instant, MessageId
from gateway.model.classes import Category, PrivacyClass
from gateway.model.identity import MembershipRole
from gateway.model.path import Case
from gateway.sessions import SessionRules, Signed
from gateway.systems import Registered
from gateway.usecases import Options
from tests.county import ALVESTA, SEAT_E, County, a_county

CLIENT = "alvesta-verksamhet"
RISK = "SN 2026/17"
A_PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
FORM = {"client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}


@dataclass
class Served:
    """A served gateway, a system that is registered, and its client."""

    county: County
    address: str
    http: aiohttp.ClientSession
    key: ECKey
    system: Registered
    admin: Signed
    worker: Signed
    told: list[Any] = field(default_factory=list)

    @property
    def api(self) -> SdkApi:
        return SdkApi(self.access(), self.http, self.county.clock)

    def access(self, **changes: Any) -> Access:
        known: dict[str, Any] = {
            "base": f"{self.address}/",
            "token_url": f"{self.address}/sdk/token",
            "client_id": CLIENT,
            "key": self.key,
            "algorithm": "ES256",
        }
        return Access(**{**known, **changes})

    def assertion(self, key: ECKey | None = None, **changes: Any) -> str:
        now = self.county.clock.now() // SECOND
        claims = {
            "iss": CLIENT,
            "sub": CLIENT,
            "aud": f"{self.address}/sdk/token",
            "jti": f"jti-{len(self.told)}-{now}",
            "exp": now + 60,
            **changes,
        }
        self.told.append(claims)
        kept = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode({"alg": "ES256"}, kept, key or self.key)

    async def token(self, assertion: str | None = None, **changes: str) -> tuple[int, dict[str, Any]]:
        form = {
            "grant_type": "client_credentials",
            **FORM,
            "client_assertion": assertion or self.assertion(),
            **changes,
        }
        async with self.http.post(f"{self.address}/sdk/token", data=form) as response:
            return response.status, await response.json()

    async def call(self, method: str, path: str, token: str = "", **more: Any) -> tuple[int, Any, Any]:
        if not token:
            token = (await self.token())[1]["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with self.http.request(method, f"{self.address}{path}", headers=headers, **more) as response:
            body = await response.json() if response.content_type == "application/json" else await response.read()
            return response.status, body, response.headers

    async def admitted(self, ceiling: PrivacyClass | None = PrivacyClass.P3, inbox: InboxId = ALVESTA) -> None:
        """The system proposed by the administrator and let in by a present member."""
        risk = RISK if ceiling and ceiling > PrivacyClass.P2 else ""
        await self.county.gateway.administering.propose(
            self.admin, inbox, self.system.user.id, MembershipRole.MEMBER, ceiling=ceiling, risk_decision=risk
        )
        await self.county.gateway.inboxes.admit(self.worker, inbox, self.system.user.id)

    async def referred(self) -> Case:
        """A case with consent whose referral the seats have."""
        case, _ = await self.county.consented_case(self.worker)
        await self.county.send_referral(self.worker, case.id)
        await self.county.deliver()
        return case

    async def written(
        self,
        case: Case,
        text: str = "Vi hörs på onsdag.",
        files: dict[str, bytes] | None = None,
        answers: MessageId | None = None,
    ) -> str:
        """A message to the system's inbox from a seat, another authority; gives its envelope."""
        gateway, seat = self.county.gateway, await self.county.sign_in("ek-chef")
        values = {"text": text, "categories": ["NEED"]}
        draft = await gateway.drafts.create(seat, SEAT_E, case.id, MESSAGE, 1, values)
        for name, octets in (files or {}).items():
            await gateway.attachments.add(seat, draft.id, name, Category.NEED, once(octets))
        done = await gateway.sending.send_draft(seat, draft.id, [ALVESTA], in_reply_to=answers)
        await self.county.deliver()
        return str(await self.county.envelope(ALVESTA, done.message))


async def once(octets: bytes) -> AsyncIterator[bytes]:
    yield octets


@asynccontextmanager
async def a_server(**options: Any) -> AsyncIterator[Served]:
    async with (
        a_county(options=Options(rules=SessionRules(**options))) as county,
        listening(application(county.gateway, (*ROUTES, *server.routes())), "127.0.0.1", 0) as address,
        aiohttp.ClientSession() as http,
    ):
        admin, worker = await county.sign_in("it"), await county.sign_in("al-sos")
        key = ECKey.generate_key("P-256")
        system = await county.gateway.systems.register(
            admin,
            CLIENT,
            title="Verksamhetssystem, vuxen",
            administration=worker.user.administration,
            key=key.as_dict(private=False),
            ends_at=Instant(county.clock.now() + 400 * DAY),
        )
        yield Served(county, address, http, key, system, admin, worker)


def a_message(served: Served, conversation: str = "", **changes: Any) -> Message:
    identifier = str(uuid.uuid4())
    known: dict[str, Any] = {
        "id": identifier,
        "conversation": conversation or identifier,
        "created": served.county.clock.now(),
        "label": "Fråga om plats",
        "confidential": True,
        "sender": party(ALVESTA, references=("SN-2026-17",), categories=("NEED",)),
        "recipient": party(SEAT_E),
        "documents": (Document(id="1", index="1", texts=("Kan ni ta emot på onsdag?",)),),
    }
    return Message(**{**known, **changes})


def party(inbox: InboxId, references: tuple[str, ...] = (), categories: tuple[str, ...] = ()) -> Party:
    named = [Reference(id=Identifier("dnr", one), label=one) for one in references]
    named += [Reference(id=Identifier(server.CATEGORY_ROOT, one), label=one) for one in categories]
    return Party(id="0203:alvesta.example", attention=Attention(function=f"sambud:{inbox}", references=tuple(named)))
