"""An id that nobody has is absent wherever it stands in an address: an answer, and never trouble of ours."""

from __future__ import annotations

import re
import uuid

import pytest

from adapters.http.limits import UNPACED
from adapters.http.server import application, listening
from adapters.http.web import NAV
from adapters.http.web.frame import Web
from tests.county import SEAT_E, a_county
from tests.path.test_pages import TABLE, a_browser

pytestmark = pytest.mark.slow
PEOPLE = ("ek-chef", "al-sos", "vx-reg", "gransk", "it")


async def test_each_part_of_each_address_in_turn_is_nobodys_and_the_others_may_be_real() -> None:
    routes = [route for route in TABLE if route.method == "GET" and "{" in route.path]
    wrong, asked = [], 0
    async with a_county() as county:
        app = application(county.gateway, TABLE, Web(county.gateway, TABLE, NAV), limits=UNPACED)
        async with listening(app, "127.0.0.1", 0) as address:
            for login in PEOPLE:
                browser = a_browser(address, county)
                async with browser.http:
                    await browser.sign_in(login)
                    for path in _addresses([route.path for route in routes]):
                        reply = await browser.get(path)
                        asked += 1
                        if reply.status >= 500:
                            wrong.append((login, path))
    print(f"{asked} addresses")
    assert wrong == []
    assert asked > 500


def _addresses(templates: list[str]) -> list[str]:
    found = []
    for template in templates:
        for part in re.findall(r"\{(\w+)\}", template):
            for other in (SEAT_E, str(uuid.UUID(int=7))):
                values = dict.fromkeys(re.findall(r"\{(\w+)\}", template), other) | {part: "nowhere"}
                found.append(re.sub(r"\{(\w+)\}", lambda one, values=values: values[one[1]], template))  # type: ignore[misc]
    return sorted(set(found))
