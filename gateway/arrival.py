"""What an arrival is once it is read: a form and its words, where it belongs, and what two authorities signed.

Why this exists: reading (gateway.contents), placing (gateway.belonging) and joint answers (gateway.outside_answers)
speak of the same three things, and none of them should have to know the others for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gateway.forms import Form
from gateway.model.base import AdministrationId, UserId
from gateway.model.directory import Inbox
from gateway.model.log import LogEntry
from gateway.model.path import Case
from gateway.ports import Change

#: Who did what a party outside tells of: nobody that this gateway knows.
OUTSIDE: Final = UserId("outside")
MOST_ENDORSED: Final = 4


@dataclass(frozen=True, slots=True)
class Content:
    """What an arrival is to us: a form and its projection. `message` is the sender's id of it, when it has one."""

    form: Form
    body: Mapping[str, Any]
    message: str
    consents: tuple[Mapping[str, Any], ...] = ()
    data: Mapping[str, Any] | None = None  # all that came, for what else it holds


@dataclass(frozen=True, slots=True)
class Place:
    """From whom, to whom, and where it belongs."""

    sender: Inbox
    recipient: Inbox
    case: Case
    new_case: bool
    known: bool  # the conversation is on record

    @property
    def by_owner(self) -> bool:
        """Whether it comes from the party whose case it is."""
        return self.case.owner == self.sender.id


@dataclass(frozen=True, slots=True)
class Released:
    """What goes with the taking in of something that was held: its traces, and what its reader is told of the way."""

    fingerprint: bytes
    changes: tuple[Change, ...]
    entries: tuple[LogEntry, ...]
    shown: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Endorsed:
    """An authority's signature over a document commitment, with the key that it names."""

    administration: AdministrationId
    public_key: bytes
    signature: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Joint:
    """What an arrived answer brings beside its words."""

    document: bytes
    blind: bytes
    endorsed: tuple[Endorsed, ...]

    def by(self, administration: AdministrationId) -> Endorsed | None:
        """That authority's signature."""
        return next((one for one in self.endorsed if one.administration == administration), None)


def joint_of(data: Mapping[str, Any]) -> Joint | None:
    """The signed commitment in a form's data; None when there is none.

    Raises:
        ValueError, KeyError, TypeError: there is one, and it does not parse.
    """
    if not data.get("document"):
        return None
    told = data["endorsements"]
    if not isinstance(told, list) or not 1 <= len(told) <= MOST_ENDORSED:
        raise ValueError("one to four authorities endorse")
    found = Joint(
        document=bytes.fromhex(data["document"]),
        blind=bytes.fromhex(data["blind"]),
        endorsed=tuple(
            Endorsed(
                administration=AdministrationId(str(one["administration"])),
                public_key=bytes.fromhex(one["public_key"]),
                signature=bytes.fromhex(one["signature"]),
            )
            for one in told
        ),
    )
    if len(found.document) != 32 or len(found.blind) != 32:
        raise ValueError("a commitment and its blind have 32 octets")
    return found
