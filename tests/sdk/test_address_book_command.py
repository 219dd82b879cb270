"""`sambud directory import-sdk` over a store on disk (docs/address-book.md §§1–2)."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.path.test_address_book import a_book, an_organisation
from tests.sdk.test_channels_command import ask, place

pytestmark = pytest.mark.slow
__all__ = ["place"]  # the fixture


def test_the_command_shows_first_reads_what_was_shown_and_writes_lines_to_fill_in(place: Path, tmp_path: Path) -> None:
    book, lines = tmp_path / "book.json", tmp_path / "new.toml"
    book.write_bytes(a_book(an_organisation("0203:ny.example", {"sdk:inkorg:a": "A"})))
    shown = ask(place, "directory", "import-sdk", str(book))
    assert shown.exit_code == 0, shown.output
    assert "+ 0203:ny.example#sdk:inkorg:a: A, Organisationen (2021000001)" in shown.stdout
    assert "! seat.ekeliden (0203:region.example#sdk:inkorg:seat.ekeliden)" in shown.stdout
    assert "1 på väg dit" in shown.stdout
    found = re.search(r"--confirm (\w+)", shown.stdout)
    assert found is not None
    assert ask(place, "directory", "import-sdk", str(book), "--confirm", "wrong").exit_code == 3
    done = ask(place, "directory", "import-sdk", str(book), "--confirm", found[1])
    assert done.stdout.endswith("Adressboken är införd.\n"), done.output
    again = ask(
        place, "directory", "import-sdk", str(book), "--propose", str(lines), "--take", "0203:ny.example#sdk:inkorg:a"
    )
    assert "0 nya, 0 ändrade, 0 borta, 0 tillbaka" in again.stdout
    assert 'secrecy_regime = ""' in lines.read_text("utf-8")
    assert ask(place, "directory", "apply", str(lines), "--dry-run").exit_code == 3


def test_every_fault_of_a_book_is_told_and_nothing_of_it_is_read(place: Path, tmp_path: Path) -> None:
    book = tmp_path / "book.json"
    book.write_text(
        json.dumps({"data": [an_organisation("x", {"f": "A"}), an_organisation("0203:b.example", {"": "A"})]})
    )
    refused = ask(place, "directory", "import-sdk", str(book))
    assert refused.exit_code == 3
    assert "Adressboken har 2 fel." in refused.stderr
    assert "data/0: Organisationens id ska börja med 0203:." in refused.stderr
