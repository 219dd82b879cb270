"""The demo of two gateways ends well, and says what it says with receipts and whole logs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
def test_two_gateways_walk_the_whole_path_over_a_simulated_message_service() -> None:
    """`sambud demo --federated`."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "demo", "--federated"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "seat.ekeliden: delivered (sdk)" in done.stdout
    assert "matched med ekeliden; signerat av region.hsv och vaxjo.nav" in done.stdout
    assert "namnet finns i kuvertet: True" in done.stdout
    assert done.stdout.count("inga fel") == 2
