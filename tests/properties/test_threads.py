"""Threads of any shape are shown whole, each answer at what it answers (SDK SAD §5.3.7)."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import example, given
from hypothesis import strategies as st

from gateway.threads import newest_first


@dataclass(frozen=True)
class Row:
    name: int
    answers: int | None
    at: int


def shown(rows: list[Row]) -> list[Row]:
    return newest_first(rows, name=lambda row: row.name, answers=lambda row: row.answers, at=lambda row: row.at)


@st.composite
def cases(draw: st.DrawFn) -> list[Row]:
    """Any references: to earlier ones, later ones, oneself, in circles, and to what nobody knows."""
    size = draw(st.integers(0, 12))
    return [
        Row(name, draw(st.none() | st.integers(0, size + 1)), draw(st.integers(0, 20)))
        for name in draw(st.permutations(range(size)))
    ]


def _circular(rows: list[Row]) -> bool:
    by = {row.name: row for row in rows}
    for row in rows:
        here, seen = row, {row.name}
        while here.answers in by:
            here = by[here.answers]
            if here.name in seen:
                return True
            seen.add(here.name)
    return False


@given(cases())
@example([Row(0, 0, 1)])
@example([Row(0, 1, 1), Row(1, 0, 2), Row(2, 1, 0)])
def test_nothing_is_hidden_and_nothing_stands_twice(rows: list[Row]) -> None:
    assert sorted(row.name for row in shown(rows)) == sorted(row.name for row in rows)


@given(cases())
def test_without_circles_each_stands_above_what_it_answers(rows: list[Row]) -> None:
    if not _circular(rows):
        places = {row.name: place for place, row in enumerate(shown(rows))}
        assert all(places[row.name] < places[row.answers] for row in rows if row.answers in places)


@given(cases(), st.randoms())
def test_the_order_in_which_they_are_found_changes_nothing(rows: list[Row], chance: object) -> None:
    timed = [Row(row.name, row.answers, place) for place, row in enumerate(rows)]
    mixed = list(timed)
    chance.shuffle(mixed)  # type: ignore[attr-defined]
    assert shown(mixed) == shown(timed)


def test_an_answer_that_a_wrong_clock_dated_earlier_still_stands_above_and_threads_are_not_mixed() -> None:
    referral, answer, again = Row(1, None, 10), Row(2, 1, 5), Row(3, 1, 40)
    other, reply = Row(4, None, 20), Row(5, 4, 30)
    assert shown([other, referral, reply, again, answer]) == [again, answer, referral, reply, other]
    assert shown([referral, other]) == [other, referral]
