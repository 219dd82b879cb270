"""A municipality's keys and certificates on disk, and the neighbour over them."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path

from adapters.documents.child import Children
from adapters.documents.pdf import PdfDocuments
from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.kept import Answered, Outcomes, Returned
from adapters.smtp.maildir import Maildir
from adapters.smtp.neighbour import Inward, SmimeNeighbour
from adapters.smtp.reading import Reader
from adapters.smtp.relay import Hop, Relay, Security
from adapters.smtp.trust import Certificates
from adapters.smtp.verp import Verp
from gateway.neighbours import Parcel
from tests.clock import ManualClock
from tests.smtp.authority import Authority, Issued
from tests.smtp.parcels import OURS, THEIRS, a_parcel

KEY = bytes(range(32))
STUDS = "studs@vaxjo.example"


@dataclass
class Site:
    """What a municipality has."""

    folder: Path
    clock: ManualClock
    authority: Authority
    ours: Issued
    theirs: Issued

    @classmethod
    def make(cls, folder: Path) -> Site:
        authority = Authority()
        authority.written(folder)
        ours = authority.mail(OURS, number=1)
        ours.written(folder / "own", "ours", key=True)
        theirs = authority.mail(THEIRS, number=2)
        theirs.written(folder / "partners", "theirs")
        return cls(folder, ManualClock(), authority, ours, theirs)

    def certificates(self) -> Certificates:
        authorities = Authorities(self.folder / "ca.pem")
        return Certificates(
            authorities=authorities,
            functions=Functions(self.folder / "own"),
            partners=Partners(self.folder / "partners", authorities),
        )

    def parcel(self, **changes: object) -> Parcel:
        return a_parcel(**{"pin": self.theirs.pin, **changes})  # type: ignore[arg-type]

    def neighbour(
        self,
        port: int,
        *,
        security: Security = Security.NONE,
        ca_file: Path | None = None,
        domains: dict[str, Hop] | None = None,
        patience_s: float = 5.0,
        host: str = "127.0.0.1",
        max_octets: int = 15_000_000,
        certificates: Certificates | None = None,
    ) -> SmimeNeighbour:
        relay = Relay(Hop(host, port, security), domains, ca_file=ca_file, patience_s=patience_s)
        certificates = certificates or self.certificates()
        return SmimeNeighbour(
            relay,
            certificates,
            Verp(STUDS, KEY),
            self.inward(certificates),
            PdfDocuments(),
            self.clock,
            max_octets=max_octets,
        )

    def inward(self, certificates: Certificates) -> Inward:
        return Inward(
            maildir=Maildir(self.maildir),
            reader=Reader(certificates, self._pin_of, PdfDocuments(), Children(), self.clock),
            outcomes=Outcomes(self.folder / "mail" / "outcomes"),
            answered=Answered(self.folder / "mail" / "answered", KEY),
            returned=Returned(self.folder / "mail" / "notices"),
        )

    async def _pin_of(self, address: str) -> str:
        return self.theirs.pin if address == THEIRS else ""

    @property
    def maildir(self) -> Path:
        return self.folder / "maildir"

    def delivered(self, octets: bytes, *, to: str = OURS, back: str = THEIRS) -> Path:
        """Put a mail into the Maildir as the receiving server does: by rename, its own fields on top."""
        Maildir(self.maildir)
        name = f"{uuid.uuid4()}.test"
        head = f"Return-Path: <{back}>\r\nX-Original-To: {to}\r\nDelivered-To: {to}\r\n"
        fresh = self.maildir / "tmp" / name
        fresh.write_bytes(head.encode() + octets)
        return fresh.rename(self.maildir / "new" / name)
