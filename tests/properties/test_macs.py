"""What the MAC of a deciding row covers when a later version has added a field (security-decisions S3)."""

from __future__ import annotations

import dataclasses
import json

from gateway.integrity import mac_input
from gateway.model.base import AdministrationId, OrganisationId
from gateway.model.directory import Administration

ROW = Administration(
    administration=AdministrationId("vaxjo.nav"), organisation=OrganisationId("vaxjo"), name="Nämnden för arbete"
)


def test_a_row_from_before_a_field_existed_has_the_octets_that_it_had_then() -> None:
    told = json.loads(mac_input(ROW))
    assert told == [
        "administration",
        {"administration": "vaxjo.nav", "name": "Nämnden för arbete", "organisation": "vaxjo", "version": 1},
    ]


def test_a_later_field_is_covered_as_soon_as_it_says_something() -> None:
    """Setting it by SQL, or setting it back, both change what the MAC covers."""
    outside = dataclasses.replace(ROW, outside=True)
    keyed = dataclasses.replace(outside, signing_key="ab")
    assert len({mac_input(ROW), mac_input(outside), mac_input(keyed)}) == 3
