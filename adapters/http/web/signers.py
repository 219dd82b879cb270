"""Who signed an answer, in words: which authorities, and whose signature nobody here can check.

Why this exists: a signature that shows beside others is taken for a checked one. What the directory pins no key for is
anybody's to make, so the page says so at the name itself (docs/channels.md §3.1).
"""

from __future__ import annotations

from collections.abc import Mapping

from adapters.http.routes import Call
from gateway.directory import Snapshot
from gateway.ports import Opened


def signers_of(call: Call, directory: Snapshot, opened: Opened) -> list[str]:
    """The authorities that signed, those of this gateway first; empty when nobody did."""
    found = [directory.administration(one.administration).name for one in opened.endorsements]
    told = opened.body.get("endorsed_outside")
    for one in told if isinstance(told, list | tuple) else ():
        if not isinstance(one, Mapping):
            continue
        known = directory.administrations.get(str(one.get("administration", "")))
        name = known.name if known is not None else call.tr("En myndighet som inte finns i adressboken")
        if one.get("known") is not True:
            name = call.tr("%(name)s (underskrift ej kontrollerad)", name=name)
        if name not in found:
            found.append(name)
    return found
