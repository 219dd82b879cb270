"""Parcels as a worker has them, for the mail that they become."""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import AsyncIterator
from datetime import date
from typing import Any, Final

from gateway.forms import FormCatalogue
from gateway.forms.demo import demo_referral
from gateway.model.base import AdministrationId, EnvelopeId, InboxId, MessageId, UnitId
from gateway.model.directory import Inbox, InboxKind
from gateway.neighbours import Parcel, ParcelFile
from gateway.parcels import form_data
from tests.clock import ManualClock

OURS: Final = "placering@vaxjo.example"
THEIRS: Final = "remiss@region.example"
FORMS: Final = FormCatalogue.load()


def an_inbox(name: str, administration: str) -> Inbox:
    return Inbox(
        administration=AdministrationId(administration),
        id=InboxId(name),
        unit=UnitId(name),
        name=name,
        kind=InboxKind.CASEWORK,
        accepts=(),
    )


def a_file(name: str, octets: bytes, media_type: str = "application/pdf") -> ParcelFile:
    async def read() -> AsyncIterator[bytes]:
        yield octets

    return ParcelFile(name=name, media_type=media_type, size=len(octets), read=read)


def a_parcel(*, fields: dict[str, Any] | None = None, **changes: Any) -> Parcel:
    clock = ManualClock()
    values = fields if fields is not None else dict(demo_referral(date(2026, 3, 2)))
    body = {"stage": "S1", "fields": values, "held_back": [], "attachments_held_back": 0, "basis": []}
    message = MessageId(str(uuid.uuid4()))
    parcel = Parcel(
        id=EnvelopeId(str(uuid.uuid4())),
        message=message,
        sender=an_inbox("vaxjo.vuxen", "vaxjo.nav"),
        sender_address=OURS,
        recipient=an_inbox("region.remiss", "region.hsv"),
        address=THEIRS,
        pin="",
        conversation=str(uuid.uuid4()),
        replies_to="",
        case_reference="VX-26-00017",
        form=FORMS.get("placement_referral", 1),
        body=body,
        data=form_data(message, "VX-26-00017", "placement_referral", 1, body),
        created=clock.now(),
    )
    return dataclasses.replace(parcel, **changes)
