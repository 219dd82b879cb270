"""SDK's Markdown subset (B1.3.3 §4.3.3.2, RFC 7763) as HTML: headings, bold, italic, bullets, numbers, line breaks.

Why this exists: a message client must render these codes, and what came from outside must never be markup of ours. A
library reads the text with everything but the subset switched off; each of its tokens becomes one of our own tags, none
with an address or a style, and every text is escaped. What it cannot read within bounds is shown as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup, escape

#: Beyond these a text is shown as it came: reading it takes time that grows faster than the text.
MOST_SIGNS: Final = 3_000
MOST_LINES: Final = 3_000
DEEPEST: Final = 20
_SIGNS: Final = frozenset("*_#`\\-+")
#: The page has its own title (h1) and sections (h2).
_BELOW: Final = 2
_READER: Final = MarkdownIt("zero", {"maxNesting": DEEPEST + 1}).enable(
    ["heading", "list", "emphasis", "newline", "escape"]
)
_TAGS: Final = {
    "paragraph": "p",
    "bullet_list": "ul",
    "ordered_list": "ol",
    "list_item": "li",
    "strong": "strong",
    "em": "em",
}


def marked(text: str) -> Markup | None:
    """`text` as HTML; None when it is to be shown as it came: it says nothing in the subset, or too much of it."""
    if sum(text.count(sign) for sign in _SIGNS) > MOST_SIGNS or text.count("\n") > MOST_LINES:
        return None
    tokens = _READER.parse(text)
    if any(token.level >= DEEPEST for token in _all(tokens)):
        return None  # what lies deeper is left out by the reader, and nothing may be
    return _html(tokens)


def _all(tokens: Sequence[Token]) -> list[Token]:
    return [*tokens, *(inner for token in tokens for inner in token.children or ())]


def _html(tokens: Sequence[Token]) -> Markup:
    return Markup("").join(_one(token) for token in tokens)


def _one(token: Token) -> Markup:
    if token.type == "inline":
        return _html(token.children or ())
    if token.type in ("softbreak", "hardbreak"):
        return Markup("<br>")
    if token.type in ("text", "text_special"):
        return escape(token.content)
    kind, _, end = token.type.rpartition("_")
    tag = f"h{min(int(token.tag[1:]) + _BELOW, 6)}" if kind == "heading" else _TAGS[kind]
    if token.hidden:  # the paragraph of a list whose items stand close
        return Markup("")
    if end == "close":
        return Markup("</{}>").format(tag)
    number = token.info if kind == "list_item" else ""
    return Markup('<{} value="{}">').format(tag, number) if number.isdigit() else Markup("<{}>").format(tag)
