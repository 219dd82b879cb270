"""An address book is copied and compared, and reroutes nobody's mail (docs/address-book.md)."""

from __future__ import annotations

import json
import re
import time
import tomllib
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from adapters.sdk.counterpart import ORGANISATION
from gateway.address_book import MAX_LISTINGS, Compared, parse_book, proposed, summary
from gateway.errors import ConflictError, InvalidFormError
from gateway.model.directory import BookReading, Listing
from gateway.model.path import Channel
from gateway.neighbours import Reason, Telling, Told
from tests.county import SEAT_E, County, a_county
from tests.neighbours import Pair, a_pair, seen_from

NUMBER = "2021000001"


def an_organisation(participant: str, functions: Mapping[str, str], **changes: Any) -> dict[str, Any]:
    addresses = [{"identifier": one, "name": name} for one, name in functions.items()]
    told = {"participantIdentifier": participant, "organizationNumber": NUMBER, "name": "Organisationen"}
    return {"type": "organizations", "id": participant, "attributes": {**told, "addresses": addresses, **changes}}


def a_book(*organisations: Mapping[str, Any]) -> bytes:
    return json.dumps({"data": organisations}).encode()


async def as_the_directory_says(county: County) -> bytes:
    """A book that bears out every SDK route of the directory."""
    directory = await county.gateway.directory.current()
    found: dict[str, Any] = {}
    for route in (one for one in directory.routes if one.channel is Channel.SDK):
        inbox = directory.inbox(route.inbox)
        owner = directory.organisations[directory.administration(inbox.administration).organisation]
        participant, _, function = route.address.partition("#")
        made = an_organisation(participant, {}, organizationNumber=owner.number)
        one = found.setdefault(f"{participant} {owner.number}", made)  # the demo's seats share a participant
        one["attributes"]["addresses"].append({"identifier": function, "name": inbox.name})
    return a_book(*found.values())


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with a_pair() as opened:
        yield opened


@pytest.fixture
async def county() -> AsyncIterator[County]:
    """A gateway that reaches all others of the county over SDK."""
    async with a_county(directory=seen_from(("alvesta.ifo",))) as opened:
        yield opened


async def read(county: County, octets: bytes, **options: Any) -> Compared:
    books = county.gateway.address_books
    word = (await books.compare(Channel.SDK, octets)).word
    return await books.read(Channel.SDK, octets, word, by="directory", **options)


async def one_is_on_its_way(pair: Pair) -> None:
    """A referral to a seat outside is handed over, and its receipt has not come."""
    worker = await pair.first.sign_in("al-sos")
    case, _ = await pair.first.consented_case(worker)
    await pair.first.send_referral(worker, case.id, (SEAT_E,))
    await pair.first.gateway.channels.run_once(Channel.SDK)


# --- the copy --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_what_was_shown_is_read_and_a_second_reading_changes_nothing(county: County) -> None:
    octets = await as_the_directory_says(county)
    shown = await county.gateway.address_books.compare(Channel.SDK, octets)
    assert {one.what for one in shown.happenings} == {"+"}
    assert shown.concerns == []
    assert await county.store.listings(Channel.SDK) == []  # looking changes nothing
    await read(county, octets)
    assert [row.address for row in await county.store.listings(Channel.SDK)] == sorted(shown.listings)
    again = await read(county, octets)
    assert again.happenings == []
    reading = await county.store.get(BookReading, Channel.SDK)
    assert reading is not None
    assert (reading.version, reading.at, reading.digest) == (2, county.clock.now(), shown.digest)


@pytest.mark.slow
async def test_a_word_of_another_book_reads_nothing(county: County) -> None:
    books = county.gateway.address_books
    one, other = (a_book(an_organisation("0203:a.example", {"f": name})) for name in ("Ett", "Två"))
    word = (await books.compare(Channel.SDK, one)).word
    with pytest.raises(ConflictError, match="not the one that was shown"):
        await books.read(Channel.SDK, other, word, by="directory")
    assert await county.store.listings(Channel.SDK) == []


@pytest.mark.slow
async def test_new_changed_gone_and_back_are_told_apart_and_what_is_gone_is_kept_with_its_time(county: County) -> None:
    names = {f"f{number}": "Ett" for number in range(20)}
    await read(county, a_book(an_organisation("0203:a.example", names)))
    fewer = {**{name: text for name, text in names.items() if name != "f1"}, "f2": "Nytt namn", "ny": "Ny"}
    county.clock.advance(5)
    compared = await read(county, a_book(an_organisation("0203:a.example", fewer)))
    assert [(one.what, one.listing.address.partition("#")[2]) for one in compared.happenings] == [
        ("~", "f2"),
        ("+", "ny"),
        ("-", "f1"),
    ]
    gone = await county.store.get(Listing, Channel.SDK, "0203:a.example#f1")
    assert gone is not None
    assert (gone.gone_at, gone.name) == (county.clock.now(), "Ett")
    back = await read(county, a_book(an_organisation("0203:a.example", {**fewer, "f1": "Ett"})))
    assert [(one.what, one.listing.gone_at) for one in back.happenings] == [("=", None)]
    assert summary(back) == (
        f"21 adresser: 0 nya, 0 ändrade, 0 borta, 1 tillbaka; {len(back.concerns)} vägar stämmer inte med boken."
    )


@pytest.mark.slow
async def test_half_a_file_is_not_read_unless_somebody_says_that_it_is_whole(county: County) -> None:
    many = {f"f{number}": "Funktion" for number in range(20)}
    await read(county, a_book(an_organisation("0203:a.example", many)))
    half = a_book(an_organisation("0203:a.example", {"f1": "Funktion"}))
    with pytest.raises(ConflictError, match="missing"):
        await read(county, half)
    assert all(row.gone_at is None for row in await county.store.listings(Channel.SDK))
    await read(county, half, complete=True)
    assert sum(row.gone_at is None for row in await county.store.listings(Channel.SDK)) == 1


@pytest.mark.slow
async def test_a_reading_is_logged_by_function_and_digest_and_without_addresses(county: County) -> None:
    octets = a_book(an_organisation("0203:a.example", {"f": "Funktion"}))
    compared = await read(county, octets)
    [name] = await county.store.logs()
    sides = await county.store.sides(name, 0, await county.store.log_size(name))
    [side] = [row for row in sides if row.action == "directory_applied" and row.object == compared.digest]
    assert "a.example" not in repr(side)


# --- no route is changed ---------------------------------------------------------------------------------------------


@pytest.mark.slow
async def test_a_book_that_disagrees_with_a_route_says_so_with_what_is_on_its_way_and_changes_no_route(
    pair: Pair,
) -> None:
    """A function that is gone, and an organisation with another number: told, never acted on."""
    county = pair.first
    pair.one.outcomes.clear()
    await one_is_on_its_way(pair)
    before = (await county.gateway.directory.current()).routes
    told = json.loads(await as_the_directory_says(county))
    for one in told["data"]:
        listed = one["attributes"]["addresses"]
        one["attributes"]["addresses"] = [f for f in listed if not f["identifier"].endswith(SEAT_E)]
        if any(f["identifier"].endswith("novus.enhet") for f in listed):
            one["attributes"]["organizationNumber"] = NUMBER
    told["data"] = [one for one in told["data"] if one["attributes"]["addresses"]]
    compared = await read(county, json.dumps(told).encode())
    concerns = {concern.route.inbox: concern for concern in compared.concerns}
    assert concerns[SEAT_E].leaving == 1
    assert str(concerns[SEAT_E]).endswith("Adressen står inte i adressboken. 1 på väg dit.")
    assert "annat än vårt" in concerns["novus.enhet"].swedish
    assert concerns["novus.enhet"].leaving == 0
    assert (await county.gateway.directory.current()).routes == before


@pytest.mark.slow
async def test_a_directory_file_that_changes_a_way_shows_what_goes_by_the_old_one(pair: Pair) -> None:
    """And what is on its way keeps to the address that its sender signed."""
    county = pair.first
    await one_is_on_its_way(pair)
    text = seen_from(("alvesta.ifo",))
    old = next(route.address for route in (await county.gateway.directory.current()).routes if route.inbox == SEAT_E)
    changed = text.replace(f'"{old}"', '"0203:ny.example#sdk:inkorg:ny"')
    [line] = [one for one in await county.gateway.register.dry_run(changed) if one.what == "~"]
    assert (line.kind, line.id) == ("route", f"{SEAT_E}/sdk")
    assert ("address", old, "0203:ny.example#sdk:inkorg:ny") in line.fields
    assert ("leaving", 1, 1) in line.fields
    pair.one.outcomes = {name: Told(Telling.DELIVERED, Reason.NONE, name) for name in pair.one.outcomes}
    county.clock.advance(60_000_000)
    await county.gateway.channels.run_once(Channel.SDK)
    [line] = [one for one in await county.gateway.register.dry_run(changed) if one.what == "~"]
    assert "leaving" not in [name for name, *_ in line.fields]


@pytest.mark.slow
async def test_a_function_is_proposed_as_lines_that_a_person_must_fill_in(county: County) -> None:
    """JUR: the secrecy regime of a unit is never inferred; the file is refused until it is written."""
    octets = a_book(an_organisation("0203:Ny.example", {"sdk:inkorg:Äldre": 'Äldre "omsorg"'}, name="Nya kommunen"))
    listings = parse_book(Channel.SDK, octets)
    text = proposed(listings, ["0203:ny.example#sdk:inkorg:äldre"])
    rows = tomllib.loads(text)
    assert rows["inbox"][0]["name"] == 'Äldre "omsorg"'
    assert rows["route"] == [
        {"inbox": rows["inbox"][0]["id"], "channel": "sdk", "address": "0203:ny.example#sdk:inkorg:äldre"}
    ]
    with pytest.raises(InvalidFormError) as refused:
        await county.gateway.register.dry_run(text)
    assert {fault.pointer.split("/")[1] for fault in refused.value.faults} >= {"administration", "unit", "inbox"}
    filled = re.sub(r'(name|legal_form) = ""', r'\1 = "Ifyllt"', text)
    filled = filled.replace('secrecy_regime = ""', 'secrecy_regime = "OSL_26"')
    filled = filled.replace("accepts = []", 'accepts = ["case_message"]')
    assert {one.what for one in await county.gateway.register.dry_run(filled)} == {"+", "?"}
    with pytest.raises(InvalidFormError):
        proposed(listings, ["0203:ny.example#sdk:inkorg:finns-inte"])


# --- what a book may be ----------------------------------------------------------------------------------------------


def test_functions_on_their_own_belong_to_the_organisation_that_they_name() -> None:
    """JSON:API: resources in `data` or `included`, related by id."""
    owner = an_organisation("0203:a.example", {})
    address = {
        "type": "addresses",
        "id": "7",
        "attributes": {"identifier": "Sdk:Inkorg", "name": "Funktion", "keywords": ["x"]},
        "relationships": {"organization": {"data": {"type": "organizations", "id": owner["id"]}}},
    }
    octets = json.dumps({"data": [address], "included": [owner], "links": {}, "meta": {}}).encode()
    assert list(parse_book(Channel.SDK, octets)) == ["0203:a.example#sdk:inkorg"]


@pytest.mark.parametrize(
    ("octets", "kind"),
    [
        (b"", "json"),
        (b"[" * 100_000, "json"),
        (b"\xff", "json"),
        (b"{}", "empty"),
        (b'{"data": 7}', "empty"),
        (
            a_book(an_organisation("0203:a.example", {"f": "A"}), an_organisation("0203:A.example", {"F": "B"})),
            "repeated",
        ),
        (a_book(an_organisation("0203:a.example", {"f": "A"}, organizationNumber="2021000000")), "organizationNumber"),
        (a_book(an_organisation("0203:a.example", {"f": "A"}, organizationNumber="")), "organizationNumber"),
        (a_book(an_organisation("SE2021000001", {"f": "A"})), "participantIdentifier"),
        (a_book(an_organisation("0203:a.example", {"": "A"})), "identifier"),
        (a_book(an_organisation("0203:a.example", {"a#b": "A"})), "identifier"),
        (a_book(an_organisation("0203:a.example", {"a\nb": "A"})), "identifier"),
        (a_book(an_organisation("0203:a.example", {"f": ""})), "name"),
        (a_book(an_organisation("0203:a.example", {"f": "x" * 257})), "name"),
        (a_book(an_organisation("0203:a.example", {"f": "A"}, name=None)), "name"),
        (a_book({"type": "addresses", "attributes": {"identifier": "f", "name": "A"}}), "organization"),
        (a_book(an_organisation("0203:a.example", {}, addresses=[7])), "identifier"),
    ],
)
def test_a_book_with_a_fault_is_refused_whole_with_the_place(octets: bytes, kind: str) -> None:
    with pytest.raises(InvalidFormError) as refused:
        parse_book(Channel.SDK, octets)
    assert kind in [fault.kind for fault in refused.value.faults]


def test_fifty_faults_are_told_and_the_number_of_all() -> None:
    faulty = {f"f{number}": "" for number in range(80)}
    with pytest.raises(InvalidFormError, match="80 faults") as refused:
        parse_book(Channel.SDK, a_book(an_organisation("0203:a.example", faulty)))
    assert len(refused.value.faults) == 50


@pytest.mark.slow
async def test_ten_thousand_functions_are_read_in_pieces_within_seconds(county: County) -> None:
    many = [
        an_organisation(f"0203:org{number}.example", {f"sdk:inkorg:{one}": f"Funktion {one}" for one in range(20)})
        for number in range(500)
    ]
    started = time.monotonic()
    compared = await read(county, a_book(*many))
    took = time.monotonic() - started
    assert len(compared.happenings) == len(await county.store.listings(Channel.SDK)) == 10_000
    assert (await read(county, a_book(*many))).happenings == []
    assert took < 20
    assert MAX_LISTINGS > 10_000


@pytest.mark.slow
async def test_the_simulators_book_is_one_that_is_read(county: County) -> None:
    from adapters.sdk.simulator import Simulator
    from adapters.sdk.simulator_http import book

    listings = parse_book(Channel.SDK, json.dumps(book(Simulator(county.clock))).encode())
    assert f"{ORGANISATION}#sdk:inkorg:tar-emot" in listings
