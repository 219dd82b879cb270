"""An SDK message as values: MessageWithAttachments:3, every field of the content specification (B1.3.3 §4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from gateway.model.base import Instant

ORGANISATION_ROOT: Final = "iso6523-actorid-upis"
FUNCTION_ROOT: Final = "urn:riv:infrastructure:messaging:functionalAddress"
#: Code systems of references and persons (§4.3.2.3) that we write ourselves.
DIARY_ROOT: Final = "dnr"


@dataclass(frozen=True, slots=True)
class Identifier:
    """An id in a code system."""

    root: str
    extension: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A reference to a person; there is no rule that only that person may read."""

    id: Identifier | None = None
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """The sender's name of the matter; it is returned in the reply's recipient."""

    id: Identifier
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """The function that is addressed, and what it may know it by. `function` is the functional address."""

    function: str
    label: str = ""
    persons: tuple[Person, ...] = ()
    references: tuple[Reference, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """An organisation (`0203:domain`) and a function in it."""

    id: str
    attention: Attention
    label: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    name: str
    media_type: str
    octets: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """At least one text or file. `index` is digits, 1 for the first, and stands when there are several documents."""

    id: str
    name: str = ""
    index: str = ""
    files: tuple[File, ...] = ()
    texts: tuple[str, ...] = ()  # Markdown, the subset of §4.3.3.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message to one function. `label` is the subject: P0, never echoed in an error."""

    id: str
    conversation: str
    created: Instant
    label: str
    confidential: bool
    sender: Party
    recipient: Party
    documents: tuple[Document, ...]
    refers_to: str = ""
    generating_system: Identifier | None = None
