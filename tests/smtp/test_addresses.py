"""Q10: what must not come near an SMTP connection; and senders that name their mail."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.smtp.addresses import UnsafeTextError, checked, header_text, inward, outward
from adapters.smtp.verp import Back, Verp, kept_key

UNSAFE = ["\r", "\n", "\r\n", "\0", "\u2028", "\u2029", "\x85", "\x0b", '"', " ", "<", ">", ",", "å", "\u202e"]


@given(st.text(max_size=20), st.sampled_from(UNSAFE), st.text(max_size=20), st.booleans())
def test_an_address_with_anything_unsafe_is_refused(before: str, unsafe: str, after: str, in_domain: bool) -> None:
    """RFC 5321 §4.1.2 without quoting: wherever it stands, in the local part or the domain."""
    around = f"{before}{unsafe}{after}"
    with pytest.raises(UnsafeTextError):
        checked(f"a@{around}.example" if in_domain else f"{around}@b.example")


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "a",
            "@b.example",
            "a@",
            "a@b",
            "a@[127.0.0.1]",
            "a..b@c.example",
            "a@-b.example",
            "a@b.example.",
            "a@b@c.d",
        ),
        *(f"{'a' * 65}@b.example", f"a@{'b.' * 130}example", "a" * 998),
    ],
)
def test_what_is_no_plain_address_is_refused(address: str) -> None:
    with pytest.raises(UnsafeTextError):
        checked(address)


def test_a_plain_address_keeps_its_local_part_and_its_domain_is_small() -> None:
    assert checked("Placering.Vuxen+1@XN--VXJ-QLA.Example") == "Placering.Vuxen+1@xn--vxj-qla.example"


ENCODED = "=?utf-8?q?=0D=0ABcc=3A_x?="


def test_no_encoded_word_reaches_a_header() -> None:
    """RFC 2047: every octet of it may be printed, and the mail library would write the line end that it stands for."""
    for refuses in (
        lambda: checked(f"{ENCODED}@b.example"),
        lambda: header_text(ENCODED),
        lambda: outward(ENCODED, "b.c"),
    ):
        with pytest.raises(UnsafeTextError):
            refuses()


@pytest.mark.parametrize("text", [*(one for one in UNSAFE[:8]), "\ud800", "å" * 500])
def test_a_header_text_is_one_line_whoever_reads_it(text: str) -> None:
    with pytest.raises(UnsafeTextError):
        header_text(f"Meddelande{text}")


def test_our_ids_lose_our_domain_on_the_way_in_and_foreign_ones_keep_theirs() -> None:
    own = frozenset({"vaxjo.example"})
    assert inward(outward("abc", "vaxjo.example"), own) == "abc"
    assert inward(outward("abc@region.example", "vaxjo.example"), own) == "abc@region.example"


def test_only_an_address_that_we_made_names_a_mail(tmp_path: Path) -> None:
    """A Message-ID is seen by many; the marks are not to be made from it, nor one from the other."""
    key, identifier = kept_key(tmp_path / "verp.key"), str(uuid.uuid4())
    assert kept_key(tmp_path / "verp.key") == key
    verp = Verp("studs@vaxjo.example", key)
    bounce, receipt = verp.address(identifier, Back.BOUNCE), verp.address(identifier, Back.RECEIPT)
    assert verp.read(bounce) == (identifier, Back.BOUNCE)
    assert verp.read(receipt) == (identifier, Back.RECEIPT)
    turned = bounce.replace("+b", "+r")
    forged = Verp("studs@vaxjo.example", bytes(32)).address(identifier, Back.BOUNCE)
    others = (
        "studs@vaxjo.example",
        f"studs+b{uuid.UUID(identifier).hex}-@vaxjo.example",
        "x",
        "studs+å-é@vaxjo.example",
    )
    assert [verp.read(one) for one in (turned, forged, *others)] == [None] * 6
