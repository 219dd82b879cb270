"""`sambud system` over a store on disk (docs/sdk-server.md §1)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.sdk.test_channels_command import ask, place

pytestmark = pytest.mark.slow
__all__ = ["place"]  # the fixture


def test_a_system_is_registered_from_its_public_key_and_proposed_and_a_private_key_is_never_read(
    place: Path, tmp_path: Path
) -> None:
    key, pem, secret = ECKey.generate_key("P-256"), tmp_path / "key.pem", tmp_path / "secret.pem"
    pem.write_bytes(key.as_pem(private=False))
    secret.write_bytes(key.as_pem(private=True))
    words = ("--administration", "alvesta.ifo", "--title", "Verksamhetssystem, vuxen")
    refused = ask(place, "system", "add", "alvesta-vs", *words, "--key", str(secret))
    assert (refused.exit_code, "Filen är ingen publik nyckel." in refused.stderr) == (3, True), refused.output
    made = ask(place, "system", "add", "alvesta-vs", *words, "--key", str(pem), "--days", "30")
    assert made.exit_code == 0, made.output
    assert made.stdout.startswith("alvesta-vs\tVerksamhetssystem, vuxen\talvesta.ifo\tactive\ttill ")
    assert ask(place, "system", "add", "alvesta-vs", *words, "--key", str(pem)).exit_code == 3  # taken
    too_high = ask(place, "system", "propose", "alvesta-vs", "alvesta.ifo.vuxen", "--ceiling", "P3")
    assert (too_high.exit_code, "riskbeslut" in too_high.stderr) == (3, True)
    done = ask(
        place,
        "system",
        "propose",
        "alvesta-vs",
        "alvesta.ifo.vuxen",
        "--ceiling",
        "P3",
        "--risk-decision",
        "SN 2026/17",
    )
    assert done.stdout == "Föreslaget. En medlem i IFO vuxen, Alvesta släpper in det, på sidan Medlemmar.\n"
    listed = ask(place, "system", "list").stdout
    assert "alvesta.ifo.vuxen (pending, P3)" in listed
    doctor = ask(place, "doctor")
    assert "alvesta-vs: nyckeln gäller till" in doctor.stdout


def test_a_key_is_replaced_from_a_jwk_and_what_is_unknown_says_so(place: Path, tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(RSAKey.generate_key(2048).as_dict(private=False)))
    words = ("--administration", "alvesta.ifo", "--title", "Verksamhetssystem")
    assert ask(place, "system", "add", "alvesta-vs-2", *words, "--key", str(file)).exit_code == 0
    assert "den nya nyckeln gäller från" in ask(place, "system", "key", "alvesta-vs-2", "--key", str(file)).stdout
    for command in (("key", "nobody", "--key", str(file)), ("propose", "al-sos", "alvesta.ifo.vuxen")):
        unknown = ask(place, "system", *command)
        assert (unknown.exit_code, "Systemet finns inte." in unknown.stderr) == (3, True)
    file.write_text("[]")
    assert ask(place, "system", "key", "alvesta-vs-2", "--key", str(file)).exit_code == 3
    assert ask(place, "system", "propose", "alvesta-vs-2", "nowhere").exit_code == 3
