"""Go's sumdb/note and sumdb/tlog, from Debian, check what our log publishes."""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from gateway.notes import parse_checkpoint, parse_proof
from gateway.tiles import TileReader
from gateway.tree import consistency_proof
from tests.county import ALVESTA, a_county

HERE = Path(__file__).parent / "sumdb"
MODULES = Path("/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog")


def b64(octets: bytes) -> str:
    return base64.b64encode(octets).decode()


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if shutil.which("go") is None or not MODULES.exists():
        if os.environ.get("SAMBUD_REQUIRE_PEERS") == "1":
            pytest.fail("install golang-go and golang-golang-x-mod-dev")
        pytest.skip("no Go oracle: install golang-go and golang-golang-x-mod-dev")
    program = tmp_path_factory.mktemp("go") / "oracle"
    environment = {
        **os.environ,
        "GO111MODULE": "off",
        "GOPATH": "/usr/share/gocode",
        "GOCACHE": str(program.parent / "cache"),
        "GOFLAGS": "",
    }
    subprocess.run(["go", "build", "-o", program, "main.go"], cwd=HERE, env=environment, check=True, timeout=300)
    return program


@pytest.mark.slow
async def test_go_accepts_our_checkpoints_inclusion_and_consistency_proofs(oracle: Path) -> None:
    lines: list[dict[str, Any]] = []
    heads: list[tuple[int, bytes]] = []
    async with a_county() as county:
        gateway = county.gateway
        worker = await county.sign_in("al-sos")
        [name] = await county.store.logs()
        lines.append({"vkey": await gateway.ports.vault.note_key(name)})
        for _ in range(8):
            for _ in range(40):
                await gateway.cases.open(worker, ALVESTA)
            await gateway.integrator.flush()
            newest = await county.store.last_checkpoint(name)
            assert newest is not None
            head = parse_checkpoint(newest.note)
            heads.append((head.size, head.root))
            lines.append({"note": newest.note})
        size, root = heads[-1]
        for number in range(size):
            proof = parse_proof(await gateway.review.prove(name, number))
            path = [b64(hash_) for hash_ in proof.path]
            lines.append({"leaf": b64(proof.leaf), "index": number, "size": size, "root": b64(root), "path": path})
        for old, old_root in heads[:-1]:
            reader = TileReader(gateway.ports.tiles, name, size)
            path = [b64(hash_) for hash_ in consistency_proof(reader.hash_at, old, size)]
            lines.append({"old": old, "oldroot": b64(old_root), "size": size, "root": b64(root), "path": path})
    assert size > 256  # more than one tile
    text = "".join(json.dumps(line) + "\n" for line in lines)
    done = subprocess.run([oracle], input=text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    print(f"Go: notes, inclusion, consistency = {done.stdout.strip()}")
    assert done.stdout.split() == ["8", str(size), "7"]

    wrong = json.dumps({**lines[20], "index": 999}) + "\n"
    refused = subprocess.run([oracle], input=wrong, capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode == 1
