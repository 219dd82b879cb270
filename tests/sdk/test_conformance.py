"""The list of what SDK demands stays true: every test that it names exists, and the document is drawn from it."""

from __future__ import annotations

from tools.sdk_conformance import DOCUMENT, drawn, missing, parts


def test_every_test_that_the_list_names_exists() -> None:
    assert missing() == []


def test_the_document_is_the_list_as_it_is() -> None:
    """`python tools/sdk_conformance.py` draws it again."""
    assert DOCUMENT.read_text("utf-8") == drawn()


def test_a_rule_without_a_test_says_what_is_known() -> None:
    unknown = [rule for _, rules in parts() for rule in rules if not rule.tests]
    assert unknown
    assert all(rule.note for rule in unknown)
