"""docs/api.md does what it says: its curl commands and its Python are run against a gateway."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path
from string import Template
from typing import Any

import aiohttp
import pytest

from adapters.http.api import CALLS, ROUTES
from adapters.http.server import application, listening
from gateway.factors import code_for
from gateway.forms.demo import demo_consent, demo_referral
from gateway.model.base import MINUTE
from tests.county import SEAT_E, County, a_county, password_of

DOCUMENT = (Path(__file__).parents[2] / "docs" / "api.md").read_text("utf-8")
PDF = b"%PDF-1.7\n" + b"ett exempel " * 400


@pytest.fixture
async def served() -> AsyncIterator[tuple[County, str]]:
    async with a_county() as county, listening(application(county.gateway, ROUTES), "127.0.0.1", 0) as address:
        yield county, address


def block(language: str) -> str:
    [found] = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


def code(county: County, login: str) -> str:
    county.clock.advance(MINUTE // 2)
    return code_for(county.seeds[login], county.clock.now())


async def curl(http: aiohttp.ClientSession, command: str, values: dict[str, str]) -> tuple[int, Any]:
    """What curl would do with the options that the document uses."""
    words = [Template(word).substitute(values) for word in shlex.split(command)][1:]
    method, address, headers, body, form = "GET", "", {}, None, None
    while words:
        word = words.pop(0)
        if word == "-X":
            method = words.pop(0)
        elif word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            body = words.pop(0)
        elif word == "-F":
            form = form or aiohttp.FormData(quote_fields=False)
            name, _, value = words.pop(0).partition("=")
            form.add_field(name, PDF, filename=value[1:]) if value.startswith("@") else form.add_field(name, value)
        else:
            address = word
    async with http.request(method, address, headers=headers, data=form or (body.encode() if body else None)) as reply:
        octets = await reply.read()
        return reply.status, json.loads(octets) if octets else None


@pytest.mark.slow
async def test_each_curl_command_of_the_document_is_answered_well(served: tuple[County, str]) -> None:
    county, address = served
    values = {
        "SAMBUD": address,
        "PASSWORD": password_of("al-sos"),
        "CODE": code(county, "al-sos"),
        "CONSENT": json.dumps(demo_consent(county.today)),
        "REFERRAL": json.dumps(demo_referral(county.today)),
    }
    answers: list[Any] = []
    async with aiohttp.ClientSession() as http:
        for line in block("sh").splitlines():
            if named := re.fullmatch(r"# (\w+) is `(\w+)` of the answer", line):
                values[named[1]] = answers[-1][named[2]]
            elif line.startswith("curl "):
                status, answer = await curl(http, line, values)
                assert status in (200, 201, 204), (line, answer)
                answers.append(answer)
    first, again = [answer for answer in answers if answer and "repeated" in answer]
    assert (first["message"], first["repeated"], again["repeated"]) == (again["message"], False, True)


@pytest.mark.slow
async def test_the_python_of_the_document_sends_and_reads(
    served: tuple[County, str], capsys: pytest.CaptureFixture[str]
) -> None:
    county, address = served
    program: dict[str, Any] = {}
    exec(compile(block("python"), "docs/api.md", "exec"), program)

    async def file() -> AsyncIterator[bytes]:
        yield PDF

    legs = await program["refer"](
        address,
        password_of("al-sos"),
        code(county, "al-sos"),
        demo_consent(county.today),
        demo_referral(county.today),
        file,
    )
    assert legs == {"seat.ekeliden": "queued", "seat.novus": "queued"}
    assert "OSL 12 kap. 2 §" in capsys.readouterr().out
    await county.deliver()
    found = await program["read"](
        address, "ek-chef", password_of("ek-chef"), lambda: code(county, "ek-chef"), str(SEAT_E)
    )
    [(fields, files)] = found
    assert fields["need_summary"]
    assert all(one == PDF for one in files)


def test_the_calls_that_take_a_key_are_the_ones_that_the_document_names() -> None:
    sentence = re.search(r"`POST /messages`.*?take an", DOCUMENT, re.DOTALL)
    assert sentence
    named = {f"/api/v1{path.removeprefix('POST ')}" for path in re.findall(r"`([^`]+)`", sentence[0])}
    assert named == {route.path for route in CALLS if route.keyed}
