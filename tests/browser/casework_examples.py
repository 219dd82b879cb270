"""Addresses of the social worker's pages: one case with a whole draft, one that is answered; made once per site."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING

from gateway.forms.demo import demo_referral
from gateway.model.classes import Category
from tests.county import ALVESTA, SEAT_E, SEAT_N, County

if TYPE_CHECKING:
    from tests.browser.conftest import Site


async def made(county: County) -> dict[str, str]:
    """What the addresses name."""
    gateway, worker = county.gateway, await county.sign_in("al-sos")
    writing, consent = await county.consented_case(worker)
    draft = await gateway.drafts.create(
        worker, ALVESTA, writing.id, "placement_referral", 1, demo_referral(county.today)
    )
    file = await gateway.attachments.add(worker, draft.id, "utdrag.pdf", Category.SOCIAL, _file())
    answered, _ = await county.consented_case(worker)
    sent = await county.send_referral(worker, answered.id)
    await county.deliver()
    ekeliden, novus = await county.sign_in("ek-chef"), await county.sign_in("no-chef")
    await county.open(ekeliden, SEAT_E, sent.message)
    proposal = await gateway.answers.propose(ekeliden, SEAT_E, sent.message, county.answer())
    await county.deliver()
    answer = await gateway.answers.confirm(novus, SEAT_N, proposal.message)
    await county.deliver()
    return {
        "case": writing.id,
        "consent": consent.id,
        "draft": draft.id,
        "file": file.id,
        "answered": answered.id,
        "message": sent.message,
        "answer": await county.envelope(ALVESTA, answer.message),
    }


def at(pattern: str) -> tuple[str, Callable[[Site], str]]:
    def where(site: Site) -> str:
        if "casework.draft" not in site.kept:
            for name, value in site.run(made(site.county)).items():
                site.kept[f"casework.{name}"] = value
        found = pattern
        for name in ("case", "consent", "draft", "file", "answered", "message", "answer"):
            found = found.replace(f"<{name}>", site.kept[f"casework.{name}"])
        return found

    return "al-sos", where


async def _file() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n% ett exempel\n" + b"x" * 2000


CASEWORK: Mapping[str, tuple[str, str | Callable[[Site], str]]] = {
    "/arenden": at("/arenden"),
    "/arenden/{case}": at("/arenden/<answered>"),
    "/arenden/{case}/steg2": at("/arenden/<answered>/steg2"),
    "/arenden/{case}/meddelande": at("/arenden/<answered>/meddelande"),
    "/arenden/{case}/samtycke": at("/arenden/<case>/samtycke"),
    "/arenden/{case}/samtycke/nej": at("/arenden/<case>/samtycke/nej"),
    "/arenden/{case}/samtycke/{consent}/aterkalla": at("/arenden/<case>/samtycke/<consent>/aterkalla"),
    "/arenden/{case}/skickat/{message}": at("/arenden/<answered>/skickat/<message>"),
    "/arenden/{case}/skickat/{message}/begar-tillbaka": at("/arenden/<answered>/skickat/<message>/begar-tillbaka"),
    "/arenden/{case}/las/{envelope}": at("/arenden/<answered>/las/<answer>"),
    "/utkast/{draft}": at("/utkast/<draft>"),
    "/utkast/{draft}/kasta": at("/utkast/<draft>/kasta"),
    "/utkast/{draft}/bilagor": at("/utkast/<draft>/bilagor"),
    "/utkast/{draft}/mottagare": at("/utkast/<draft>/mottagare"),
    "/utkast/{draft}/granska": at("/utkast/<draft>/granska?till=remissgrupp"),
    "/utkast/{draft}/{section}": at("/utkast/<draft>/person"),
}
