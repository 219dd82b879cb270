"""The demo of two gateways ends well, and says what it says with receipts and whole logs."""

from __future__ import annotations

import pytest

from tools.federated_demo import DOCUMENT, plain, told


@pytest.mark.slow
def test_two_gateways_walk_the_whole_path_over_a_simulated_message_service() -> None:
    """`sambud demo --federated`, and docs/federated-demo.md, which is what it said."""
    said = told()
    assert "seat.ekeliden: delivered (sdk)" in said
    assert "matched med ekeliden; signerat av region.hsv och vaxjo.nav" in said
    assert "namnet finns i kuvertet: True" in said
    assert said.count("kvittens") == said.count(": accepterad ") == 4
    assert said.count("inga fel") == 2
    written = DOCUMENT.read_text("utf-8").split("```\n")[1]
    assert plain(written) == plain(said)
