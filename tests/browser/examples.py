"""For each GET page of the table: who looks at it, and at which address. A page without a line here fails a test.

A path that needs something to exist is a function of the site; it makes what it needs once (`site.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.browser.conftest import Site

#: path in the table: (login, or "" for nobody; address, or how to make it)
EXAMPLES: Mapping[str, tuple[str, str | Callable[[Site], str]]] = {
    "/": ("stat", "/"),
    "/logga-in": ("", "/logga-in"),
    "/inloggningar": ("al-sos", "/inloggningar"),
    "/inkorg/{inbox}/kod": ("ek-chef", "/inkorg/ekeliden.enhet/kod"),
    "/installningar": ("", "/installningar"),
    "/tillganglighet": ("", "/tillganglighet"),
    "/sok": ("al-sos", "/sok?namn=AL-26-00000"),
    "/hjalp": ("al-sos", "/hjalp"),
    "/hjalp/{amne}": ("al-sos", "/hjalp/logga-in"),
}


def address(site: Site, path: str) -> str:
    """The address at which the page `path` is looked at."""
    where = EXAMPLES[path][1]
    if isinstance(where, str):
        return where
    if path not in site.kept:
        site.kept[path] = where(site)
    return site.kept[path]
