"""A case system's few calls, for the operator's walk: send a referral, count what an inbox holds, open the newest.

Run with the installed gateway's own Python inside the machine of the walk. It reads the file of first sign-ins, which
an operator hands out once; nothing in it is secret, since the machine and everybody in its directory are invented.
"""

from __future__ import annotations

import http.client
import json
import sys
import time
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pyotp

from gateway.forms.demo import demo_consent, demo_referral

FIRST = Path("/var/lib/sambud/handover/first.txt")
KEPT = Path("/run/walk")  # sessions, and which codes were used
CASEWORK, SEAT = "alvesta.ifo.vuxen", "seat.ekeliden"


class Refused(Exception):
    """What the gateway said no to, in its words."""


def call(method: str, path: str, body: object = None, token: str = "", status: int = 200) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", 8080, timeout=60)
    headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
    connection.request(method, f"/api/v1{path}", json.dumps(body) if body is not None else None, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    found = json.loads(text) if text else {}
    if answer.status != status:
        faults = " ".join(f"{one['pointer']}: {one['detail']}" for one in found.get("errors", found.get("faults", ())))
        raise Refused(f"{answer.status} {found.get('title', '')} {found.get('next_step', '')} {faults}".strip())
    return found


def session(login: str) -> str:
    """The session that is kept, as a browser would; a new one when it has ended."""
    kept = KEPT / f"{login}.session"
    if kept.exists():
        token = kept.read_text()
        try:
            call("GET", "/inboxes", token=token)
        except Refused as no:
            if not str(no).startswith("401"):
                raise
        else:
            return token
    kept.parent.mkdir(exist_ok=True)
    kept.write_text(sign_in(login))
    return kept.read_text()


def sign_in(login: str) -> str:
    """A new session; a code is good once, so this waits for the next when it was used."""
    for line in FIRST.read_text("utf-8").splitlines():
        name, password, uri = line.split("\t")
        if name == login:
            [secret] = parse_qs(urlsplit(uri).query)["secret"]
            used = KEPT / f"{login}.code"
            while used.exists() and used.read_text() == str(int(time.time()) // 30):
                time.sleep(1)
            used.write_text(str(int(time.time()) // 30))
            body = {"login": login, "password": password, "code": pyotp.TOTP(secret).now()}
            return str(call("POST", "/sessions", body, status=201)["token"])
    raise SystemExit(f"{login} is not in {FIRST}")


def send(token: str) -> str:
    case = call("POST", "/cases", {"inbox": CASEWORK}, token, 201)["id"]
    consent = {"inbox": CASEWORK, "case": case, "values": demo_consent(date.today())}
    call("POST", "/consents", consent, token, 201)
    form = {"form_type": "placement_referral", "form_version": 1, "values": demo_referral(date.today())}
    draft = call("POST", "/drafts", {"inbox": CASEWORK, "case": case, **form}, token, 201)["id"]
    return str(call("POST", "/messages", {"draft": draft, "recipients": ["remissgrupp"]}, token, 201)["message"])


def main(act: str) -> None:
    if act == "send":
        print(f"sparat: {send(session('al-sos'))[:8]}…")
        return
    token = session("ek-chef")
    held = call("GET", f"/inboxes/{SEAT}/messages", token=token)["messages"]
    print(f"{SEAT}: {len(held)} meddelanden")
    if act == "open":
        opened = call("POST", f"/envelopes/{held[0]['envelope']}/open", token=token)
        print(f"öppnat: {len(opened['body']['fields'])} fält")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except (Refused, OSError) as no:
        raise SystemExit(f"nej: {no}") from None
