"""The client of the SDK API between message client and message service (B1.4.2; sdk.md §10).

Why this exists: a POST whose answer was lost may have sent something that must not be sent twice, and the API has no
idempotency key. So our own message id is the key: after an unclear answer, or in a second attempt, the message is asked
for first, and posted again only when the service does not know it. Tokens are short-lived and fetched by a signed
assertion (RFC 7523).

Rules: every wait has an end, every answer a limit, no redirect is followed, no answer's text reaches a log.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

import aiohttp
from joserfc import jwt
from joserfc.jwk import Key
from pydantic_core import from_json

from adapters.sdk.api_model import Streamed, Written, entries, written
from adapters.sdk.model import Message
from adapters.sdk.status import FINAL_ACCEPTED, FINAL_FAILED
from gateway.model.base import MINUTE, SECOND, Instant
from gateway.ports import Clock

MAX_ANSWER: Final = 45_000_000  # a message of 30 MB, and what surrounds it
MAX_SMALL: Final = 1_000_000
#: Brackets and commas of an answer: 45 MB of `[],` would be a gigabyte of lists.
MOST_PARTS: Final = 2_000_000
#: A token is renewed this long before it ends.
EARLY: Final = MINUTE
ASSERTION_LIFE_S: Final = 60
#: What a service may ask us to wait; it is asked again then, whatever it said.
LONGEST_WAIT: Final = 15 * MINUTE
_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_MESSAGES: Final = "sdk/messages"


class ServiceAwayError(Exception):
    """The service did not answer as it should; the same may work later."""


class NotTakenError(Exception):
    """The service refused for good. `status` and `title` are for operators."""

    def __init__(self, status: int, title: str) -> None:
        super().__init__(f"{status} {title}")
        self.status = status
        self.title = title


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """Where the service and its token endpoint are, and who we are to them. Scopes are settings: texts disagree."""

    base: str  # ends with a slash
    token_url: str
    client_id: str
    key: Key
    algorithm: str = "RS256"
    scopes: str = (
        "urn:sdk.api:sendMessages urn:sdk.api:getMessage urn:sdk.api:getMessageByFilter urn:sdk.api:deleteMessage"
    )


@dataclass(slots=True)
class _Token:
    value: str = ""
    ends: Instant = field(default=Instant(0))


class SdkApi:
    """Four operations, each with its retries."""

    def __init__(self, access: Access, session: aiohttp.ClientSession, clock: Clock, *, timeout_s: float = 60) -> None:
        self._access = access
        self._session = session
        self._clock = clock
        self._timeout_s = timeout_s
        self._token = _Token()
        self._not_before = Instant(0)
        self._renewing = asyncio.Lock()

    async def send(self, message: Message, files: tuple[Streamed, ...] = (), *, again: bool = False) -> None:
        """Hand over a message, or find that the service has it already.

        Args:
            again: it may have been posted before, so the service is asked first.

        Raises:
            ServiceAwayError: it is not known whether it was taken, or it was not; the same call later settles it.
            NotTakenError: it was refused for good.
            RejectedError: it is larger than a message may be; nothing was sent.
        """
        body = written(message, files)
        if again and await self.known(message.id):
            return
        try:
            status, answer = await self._call("POST", _MESSAGES, body=body, limit=MAX_SMALL)
        except ServiceAwayError:
            # Unclear: it may lie there. The service is asked before anybody posts again (the next call does).
            if await self.known(message.id):
                return
            raise
        if status in (200, 201, 202):
            return
        if status in (400, 409) and await self.known(message.id):
            return  # "already there" is believed only when it is there
        raise _trouble(status, answer)

    async def known(self, identifier: str) -> bool:
        """Whether the service shows a message under our id."""
        return await self._shown(identifier) not in (None, {})

    async def get(self, identifier: str) -> Mapping[str, Any] | None:
        """The attributes of a message; None when the service says that it does not know it (404), and only then."""
        found = await self._shown(identifier)
        if found is not None and not found:
            # `{}` is valid by the official description: what says yes and holds nothing is no answer.
            raise ServiceAwayError("the answer holds no such message")
        return found

    async def _shown(self, identifier: str) -> Mapping[str, Any] | None:
        """The attributes; empty when the answer holds none under this id."""
        status, answer = await self._call("GET", f"{_MESSAGES}/{identifier}", limit=MAX_ANSWER)
        if status == 404:
            return None
        if status != 200:
            raise _trouble(status, answer)
        wanted = identifier.lower()  # a UUID has two spellings
        for name, told in entries(answer):
            if wanted in (name.lower(), str(told.get("messageId", "")).lower()):
                return told
        return {}

    async def waiting(self, function: str) -> list[str]:
        """Ids of messages that wait for a functional address. The list has no texts and no files."""
        query = {"filter[recipientAttention.subOrganization.extension]": function, "filter[messageStatus]": "NEW"}
        status, answer = await self._call("GET", _MESSAGES, query=query, limit=MAX_ANSWER)
        if status == 404:
            return []
        if status != 200:
            raise _trouble(status, answer)
        # A service may ignore a filter: what is not for this address, or not new, is left alone.
        return [
            name
            for name, told in entries(answer)
            if name
            and str(told.get("messageStatus", "NEW")).upper() == "NEW"
            and _is_at(told, "recipientAttention", function)
        ]

    async def ended(self, function: str) -> list[tuple[str, Mapping[str, Any]]]:
        """What was sent for a functional address, has a final status and still lies there; without texts and files."""
        found = []
        for final in (FINAL_ACCEPTED, FINAL_FAILED):
            query = {"filter[senderAttention.subOrganization.extension]": function, "filter[messageStatus]": final}
            code, answer = await self._call("GET", _MESSAGES, query=query, limit=MAX_ANSWER)
            if code == 404:
                continue
            if code != 200:
                raise _trouble(code, answer)
            found += [
                (name, told)
                for name, told in entries(answer)
                if name
                and str(told.get("messageStatus", "")).upper() == final
                and _is_at(told, "senderAttention", function)
            ]
        return found

    async def delete(self, identifier: str) -> None:
        """Take a message off the service; one that is gone is no error."""
        status, answer = await self._call("DELETE", f"{_MESSAGES}/{identifier}", limit=MAX_SMALL)
        if status not in (200, 202, 204, 404):
            raise _trouble(status, answer)

    # --- one call ----------------------------------------------------------------------------------------------------

    async def _call(
        self,
        method: str,
        path: str,
        *,
        limit: int,
        query: Mapping[str, str] | None = None,
        body: Written | None = None,
    ) -> tuple[int, Any]:
        if self._clock.now() < self._not_before:
            raise ServiceAwayError("the service asked us to wait")
        token = await self._bearer()
        status, answer = await self._once(method, path, token, limit=limit, query=query, body=body)
        if status != 401:
            return status, answer
        token = await self._bearer(renew=True)
        return await self._once(method, path, token, limit=limit, query=query, body=body)

    async def _once(
        self,
        method: str,
        path: str,
        token: str,
        *,
        limit: int,
        query: Mapping[str, str] | None,
        body: Written | None,
    ) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        if body is not None:
            headers |= {"Content-Type": "application/json", "Content-Length": str(body.length)}
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.request(
                    method,
                    self._access.base + path,
                    params=query,
                    headers=headers,
                    data=body.read() if body is not None else None,
                    allow_redirects=False,
                ) as response,
            ):
                self._heed(response)
                octets = await _bounded(response, limit)
                return response.status, _json(octets, response)
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise ServiceAwayError(type(trouble).__name__) from trouble

    def _heed(self, response: aiohttp.ClientResponse) -> None:
        """Leave a service alone that is busy, for as long as it asks."""
        if response.status in (429, 503):
            self._not_before = _not_before(response.headers.get("Retry-After", ""), self._clock.now())

    async def _bearer(self, *, renew: bool = False) -> str:
        async with self._renewing:
            if renew or self._clock.now() + EARLY >= self._token.ends:
                self._token = await self._fresh()
            return self._token.value

    async def _fresh(self) -> _Token:
        now = self._clock.now()
        claims = {
            "iss": self._access.client_id,
            "sub": self._access.client_id,
            "aud": self._access.token_url,
            "jti": secrets.token_hex(16),
            "iat": now // SECOND,
            "exp": now // SECOND + ASSERTION_LIFE_S,
        }
        assertion = jwt.encode({"alg": self._access.algorithm}, claims, self._access.key)
        form = {
            "grant_type": "client_credentials",
            "client_id": self._access.client_id,
            "client_assertion_type": _ASSERTION,
            "client_assertion": assertion,
            "scope": self._access.scopes,
        }
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(self._access.token_url, data=form, allow_redirects=False) as response,
            ):
                self._heed(response)
                answer = _json(await _bounded(response, MAX_SMALL), response)
                if response.status != 200:
                    raise ServiceAwayError(f"the token endpoint answered {response.status}")
        except (aiohttp.ClientError, TimeoutError, OSError) as trouble:
            raise ServiceAwayError(type(trouble).__name__) from trouble
        value = answer.get("access_token") if isinstance(answer, Mapping) else None
        life = answer.get("expires_in", 300) if isinstance(answer, Mapping) else 0
        if not isinstance(value, str) or not value or not isinstance(life, int) or life <= 0:
            raise ServiceAwayError("the token endpoint gave no token")
        return _Token(value, Instant(now + min(life, 1800) * SECOND))


def _not_before(asked: str, now: Instant) -> Instant:
    """Until when a service that is busy wants no call: seconds, or a date (RFC 9110 §10.2.3); at most a quarter."""
    try:
        wait = int(asked) * SECOND if asked.isascii() and asked.isdigit() else _instant(asked) - now
    except (TypeError, ValueError, OverflowError):
        wait = 0
    return Instant(now + min(max(wait, 0), LONGEST_WAIT))


def _instant(date: str) -> Instant:
    return Instant(int(parsedate_to_datetime(date).timestamp()) * SECOND)


async def _bounded(response: aiohttp.ClientResponse, limit: int) -> bytearray:
    octets = bytearray()
    async for piece in response.content.iter_chunked(64 * 1024):
        octets += piece
        if len(octets) > limit:
            raise ServiceAwayError("the answer is larger than an answer can be")
    return octets


def _json(octets: bytearray, response: aiohttp.ClientResponse) -> Any:
    """The answer's JSON; an answer of another kind is none, whatever its status says."""
    if not octets:
        return None
    if sum(octets.count(mark) for mark in (b"{", b"[", b",")) > MOST_PARTS:
        raise ServiceAwayError("the answer has more parts than an answer can have")
    try:
        # Read from the octets themselves: a whole message is 40 MB, and its text would be as much again.
        return from_json(octets, allow_inf_nan=False)
    except ValueError:
        if 200 <= response.status < 300:
            raise ServiceAwayError("the answer is not JSON") from None
        return None


def _trouble(status: int, answer: Any) -> Exception:
    """A refusal, or something that may pass. A 400 whose title says 413 is a 413 (sdk.md §10)."""
    title = str(answer.get("title", ""))[:120] if isinstance(answer, Mapping) else ""
    if status == 400 and "too large" in title.lower():
        status = 413
    if status in (400, 403, 404, 405, 409, 413, 415, 422):
        return NotTakenError(status, title)
    return ServiceAwayError(f"the service answered {status}")


def _is_at(told: Mapping[str, Any], side: str, function: str) -> bool:
    attention = told.get(side)
    place = attention.get("subOrganization") if isinstance(attention, Mapping) else None
    found = place.get("extension") if isinstance(place, Mapping) else None
    return found is None or str(found).lower() == function.lower()
