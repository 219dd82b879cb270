"""Two gateways that reach each other by e-mail alone: real connections to a post office, Maildirs, keys of both sides."""

from __future__ import annotations

import re
import uuid
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from adapters.documents.child import Children
from adapters.documents.pdf import PdfDocuments
from adapters.memory import MemoryStore
from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.connect import _pins
from adapters.smtp.kept import Answered, Outcomes, Returned
from adapters.smtp.maildir import Maildir
from adapters.smtp.neighbour import Inward, SmimeNeighbour
from adapters.smtp.reading import Reader
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.trust import Certificates
from adapters.smtp.verp import Verp
from gateway.demo_federated import seen_from
from gateway.exchange import turn
from gateway.model.base import SECOND
from gateway.model.path import Channel
from tests.clock import ManualClock
from tests.county import DEMO_DIRECTORY, County, a_county
from tests.neighbours import inboxes_of, pin_keys
from tests.smtp.authority import Authority
from tests.smtp.servers import a_server

ONE, TWO = "alvesta.example", "region.example"


@dataclass
class PostOffice:
    """Delivers into the Maildir of the recipient's domain, as a mail server does."""

    maildirs: dict[str, Path]
    carried: list[bytes] = field(default_factory=list)
    twice: bool = False  # a relay that lost the answer to its last dot delivers again

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        octets = bytes(envelope.original_content or b"")
        self.carried.append(octets)
        [recipient] = envelope.rcpt_tos
        folder = self.maildirs[recipient.rpartition("@")[2]]
        back = str(envelope.mail_from).strip("<>")
        head = f"Return-Path: <{back}>\r\nX-Original-To: {recipient}\r\nDelivered-To: {recipient}\r\n"
        for _ in range(2 if self.twice else 1):
            name = str(uuid.uuid4())
            (folder / "tmp" / name).write_bytes(head.encode() + octets)
            (folder / "tmp" / name).rename(folder / "new" / name)
        return "250 2.0.0 taken"


@dataclass
class Post:
    """Both gateways, their neighbours, and what carries between them."""

    first: County
    second: County
    one: SmimeNeighbour
    two: SmimeNeighbour
    office: PostOffice

    async def exchange(self, rounds: int = 6) -> None:
        for _ in range(rounds):
            for county in (self.first, self.second):
                await county.deliver()
                await turn(county.gateway, Channel.SMIME)
            self.first.clock.advance(10 * SECOND)


@asynccontextmanager
async def a_post(
    folder: Path, hosted: Collection[str] = ("alvesta.ifo",), *, unknown: str = "", collecting: str = ""
) -> AsyncIterator[Post]:
    """A gateway that hosts `hosted`, one that hosts the rest of the county, and e-mail between them.

    Args:
        unknown: an inbox that the second gateway has under no address.
        collecting: an inbox of the second gateway, a registrator's, whose address names no function.
    """
    clock, authority = ManualClock(), Authority()
    authority.written(folder)
    everybody = set(re.findall(r'\[\[administration\]\]\nid = "([^"]+)"', DEMO_DIRECTORY))
    groups = {ONE: set(hosted), TWO: everybody - set(hosted)}
    pins = _certified(folder, authority, groups)
    office = PostOffice({domain: folder / domain / "maildir" for domain in groups})
    texts = {domain: _by_mail(seen_from(group, DEMO_DIRECTORY), pins) for domain, group in groups.items()}
    texts[TWO] = re.sub(rf'\[\[route\]\]\ninbox = "{re.escape(unknown)}"\n.*\n.*\n.*\n', "", texts[TWO])
    if collecting:
        address = f'address = "{collecting}@{TWO}"'
        texts[TWO] = texts[TWO].replace(address, f'{address}\nserves = ["vaxjo.nav"]')
    async with (
        a_county(MemoryStore(clock), clock=clock, directory=texts[ONE]) as first,
        a_county(MemoryStore(clock), clock=clock, directory=texts[TWO]) as second,
        a_server(office, data_size_limit=40_000_000) as port,
    ):
        await pin_keys([(first, texts[ONE]), (second, texts[TWO])])
        sides = []
        for domain, county in ((ONE, first), (TWO, second)):
            sides.append(_neighbour(folder, domain, county, port))
            county.gateway.channels.connect(sides[-1])
        yield Post(first, second, *sides, office)


def _certified(folder: Path, authority: Authority, groups: dict[str, set[str]]) -> dict[str, tuple[str, str]]:
    """A certificate for each inbox; by inbox, its address and pin. Each side has its keys and the other's certificates."""
    found = {}
    for number, (domain, group) in enumerate(groups.items(), start=1):
        other = next(one for one in groups if one != domain)
        for inbox in inboxes_of(group):
            issued = authority.mail(f"{inbox}@{domain}", number=number)
            issued.written(folder / domain / "own", inbox, key=True)
            issued.written(folder / other / "partners", inbox)
            found[inbox] = (f"{inbox}@{domain}", issued.pin)
    return found


def _by_mail(text: str, pins: dict[str, tuple[str, str]]) -> str:
    """A directory whose routes are e-mail instead of SDK."""

    def route(match: re.Match[str]) -> str:
        address, pin = pins[match[1]]
        return f'inbox = "{match[1]}"\nchannel = "smime"\naddress = "{address}"\npin = "{pin}"\n'

    return re.sub(r'inbox = "([^"]+)"\nchannel = "sdk"\naddress = "[^"]+"\n', route, text)


def _neighbour(folder: Path, domain: str, county: County, port: int) -> SmimeNeighbour:
    authorities, own = Authorities(folder / "ca.pem"), folder / domain
    certificates = Certificates(
        authorities=authorities,
        functions=Functions(own / "own"),
        partners=Partners(own / "partners", authorities),
    )
    key = domain.encode().ljust(32, b"\0")
    inward = Inward(
        maildir=Maildir(own / "maildir"),
        reader=Reader(certificates, _pins(county.gateway.directory), PdfDocuments(), Children(), county.clock),
        outcomes=Outcomes(own / "outcomes"),
        answered=Answered(own / "answered", key),
        returned=Returned(own / "notices"),
    )
    relay = Relay(Hop("127.0.0.1", port, Security.NONE))
    return SmimeNeighbour(relay, certificates, Verp(f"studs@{domain}", key), inward, PdfDocuments(), county.clock)
