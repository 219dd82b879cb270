"""What others wrote reaches a log or a terminal as one line, escaped and capped (A09, T18)."""

from __future__ import annotations

import io
import json
import logging
import unicodedata
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import example, given, settings
from hypothesis import strategies as st

from adapters.memory import MemoryStore
from gateway import logs
from gateway.audit import AuditAction, Auditor
from gateway.model.base import GATEWAY
from gateway.plain import MOST, MOST_LOGGED, fit, one_line
from gateway.ports import Work
from gateway.tiles import bundle
from tests.clock import ManualClock
from tests.faults.tally import tally
from tests.world import a_world

#: Newlines of every kind, escape sequences, bidirectional marks, NUL, lone surrogates, a byte order mark, tags.
NASTY = (
    "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029\x00\x1b\x07\x9b\u202a\u202e\u2066\u2069\u200f\ud800\udfff\ufeff\U000e0041"
)
TEXTS = st.text(st.one_of(st.sampled_from(NASTY), st.characters(codec=None)), max_size=60)
EXAMPLES = 150
FULL = 1_000
AMOUNTS = [pytest.param(EXAMPLES, id="each run"), pytest.param(FULL, id="whole", marks=pytest.mark.full)]
MEGABYTE = "A\u202e\n" * 350_000


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    """The operators' log as a process configures it, in a buffer that takes no lone surrogates, as a stream does."""
    root = logging.getLogger()
    before, level = root.handlers[:], root.level
    stream = io.StringIO()
    logs.configure(stream)
    yield stream
    root.handlers[:] = before
    root.setLevel(level)
    logging.captureWarnings(False)
    structlog.reset_defaults()


def _safe(text: str) -> None:
    assert len(text.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in {"Cc", "Cf", "Cs", "Zl", "Zp"} for letter in text)
    text.encode()


@given(TEXTS)
@example(MEGABYTE)
@example("\x1b[2J\x1b]0;title\x07")
def test_a_field_on_a_terminal_is_one_visible_line_and_short(text: str) -> None:
    told = one_line(text)
    _safe(told)
    assert len(told) <= MOST * 10 + 1
    assert one_line("Åsa i Växjö, enhetschef – 3 §") == "Åsa i Växjö, enhetschef – 3 §"


@pytest.mark.parametrize("amount", AMOUNTS)
def test_a_log_line_is_one_line_of_json_whatever_its_fields_hold(lines: io.StringIO, amount: int) -> None:
    """A09: a forged line would be a lie about what happened; an escape sequence would act in an operator's terminal."""
    wrong = []

    @settings(max_examples=amount)
    @given(TEXTS, TEXTS)
    @example(MEGABYTE, MEGABYTE)
    def written(event: str, field: str) -> None:
        lines.seek(0)
        lines.truncate()
        structlog.get_logger().warning(event, detail=field, many=[field, {"inner": field}], kind=ValueError)
        text = lines.getvalue()
        assert text.endswith("\n")
        _safe(text[:-1])
        told = json.loads(text)
        if len(text) > 60_000 or told["level"] != "warning":
            wrong.append(text)

    written()
    tally("A09", cases=amount, half=len(wrong))
    assert wrong == []


@pytest.mark.parametrize("amount", AMOUNTS)
async def test_an_entry_of_the_log_takes_any_text_and_stays_small(amount: int) -> None:
    """A09: no text makes an act fail for want of a log entry, and no leaf outgrows its entry bundle (65 535 octets)."""
    world = await a_world()
    store = MemoryStore(ManualClock())
    vault, shred = world.keyring.vault, world.keyring.shred
    auditor = Auditor("sambud.example", store, vault, shred, world.clock)
    drawn: list[tuple[str, str]] = [(MEGABYTE, MEGABYTE)]

    @settings(max_examples=amount)
    @given(TEXTS, TEXTS)
    def draw(first: str, second: str) -> None:
        drawn.append((first, second))

    draw()
    for first, second in drawn:
        entry = await auditor.entry(
            AuditAction.LOG_READ,
            administration=GATEWAY,
            actor=None,
            role=first,
            object=second,
            case=None,
            outcome=first,
            purpose=second,
            basis=first,
            detail={"sought": second, first: [second]},
        )
        await store.commit(Work(entries=(entry,)))
        bundle([entry.leaf])
        assert b"\n" not in entry.leaf
        assert len(entry.sealed) < 32_000
    name = auditor.origin(world.clock.now())
    size = await store.log_size(name)
    for leaf, side in zip(await store.leaves(name, 0, size), await store.sides(name, 0, size), strict=True):
        assert await auditor.holds(side, leaf.leaf)
    await world.keyring.close()
    tally("A09", cases=len(drawn))


@given(TEXTS)
@example(MEGABYTE)
def test_what_a_log_entry_holds_is_well_formed_and_otherwise_as_it_came(text: str) -> None:
    told = fit(text)
    told.encode()
    assert len(told) <= MOST_LOGGED * 10
    if len(text) <= MOST_LOGGED and text.isprintable():
        assert told == text
