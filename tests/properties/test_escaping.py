"""Text of others stays text: in every template, macro, translation and link, whatever it says.

The catalogue's cases on cross-site scripting, as properties over all templates there are; tests/browser/test_xss.py
tries the same in a browser.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path

import pytest
from babel.messages.pofile import read_po
from hypothesis import example, given
from hypothesis import strategies as st
from jinja2 import Environment, nodes

from adapters.http.api import ROUTES
from adapters.http.web import NAV, PAGES
from adapters.http.web.frame import TEMPLATES, Web
from adapters.http.web.locale import CATALOGUE, LANGUAGES
from gateway.forms import FormCatalogue

WEB = TEMPLATES.parent
NAMES = sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))
MODULES = sorted(WEB.rglob("*.py"))
#: Where an address may come whole from a variable: our own links, whose paths begin with "/" (held below).
OWN_LINKS = re.compile(
    r"\{\{ ?(?:[\w.]+\.(?:href|url|[a-z]+_url)|asset\([^)]*\)|action|row\[2\]|[a-z_]*(?:href|url)"
    r"|here|path|more|onward|next_page|code_page|cancel) ?\}\}(?:[/?].*)?"
)
#: Their names, as keywords of a page: what is given to them begins with "/", or comes from a function of ours.
OWN_NAMES = {"action", "here", "path", "more", "onward", "next_page", "code_page", "cancel"}


class _Ports:
    class clock:
        @staticmethod
        def now() -> int:
            return 0


class _Gateway:
    """As much of a gateway as rendering needs."""

    forms = FormCatalogue.load()
    ports = _Ports


@cache
def environment(lang: str = "sv") -> Environment:
    table = (*ROUTES, *PAGES)
    return Web(_Gateway(), table, NAV)._environments[lang]  # type: ignore[arg-type]


def tree_of(name: str) -> nodes.Template:
    return environment().parse((TEMPLATES / name).read_text("utf-8"))


# --- templates --------------------------------------------------------------------------------------------------------


def test_every_template_escapes_by_itself_and_a_missing_name_is_an_error() -> None:
    for lang in LANGUAGES:
        made = environment(lang)
        assert made.autoescape is True
        with pytest.raises(Exception, match="undefined"):
            made.from_string("{{ nothing }}").render()
        assert made.from_string("{{ text }}").render(text="<b>\"'&") == "&lt;b&gt;&#34;&#39;&amp;"
    assert len(NAMES) > 20


@pytest.mark.parametrize("name", NAMES)
def test_no_template_switches_escaping_off(name: str) -> None:
    text = (TEMPLATES / name).read_text("utf-8")
    assert not re.search(r"\|\s*(?:safe|forceescape|xmlattr|tojson|urlize)\b|autoescape|Markup", text)


@pytest.mark.parametrize("name", NAMES)
def test_a_template_translates_only_texts_of_its_own(name: str) -> None:
    """A translated text counts as markup, so what others wrote must never be looked up in the catalogue."""
    tree = tree_of(name)
    for call in tree.find_all(nodes.Call):
        if isinstance(call.node, nodes.Name) and call.node.name in ("_", "gettext", "ngettext"):
            wanted = call.args[:2] if call.node.name == "ngettext" else call.args[:1]
            assert all(isinstance(text, nodes.Const) for text in wanted), f"line {call.lineno}"


@pytest.mark.parametrize("name", NAMES)
def test_nothing_in_a_template_is_inline_and_no_address_is_open(name: str) -> None:
    text = (TEMPLATES / name).read_text("utf-8")
    assert not re.search(r"\sstyle\s*=|\son[a-z]+\s*=|<style|javascript:|vbscript:|srcdoc|<base|http-equiv", text, re.I)
    assert not re.search(r"<script(?![^>]*\ssrc=)", text, re.I)
    # Every attribute with a variable stands in quotes: in a bare one a space would begin the next attribute.
    assert not re.search(r"\s[\w-]+=\{\{", text)
    for attribute, value in re.findall(
        r'\b(href|src|action|formaction|hx-(?:get|post|put|delete)|sse-connect)="([^"]*)"', text
    ):
        if "{{" in value or "{%" in value:
            fine = re.match(r"/(?![/\\])", value) or re.match(r"#", value) or OWN_LINKS.fullmatch(value)
            assert fine, f"{attribute}={value}"
        else:
            assert re.match(r"/(?![/\\])|#|https://[a-z.]+\.(?:se|eu)/", value), f"{attribute}={value}"


def test_no_text_of_the_catalogue_is_markup() -> None:
    """The templates' texts and their translations count as markup when they are shown: they hold none."""
    with CATALOGUE.open("rb") as source:
        kept = [message for message in read_po(source, locale="en") if message.id]
    assert len(kept) > 100
    for message in kept:
        for told in (message.id, message.string):
            assert not re.search(r"[<>]|&\w+;", str(told)), told
    for name in NAMES:
        for node in tree_of(name).find_all(nodes.Call):
            for told in node.args:
                if isinstance(node.node, nodes.Name) and node.node.name == "_" and isinstance(told, nodes.Const):
                    assert not re.search(r"[<>]", str(told.value)), (name, told.value)


# --- modules ----------------------------------------------------------------------------------------------------------


def calls_of(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name:
            yield node


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_markup_in_a_module_is_a_constant_that_others_are_formatted_into(path: Path) -> None:
    tree = ast.parse(path.read_text("utf-8"))
    for call in calls_of(tree, "Markup"):
        assert len(call.args) == 1 and isinstance(call.args[0], ast.Constant), f"line {call.lineno}"
    for node in ast.walk(tree):
        wrong = isinstance(node, (ast.FunctionDef, ast.Attribute)) and getattr(node, "attr", getattr(node, "name", ""))
        assert wrong not in ("__html__", "unescape"), path
        if isinstance(node, ast.BinOp) and isinstance(node.op, (ast.Add, ast.Mod)):
            # "<b>" + text, or "<b>%s" % text, would be markup by hand
            for side in (node.left, node.right):
                told = side.value if isinstance(side, ast.Constant) else ""
                assert not (isinstance(told, str) and re.search(r"<\w", told)), f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_a_link_of_a_module_begins_with_a_slash(path: Path) -> None:
    for call in calls_of(ast.parse(path.read_text("utf-8")), "Link"):
        where = call.args[0] if call.args else call.keywords[0].value
        if isinstance(where, ast.Constant):
            assert str(where.value).startswith("/"), call.lineno
        elif isinstance(where, ast.JoinedStr):
            assert starts_with_slash(where), call.lineno


def starts_with_slash(node: ast.expr) -> bool:
    if isinstance(node, ast.IfExp):
        return starts_with_slash(node.body) and starts_with_slash(node.orelse)
    if isinstance(node, ast.Constant):
        return node.value in ("", None) or str(node.value).startswith("/")
    if isinstance(node, ast.JoinedStr):
        first = node.values[0]
        return starts_with_slash(first.value if isinstance(first, ast.FormattedValue) else first)
    # What comes from elsewhere is seen whole in tests/path/test_page_matrix.py, where every address is looked at. What
    # was asked for is never an address as it is.
    return not any(isinstance(part, ast.Attribute) and part.attr in ("query", "form") for part in ast.walk(node))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.name)
def test_an_address_for_a_template_is_made_by_us(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ("page", "fragment")
        ):
            for given_ in node.keywords:
                if given_.arg in OWN_NAMES or (given_.arg or "").endswith("url"):
                    assert starts_with_slash(given_.value), f"{path.name}:{node.lineno} {given_.arg}"


# --- what the parts do with any text ----------------------------------------------------------------------------------


class _Shape(HTMLParser):
    """Which elements with which attributes a text is made of, without their values."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[tuple[str, ...]] = []
        self.texts: list[str] = []
        self.values: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, *sorted(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        self.found.append((f"/{tag}",))

    def handle_comment(self, data: str) -> None:
        self.found.append(("comment", data))

    def handle_decl(self, decl: str) -> None:
        self.found.append(("declaration", decl))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def shape(text: str) -> _Shape:
    made = _Shape()
    made.feed(text)
    made.close()
    return made


PARTS = {
    "field": "{{ field('x', a, a, hint=a) }}",
    "a field with a fault": "{{ field('f', a, a, hint=a, optional=true) }}",
    "textarea": "{{ textarea('f', a, a, hint=a) }}",
    "select": "{{ select('f', a, ((a, a), ('b', a)), value=a, hint=a) }}",
    "choices": "{{ choices('f', a, ((a, a), ('b', a)), chosen=a, hint=a) }}",
    "button": "{{ button(a, name='x', value=a) }}",
    "act": "{{ act('/x', a, values={'x': a}, described=a) }}",
    "tag": "{{ tag(a) }}",
    "alert": "{% call alert('info', a) %}{{ a }}{% endcall %}",
    "answers": "{{ answers(((a, a), (a, a, '/x'))) }}",
    "empty": "{% call empty(a) %}{{ a }}{% endcall %}",
    "a translated sentence": "{% trans a=a %}Till {{ a }}{% endtrans %}",
    "a translated text with a value": "{{ _('Till %(a)s', a=a) }}",
}
HEAD = "{% from 'macros.html' import field, textarea, select, choices, button, act, tag, alert, answers, empty with context %}"
NASTY = st.text(alphabet=st.sampled_from(list("<>\"'`&=/;:!-\\ \t\n\0abonerscipt{}%#()")), min_size=1, max_size=40)


@cache
def part(name: str):  # type: ignore[no-untyped-def]
    return environment().from_string(HEAD + PARTS[name])


@pytest.mark.parametrize("name", PARTS)
@given(text=st.one_of(NASTY, st.text(min_size=1, max_size=40)))
@example(text='"><script>alert(1)</script>')
@example(text="' onmouseover='alert(1)")
@example(text="</textarea><img src=x onerror=alert(1)>")
@example(text="{{ 7 * 7 }}{% raw %}")
def test_a_part_is_the_same_whatever_the_text_says(name: str, text: str) -> None:
    """The elements and attributes of a part never depend on a text in it, and the text comes out as it went in."""
    faults = {"f": text}
    made = part(name).render(a=text, fault_of=faults, csrf="0" * 64)
    plain = part(name).render(a="a", fault_of={"f": "a"}, csrf="0" * 64)
    seen = shape(made)
    # `selected` and `checked` follow equality with the second option, which has the value "b".
    assert seen.found == shape(plain).found or text == "b"
    kept = re.sub(r"\s+", "", text.replace("\0", "\ufffd"))
    everything = re.sub(r"\s+", "", "".join([*seen.texts, *seen.values]).replace("\0", "\ufffd"))
    assert kept in everything
