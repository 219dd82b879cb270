"""Collect the texts of the pages into the English catalogue; what is translated stays, what is gone goes.

Why this exists: Swedish stands in the templates and in `_()`, `N_()` and `tr()`; somebody must say what is missing in
English. `python tools/messages.py` updates the catalogue; then fill in each empty msgstr. A test holds that none
is left.
"""

from __future__ import annotations

import sys
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from gateway.neighbours import ENDED_IN_SWEDISH, IN_SWEDISH  # noqa: E402  (the checkout is put on the path first)

WEB = ROOT / "adapters" / "http" / "web"
CATALOGUE = WEB / "locale" / "en" / "LC_MESSAGES" / "sambud.po"
KEYWORDS = {"_": None, "gettext": None, "ngettext": (1, 2), "N_": None, "tr": None}
OPTIONS = {"trimmed": "true", "extensions": "jinja2.ext.do"}


def found() -> Catalog:
    """Every text that a page may show, with where it stands."""
    catalogue = Catalog(locale="en", project="Sambud", domain="sambud")
    for path in sorted([*WEB.rglob("*.py"), *(WEB / "templates").rglob("*.html")]):
        method = "python" if path.suffix == ".py" else "jinja2"
        with path.open("rb") as source:
            for _line, message, _comments, context in extract(method, source, KEYWORDS, (), dict(OPTIONS)):
                catalogue.add(message, None, [(path.relative_to(WEB).as_posix(), 0)], context=context)
    # What neighbours' reasons are called stands beside the reasons, where no page is known.
    for happened, then in {*IN_SWEDISH.values(), *ENDED_IN_SWEDISH.values()}:
        for text in (happened, then):
            catalogue.add(text, None, [("gateway/neighbours.py", 0)])
    return catalogue


def known() -> Catalog:
    """The catalogue as it is kept."""
    if not CATALOGUE.exists():
        return Catalog(locale="en")
    with CATALOGUE.open("rb") as source:
        return read_po(source, locale="en")


def main() -> None:
    kept, missing = known(), 0
    catalogue = found()
    for message in catalogue:
        before = kept.get(message.id, message.context) if message.id else None
        if before is not None and before.string:
            message.string = before.string
        elif message.id:
            missing += 1
            print(f"missing: {message.id}")
    written = BytesIO()
    write_po(written, catalogue, width=120, omit_header=True, sort_output=True, include_lineno=False)
    fresh = CATALOGUE.with_suffix(".new")
    header = b'msgid ""\nmsgstr ""\n"Content-Type: text/plain; charset=utf-8\\n"\n'
    header += b'"Language: en\\n"\n"Plural-Forms: nplurals=2; plural=(n != 1);\\n"\n\n'
    fresh.write_bytes(header + written.getvalue())
    fresh.replace(CATALOGUE)
    print(f"{len(catalogue)} texts, {missing} without English")


if __name__ == "__main__":
    main()
