"""A campaign of canaries: every route of the table, with a text of its own in every place that a caller can fill.

What comes back and what is logged is then searched for them. Three texts, because three things are promised: what
stands in an address or a header is echoed nowhere; what stands in a body may only come back to its writer, in the form
it was written in; and none of it reaches a log, a number or a support bundle.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import socket
import types
import typing
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from adapters.http.routes import Access, Csrf, Rate, Route
from adapters.http.web import security
from adapters.memory import MemoryStore
from gateway.errors import StoreUnavailableError
from tests.browser.conftest import Site
from tests.browser.examples import EXAMPLES, address

WEB = Path(__file__).parent.parent.parent / "adapters" / "http" / "web"
ADDRESS, HEADER, BODY = "KANARIEADRESS", "KANARIEHUVUD", "KANARIEKROPP"
#: What looks like somebody's, per place: published test numbers, a fictitious phone number, an address that nobody has.
PERSONAL: Mapping[str, tuple[str, ...]] = {
    ADDRESS: ("199006022397", "kanarieadress@prov.example"),
    HEADER: ("900602+2397", "kanariehuvud@prov.example"),
    BODY: ("19900602-2397", "kanariekropp@prov.example", "070-174 06 58"),
}
CANARIES = (
    ADDRESS,
    HEADER,
    BODY,
    *(text for texts in PERSONAL.values() for text in texts),
    "kanariehemlighet",
    "Kanarienamn",
)
PEOPLE = ("", "al-sos", "ek-chef", "vx-reg", "gransk", "it", "kanariehemlighet")
#: The names of all fields that a page reads.
FIELDS = sorted(
    {name for path in WEB.glob("*.py") for name in re.findall(r'\.field\("(\w+)"\)', path.read_text("utf-8"))}
)


class Trouble(MemoryStore):
    """A store that fails when a test wants it to, with a text that nobody may see."""

    trouble: BaseException | None = None

    async def get(self, row: Any, *key: Any) -> Any:
        self._meet()
        return await super().get(row, *key)

    async def commit(self, work: Any) -> Any:
        self._meet()
        return await super().commit(work)

    def _meet(self) -> None:
        if self.trouble is not None:
            raise self.trouble


@dataclass
class Campaign:
    """What was sent and what was found."""

    site: Site
    store: Trouble
    rng: random.Random
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    echoes: list[str] = field(default_factory=list)
    tokens: dict[str, str] = field(default_factory=dict)

    def token(self, who: str) -> str:
        """A session of `who`, made when it is first needed; the canary's own is no session."""
        if who in ("", "kanariehemlighet"):
            return who
        if who not in self.tokens:
            self.tokens[who] = self.site.token(who)
        return self.tokens[who]

    def fill(self, place: str) -> str:
        """A canary of a place, with something personal beside it now and then."""
        return self.rng.choice([place, f"{place} {self.rng.choice(PERSONAL[place])}", self.rng.choice(PERSONAL[place])])

    # --- one request --------------------------------------------------------------------------------------------------

    def ask(self, route: Route, number: int) -> None:
        """One request to a route: by turns well-formed, ill-formed, with a store that fails."""
        who = PEOPLE[number % len(PEOPLE)] if number else self._owner(route)
        path, headers = self._path(route, number), self._headers(route, who, number)
        body, kind = self._body(route, number)
        if kind:
            headers["Content-Type"] = kind
        trouble = {
            5: RuntimeError(BODY),
            6: StoreUnavailableError("the store is away", swedish="Det går inte just nu."),
        }
        self.store.trouble = trouble.get(number % 7)
        try:
            self._send(route.method, path, headers, body, route)
        finally:
            self.store.trouble = None

    def _owner(self, route: Route) -> str:
        return EXAMPLES.get(route.path, ("al-sos", ""))[0]

    def _path(self, route: Route, number: int) -> str:
        real = route.method == "GET" and route.path in EXAMPLES and number % 3 == 0
        path = address(self.site, route.path) if real else ""
        if not path:
            names = {"inbox": "alvesta.ifo.vuxen", "amne": "logga-in"} if number % 2 else {}
            path = re.sub(
                r"\{(\w+)\}", lambda part: names.get(part[1]) or quote(self.fill(ADDRESS), safe=""), route.path
            )
        asked = {name: self.fill(ADDRESS) for name in ("next", "objekt", "sok", "till", "cursor", "limit", ADDRESS)}
        return path + ("&" if "?" in path else "?") + urlencode(asked)

    def _headers(self, route: Route, who: str, number: int) -> dict[str, str]:
        token = self.token(who)
        headers = {
            name: self.fill(HEADER)
            for name in (
                "User-Agent",
                "Referer",
                "Idempotency-Key",
                "X-Forwarded-For",
                "X-Request-Id",
                "Accept-Language",
            )
        }
        if route.page:
            headers["Cookie"] = f"{security.SESSION}={token or 'x'}; {HEADER}={HEADER}; __Host-sambud-lang={HEADER}"
            if number % 4 != 3:
                headers["Sec-Fetch-Site"] = "same-origin"
                headers[security.HEADER] = security.token_for(token or "x")
            else:
                headers["Origin"] = f"https://{HEADER.lower()}.example"
        elif token:
            headers["Authorization"] = f"{'Bearer' if number % 5 else HEADER} {token}"
        return headers

    def _body(self, route: Route, number: int) -> tuple[bytes, str]:
        if route.method in ("GET", "HEAD"):
            return b"", ""
        if route.rate is Rate.UPLOAD and number % 4 != 2:
            return self._multipart()
        if route.csrf is Csrf.FORM:
            return urlencode([(name, self.fill(BODY)) for name in (*FIELDS, BODY)]).encode(), (
                "application/x-www-form-urlencoded" if number % 6 != 4 else f"application/{BODY}"
            )
        if number % 4 == 2:
            return f'{{"{BODY}": "{BODY}", '.encode(), "application/json"
        if number % 8 == 7:
            return json.dumps({BODY: self.fill(BODY)}).encode(), "text/plain"
        if number % 16 == 9:
            return json.dumps({"values": {BODY: BODY * 250_000}}).encode(), "application/json"
        shaped = self.shaped(route.takes) if route.takes else {BODY: BODY}
        if number % 4 == 3:
            shaped[self.fill(BODY)] = self.fill(BODY)
        return json.dumps(shaped).encode(), "application/json"

    def shaped(self, model: Any) -> dict[str, Any]:
        """A body that fits a request model, a canary in every text."""
        return {name: self._value(found.annotation) for name, found in model.model_fields.items()}

    def _value(self, hint: Any) -> Any:
        origin, arguments = typing.get_origin(hint), typing.get_args(hint)
        if origin in (typing.Union, types.UnionType):
            return self._value(next(part for part in arguments if part is not type(None)))
        if origin is list:
            return [self._value(arguments[0])]
        if origin is dict or hint is dict:
            return {self.fill(BODY): self.fill(BODY)}
        if hint is int:
            return 1
        if hint is bool:
            return True
        if hasattr(hint, "model_fields"):
            return self.shaped(hint)
        return self.fill(BODY)

    def _multipart(self) -> tuple[bytes, str]:
        line = '--kanarie\r\nContent-Disposition: form-data; name="{}"{}\r\n\r\n{}\r\n'
        parts = [
            ("category", "", self.fill(BODY)),
            (BODY, "", BODY),
            ("file", f'; filename="{BODY} 19900602-2397.pdf"', BODY),
        ]
        text = "".join(line.format(name, more, value) for name, more, value in parts)
        return f"{text}--kanarie--\r\n".encode(), "multipart/form-data; boundary=kanarie"

    def _send(self, method: str, path: str, headers: Mapping[str, str], body: bytes, route: Route) -> None:
        host = urlsplit(self.site.address).netloc
        connection = http.client.HTTPConnection(host, timeout=20)
        try:
            connection.request(method, path, body or None, {"Host": host, **headers})
            response = connection.getresponse()
            endless = (response.getheader("Content-Type") or "").startswith("text/event-stream")
            text = "" if endless else response.read().decode("utf-8", "replace")
            self.judge(f"{method} {route.path}", response.status, text, str(response.headers))
        except ConnectionError:
            self.statuses[0] += 1  # it closed while we still sent: too large
        finally:
            connection.close()
        self.sent += 1

    # --- what must not come back --------------------------------------------------------------------------------------

    def judge(self, what: str, status: int, text: str, headers: str) -> None:
        """Note every canary that an answer of trouble holds."""
        self.statuses[status] += 1
        if status < 400:
            return
        if "<main" in text:  # around it stands a link that leads back to where the reader is: the browser's own address
            text = text[text.find("<main") : text.find("</main>")]
        form_back = "<form" in text and re.search(r"<(?:input|textarea)", text) is not None
        for canary in CANARIES:
            place = ADDRESS if what.startswith("GET ") else BODY  # the fields of a form that asks with GET stand there
            own = canary == place or canary in PERSONAL[place]
            if canary in headers or (canary in text and not (own and form_back)):
                self.echoes.append(f"{status} {what}: {canary}")

    def broken(self, octets: bytes) -> None:
        """Something that is not HTTP."""
        parts = urlsplit(self.site.address)
        with socket.create_connection((parts.hostname, parts.port), timeout=5) as raw:
            raw.sendall(octets)
            raw.settimeout(0.5)
            answer = b""
            with contextlib.suppress(TimeoutError, ConnectionError):
                while piece := raw.recv(65536):
                    answer += piece
        head, _, text = answer.decode("utf-8", "replace").partition("\r\n\r\n")
        status = int(head.split()[1]) if head else 0
        self.judge(f"raw {octets[:20]!r}", status, text, head)
        self.sent += 1


def raw_requests() -> list[bytes]:
    """Requests that no parser takes, canaries in each place."""
    host = b"Host: localhost\r\n"
    bad = f"{ADDRESS} 199006022397".encode()
    return [
        b"BREW /" + bad + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET /" + bad + b" HTTP/9.9\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + HEADER.encode() + b" 900602+2397\r\n\r\n",
        b"GET / HTTP/1.1\r\nX\x00" + HEADER.encode() + b": 1\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Content-Length: " + HEADER.encode() + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"Transfer-Encoding: " + HEADER.encode() + b"\r\n\r\n",
        b"POST /api/v1/sessions HTTP/1.1\r\n"
        + host
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + BODY.encode()
        + b"\r\n\r\n",
        b"GET /" + b"A" * 9000 + bad + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: " + HEADER.encode() * 1000 + b"\r\n\r\n",
        BODY.encode() + b"\r\n\r\n",
        b"\x16\x03\x01" + BODY.encode(),
        b"POST /logga-in HTTP/1.1\r\n"
        + host
        + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 999\r\n\r\n"
        + BODY.encode(),
    ]


def public(route: Route) -> bool:
    return route.access is Access.PUBLIC
