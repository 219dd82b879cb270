"""Three hundred payloads in every field that comes back on a page: nothing runs, nothing becomes an element.

The content policy would stop a script that got in; this holds that none gets in, so both are watched: what ran, what
the policy had to stop, and whether anything on the page is an element or a handler that no template of ours has.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from urllib.parse import quote

import pytest
from playwright.sync_api import Page

from tests.browser.conftest import Site, Watched
from tests.browser.examples import address
from tests.browser.payloads import SHAPES, WRITTEN, payloads
from tests.county import ALVESTA, DEMO_DIRECTORY, SEAT_E

WATCH = """
window.__ran = 0; window.__stopped = 0;
window.__xss = () => { window.__ran += 1; };
for (const name of ["alert", "confirm", "prompt", "print"]) window[name] = window.__xss;
document.addEventListener("securitypolicyviolation", () => { window.__stopped += 1; });
"""
#: What no page of ours has. `htmx` sets attributes of its own, none of which is looked for here.
FOREIGN = """() => {
  const bad = document.querySelectorAll(
    "script:not([src^='/static/']), img:not([src^='/static/']), iframe, object, embed, base, style, math, video, audio, " +
    "image, marquee, isindex, meta[http-equiv], template, noscript, x-y, [formaction], [srcdoc], [style]:not(html)");
  const handlers = [...document.querySelectorAll("*")].flatMap((element) => [...element.attributes]
    .filter((one) => one.name.startsWith("on") || /^(data-)?hx-(on|vals)/.test(one.name)
      || (/^(href|src|action|xlink:href)$/.test(one.name) && /^\\s*(javascript|data|vbscript):/i.test(one.value)))
    .map((one) => one.name));
  return { ran: window.__ran, stopped: window.__stopped, foreign: [...bad].map((one) => one.outerHTML.slice(0, 80)), handlers };
}"""

#: In an address: what is looked at, as whom, and the address without the payload.
ADDRESSES = {
    "sign-in, next": ("", "/logga-in?next="),
    "sign-in, next after a slash": ("", "/logga-in?next=/"),
    "a path that is not there": ("", "/ingenstans/"),
    "own sessions, outcome": ("al-sos", "/inloggningar?klart="),
    "code, next": ("ek-chef", "/inkorg/ekeliden.enhet/kod?next=/"),
    "log, object": ("gransk", "/logg?objekt="),
    "log, authority": ("gransk", "/logg?myndighet="),
    "log, event": ("gransk", "/logg?handelse="),
    "deliveries, number": ("it", "/drift/meddelanden?meddelande="),
    "deliveries, day": ("it", "/drift/meddelanden?dag="),
    "users, search": ("it", "/drift/anvandare?sok="),
    "propose, inbox": ("it", "/drift/medlemmar/foresla?inkorg="),
    "search": ("al-sos", "/sok?namn="),
}
#: In a form that comes back with a fault: as whom, where, which field.
FORMS: Mapping[str, tuple[str, str | Callable[[Site], str], str]] = {
    "sign-in, login": ("", "/logga-in", "login"),
    "settings, next": ("al-sos", "/installningar", "next"),
    "code": ("ek-chef", "/inkorg/ekeliden.enhet/kod", "code"),
    "directory, text": ("it", "/drift/adressbok/fil", "text"),
    "draft, identity number": (
        "al-sos",
        lambda site: address(site, "/utkast/{draft}/{section}"),
        "identity_number/value",
    ),
    "propose, who": ("it", "/drift/medlemmar/foresla?inkorg=alvesta.ifo.vuxen", "inkorg"),
}
#: Where all three hundred are tried: together in each run, and each of them with all in the campaign (--full).
ALL = ("sign-in, login", "sign-in, next", "directory, text", "log, object", "users, search", "draft, identity number")
WHOLE = [pytest.param(False, id="spread"), pytest.param(True, id="whole", marks=pytest.mark.full)]
SEND = """([name, value]) => {
  const form = [...document.querySelectorAll("main form")].find((one) => one.elements[name] && one.method === "post");
  const field = form.elements[name];
  if (field.tagName === "SELECT") field.append(new Option(value, value, true, true));
  field.value = value;
  form.submit();
}"""


def clean(page: Page, seen: Counter[str], name: str) -> None:
    found = page.evaluate(FOREIGN)
    assert found["ran"] == 0, f"{name}: ran"
    assert found["stopped"] == 0, f"{name}: the policy had to stop it"
    assert found["foreign"] == [] and found["handlers"] == [], f"{name}: {found}"
    seen["pages looked at"] += 1
    seen["executed"] += found["ran"]
    seen["policy violations"] += found["stopped"]


@pytest.fixture
def looking(page_as: Callable[..., Page]) -> Callable[[str], Page]:
    def made(login: str) -> Page:
        page = page_as(login)
        page.add_init_script(WATCH)
        page.route("**/*.css", lambda route: route.abort())  # nothing here is about looks
        page.on("dialog", lambda dialog: pytest.fail(f"a dialogue opened: {dialog.message}"))
        return page

    return made


def test_there_are_three_hundred_different_payloads() -> None:
    assert len(SHAPES) == len(set(SHAPES)) == 60
    assert len(WRITTEN) == 5
    assert {text for k in range(5) for _, text in payloads()[k::5]} == {text for _, text in payloads()}
    assert len({text for _, text in payloads()}) > 285  # a few shapes have nothing to write in another way


def tried(name: str, *, whole: bool) -> list[tuple[str, str]]:
    """In the six fields every shape in one of the ways, or all three hundred; in the others some, or fifty of them."""
    if name in ALL:
        return payloads() if whole else payloads()[ALL.index(name) % len(WRITTEN) :: len(WRITTEN)]
    return payloads()[:: len(WRITTEN) + 1 if whole else 5 * len(WRITTEN) + 1]


def test_what_got_in_would_be_seen(watched: Watched, looking: Callable[[str], Page]) -> None:
    """The campaign's own check: put past the templates, a payload is an element, a handler, and stopped by the policy."""
    page = looking("")
    page.goto("/hjalp")
    page.evaluate("document.querySelector('main').innerHTML += '<img src=x onerror=__xss()><base href=/>'")
    found = page.evaluate(FOREIGN)
    assert len(found["foreign"]) == 2 and found["handlers"] == ["onerror"]
    page.wait_for_function("window.__stopped > 0")
    assert page.evaluate("window.__ran") == 0
    assert watched.wrong
    watched.wrong.clear()


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("name", ADDRESSES)
def test_nothing_in_an_address_runs(looking: Callable[[str], Page], name: str, whole: bool) -> None:
    login, where = ADDRESSES[name]
    page, seen = looking(login), Counter[str]()
    for called, text in tried(name, whole=whole):
        page.goto(where + quote(text, safe=""), wait_until="load")
        clean(page, seen, f"{name}, {called}")
    print(f"{name}: {dict(seen)}")
    assert seen["pages looked at"] == len(tried(name, whole=whole))


@pytest.mark.parametrize("whole", WHOLE)
@pytest.mark.parametrize("name", FORMS)
def test_nothing_in_a_form_runs_when_it_comes_back(
    site: Site, looking: Callable[[str], Page], name: str, whole: bool
) -> None:
    login, where, field = FORMS[name]
    where = where if isinstance(where, str) else where(site)
    page, seen = looking(login), Counter[str]()
    page.goto(where)
    for called, text in tried(name, whole=whole):
        if page.locator(f"main form[method=post] [name='{field}']").count() == 0:
            page.goto(where)
        with page.expect_navigation(wait_until="load"):
            page.evaluate(SEND, [field, text])
        clean(page, seen, f"{name}, {called}")
    print(f"{name}: {dict(seen)}")
    assert seen["pages looked at"] == len(tried(name, whole=whole))


def test_nothing_that_a_colleague_wrote_runs(site: Site, looking: Callable[[str], Page]) -> None:
    """A message with all three hundred, as its writer edits and checks it, and as it is read; the same as notes."""
    county, texts = site.county, [text for _, text in payloads()]
    sender, reader, seen = looking("al-sos"), looking("ek-chef"), Counter[str]()

    async def written(part: list[str]) -> tuple[str, str]:
        worker, chef = await county.sign_in("al-sos"), await county.sign_in("ek-chef")
        case, _ = await county.consented_case(worker)
        await county.send_referral(worker, case.id)
        # A form takes no control characters; a note may hold whatever was written.
        values = {"text": "\n".join(text for text in part if text.isprintable()), "categories": ["SOCIAL"]}
        draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, values)
        sent = await county.gateway.sending.send_draft(worker, draft.id, ["remissgrupp"], undo_seconds=0)
        kept = await county.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, values)
        await county.deliver()
        await county.step_up(chef, SEAT_E)
        for text in part:
            await county.gateway.notes.write(chef, SEAT_E, case.id, text)
        return f"/utkast/{kept.id}", f"/inkorg/{SEAT_E}/{await county.envelope(SEAT_E, sent.message)}"

    for start in range(0, len(texts), 25):
        draft, item = site.run(written(texts[start : start + 25]))
        for page, where in (
            (sender, f"{draft}/message"),
            (sender, f"{draft}/granska?till=remissgrupp"),
            (reader, item),
        ):
            page.goto(where)
            if page.get_by_label("Kod").count():  # the window of the second factor
                page.get_by_label("Kod").fill(site.code("ek-chef"))
                page.get_by_role("button", name="Fortsätt", exact=True).click()
                page.wait_for_url(f"**{item}*")
            shown = page.locator("main").inner_text() + "".join(
                page.locator("main textarea").evaluate_all("all => all.map(one => one.value)")
            )
            assert "__xss()" in shown, where
            clean(page, seen, f"{where}, from {start}")
    print(f"a message and its notes: {len(texts)} texts, {dict(seen)}")


def test_nothing_that_the_directory_says_runs(site: Site, looking: Callable[[str], Page]) -> None:
    """Names of organisations, inboxes and functions are others' text too, and stand on most pages."""
    page, seen = looking("it"), Counter[str]()
    names = [text for _, text in payloads() if text.isprintable() and len(text.encode()) <= 128]
    for start in range(0, len(names), 30):
        rows = "".join(
            f'[[user]]\nlogin = "prov-{start + at}"\nadministration = "alvesta.ifo"\ntitle = {toml(text)}\n'
            f'roles = ["case_worker"]\n'
            for at, text in enumerate(names[start : start + 30])
        )
        page.goto("/drift/adressbok/fil")
        page.locator("#f-text").fill(directory_with(rows, names[start]))
        page.get_by_role("button", name="Visa skillnaden").click()
        page.wait_for_url("**/forslag/**")
        clean(page, seen, f"the difference from {start}")
    print(f"directory: {len(names)} names, {dict(seen)}")
    assert len(names) > 200


def toml(text: str) -> str:
    """`text` as a basic string of TOML."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def directory_with(rows: str, name: str) -> str:
    return DEMO_DIRECTORY.replace('name = "PIVA"\nkind', f"name = {toml(name)}\nkind") + rows
