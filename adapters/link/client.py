"""A client of a collaboration system over HTTP: the port's operations, and a referral as COS takes one.

Why this exists: what the other side answers is a value here: three shapes of errors, a rate limit with its pause, a
session that ended by idling are each one `Refusal`. The operations on cases are tried against the simulator only, since
no API of Link is published (UNK); the referral follows Cambio Open Services as described (V2), behind a switch.

Rules: every wait has an end, every answer a limit; a POST is repeated with the same `client_ref`; no answer's text and
no patient reach a log.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from urllib.parse import quote

import aiohttp

from adapters.link.shapes import ACTING, is_reference, parsed, read_case, read_envelope, refusal_of, status_of
from gateway.collaboration import (
    Actor,
    CaseKind,
    LinkCase,
    LinkEnvelope,
    LinkStatus,
    PlanType,
    Refusal,
    Trouble,
)

MAX_ANSWER: Final = 4_000_000
TIMEOUT_S: Final = 30.0
KEY_HEADER: Final = "Ocp-Apim-Subscription-Key"
T = TypeVar("T")
AWAY: Final = Refusal(Trouble.AWAY)


@dataclass(frozen=True, slots=True, kw_only=True)
class LinkAccess:
    """Where the system is, and who we are to it: a user of one function, with the function's own rights there."""

    base: str  # without a slash at the end
    user: str
    secret: str = ""
    subscription: str = ""


class LinkClient:
    """`CareCollaborationPort` over HTTP."""

    def __init__(self, access: LinkAccess, session: aiohttp.ClientSession, *, timeout_s: float = TIMEOUT_S) -> None:
        self._access = access
        self._session = session
        self._timeout_s = timeout_s
        self._token = ""
        self._renewing = asyncio.Lock()

    async def list_new(self, inbox: str) -> Sequence[LinkEnvelope] | Refusal:
        return await self._read(f"/link/inboxes/{_part(inbox)}/new", _envelopes)

    async def get_case(self, case: str) -> LinkCase | Refusal:
        return await self._read(f"/link/cases/{_part(case)}", read_case)

    async def status(self, case: str, acting: str) -> LinkStatus | Refusal:
        """Our shape (INF). What people wrote as a reference and cannot be one is not sent anywhere."""
        if not is_reference(case):
            return Refusal(Trouble.INVALID)
        answer = await self._call("GET", _of(case, "status"), None, {ACTING: acting})
        return answer if isinstance(answer, Refusal) else status_of(answer, case)

    async def open_case(
        self, client_ref: str, patient: str, kind: CaseKind, inviter: str, invitees: Sequence[Actor], reason: str
    ) -> str | Refusal:
        body = {
            "client_ref": client_ref,
            "patient": patient,
            "kind": kind,
            "inviter": inviter,
            "invitees": [[one.kind, one.name] for one in invitees],
            "reason": reason,
        }
        return await self._do("/link/cases", body, str)

    async def invite(self, client_ref: str, case: str, actor: Actor) -> int | Refusal:
        return await self._act(case, "invite", client_ref, {"actor": [actor.kind, actor.name]})

    async def accept(self, client_ref: str, case: str, actor: str) -> int | Refusal:
        return await self._act(case, "accept", client_ref, {"actor": actor})

    async def decline(self, client_ref: str, case: str, actor: str, reason: str) -> int | Refusal:
        return await self._act(case, "decline", client_ref, {"actor": actor, "reason": reason})

    async def post_message(self, client_ref: str, case: str, text: str) -> str | Refusal:
        return await self._do(_of(case, "messages"), {"client_ref": client_ref, "text": text}, str)

    async def add_plan_note(self, client_ref: str, case: str, plan: PlanType, text: str) -> int | Refusal:
        return await self._act(case, "plan-notes", client_ref, {"plan": plan, "text": text})

    async def agree_plan(self, client_ref: str, case: str) -> int | Refusal:
        return await self._act(case, "agree", client_ref, {})

    async def close_case(self, client_ref: str, case: str, reason: str) -> int | Refusal:
        return await self._act(case, "close", client_ref, {"reason": reason})

    async def mark_distributed(self, client_ref: str, case: str, administration: str) -> int | Refusal:
        return await self._act(case, "distribute", client_ref, {"administration": administration})

    async def refer(self, client_ref: str, patient: str, recipient: str, text: str) -> str | Refusal:
        """COS `POST /api/open/referrals` (V2): its id, which says that COSMIC has it and not that anybody reads it."""
        body = {"client_ref": client_ref, "recipient": recipient, "text": text}
        headers = {KEY_HEADER: self._access.subscription, "patient": patient}
        return await self._do("/api/open/referrals", body, str, headers)

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _act(self, case: str, operation: str, client_ref: str, body: Mapping[str, Any]) -> int | Refusal:
        return await self._do(_of(case, operation), {"client_ref": client_ref, **body}, int)

    async def _do(
        self, path: str, body: Mapping[str, Any], kind: type[T], headers: Mapping[str, str] | None = None
    ) -> T | Refusal:
        answer = await self._call("POST", path, body, headers)
        if isinstance(answer, Refusal):
            return answer
        done = answer.get("done") if isinstance(answer, Mapping) else None
        return done if isinstance(done, kind) else AWAY

    async def _read(self, path: str, read: Callable[[Any], T]) -> T | Refusal:
        answer = await self._call("GET", path, None)
        if isinstance(answer, Refusal):
            return answer
        try:
            return read(answer)
        except (KeyError, TypeError, ValueError, AttributeError):
            return AWAY  # what says yes and holds nothing that we know is no answer

    async def _call(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str] | None = None
    ) -> Any:
        for renewed in (False, True):
            refusal = await self._signed_in(renew=renewed)
            if refusal is not None:
                return refusal
            answer = await self._once(method, path, {"Authorization": f"Bearer {self._token}", **(headers or {})}, body)
            if not (isinstance(answer, Refusal) and answer.trouble is Trouble.SESSION):
                return answer
        return answer

    async def _signed_in(self, *, renew: bool) -> Refusal | None:
        async with self._renewing:
            if self._token and not renew:
                return None
            form = {"grant_type": "client_credentials", "client_id": self._access.user}
            answer = await self._once("POST", "/token", {}, None, form | {"client_secret": self._access.secret})
            if isinstance(answer, Refusal):
                return answer
            token = answer.get("access_token") if isinstance(answer, Mapping) else None
            if not isinstance(token, str):
                return AWAY
            self._token = token
            return None

    async def _once(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: Mapping[str, Any] | None,
        form: Mapping[str, str] | None = None,
    ) -> Any:
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    method, self._access.base + path, headers=headers, json=body, data=form, allow_redirects=False
                ) as response,
            ):
                octets = await response.content.read(MAX_ANSWER + 1)
                while len(octets) <= MAX_ANSWER and (more := await response.content.read(MAX_ANSWER)):
                    octets += more
        except (aiohttp.ClientError, TimeoutError, OSError):
            return AWAY
        if len(octets) > MAX_ANSWER:
            return AWAY
        answer = parsed(octets)
        if 200 <= response.status < 300:
            return answer
        return refusal_of(response.status, answer, response.headers.get("Retry-After", ""))


def _envelopes(told: Any) -> tuple[LinkEnvelope, ...]:
    if not isinstance(told, list):
        raise TypeError("not a list")
    return tuple(read_envelope(one) for one in told)


def _part(text: str) -> str:
    return quote(text, safe="")


def _of(case: str, operation: str) -> str:
    return f"/link/cases/{_part(case)}/{operation}"
