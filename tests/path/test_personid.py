"""Identity values: each kind right, and each way of being wrong told with its own cause."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.personid import (
    TEXTS,
    Assurance,
    IdKind,
    PersonIdError,
    check_digit_holds,
    looks_like_number,
    normalised,
    parse,
    with_century,
)

TODAY = date(2026, 11, 24)
#: Skatteverket's published test numbers have birth number 238 or 239 from 1990 on and 980 or 981 in the 1890s.
PERSON = "199006022397"
COORDINATION = "199006622394"
ISSUER = "SE0000000000-EX01"


def with_check_digit(digits: str) -> str:
    return next(f"{digits}{last}" for last in range(10) if check_digit_holds(f"{digits}{last}"))


def faults_of(value: object, today: date = TODAY) -> list[str]:
    try:
        parse(value, today=today)
    except PersonIdError as trouble:
        return [fault.kind for fault in trouble.faults]
    return []


def kinds(**value: Any) -> list[str]:
    return faults_of(value)


@pytest.mark.parametrize(
    ("kind", "written", "stored"),
    [
        ("personnummer", PERSON, PERSON),
        ("personnummer", "200001052380", "200001052380"),
        ("personnummer", "19900602-2397", PERSON),
        ("personnummer", " 19900602 2397 ", PERSON),
        ("personnummer", "1990 06 02 – 23 97", PERSON),
        ("personnummer", "19900602\u20112397", PERSON),
        ("personnummer", "19900602\u00a02397", PERSON),
        ("personnummer", with_check_digit("18910412981"), with_check_digit("18910412981")),
        ("personnummer", with_check_digit("18910412981")[:8] + "+" + with_check_digit("18910412981")[8:], None),
        ("samordningsnummer", COORDINATION, COORDINATION),
        ("samordningsnummer", "19900662-2394", COORDINATION),
        ("reservnummer", "98240301AA06", "98240301AA06"),
        ("reservnummer", "98240301-aa06", "98240301AA06"),
        ("reservnummer", "98240301 AA 06", "98240301AA06"),
        ("reservnummer", "982403010006", "982403010006"),
    ],
)
def test_a_right_number_is_kept_as_twelve_characters(kind: str, written: str, stored: str | None) -> None:
    """Folkbokföringslagen 18 §; lag 2022:1697 2 kap. 8 §; national reservnummer as in HL7 Sweden's base profiles."""
    identity = parse({"kind": kind, "value": written}, today=TODAY)
    assert identity.kind == kind
    assert identity.value == (stored or written.replace("+", ""))
    assert len(identity.value) == 12


@pytest.mark.parametrize(
    ("kind", "written", "fault"),
    [
        ("personnummer", "199006022398", "check-digit"),
        ("personnummer", "199006022379", "check-digit"),  # two digits changed places
        ("personnummer", "199002302397", "date"),
        ("personnummer", "199013022397", "date"),
        ("personnummer", "199000022397", "date"),
        ("personnummer", "199006002397", "date"),
        ("personnummer", "199006322397", "date"),
        ("personnummer", "190002292380", "date"),  # 1900 was no leap year
        ("personnummer", "202611252380", "future"),
        ("personnummer", "209906022380", "future"),
        ("personnummer", "179006022397", "century"),
        ("personnummer", "009006022397", "century"),
        ("personnummer", "199006020007", "serial"),
        ("personnummer", "9006022397", "no-century"),
        ("personnummer", "900602-2397", "no-century"),
        ("personnummer", "900602+2397", "no-century"),
        ("personnummer", "19900602239", "length"),
        ("personnummer", "1990060223970", "length"),
        ("personnummer", "19900602--2397", "length"),
        ("personnummer", "1990-06-02-2397", "length"),
        ("personnummer", "19900602A397", "letters"),
        ("personnummer", "98240301AA06", "letters"),
        ("personnummer", "19900602239\u0667", "letters"),  # a digit, but not one of ours
        ("personnummer", "１９９００６０２２３９７", "letters"),
        ("personnummer", "199006022397\n1", "length"),
        ("personnummer", "", "missing-value"),
        ("personnummer", "   ", "missing-value"),
        ("personnummer", COORDINATION, "is-coordination"),
        ("samordningsnummer", PERSON, "is-personal"),
        ("samordningsnummer", "199006622395", "check-digit"),
        ("samordningsnummer", "199002902393", "date"),  # 30 February, raised by 60
        ("samordningsnummer", "199006602393", "date"),  # day 0, raised by 60
        ("samordningsnummer", "199006932393", "date"),
        ("samordningsnummer", "9006622393", "no-century"),
        ("reservnummer", "", "missing-value"),
        ("reservnummer", "98240301AA0", "reserve"),
        ("reservnummer", "98240301AAÅ6", "reserve"),
        ("reservnummer", "9824A301AA06", "reserve"),
        ("reservnummer", PERSON, "is-personal"),
        ("reservnummer", COORDINATION, "is-coordination"),
    ],
)
def test_a_wrong_number_is_refused_with_its_cause(kind: str, written: str, fault: str) -> None:
    assert kinds(kind=kind, value=written) == [fault]


def test_the_date_counts_from_the_day_that_is_asked() -> None:
    number = with_check_digit("20261124238")
    assert faults_of({"kind": "personnummer", "value": number}, TODAY) == []
    assert faults_of({"kind": "personnummer", "value": number}, date(2026, 11, 23)) != []


@pytest.mark.parametrize(
    ("value", "faults"),
    [
        ({"kind": "reservnummer", "value": "AB-1234", "issuer": ISSUER}, []),
        ({"kind": "reservnummer", "value": "ab-1234", "issuer": ISSUER.lower()}, []),
        ({"kind": "reservnummer", "value": PERSON, "issuer": ISSUER}, []),  # unique per issuer; says nothing else
        ({"kind": "reservnummer", "value": "AB-1234"}, ["reserve"]),  # a local number needs its issuer
        ({"kind": "reservnummer", "value": "AB-1234", "issuer": "Lasarettet"}, ["issuer"]),
        ({"kind": "reservnummer", "value": "ABC", "issuer": ISSUER}, ["local-reserve"]),
        ({"kind": "reservnummer", "value": "A" * 21, "issuer": "x"}, ["issuer", "local-reserve"]),
        ({"kind": "unknown", "reason": "Identiteten är inte fastställd."}, []),
        ({"kind": "unknown"}, ["reason"]),
        ({"kind": "unknown", "reason": " - "}, ["reason"]),
        ({"kind": "unknown", "reason": "x" * 200}, []),
        ({"kind": "unknown", "reason": "x" * 201}, ["reason-long"]),
        ({"kind": "unknown", "reason": "Vet inte.", "value": PERSON}, ["value-not-wanted"]),
        ({"kind": "samordningsnummer", "value": COORDINATION, "assurance": "CONFIRMED"}, []),
        ({"kind": "samordningsnummer", "value": COORDINATION, "assurance": "VERY"}, ["assurance"]),
        ({"kind": "personnummer", "value": PERSON, "assurance": "CONFIRMED"}, ["assurance-not-wanted"]),
        ({"kind": "personnummer", "value": PERSON, "issuer": ISSUER}, ["issuer-not-wanted"]),
        ({"kind": "personnummer", "value": PERSON, "reason": "Vet inte."}, ["reason-not-wanted"]),
        ({"kind": "personnummer", "value": PERSON, "name": "x"}, ["unknown-part"]),
        ({"kind": "personnummer", "value": PERSON, "issuer": "", "reason": None}, []),
        ({"kind": "pass", "value": PERSON}, ["kind"]),
        ({"value": PERSON}, ["kind"]),
        ({}, ["kind"]),
        ({"kind": "personnummer", "value": 199006022397}, ["shape"]),
        (PERSON, ["shape"]),
        (None, ["shape"]),
        ([], ["shape"]),
    ],
)
def test_each_kind_has_its_own_parts_and_unknown_has_a_reason(value: object, faults: list[str]) -> None:
    assert faults_of(value) == faults


def test_everything_that_is_wrong_is_told_at_once() -> None:
    value = {"kind": "personnummer", "value": "199006022398", "issuer": ISSUER, "reason": "x", "shoe": "42"}
    assert kinds(**value) == ["unknown-part", "issuer-not-wanted", "reason-not-wanted", "check-digit"]


def test_every_cause_has_a_text_that_says_what_to_do() -> None:
    assert all(text[0].isupper() and text.endswith(".") for text in TEXTS.values())
    first = {text.split()[0] for text in TEXTS.values()}
    assert first == {"Välj", "Skriv", "Kontrollera", "Det", "Ta", "Korta"}
    assert len(set(TEXTS.values())) == len(TEXTS)


@pytest.mark.parametrize("value", ["199006022398", "19900602X397", "hemligt"])
def test_no_fault_repeats_the_number(value: str) -> None:
    with pytest.raises(PersonIdError) as refused:
        parse({"kind": "personnummer", "value": value}, today=TODAY)
    assert value not in repr(refused.value) + str(refused.value) + repr(refused.value.faults)


def test_a_stored_value_holds_only_the_parts_that_say_something() -> None:
    assert normalised({"kind": "personnummer", "value": "19900602-2397", "issuer": ""}) == {
        "kind": "personnummer",
        "value": PERSON,
    }
    identity = parse({"kind": "samordningsnummer", "value": COORDINATION, "assurance": "PROBABLE"})
    assert identity.assurance is Assurance.PROBABLE
    assert identity.as_value() == {"kind": "samordningsnummer", "value": COORDINATION, "assurance": "PROBABLE"}


def test_an_issuer_is_kept_in_one_spelling() -> None:
    identity = parse({"kind": "reservnummer", "value": "ab-12", "issuer": ISSUER.lower()})
    assert (identity.value, identity.issuer) == ("AB-12", ISSUER)


@pytest.mark.parametrize(
    ("digits", "looks"),
    [
        (PERSON, True),
        (PERSON[2:], True),
        ("199006022398", True),  # mistyped still points at somebody
        ("199006912397", True),
        ("199006922397", False),
        ("199006602397", False),
        ("199006322397", False),
        ("199006002397", False),
        ("199013022397", False),
        ("199000022397", False),
        ("179006022397", False),
        (PERSON[1:], False),
        ("19900602239x", False),
        ("", False),
    ],
)
def test_the_shape_of_a_number_is_seen_without_its_check_digit(digits: str, looks: bool) -> None:
    assert looks_like_number(digits) is looks


@pytest.mark.parametrize(
    ("value", "system"),
    [
        ({"kind": "personnummer", "value": PERSON}, "http://electronichealth.se/identifier/personnummer"),
        (
            {"kind": "samordningsnummer", "value": COORDINATION},
            "http://electronichealth.se/identifier/samordningsnummer",
        ),
        (
            {"kind": "reservnummer", "value": "98240301AA06"},
            "http://electronichealth.se/identifier/nationelltReservnummer",
        ),
        ({"kind": "reservnummer", "value": "AB-12", "issuer": ISSUER}, f"local:{ISSUER}"),
        ({"kind": "unknown", "reason": "Vet inte."}, ""),
    ],
)
def test_each_kind_names_its_system(value: dict[str, str], system: str) -> None:
    assert parse(value).system == system


@pytest.mark.parametrize(
    ("written", "today", "completed"),
    [
        ("900602-2397", TODAY, PERSON),
        ("900602 - 2397", TODAY, PERSON),
        ("000105-2380", TODAY, "200001052380"),
        ("000105+2380", TODAY, "190001052380"),
        ("261124-2380", TODAY, "202611242380"),
        ("271124-2380", TODAY, "192711242380"),
        ("261124+2380", TODAY, "192611242380"),  # turns 100 this year: plus
        ("900602-2397", date(2089, 12, 31), PERSON),
        ("900602-2397", date(2090, 1, 1), "209006022397"),
        ("900602+2397", date(2090, 1, 1), PERSON),
        ("9006022397", TODAY, "9006022397"),  # fits two people: asked for, never guessed
        ("19900602-2397", TODAY, "19900602-2397"),
        ("98240301AA06", TODAY, "98240301AA06"),
        ("", TODAY, ""),
    ],
)
def test_a_separator_tells_the_century_of_ten_digits(written: str, today: date, completed: str) -> None:
    """Folkbokföringslagen 18 §: the hyphen becomes a plus in the year of the hundredth birthday."""
    assert with_century(written, today=today) == completed


# --- properties ------------------------------------------------------------------------------------------------------

birthdays = st.dates(min_value=date(1990, 1, 1), max_value=TODAY)
gaps = st.sampled_from(["", " ", "-", "  ", " - ", "–", "\u00a0"])


@given(birthdays, st.sampled_from(["238", "239"]), gaps)
def test_every_right_test_number_is_taken_and_survives_a_round_trip(day: date, birth: str, gap: str) -> None:
    number = with_check_digit(f"{day:%Y%m%d}{birth}")
    stored = normalised({"kind": "personnummer", "value": f"{number[:8]}{gap}{number[8:]}"})
    assert stored == {"kind": "personnummer", "value": number}
    assert normalised(stored) == stored
    assert looks_like_number(number)
    assert looks_like_number(number[2:])


@given(birthdays, st.sampled_from(["238", "239"]), st.integers(0, 11), st.integers(1, 9))
def test_one_wrong_digit_is_always_found_or_changes_only_the_century(
    day: date, birth: str, place: int, add: int
) -> None:
    """The check digit covers the last ten digits: a wrong century can only be found when it gives no date."""
    number = with_check_digit(f"{day:%Y%m%d}{birth}")
    wrong = f"{number[:place]}{(int(number[place]) + add) % 10}{number[place + 1 :]}"
    found = kinds(kind="personnummer", value=wrong)
    assert found or place < 2


@given(birthdays, st.sampled_from(["238", "239"]))
def test_a_day_raised_by_sixty_is_a_samordningsnummer_and_nothing_else(day: date, birth: str) -> None:
    number = with_check_digit(f"{day:%Y%m}{day.day + 60}{birth}")
    assert kinds(kind=IdKind.SAMORDNINGSNUMMER, value=number) == []
    assert kinds(kind=IdKind.PERSONNUMMER, value=number) == ["is-coordination"]
    assert kinds(kind=IdKind.RESERVNUMMER, value=number) == ["is-coordination"]


texts = st.text(max_size=40) | st.from_regex(r"[0-9 +\-A-Za-z]{0,16}", fullmatch=True)
junk = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)
parts = st.fixed_dictionaries(
    {},
    optional={
        "kind": st.sampled_from(list(IdKind)) | junk,
        "value": junk,
        "issuer": st.just(ISSUER) | junk,
        "assurance": st.sampled_from(list(Assurance)) | junk,
        "reason": junk,
    },
)


@given(junk | parts)
def test_nothing_crashes_and_what_passes_is_stable(value: object) -> None:
    faults = faults_of(value)
    if not faults:
        stored = parse(value, today=TODAY).as_value()
        assert parse(stored, today=TODAY).as_value() == stored
        assert faults_of(stored) == []
