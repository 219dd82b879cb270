"""For each GET page of the table: who looks at it, and at which address. A page without a line here fails a test.

A path that needs something to exist is a function of the site; it makes what it needs once (`site.kept`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from adapters.smtp.notices import NoticeMailer
from adapters.smtp.relay import Hop, Relay, Security
from gateway.directory_file import user_id
from gateway.model.base import InboxId
from gateway.sending import Submission
from tests import paper
from tests.browser.casework_examples import CASEWORK
from tests.county import ALVESTA, SEAT_E
from tests.holding import REGISTRATOR, hold_one

if TYPE_CHECKING:
    from tests.browser.conftest import Site


def notices(site: Site) -> str:
    """The choice of notices, where there are notices."""
    relay = Relay(Hop("127.0.0.1", 25, Security.NONE))
    site.county.gateway.noticing.connect(
        NoticeMailer(relay, "svara-inte@region.example", ["region.example"], site.county.clock)
    )
    return "/aviseringar"


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


def an_item(site: Site) -> str:
    """A referral that both seats have received and nobody has answered; the chief of one has read it."""
    if "item" not in site.kept:
        site.kept["item"] = site.run(_an_item(site))
    return site.kept["item"]


async def _an_item(site: Site) -> str:
    county = site.county
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, case.id, lvm_investigation=True, accepts_treatment="YES")
    await county.deliver()
    envelope = await county.envelope(SEAT_E, sent.message)
    await county.gateway.queue.open(await county.sign_in("ek-chef"), envelope)
    return f"/inkorg/{SEAT_E}/{envelope}"


def a_list(site: Site) -> str:
    """The inbox with that item in it."""
    return an_item(site).rpartition("/")[0]


def a_recall(site: Site) -> str:
    """What a sender asks back from the region's registrator."""

    async def make() -> str:
        county = site.county
        worker = await county.sign_in("al-sos")
        case, _ = await county.consented_case(worker)
        sent = await county.send_referral(worker, case.id)
        await county.deliver()
        await county.gateway.recalls.request(worker, ALVESTA, sent.message)
        return f"/registrator/region.registrator/{await county.envelope(SEAT_E, sent.message)}"

    return site.run(make())


def to_a_registrator(site: Site) -> str:
    """A message that came to a registrator, unread."""

    async def make() -> str:
        county = site.county
        registrator = InboxId("vaxjo.registrator")
        worker = await county.sign_in("al-sos")
        parties = [{"from": "alvesta.vuxen", "to": "vaxjo.registrator"}]
        case, _ = await county.consented_case(worker, parties=parties)
        values = {"text": "Till den som tar emot.", "categories": ["SOCIAL"]}
        out = Submission(
            case=case.id, form_type="case_message", form_version=1, values=values, recipients=(registrator,)
        )
        sent = await county.gateway.sending.send(worker, ALVESTA, out)
        await county.deliver()
        return f"/registrator/{registrator}/{await county.envelope(registrator, sent.message)}/vidare"

    return site.run(make())


def a_held(site: Site) -> str:
    """What came to a shared address and waits."""
    if "held" not in site.kept:
        site.kept["held"] = f"/fordelning/{REGISTRATOR}/{site.run(hold_one(site.county.gateway))}"
    return site.kept["held"]


def by_hand(site: Site, *, taken: bool) -> str:
    """A message that waits for a person of the sender's, or lies with one."""

    async def make() -> str:
        worker = await site.county.sign_in("al-sos")
        make_one = paper.taken if taken else paper.a_message
        return f"/overlamning/{ALVESTA}/{(await make_one(site.county, worker)).id}"

    return site.run(make())


def a_saying(site: Site) -> str:
    """A withdrawal that a party on paper must be told."""

    async def make() -> str:
        worker = await site.county.sign_in("al-sos")
        return f"/overlamning/{ALVESTA}/sag/{await paper.to_say(site.county, worker)}"

    return site.run(make())


#: path in the table: (login, or "" for nobody; address, or how to make it)
EXAMPLES: Mapping[str, tuple[str, str | Callable[[Site], str]]] = {
    "/": ("stat", "/"),
    "/logga-in": ("", "/logga-in"),
    "/inloggningar": ("al-sos", "/inloggningar"),
    "/inkorg/{inbox}/kod": ("ek-chef", "/inkorg/ekeliden.enhet/kod"),
    "/inkorg/{inbox}": ("ek-chef", a_list),
    "/inkorg/{inbox}/mote": ("ek-chef", lambda site: f"{a_list(site)}/mote"),
    "/inkorg/{inbox}/medlemmar": ("ek-chef", "/inkorg/ekeliden.enhet/medlemmar"),
    "/inkorg/{inbox}/medlemmar/{anvandare}/ta-bort": (
        "ek-chef",
        f"/inkorg/ekeliden.enhet/medlemmar/{user_id('ek-chef')}/ta-bort",
    ),
    "/inkorg/{inbox}/{envelope}": ("ek-chef", an_item),
    "/inkorg/{inbox}/{envelope}/svara": ("ek-sam", lambda site: f"{an_item(site)}/svara"),
    "/inkorg/{inbox}/{envelope}/meddelande": ("ek-chef", lambda site: f"{an_item(site)}/meddelande"),
    "/registrator": ("re-reg", "/registrator"),
    "/registrator/{inbox}/{envelope}": ("re-reg", a_recall),
    "/registrator/{inbox}/{envelope}/vidare": ("vx-reg", to_a_registrator),
    "/fordelning": ("vx-reg", lambda site: a_held(site).rpartition(f"/{REGISTRATOR}")[0]),
    "/fordelning/{inbox}/{envelope}": ("vx-reg", a_held),
    "/overlamning": ("al-sos", "/overlamning"),
    "/overlamning/{inbox}/{leverans}": ("al-sos", lambda site: by_hand(site, taken=False)),
    "/overlamning/{inbox}/{leverans}/kod": ("al-sos", lambda site: f"{by_hand(site, taken=True)}/kod?lage=anvand"),
    "/overlamning/{inbox}/sag/{notis}": ("al-sos", a_saying),
    "/installningar": ("", "/installningar"),
    "/aviseringar": ("ek-chef", notices),
    "/tillganglighet": ("", "/tillganglighet"),
    "/granssnitt": ("", "/granssnitt"),
    "/granssnitt/{kapitel}": ("", "/granssnitt/4"),
    "/sok": ("al-sos", "/sok?namn=AL-26-00000"),
    "/jour": ("", "/jour"),
    "/hjalp": ("al-sos", "/hjalp"),
    "/hjalp/{amne}": ("al-sos", "/hjalp/logga-in"),
    "/logg": ("gransk", "/logg"),
    "/logg/kod": ("gransk", "/logg/kod?lage=tid"),
    "/logg/kontroll": ("gransk", "/logg/kontroll"),
    "/logg/{nummer}": ("gransk", "/logg/3"),
    "/drift/meddelanden": ("it", "/drift/meddelanden"),
    "/drift/meddelanden/{meddelande}": ("it", a_message),
    "/drift/karantan": ("it", "/drift/karantan"),
    "/drift/kanaler": ("it", "/drift/kanaler"),
    "/drift/adressbok": ("it", "/drift/adressbok"),
    "/drift/adressbok/fil": ("it", "/drift/adressbok/fil"),
    "/drift/anvandare": ("it", "/drift/anvandare"),
    "/drift/anvandare/{anvandare}": ("it", f"/drift/anvandare/{user_id('al-sos')}"),
    "/drift/anvandare/{anvandare}/{atgard}": ("it", f"/drift/anvandare/{user_id('al-sos')}/losenord"),
    "/drift/medlemmar": ("it", "/drift/medlemmar"),
    "/drift/medlemmar/foresla": ("it", "/drift/medlemmar/foresla?inkorg=alvesta.ifo.vuxen"),
    **CASEWORK,
}

#: Pages that this campaign cannot open by an address: files, and what waits for one session. Named tests look at them.
ELSEWHERE: frozenset[str] = frozenset(
    {
        "/logg/export",
        "/logg/{nummer}/bevis",
        "/overlamning/{inbox}/{leverans}/utskrift",
        "/overlamning/{inbox}/{leverans}/utskrift/{bilaga}",
        "/overlamning/{inbox}/{leverans}/pdf",
        "/drift/adressbok/forslag/{nyckel}",
        "/drift/lamna-over/{nyckel}",
        "/utkast/{draft}/bilagor/{bilaga}",
        "/arenden/{case}/las/{envelope}/{bilaga}",
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
