"""A party on paper beside the demo county: an authority that no machine reaches, and messages on their way to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

from gateway.carried import CHECKS, Said
from gateway.collaboration import LinkStatus, Refusal
from gateway.model.base import InboxId
from gateway.model.carrying import Manner
from gateway.model.classes import Category
from gateway.model.path import Channel, Delivery
from gateway.sessions import Signed
from gateway.workers import by_hand
from tests.county import ALVESTA, DEMO_DIRECTORY, County, password_of

SCHOOL = InboxId("gislaved.skola.mottagning")
ADDRESS = "Elevhälsan, Skolgatan 1, Gislaved"
DIRECTORY = (
    DEMO_DIRECTORY
    + f"""
[[organisation]]
id = "GISLAVED"
name = "Gislaveds kommun"
number = "212000-0514"

[[administration]]
id = "gislaved.skola"
organisation = "GISLAVED"
name = "Gislaved, barn- och utbildningsförvaltningen"
outside = true

[[unit]]
id = "gislaved.skola"
administration = "gislaved.skola"
name = "Elevhälsan, Gislaved"
secrecy_regime = "OSL_26"
legal_form = "förvaltningsenhet"

[[inbox]]
id = "{SCHOOL}"
unit = "gislaved.skola"
name = "Elevhälsan, Gislaved"
kind = "intake"
accepts = ["case_message"]
members = []

[[route]]
inbox = "{SCHOOL}"
channel = "handover"
address = "{ADDRESS}"
"""
)
#: A function of the same party that is reached in Cosmic Link, where Alvesta has an inbox of its own.
LINKED = InboxId("gislaved.skola.link")
IN_LINK = (
    DIRECTORY
    + f"""
[[inbox]]
id = "{LINKED}"
unit = "gislaved.skola"
name = "Elevhälsan i Cosmic Link, Gislaved"
kind = "intake"
accepts = ["case_message"]
members = []

[[route]]
inbox = "{LINKED}"
channel = "link"
address = "gislaved.skola"

[[route]]
inbox = "{ALVESTA}"
channel = "link"
address = "alvesta.ifo"
"""
)


class LinkAnswers:
    """A Link that answers every question in one way, and remembers what it was asked and for which function."""

    def __init__(self, answer: LinkStatus | Refusal = LinkStatus.ACTIVE) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    async def status(self, case: str, acting: str) -> LinkStatus | Refusal:
        self.asked.append((case, acting))
        return self.answer


async def known(county: County, directory: str = DIRECTORY) -> None:
    """The directory with the party in it; applying it again changes nothing."""
    await county.gateway.register.apply(directory, passwords=password_of, by="test")


async def a_message(
    county: County, worker: Signed, *, file: bool = False, directory: str = DIRECTORY, to: InboxId = SCHOOL
) -> Delivery:
    """A message from Alvesta that waits for a person of Alvesta's; with `file` it has an attachment."""
    await known(county, directory)
    parties = [{"from": "alvesta.vuxen", "to": "gislaved.skola"}]
    case, _ = await county.consented_case(worker, parties=parties)
    values = {"text": "Kan ni ringa om skolgången?", "categories": ["SOCIAL"]}
    draft = await county.gateway.drafts.create(worker, ALVESTA, case.id, "case_message", 1, values)
    if file:
        await county.gateway.attachments.add(worker, draft.id, "intyg.pdf", Category.SOCIAL, _pdf())
    sent = await county.gateway.sending.send_draft(worker, draft.id, [to])
    [delivery] = await county.store.deliveries_of(sent.message)
    return delivery


async def taken(county: County, worker: Signed, *, file: bool = False) -> Delivery:
    """The same, taken out."""
    delivery = await a_message(county, worker, file=file)
    await county.gateway.printing.take(worker, ALVESTA, delivery.id)
    return delivery


def said(county: County, manner: Manner = Manner.IN_PERSON) -> Said:
    checks = frozenset(CHECKS[Channel.HANDOVER])
    return Said(manner=manner, handed_at=county.clock.now(), given_to="registrator", checks=checks)


async def entered(
    county: County, worker: Signed, reference: str = "LINK-00001", *, directory: str = IN_LINK
) -> Delivery:
    """A message that a person of Alvesta's has entered into Link."""
    delivery = await a_message(county, worker, directory=directory, to=LINKED)
    await county.gateway.printing.take(worker, ALVESTA, delivery.id)
    told = Said(
        manner=Manner.LINK,
        handed_at=county.clock.now(),
        given_to="samordnare",
        reference=reference,
        checks=frozenset(CHECKS[Channel.LINK]),
    )
    await county.gateway.carrying.hand_over(worker, ALVESTA, delivery.id, told)
    return delivery


async def to_say(county: County, worker: Signed) -> str:
    """A withdrawal that the party must be told by a person."""
    delivery = await taken(county, worker)
    await county.gateway.carrying.hand_over(worker, ALVESTA, delivery.id, said(county))
    [consent] = await county.store.consents_under(delivery.envelope)
    await county.gateway.consents.withdraw(worker, ALVESTA, consent.id)
    await by_hand(county.gateway)
    newest = (await county.gateway.carrying.waiting(worker, ALVESTA)).sayings[0]
    return newest[0].id


async def _pdf() -> AsyncIterator[bytes]:
    yield b"%PDF-1.7\n" + b"intyg " * 400
