"""A municipality's keys and certificates on disk, and the neighbour over them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from adapters.smtp.certificates import Authorities, Functions, Partners
from adapters.smtp.neighbour import Certificates, SmimeNeighbour
from adapters.smtp.relay import Hop, Relay, Security
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
    theirs: Issued

    @classmethod
    def make(cls, folder: Path) -> Site:
        authority = Authority()
        authority.written(folder)
        authority.mail(OURS, number=1).written(folder / "own", "ours", key=True)
        theirs = authority.mail(THEIRS, number=2)
        theirs.written(folder / "partners", "theirs")
        return cls(folder, ManualClock(), authority, theirs)

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
    ) -> SmimeNeighbour:
        relay = Relay(Hop(host, port, security), domains, ca_file=ca_file, patience_s=patience_s)
        return SmimeNeighbour(relay, self.certificates(), Verp(STUDS, KEY), self.clock, max_octets=max_octets)
