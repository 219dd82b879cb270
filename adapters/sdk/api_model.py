"""A message as the SDK API writes it in JSON: strict out, tolerant in (B1.4.2; sdk.md §10).

Why this exists: the published OpenAPI enforces little (an empty object validates) and its names differ from its own
examples. So what goes out is made from a message that passed every rule, with all that the file leaves optional and the
specification needs; and what comes in is read in every published spelling, then held to the same rules as XML is.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from adapters.sdk.faults import Detail, Fault, RejectedError, Why
from adapters.sdk.message import time_text
from adapters.sdk.model import (
    FUNCTION_ROOT,
    Attention,
    Document,
    File,
    Identifier,
    Message,
    Party,
    Person,
    Reference,
)
from adapters.sdk.rules import decoded
from adapters.sdk.xml import MAX_OCTETS
from gateway.model.base import Instant

#: Octets that are encoded at a time: a multiple of three, so that pieces join to one base64 text.
PIECE: Final = 3 * 64 * 1024
_TIME: Final = re.compile(r"(\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2})(?:[.,](\d{1,9}))?(Z|[+-]\d{2}:?\d{2})?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Streamed:
    """A file that is read when it is sent."""

    name: str
    media_type: str
    size: int
    read: Callable[[], AsyncIterator[bytes]]


def attributes(message: Message) -> dict[str, Any]:
    """The `attributes` of a message; files whose octets are known are in it."""
    return {
        "messageId": message.id,
        "conversationId": message.conversation,
        "creationDateTime": time_text(message.created),
        **({"refToMessageId": message.refers_to} if message.refers_to else {}),
        "confidentiality": message.confidential,
        "label": message.label,
        "sender": message.sender.id,
        "senderAttention": _attention(message.sender.attention),
        "recipient": message.recipient.id,
        "recipientAttention": _attention(message.recipient.attention),
        **(
            {"generatingSystem": _identifier(message.generating_system)}
            if message.generating_system is not None
            else {}
        ),
        "digitalDocument": [_document(one) for one in message.documents],
    }


def create_body(message: Message) -> dict[str, Any]:
    """The body of createMessage: `id` and `messageId` are one, so that a path id is never in doubt (INF)."""
    return {"data": {"type": "messages", "id": message.id, "attributes": attributes(message)}}


@dataclass(frozen=True, slots=True)
class Written:
    """A body that is read while it is sent, with its length: many services take no body of an unknown one."""

    length: int
    read: Callable[[], AsyncIterator[bytes]]


def written(message: Message, files: tuple[Streamed, ...] = ()) -> Written:
    """The same body with `files` in its last document, read and encoded in pieces: bounded memory at any size.

    Raises:
        RejectedError: above 30 000 000 octets; nothing of any file was read.
    """
    body = create_body(message)
    document = body["data"]["attributes"]["digitalDocument"][-1]
    marks = [f"\x01{number}\x01" for number in range(len(files))]
    document["contentFiles"] = [
        *document.get("contentFiles", []),
        *(
            {"fileName": file.name, "contentType": file.media_type, "content": mark}
            for file, mark in zip(files, marks, strict=True)
        ),
    ]
    rest = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    parts = []
    for mark in marks:
        before, _, rest = rest.partition(json.dumps(mark)[1:-1])
        parts.append(before.encode())
    last = rest.encode()
    length = sum(map(len, parts)) + len(last) + sum(4 * ((file.size + 2) // 3) for file in files)
    if length > MAX_OCTETS:
        raise RejectedError([Fault(Why.RULE, Detail.TOO_LONG, "NA", "Meddelandet är större än 30 MB.")])

    async def pieces() -> AsyncIterator[bytes]:
        for part, file in zip(parts, files, strict=True):
            yield part
            async for piece in _encoded(file.read(), file.size):
                yield piece
        yield last

    return Written(length, pieces)


async def _encoded(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    held, seen = b"", 0
    async for chunk in chunks:
        held += chunk
        seen += len(chunk)
        while len(held) >= PIECE:
            yield base64.b64encode(held[:PIECE])
            held = held[PIECE:]
    if seen != size:
        raise OSError("a file is not as long as it was said to be")  # the length was told: the call ends here
    if held:
        yield base64.b64encode(held)


def _attention(attention: Attention) -> dict[str, Any]:
    function = {"root": FUNCTION_ROOT, "extension": attention.function}
    if attention.label:
        function["label"] = attention.label
    told: dict[str, Any] = {"subOrganization": function}
    # The API demands all three of a person and a reference, where XML allows fewer: the others have no place here.
    persons = [_labelled(one.id, one.label) for one in attention.persons if one.id is not None and one.label]
    references = [_labelled(one.id, one.label or one.id.extension) for one in attention.references]
    if persons:
        told["attentionPerson"] = persons
    if references:
        told["referenceId"] = references
    return told


def _labelled(identifier: Identifier, label: str) -> dict[str, str]:
    return {**_identifier(identifier), "label": label}


def _identifier(identifier: Identifier) -> dict[str, str]:
    return {"root": identifier.root, "extension": identifier.extension}


def _document(document: Document) -> dict[str, Any]:
    told: dict[str, Any] = {"documentId": document.id}
    if document.name:
        told["documentName"] = document.name
    if document.index:
        told["index"] = document.index
    if document.texts:
        told["contentTextBody"] = list(document.texts)
    if document.files:
        told["contentFiles"] = [
            {
                "fileName": file.name,
                "contentType": file.media_type,
                "content": base64.b64encode(file.octets).decode("ascii"),
            }
            for file in document.files
        ]
    return told


# --- in --------------------------------------------------------------------------------------------------------------


def entries(answer: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The messages of an answer as (id, attributes): `data` as one object or as a list, for one and for many."""
    data = answer.get("data") if isinstance(answer, Mapping) else None
    for entry in data if isinstance(data, list) else [data]:
        if isinstance(entry, Mapping):
            told = entry.get("attributes")
            found = told if isinstance(told, Mapping) else {}
            yield str(entry.get("id") or found.get("messageId") or ""), found


def message_of(told: Mapping[str, Any]) -> Message:
    """A message from its attributes.

    Raises:
        RejectedError: something is missing or is no such thing; the faults name fields, never values.
    """
    reader = _Reader(told)
    found = reader.message()
    if reader.faults:
        raise RejectedError(reader.faults)
    return found


def instant_of(written: str) -> Instant | None:
    """A time with any number of decimals and any zone; without one it is UTC (the examples have such times)."""
    matched = _TIME.fullmatch(written)
    if matched is None:
        return None
    day, fraction, zone = matched.groups()
    try:
        moment = datetime.fromisoformat(day + (zone or "Z").replace("Z", "+00:00")).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    return Instant(int(moment.timestamp()) * 1_000_000 + int((fraction or "0").ljust(6, "0")[:6]))


class _Reader:
    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self.faults: list[Fault] = []

    def message(self) -> Message:
        identifier = self._text(self._told, "messageId")
        return Message(
            id=identifier.lower(),
            conversation=(self._text(self._told, "conversationId", required=False) or identifier).lower(),
            created=self._time(),
            label=self._text(self._told, "label"),
            confidential=self._told.get("confidentiality") is not False,  # what is not said not to be secret is
            sender=self._party("sender", "senderAttention"),
            recipient=self._party("recipient", "recipientAttention"),
            documents=tuple(self._documents()),
            refers_to=self._text(self._told, "refToMessageId", required=False).lower(),
        )

    def _fault(self, place: str, sentence: str = "Uppgiften saknas eller har fel form.") -> None:
        self.faults.append(Fault(Why.RULE, Detail.INVARIANT, place, sentence))

    def _text(self, told: Mapping[str, Any], name: str, *, required: bool = True) -> str:
        value = told.get(name, "")
        if not isinstance(value, str) or (required and not value.strip()):
            if required or name in told:
                self._fault(name)
            return ""
        return value

    def _time(self) -> Instant:
        found = instant_of(str(self._told.get("creationDateTime", "")))
        if found is None:
            self._fault("creationDateTime")
        return found or Instant(0)

    def _party(self, name: str, attention: str) -> Party:
        told = self._told.get(attention)
        told = told if isinstance(told, Mapping) else {}
        function = told.get("subOrganization")
        function = function if isinstance(function, Mapping) else {}
        found = self._text(self._told, name)
        if found and not found.lower().startswith("0203:"):
            self._fault(name, "Organisationens id ska börja med 0203:.")
        return Party(
            id=found,
            attention=Attention(
                function=self._text(function, "extension"),
                label=self._text(function, "label", required=False),
                persons=tuple(
                    Person(id=self._pair(one), label=self._text(one, "label", required=False))
                    for one in _mappings(told.get("attentionPerson"))
                ),
                references=tuple(
                    Reference(id=self._pair(one), label=self._text(one, "label", required=False))
                    for one in _mappings(told.get("referenceId"))
                ),
            ),
        )

    def _pair(self, told: Mapping[str, Any]) -> Identifier:
        return Identifier(self._text(told, "root", required=False), self._text(told, "extension", required=False))

    def _documents(self) -> Iterator[Document]:
        listed = _mappings(self._told.get("digitalDocument"))
        if not listed:
            self._fault("digitalDocument", "Meddelandet har varken text eller fil.")
        for number, told in enumerate(listed, start=1):
            texts = told.get("contentTextBody", [])
            files = tuple(self._files(told, number))
            listed_texts = tuple(one for one in texts if isinstance(one, str)) if isinstance(texts, list) else ()
            if not files and not listed_texts:
                self._fault(f"digitalDocument[{number}]", "Dokumentet har varken text eller fil.")
            yield Document(
                id=self._text(told, "documentId"),
                name=self._text(told, "documentName", required=False),
                index=self._text(told, "index", required=False),
                files=files,
                texts=listed_texts,
            )

    def _files(self, told: Mapping[str, Any], number: int) -> Iterator[File]:
        for one in _mappings(told.get("contentFiles")):
            octets = decoded(self._text(one, "content"))
            if octets is None:
                self._fault(f"digitalDocument[{number}]/contentFiles/content", "Innehållet är inte base64.")
            yield File(
                name=self._text(one, "fileName"), media_type=self._text(one, "contentType"), octets=octets or b""
            )


def _mappings(value: object) -> list[Mapping[str, Any]]:
    return [one for one in value if isinstance(one, Mapping)] if isinstance(value, list) else []
