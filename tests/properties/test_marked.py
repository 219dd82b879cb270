"""Text from outside in SDK's Markdown subset: its codes are rendered, and nothing else of it is markup (B1.3.3 §4.3.3.2)."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markupsafe import Markup

from adapters.http.web.marked import MOST_LINES, MOST_SIGNS, marked
from gateway.readable import escaped

ALLOWED = {"p", "ul", "ol", "li", "strong", "em", "br", "h3", "h4", "h5", "h6"}
PIECES = st.sampled_from(
    [
        "# ", "###### ", "**", "*", "_", "__", "- ", "+ ", "1. ", "27) ", "  ", "    ", "\n", "\n\n", "\t", "\\", "`", "```\n", "> ",
        "---\n", "===\n", "<b>", "</p>", "<script>alert(1)</script>", "<!--", "-->", "<![CDATA[", "&lt;", "&#x3c;", "&", "[x](javascript:x)",
        "![x](y)", "[x]: y\n", "<https://x.example>", "https://x.example", "\u202e", "\u0000", "\r\n", "\ufeff", "ord", "Ö", "\U0001f600",
    ]
)  # fmt: skip
texts = st.lists(PIECES | st.text(max_size=12), max_size=60).map("".join)


class Reader(HTMLParser):
    """Which tags there are, how they nest, and what is read."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []
        self.faults: list[str] = []
        self.feed(html)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in ALLOWED or any(
            name != "value" or tag != "li" or not (text or "").isdigit() for name, text in attrs
        ):
            self.faults.append(f"{tag} {attrs}")
        if tag == "br":
            self.words.append("\n")
        else:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"/{tag}")

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def handle_comment(self, data: str) -> None:
        self.faults.append("comment")

    def handle_decl(self, decl: str) -> None:
        self.faults.append("declaration")

    def handle_pi(self, data: str) -> None:
        self.faults.append("instruction")

    def unknown_decl(self, data: str) -> None:
        self.faults.append("declaration")


def letters(text: str) -> str:
    """What a reader must find again: signs, spaces and numbers of lists are the subset's own."""
    return "".join(re.findall(r"[^\W\d_]", text))


@given(texts)
@example("- a\n\n  b\n- c")
@example("**a *b** c*")
@example("<p>**a**</p>")
def test_whatever_the_text_only_our_own_tags_stand_there_closed_and_bare_and_every_letter_is_read(text: str) -> None:
    html = marked(text)
    if html is not None:
        found = Reader(html)
        assert found.faults == []
        assert letters("".join(found.words)) == letters(text)


@given(st.text(max_size=200))
def test_what_our_own_people_wrote_is_read_at_the_other_end_as_they_wrote_it(text: str) -> None:
    """What leaves is escaped; a client that renders the subset shows the same words, signs and all."""
    html = marked(escaped(text))
    if html is not None:
        shown = "".join(Reader(html).words)
        assert re.sub(r"[\s\0]+", "", shown.replace("\ufffd", "")) == re.sub(r"[\s\0]+", "", text.replace("\ufffd", ""))


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("# Ett\n###### Sex", "<h3>Ett</h3><h6>Sex</h6>"),
        ("**fet** och *kursiv*", "<p><strong>fet</strong> och <em>kursiv</em></p>"),
        ("- ett\n- två", "<ul><li>ett</li><li>två</li></ul>"),
        ("3. tre\n4. fyra", '<ol><li value="3">tre</li><li value="4">fyra</li></ol>'),
        ("rad ett  \nrad två\nrad tre", "<p>rad ett<br>rad två<br>rad tre</p>"),
        ("1 \\* 2 \\# 3", "<p>1 * 2 # 3</p>"),
        ("[länk](https://x.example) `kod` <b>", "<p>[länk](https://x.example) `kod` &lt;b&gt;</p>"),
        ("> citat\n\n---", "<p>&gt; citat</p><p>---</p>"),
        ("", ""),
    ],
)
def test_each_code_of_the_subset_has_its_tag_and_everything_else_is_text(text: str, html: str) -> None:
    assert marked(text) == Markup(html)


@pytest.mark.parametrize(
    "text",
    ["*" * (MOST_SIGNS + 1), "\n" * (MOST_LINES + 1), "- " * 200, "\n".join("  " * deep + "- a" for deep in range(40))],
)
def test_what_would_take_long_or_lies_too_deep_is_shown_as_it_came(text: str) -> None:
    assert marked(text) is None


@pytest.mark.parametrize(
    "text",
    ["*a" * MOST_SIGNS, "_a " * MOST_SIGNS, "# a\n" * MOST_LINES, "1. a\n" * MOST_LINES, "\\" * MOST_SIGNS, " " * 100_000, "a" * 100_000],
)  # fmt: skip
def test_the_longest_text_that_is_read_costs_no_more_than_a_blink_of_processor_time(text: str) -> None:
    """Processor time and not the clock's: far above what it takes, far below the seconds that it took unbounded."""
    begun = time.process_time()
    marked(text)
    assert time.process_time() - begun < 2
