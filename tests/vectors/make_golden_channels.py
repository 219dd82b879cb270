"""Make the golden envelopes of channels: kind 2 (leaving) and kind 3 (held). Run once for a suite, then never again.

python -m tests.vectors.make_golden_channels > tests/data/envelopes/golden-channels.json
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from gateway.envelope import ctx, u16, u32
from gateway.model.base import Instant
from gateway.model.keys import ChannelKey, EnvelopeWrap, KeyLabel
from gateway.model.path import Envelope
from gateway.neighbours import ArrivedFile
from gateway.states import HeldState
from keys import suites
from keys.channelkeys import HOLD, OUT, channel_owner
from tests.county import SEAT_E, SEAT_N, County
from tests.holding import a_collecting_county, to_the_municipality
from tests.neighbours import a_pair
from tests.vectors.make_golden import b64

COUNT = 6


async def _described(county: County, envelope: Envelope, name: str, *, intake: bool) -> dict[str, Any]:
    keyring = county.keyring
    wrap = await county.store.get(EnvelopeWrap, envelope.id)
    assert wrap is not None
    owner = channel_owner(envelope.administration, name)
    row = await county.store.get(ChannelKey, owner, wrap.epoch)
    assert row is not None
    key = await keyring.hierarchy.get(row.administration, KeyLabel.CHANNELS)
    aad = ctx("channel-key", u16(suites.SUITE_ID), row.administration.encode(), owner.encode(), u32(row.epoch))
    records = keyring.records
    signer = await records.signing(envelope.administration, intake=intake)
    return {
        "octets": b64(envelope.octets),
        "locked": b64(wrap.locked),
        "epoch": wrap.epoch,
        "shred_key_id": wrap.shred_key,
        "shred_key": b64(await keyring.shred.get(wrap.shred_key)),
        "secret": b64(suites.unwrap_gcm(key, row.wrapped, aad, what="channel key")),
        "signer": b64(signer.public_key),
        "transcript": envelope.transcript.hex(),
    }


async def main() -> None:
    leaving, held = [], []
    async with a_pair() as pair:
        worker = await pair.first.sign_in("al-sos")
        for _ in range(COUNT // 2):
            case, _ = await pair.first.consented_case(worker)
            sent = await pair.first.send_referral(worker, case.id, (SEAT_E, SEAT_N))
            for envelope in await pair.first.store.envelopes_of(sent.message):
                if not envelope.sender_copy:
                    leaving.append(await _described(pair.first, envelope, OUT, intake=False))
    async with a_collecting_county() as county:
        for number in range(COUNT):
            county.clock.set(Instant(county.clock.now() + 1_000_000))
            file = ArrivedFile(name="bilaga åäö.pdf", media_type="application/pdf", octets=b"%PDF-1.7\n" + b"x" * 99)
            letter = to_the_municipality(id=str(number), text="å" * number * 100, files=(file,) * (number % 3))
            assert (await county.gateway.intake.take(letter)).taken
        for row in await county.store.held(HeldState.WAITING, limit=COUNT):
            envelope = await county.store.get(Envelope, row.envelope)
            assert envelope is not None
            held.append(await _described(county, envelope, HOLD, intake=True))
    json.dump({"suite": "0x0010", "leaving": leaving, "held": held}, sys.stdout, indent=1)


if __name__ == "__main__":
    asyncio.run(main())
