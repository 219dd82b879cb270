"""Run by itself in a limited child: a signed MIME entity on standard input becomes JSON on standard output.

Why this exists: Python's mail parser is large and lenient, and what it reads here came from outside. In a process of
its own its faults cost one mail (`adapters.documents.child`). It imports the standard library alone.

Rules: only plain text is text; HTML is never shown, so a mail that has nothing else has no text; a part in a part more
than six deep, and the part after the sixtieth, refuse the whole.
"""

from __future__ import annotations

import base64
import json
import sys
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any

MOST_PARTS = 60
DEEPEST = 6


def parsed(octets: bytes) -> dict[str, Any]:
    """Headers, text and files of an entity."""
    whole = message_from_bytes(octets, policy=default)
    texts: list[str] = []
    files: list[dict[str, str]] = []
    _walk(whole, texts, files, 0)
    return {
        "protected": whole.get_param("hp") == "cipher",
        "headers": {
            name: str(whole.get(name, ""))
            for name in ("From", "To", "Subject", "Message-ID", "In-Reply-To", "References", "Date")
        },
        "date": _seconds(whole),
        "asks": str(whole.get("Disposition-Notification-To", "")),
        "text": "\n\n".join(texts),
        "files": files,
    }


def _walk(part: EmailMessage, texts: list[str], files: list[dict[str, str]], depth: int) -> None:
    if depth > DEEPEST or len(files) + len(texts) > MOST_PARTS:
        raise ValueError("too many parts")
    if part.is_multipart() and part.get_content_maintype() == "multipart":
        inside = [one for one in part.iter_parts() if isinstance(one, EmailMessage)]
        if part.get_content_type() == "multipart/alternative":
            plain = [one for one in inside if one.get_content_type() == "text/plain"]
            inside = plain[:1] or inside[-1:]
        for one in inside:
            _walk(one, texts, files, depth + 1)
        return
    if part.get_content_type() == "text/plain" and part.get_content_disposition() != "attachment":
        text = part.get_content()
        texts.append(text if isinstance(text, str) else "")
        return
    octets = part.get_payload(decode=True)
    if octets is None:  # a mail in a mail
        octets = b"".join(one.as_bytes() for one in part.iter_parts())
    files.append(
        {
            "name": part.get_filename() or f"del-{len(files) + 1}",
            "type": part.get_content_type(),
            "octets": base64.b64encode(bytes(octets)).decode(),
        }
    )


def _seconds(whole: Any) -> int:
    """When it was written, in seconds; 0 when it does not say."""
    found = getattr(whole.get("Date"), "datetime", None)
    return int(found.timestamp()) if found is not None else 0


if __name__ == "__main__":
    json.dump(parsed(sys.stdin.buffer.read()), sys.stdout)
