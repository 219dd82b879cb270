"""The demo of two gateways ends well, and says what it says with receipts and whole logs."""

from __future__ import annotations

import pytest

from gateway.demo import SEAT_EKELIDEN, SEAT_NOVUS, demo_directory
from gateway.demo_federated import HERE, THERE, sdk_address, seen_from
from tools.federated_demo import DOCUMENT, plain, told


def test_two_authorities_of_one_board_are_two_participants() -> None:
    """design.md §2: each seat is its own authority's. A participant of SDK is an organisation (sdk.md)."""
    ours, theirs = (sdk_address(seat).partition("#")[0] for seat in (SEAT_NOVUS, SEAT_EKELIDEN))
    assert (ours, theirs) == ("0203:vaxjo.example", "0203:region.example")
    for hosted in (HERE, THERE):
        assert f'address = "{theirs}#sdk:inkorg:{SEAT_EKELIDEN}"' in seen_from(hosted, demo_directory())


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
