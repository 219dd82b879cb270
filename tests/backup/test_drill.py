"""A restore as an operator does it, with real commands in processes of their own, while somebody goes on sending."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.faults.tally import tally
from tools.restore_drill import DOCUMENT, drill

ROOT = Path(__file__).parent.parent.parent


@pytest.mark.slow
async def test_what_was_acknowledged_before_a_backup_under_load_is_restored_and_opens(tmp_path: Path) -> None:
    """security.md §2.7: a drill in every run. Restored is a prefix of acknowledged that holds all before the backup."""
    done = await drill(tmp_path, before=5, after=3, pause_s=0.3, short=True)
    kept = [message in done.restored for message in done.acknowledged]
    lost = done.before - sum(kept[: done.before])
    half = len(done.restored) - done.opened
    tally("D13", cases=1, acknowledged_lost=lost, half=half)
    print(
        f"{len(done.acknowledged)} acknowledged, {len(done.restored)} restored, {len(done.during_ms)} during the backup"
    )
    assert (lost, half) == (0, 0)
    assert kept == sorted(kept, reverse=True)
    assert len(done.restored) < len(done.acknowledged)
    assert not list(tmp_path.glob("sambud-drill-*"))


def test_the_commands_of_the_written_drill_and_of_the_backup_section_exist() -> None:
    """docs/restore-drill.md, docs/operations.md: what an operator copies must be there, with each option."""
    from gateway.cli import main

    for text in (DOCUMENT.read_text("utf-8"), (ROOT / "docs" / "operations.md").read_text("utf-8")):
        lines = re.findall(r"sambud ((?:backup-key|backup|restore|migrate-store|doctor|audit)\b[^`\n]*)", text)
        assert lines
        for line in lines:
            words = line.split()
            command = main.commands[words[0]]
            nested = getattr(command, "commands", {})
            if nested and len(words) > 1 and re.fullmatch(r"[a-z]+", words[1]):
                command = nested[words[1]]
            options = {name for parameter in command.params for name in parameter.opts}
            for word in re.findall(r"--[a-z-]+", line):
                assert word in options, f"{words[0]} has no {word}"
