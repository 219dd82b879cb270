"""Errors as problem details (RFC 9457): a stable type, a Swedish title, what to do next, and an id to ask about."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any, Final

from aiohttp import web

from adapters.http.headers import BARE_HEADERS
from gateway.errors import GatewayError, InvalidFormError, NotFoundError, TooManyAttemptsError

TYPE = "urn:sambud:problem:"


#: What is absent and what is somebody else's is told in the same words, whichever step found out: else the words tell.
ABSENT: Final = NotFoundError(
    "What you asked for does not exist, or is not yours",
    swedish="Det du söker finns inte, eller är inte ditt.",
    next_step=NotFoundError.NEXT_STEP,
)


def outward(error: GatewayError) -> GatewayError:
    """The error as callers are told of it."""
    return ABSENT if type(error) is NotFoundError else error


def problem(error: GatewayError, correlation: str) -> web.Response:
    """The response for an expected error. Never holds content, personal data, codes or tokens."""
    error = outward(error)
    body: dict[str, Any] = {
        "type": TYPE + error.code,
        "title": error.swedish,
        "status": error.status,
        "next_step": error.next_step,
        "instance": f"urn:uuid:{correlation}",
    }
    headers: dict[str, str] = {}
    if isinstance(error, InvalidFormError):
        body["errors"] = [
            {"pointer": fault.pointer, "kind": fault.kind, "detail": fault.swedish} for fault in error.faults
        ]
    if isinstance(error, TooManyAttemptsError):
        headers["Retry-After"] = str(error.retry_after_s)
    elif error.status in (503, 507):
        headers["Retry-After"] = "5"
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return respond(body, error.status, headers)


def plain(code: str, title: str, status: int, correlation: str, next_step: str = "") -> web.Response:
    """A problem that is no GatewayError: unknown address, wrong method, too large, a bug."""
    body = {
        "type": TYPE + code,
        "title": title,
        "status": status,
        "next_step": next_step,
        "instance": f"urn:uuid:{correlation}",
    }
    return respond(body, status, {})


def of_status(status: int, correlation: str) -> web.Response:
    """A problem that HTTP itself has a number for."""
    if status == 413:
        return plain(
            "too-large", "Det som skickades är för stort.", 413, correlation, "Korta texten eller bifoga en fil."
        )
    titles = {404: "Adressen finns inte.", 405: "Adressen tar inte emot det anropet."}
    return plain("http", titles.get(status, "Anropet går inte att förstå."), status, correlation)


def refusal(duty_phones: Mapping[str, str]) -> bytes:
    """A whole answer, made beforehand, for a connection that there is no place for; whom to call stands on it."""
    phones = "".join(f"<p>{escape(who)}: {escape(number)}</p>" for who, number in duty_phones.items())
    body = (
        '<!doctype html><html lang="sv"><meta charset="utf-8"><title>Sambud är upptaget</title>'
        "<h1>Sambud är upptaget</h1><p>Försök igen om en liten stund. Det som var sparat sedan tidigare är kvar. "
        f"Är det bråttom: ring.</p>{phones}</html>"
    ).encode()
    fields = {
        **BARE_HEADERS,
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": str(len(body)),
        "Retry-After": "5",
        "Connection": "close",
    }
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 503 Service Unavailable\r\n{head}\r\n".encode("ascii") + body


def allowing(error: web.HTTPException, answer: web.Response) -> web.Response:
    """`answer`, telling the methods that the address does take when it was asked with another (RFC 9110 §15.5.6)."""
    if "Allow" in error.headers:
        answer.headers["Allow"] = error.headers["Allow"]
    return answer


def respond(body: dict[str, Any], status: int, headers: dict[str, str]) -> web.Response:
    response = web.json_response(body, status=status, headers=headers)
    response.content_type = "application/problem+json"
    return response
