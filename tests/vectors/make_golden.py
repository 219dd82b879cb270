"""Make the golden envelopes: run once for a suite, then never again; later releases must open what stands.

python -m tests.vectors.make_golden > tests/data/envelopes/golden.json
"""

from __future__ import annotations

import asyncio
import base64
import dataclasses
import json
import random
import sys
from typing import Any

from gateway.model.base import AttachmentId, InboxId
from gateway.ports import AttachmentKey
from keys.records import Records
from tests.path.test_seal import a_letter, rows_of
from tests.world import HSV, NAV, a_world, an_inbox

SEED = 20260302
COUNT = 50


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


async def main() -> None:
    random.seed(SEED)
    world = await a_world()
    writer, reader = await world.user("vx-sos"), await world.user("ek-chef", HSV)
    sender = await world.inbox(an_inbox(), [writer])
    recipient = await world.inbox(an_inbox("seat.ekeliden", HSV), [reader])
    opened = await world.keyring.members.open(InboxId(recipient.id), 1, reader.id)
    records: Records = world.keyring.records
    signer = await records.signing(NAV)
    found: list[dict[str, Any]] = []
    for number in range(COUNT):
        body: dict[str, object] = {
            "stage": random.choice(["S1", "S2"]),
            "fields": {f"fält_{n}": "å" * random.randrange(0, 300) for n in range(random.randrange(1, 30))},
            "number": number,
        }
        if number == 49:
            body["fields"] = {"long": "x" * 400_000}
        files = tuple(
            AttachmentKey(
                id=AttachmentId(f"{random.getrandbits(128):032x}"[:8] + "-0000-4000-8000-" + f"{n:012x}"),
                key=random.randbytes(32),
                name=f"bilaga {n} åäö.pdf",
                media_type="application/pdf",
                size=n,
                sealed_size=n + 72,
                sealed_sha256=random.randbytes(32),
            )
            for n in range(number % 4 if number != 48 else 20)
        )
        letter = a_letter(world, sender, recipient, body=body, attachments=files)
        if number % 5 == 0:
            document, blind = world.keyring.sealer.commit_document(body)
            both = (
                await world.keyring.sealer.endorse(NAV, document),
                await world.keyring.sealer.endorse(HSV, document),
            )
            letter = dataclasses.replace(letter, document=document, document_blind=blind, endorsements=both)
        sealed = await world.keyring.sealer.seal(letter)
        envelope, _ = rows_of(letter, sealed)
        found.append(
            {
                "octets": b64(sealed.octets),
                "locked": b64(sealed.wrap.locked),
                "epoch": sealed.wrap.epoch,
                "shred_key_id": sealed.wrap.shred_key,
                "shred_key": b64(await world.keyring.shred.get(sealed.wrap.shred_key)),
                "transcript": envelope.transcript.hex(),
                "number": number,
            }
        )
    json.dump(
        {
            "suite": "0x0010",
            "signer": b64(signer.public_key),
            "inbox_secret": b64(opened.secret),
            "envelopes": found,
        },
        sys.stdout,
        indent=1,
    )
    await world.keyring.close()


if __name__ == "__main__":
    asyncio.run(main())
