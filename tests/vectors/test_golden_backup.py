"""The golden pair of backups: read by a second reader, and restored and opened by this release (docs/backup.md)."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from gateway.model.base import Instant
from tests.clock import ManualClock
from tests.county import SEAT_E
from tests.site import Site
from tests.vectors.second_unpacker import read

GOLDEN = Path(__file__).parent.parent / "data" / "backups"
TOLD = json.loads((GOLDEN / "golden.json").read_text())
MESSAGES, KEYS = base64.b64decode(TOLD["messages"]), base64.b64decode(TOLD["keys"])


def test_a_second_reader_finds_the_same_tables_and_checks_every_digest_and_the_signature() -> None:
    """It is written from the specification alone."""
    manifest, tables = read(MESSAGES, bytes.fromhex(TOLD["recipient"]))
    assert manifest["kind"] == "messages"
    assert len(tables["message"]) == 1
    keys, rows = read(KEYS, bytes.fromhex(TOLD["epoch"]))
    assert keys["kind"] == "keys"
    assert keys["signer"] == manifest["signer"]
    assert keys["logs"] == manifest["logs"]
    assert len(rows["shred_key"]) % 256 == 0


@pytest.mark.slow
async def test_this_release_restores_the_golden_pair_and_opens_its_message(tmp_path: Path) -> None:
    """A backup is kept for years: its schema (0003) is brought up to date, its MACs hold, and what it holds opens."""
    site = Site(tmp_path, ManualClock(Instant(TOLD["at"])), {"ek-chef": bytes.fromhex(TOLD["seed"])})
    site.tools.keys.create(site.offline)
    (tmp_path / "golden.sbm").write_bytes(MESSAGES)
    (tmp_path / "golden.sbk").write_bytes(KEYS)
    secrets = {"secrets": (bytes.fromhex(TOLD["recipient"]),), "epoch_secrets": (bytes.fromhex(TOLD["epoch"]),)}
    done = await site.restore(tmp_path / "golden.sbm", tmp_path / "golden.sbk", **secrets)
    assert done.without_key == 0
    async with site.county() as county:
        opened = await county.open(await county.sign_in("ek-chef"), SEAT_E, TOLD["message"])
        assert opened.opened.body["fields"]
