"""The pages of what people carry: from the list over print and checklist to the word of a person."""

from __future__ import annotations

import html
import io
import re

import pypdf
import pytest

from adapters.documents.pdf import PdfDocuments
from gateway.collaboration import Refusal, Trouble
from gateway.forms.demo import demo_referral
from gateway.model.carrying import HandOver
from gateway.model.path import Delivery
from gateway.states import DeliveryState, HandOverState
from tests import paper
from tests.county import ALVESTA, County, password_of
from tests.path.test_by_hand import on_paper
from tests.path.test_pages import Browser, Reply, browser, site

pytestmark = pytest.mark.slow  # each walks pages over a real connection

__all__ = ["browser", "site"]  # fixtures


def seen(reply: Reply) -> str:
    """The words of the page."""
    main = reply.text[reply.text.index("<main") : reply.text.index("</main>")]
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", main)))


async def waiting(county: County, browser: Browser) -> tuple[Delivery, str]:
    """A message that waits, and its page, in the browser of its sender."""
    worker = await county.sign_in("al-sos")
    delivery = await paper.a_message(county, worker, file=True)
    await browser.sign_in("al-sos")
    return delivery, f"/overlamning/{ALVESTA}/{delivery.id}"


async def with_code(browser: Browser, url: str, what: str) -> str:
    """Gives the code on the hand-over's own page; where it leads."""
    page = await browser.get(url)
    done = await browser.post(f"{url}/kod", {"_csrf": page.token, "kod": browser.code("al-sos"), "till": what})
    assert done.status == 303
    return done.headers["Location"]


async def state(county: County, delivery: Delivery) -> DeliveryState:
    row = await county.store.get(Delivery, delivery.id)
    assert row is not None
    return row.state


async def test_a_person_prints_goes_through_the_list_and_says_that_it_was_handed_over(
    site: tuple[str, County], browser: Browser
) -> None:
    county = site[1]
    delivery, url = await waiting(county, browser)
    assert "Elevhälsan, Gislaved" in seen(await browser.get("/overlamning"))
    page = await browser.get(url)
    assert paper.ADDRESS in seen(page)
    assert "skolgången" not in page.text

    taken = await browser.post(f"{url}/ta", {"_csrf": page.token})
    assert taken.headers["Location"] == f"{url}/kod?till=utskrift"
    assert await state(county, delivery) is DeliveryState.IN_TRANSIT
    printed = await browser.get(await with_code(browser, url, "utskrift"))
    assert "Kan ni ringa om skolgången?" in seen(printed)
    file = re.search(rf'href="({re.escape(url)}/utskrift/[0-9a-f-]+)"', printed.text)
    assert file is not None
    assert (await browser.get(file[1])).status == 200
    for used in (f"{url}/utskrift", file[1]):  # a reload, or the link pressed again: a new code
        again = await browser.get(used)
        assert (again.status, again.headers["Location"].rpartition("&")[2]) == (303, "lage=anvand")
        page = await browser.get(again.headers["Location"])
        assert "Koden är redan använd. Varje kod räcker en gång. Inget har lämnats ut." in seen(page)
        assert "skolgången" not in page.text

    page = await browser.get(url)
    empty = await browser.post(f"{url}/lamnad", {"_csrf": page.token, "nar": "2026-13-40", "klockan": "kvart"})
    assert empty.status == 422
    for words in ("kryssa i alla punkter", "Välj hur det gjordes", "när det gjordes", "vilken funktion som tog emot"):
        assert words in seen(empty)
    assert await state(county, delivery) is DeliveryState.IN_TRANSIT
    again = await browser.get(url)
    day, clock = (re.search(rf'name="{name}"[^>]*value="([^"]*)"', again.text) for name in ("nar", "klockan"))
    assert day and clock
    row = await county.store.get(HandOver, delivery.id)
    assert row is not None
    word = {
        "satt": "registered_post",
        "nar": day[1],
        "klockan": clock[1],
        "till": "registrator",
        "referens": "RR 123 SE",
    }
    fields = [
        ("_csrf", again.token),
        *word.items(),
        *(("kontroll", c) for c in ("whole", "address", "closed", "hands")),
    ]
    done = await browser.post(f"{url}/lamnad", fields)  # type: ignore[arg-type]
    assert done.headers["Location"] == "/overlamning?klart=lamnad"
    assert await state(county, delivery) is DeliveryState.DELIVERED
    after = seen(await browser.get(url))
    assert "Rekommenderat brev" in after
    assert "RR 123 SE" in after
    twice = await browser.post(f"{url}/lamnad", fields)  # type: ignore[arg-type]
    assert twice.status == 303  # pressed twice is said once


async def test_the_paper_comes_as_pdf_too_with_the_words_of_the_recipients_projection_and_no_data_inside(
    site: tuple[str, County], browser: Browser
) -> None:
    """The page that SDK carries, for a printer: what a person hands over holds nothing that eyes do not see."""
    county, documents = site[1], PdfDocuments()
    county.gateway.printing.connect(documents)
    delivery, url = await waiting(county, browser)
    assert (await browser.get(f"{url}/pdf")).status == 404  # not taken out
    await browser.post(f"{url}/ta", {"_csrf": (await browser.get(url)).token})
    assert f'href="{url}/pdf"' in (await browser.get(await with_code(browser, url, "utskrift"))).text

    worker = await county.sign_in("al-sos")
    await county.permit_print(worker, ALVESTA, delivery.id)
    octets = await county.gateway.printing.pdf(worker, ALVESTA, delivery.id)

    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(octets)).pages)
    assert "Kan ni ringa om skolgången?" in text
    assert "Elevhälsan, Gislaved" in text
    assert await documents.data(octets) is None
    async with browser.http.get(f"{browser.address}{await with_code(browser, url, 'pdf')}") as reply:
        assert (reply.status, reply.content_type) == (200, "application/pdf")
        assert (await reply.read()).startswith(b"%PDF-")


async def test_a_person_says_why_it_could_not_be_handed_over_and_the_case_says_so(
    site: tuple[str, County], browser: Browser
) -> None:
    county = site[1]
    delivery, url = await waiting(county, browser)
    page = await browser.get(url)
    assert (await browser.post(f"{url}/inte-lamnad", {"_csrf": page.token})).status == 422
    done = await browser.post(f"{url}/inte-lamnad", {"_csrf": page.token, "varfor": "not_found"})
    assert done.status == 303
    assert await state(county, delivery) is DeliveryState.FAILED


async def test_the_sender_sees_in_the_case_that_somebody_must_hand_it_over(
    site: tuple[str, County], browser: Browser
) -> None:
    county = site[1]
    delivery, url = await waiting(county, browser)
    load = await county.gateway.carrying.find(await county.sign_in("al-sos"), ALVESTA, delivery.id)
    case = await browser.get(f"/arenden/{load.case.id}")
    assert "Väntar på att någon av er skriver ut det och lämnar det" in seen(case)
    assert f'href="{url}"' in case.text


async def test_a_withdrawal_becomes_something_to_say_and_counts_when_it_was_said(
    site: tuple[str, County], browser: Browser
) -> None:
    county = site[1]
    worker = await county.sign_in("al-sos")
    notice = await paper.to_say(county, worker)
    await browser.sign_in("al-sos")
    assert "Ring och säg att samtycket är återkallat" in seen(await browser.get("/overlamning"))
    url = f"/overlamning/{ALVESTA}/sag/{notice}"
    page = await browser.get(url)
    assert "inget nytt får lämnas ut med stöd av det" in seen(page)
    day, clock = (re.search(rf'name="{name}"[^>]*value="([^"]*)"', page.text) for name in ("nar", "klockan"))
    assert day and clock
    said = {"_csrf": page.token, "satt": "phone", "nar": day[1], "klockan": clock[1], "till": "registrator"}
    assert (await browser.post(url, said)).headers["Location"] == "/overlamning?klart=sagt"
    row = await county.store.get(HandOver, notice)
    assert row is not None
    assert row.state is HandOverState.DONE


async def test_a_stopped_hand_over_says_so_and_offers_no_print(site: tuple[str, County], browser: Browser) -> None:
    county = site[1]
    worker = await county.sign_in("al-sos")
    delivery = await paper.taken(county, worker)
    [consent] = await county.store.consents_under(delivery.envelope)
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await browser.sign_in("al-sos")
    url = f"/overlamning/{ALVESTA}/{delivery.id}"
    page = await browser.get(url)
    assert "Lämna inte över" in seen(page)
    assert "utskrift" not in "".join(re.findall(r'href="([^"]*)"', page.text[page.text.index("<main") :]))
    refused = await browser.get(f"{url}/utskrift")
    assert refused.status == 403
    assert "Förstör utskriften" in seen(refused)


async def test_before_sending_the_sender_reads_that_somebody_must_carry_it(
    site: tuple[str, County], browser: Browser
) -> None:
    """A way of people is never told as a channel that is away."""
    county = site[1]
    await county.gateway.register.apply(on_paper(), passwords=password_of, by="test")
    worker = await county.sign_in("al-sos")
    case, _ = await county.consented_case(worker)
    values = demo_referral(county.today)
    draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "placement_referral", 1, values)
    await browser.sign_in("al-sos")
    page = seen(await browser.get(f"/utkast/{draft.id}/granska?till=remissgrupp"))
    assert "nås inte elektroniskt. Någon av er skriver ut det och lämnar det" in page
    assert "inte ansluten" not in page


async def test_whoever_entered_a_case_into_link_asks_how_it_stands_and_reads_whose_words_it_is(
    site: tuple[str, County], browser: Browser
) -> None:
    """docs/link.md §2, L1: the button is there where the switch is on; the answer is a sentence, and is not kept."""
    county = site[1]
    worker = await county.sign_in("al-sos")
    url = f"/overlamning/{ALVESTA}/{(await paper.entered(county, worker)).id}"
    await browser.sign_in("al-sos")
    assert "Fråga hur ärendet står" not in seen(await browser.get(url))
    link = paper.LinkAnswers()
    county.gateway.linked.connect(link)
    page = await browser.get(url)
    assert "Fråga hur ärendet står i Cosmic Link" in seen(page)
    told = await browser.post(f"{url}/link", {"_csrf": page.token})
    assert "Ärendet pågår i Cosmic Link. Det är Sambuds ord, inte Cosmic Links egna." in seen(told)
    assert link.asked == [("LINK-00001", ALVESTA)]
    assert "Ärendet pågår" not in seen(await browser.get(url))
    link.answer = Refusal(Trouble.UNKNOWN)
    unknown = await browser.post(f"{url}/link", {"_csrf": page.token})
    assert "svarade något som Sambud inte känner igen" in seen(unknown)
    assert "Sambuds ord" not in seen(unknown)
