"""Whose certificates count: our functions', our partners', and the authorities above both."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.smtp.certificates import Authorities, Functions, Partners
from gateway.model.base import Instant


@dataclass(frozen=True, slots=True, kw_only=True)
class Certificates:
    """Everything that the mail neighbour believes."""

    authorities: Authorities
    functions: Functions
    partners: Partners

    def expires(self) -> Instant | None:
        """When the first of them ends."""
        ends = [end for end in (self.functions.expires(), self.partners.expires()) if end is not None]
        return min(ends) if ends else None
