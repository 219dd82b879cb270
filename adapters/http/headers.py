"""Headers that keep answers out of caches, frames and the hands of other sites; the same on every answer and error."""

from __future__ import annotations

from typing import Final

HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Server": "sambud",
}
API_POLICY: Final = "default-src 'none'; frame-ancestors 'none'"
#: Own files only, nothing inline. Images may be data: since the design system draws its icons in its style sheet.
PAGE_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
PAGE_HEADERS: Final = {
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()",
}
#: Of an answer to what was no request: nothing is known of its path.
BARE_HEADERS: Final = {**HEADERS, "Cache-Control": "no-store", "Content-Security-Policy": API_POLICY}
HSTS: Final = "max-age=31536000"
