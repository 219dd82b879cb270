"""Rows X01, X09 and X10 of the catalogue with their counts: whatever is sent in, nothing is unpacked and nobody waits."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from adapters.documents.child import Children
from adapters.documents.examiner import ChildExaminer
from gateway.filetypes import Fault
from tests.faults.tally import tally
from tests.screening import bombs, files
from tests.screening.test_files import fault_of, pieces

pytestmark = pytest.mark.slow
#: What an archive is refused for, wherever it lies.
AS_ARCHIVE = {Fault.ARCHIVE, Fault.POLYGLOT, Fault.TYPE, Fault.NOT_TEXT}

#: Those that cannot be read to their end within the limits; the others were, and hold nothing that is not taken.
UNREADABLE = {
    "three hundred filters",
    "an array thirty thousand deep",
    "a dictionary as deep",
    "an array that goes on for ever",
    "pages that hold themselves",
    "a table of a thousand million",
    "a length of a terabyte",
    "a name of a million signs",
    "a chunk longer than the file",
}


async def test_no_archive_comes_in_from_any_place_and_none_is_unpacked(tmp_path: Path) -> None:
    examiner = ChildExaminer(Children(most=2))
    made = {kind: make() for kind, make in bombs.ARCHIVES.items()}
    cases = {(kind, place): bombs.PLACES[place](octets) for kind, octets in made.items() for place in bombs.PLACES}
    found = await asyncio.gather(*(fault_of(examiner, name, octets) for name, octets in cases.values()))
    told = dict(zip(cases, found, strict=True))
    wrong = {case: fault for case, fault in told.items() if fault not in AS_ARCHIVE}
    tally("X01", cases=len(cases), half=len(wrong))
    assert wrong == {}
    assert len(cases) == 60


async def test_what_blows_up_costs_its_own_child_and_this_process_answers_all_the_while() -> None:
    """Each within ten seconds of its own; a verdict for each, and never a file half read for a whole one."""
    examiner, late = ChildExaminer(Children(most=2)), 0.0

    async def heart() -> None:
        nonlocal late
        while True:
            began = time.monotonic()
            await asyncio.sleep(0.02)
            late = max(late, time.monotonic() - began - 0.02)

    cases = await asyncio.to_thread(lambda: list(bombs.explosive()))
    beating = asyncio.create_task(heart())
    slowest = 0.0
    refused = set()
    for name, media_type, octets in cases:
        began = time.monotonic()
        if await examiner.examine(media_type, len(octets), pieces(octets)) is Fault.DAMAGED:
            refused.add(name)
        slowest = max(slowest, time.monotonic() - began)
    beating.cancel()
    tally("X09", cases=len(cases), note=f"slowest {slowest:.1f} s, latest heartbeat {late:.2f} s")
    assert slowest < 12
    assert late < 2
    assert len(cases) >= 20
    assert refused == UNREADABLE


async def test_every_polyglot_wrong_type_and_macro_is_refused_for_what_it_is() -> None:
    examiner = ChildExaminer(Children(most=2))
    cases = list(files.bad())
    found = await asyncio.gather(*(fault_of(examiner, name, octets) for name, octets, _ in cases))
    wrong = [name for (name, _, wanted), fault in zip(cases, found, strict=True) if fault is not wanted]
    tally("X10", cases=len(cases), half=len(wrong))
    assert wrong == []
