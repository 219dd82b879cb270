"""For each GET page of the table: who looks at it, and at which address. A page without a line here fails a test.

A path that needs something to exist is a function of the site; it makes what it needs once (`site.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from gateway.directory_file import user_id
from tests.county import ALVESTA

if TYPE_CHECKING:
    from tests.browser.conftest import Site


def a_message(site: Site) -> str:
    """The way of a referral that was sent and delivered."""
    county = site.county

    async def send() -> str:
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker, ALVESTA)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        return f"/drift/meddelanden/{sent.message}"

    return site.run(send())


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
    "/logg": ("gransk", "/logg"),
    "/logg/kontroll": ("gransk", "/logg/kontroll"),
    "/logg/{nummer}": ("gransk", "/logg/3"),
    "/drift/meddelanden": ("it", "/drift/meddelanden"),
    "/drift/meddelanden/{meddelande}": ("it", a_message),
    "/drift/adressbok": ("it", "/drift/adressbok"),
    "/drift/adressbok/fil": ("it", "/drift/adressbok/fil"),
    "/drift/anvandare": ("it", "/drift/anvandare"),
    "/drift/anvandare/{anvandare}": ("it", f"/drift/anvandare/{user_id('al-sos')}"),
    "/drift/anvandare/{anvandare}/{atgard}": ("it", f"/drift/anvandare/{user_id('al-sos')}/losenord"),
    "/drift/medlemmar": ("it", "/drift/medlemmar"),
    "/drift/medlemmar/foresla": ("it", "/drift/medlemmar/foresla?inkorg=alvesta.ifo.vuxen"),
}

#: Pages that this campaign cannot open by an address: files, and what waits for one session. Named tests look at them.
ELSEWHERE: frozenset[str] = frozenset(
    {
        "/logg/export",
        "/logg/{nummer}/bevis",
        "/drift/adressbok/forslag/{nyckel}",
        "/drift/lamna-over/{nyckel}",
    }
)


def address(site: Site, path: str) -> str:
    """The address at which the page `path` is looked at."""
    where = EXAMPLES[path][1]
    if isinstance(where, str):
        return where
    if path not in site.kept:
        site.kept[path] = where(site)
    return site.kept[path]
