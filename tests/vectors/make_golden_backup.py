"""Make tests/data/backups: one pair of backups that every later release must restore. Run once; never remade."""

from __future__ import annotations

import asyncio
import base64
import json
import sys
import tempfile
from pathlib import Path

from tests.site import Site

TARGET = Path(__file__).parent.parent / "data" / "backups"


async def made(folder: Path) -> None:
    site = Site(folder)
    await site.begin()
    async with site.county() as county:
        message = await site.send(county, await county.sign_in("al-sos"))
        await county.deliver()
        await county.gateway.integrator.flush()
    done = await site.back_up()
    keys = site.tools.keys
    told = {
        "what": "a pair of backups, test keys only; root key bytes(range(32))",
        "message": message,
        "at": site.clock.now(),
        "recipient": keys.secret(site.offline).hex(),
        "epoch": keys.secret(keys.epochs(site.epochs)[0].file).hex(),
        "seed": site.seeds["ek-chef"].hex(),
        "messages": base64.b64encode(done.messages.read_bytes()).decode(),
        "keys": base64.b64encode(done.keys.read_bytes()).decode(),
    }
    TARGET.mkdir(parents=True)
    (TARGET / "golden.json").write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    if TARGET.exists():
        sys.exit("the golden backups exist and are never remade")
    with tempfile.TemporaryDirectory() as place:
        asyncio.run(made(Path(place) / "site"))
