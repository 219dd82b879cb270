"""Errors as problem details (RFC 9457): a stable type, a Swedish title, what to do next, and an id to ask about."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway.errors import GatewayError, InvalidFormError, TooManyAttemptsError

TYPE = "urn:sambud:problem:"


def problem(error: GatewayError, correlation: str) -> web.Response:
    """The response for an expected error. Never holds content, personal data, codes or tokens."""
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


def respond(body: dict[str, Any], status: int, headers: dict[str, str]) -> web.Response:
    response = web.json_response(body, status=status, headers=headers)
    response.content_type = "application/problem+json"
    return response
