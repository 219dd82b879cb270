"""What the settings of mail must say before anything is sent."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from adapters.documents.pdf import PdfDocuments
from adapters.smtp.connect import connected, relay
from gateway.directory import Directory
from gateway.errors import SetupError
from gateway.model.path import Channel
from gateway.settings import Settings
from tests.smtp.site import STUDS, Site

#: Asked when a mail comes in, never before.
NOBODYS = cast(Directory, None)


def _settings(site: Site, **changes: Any) -> Settings:
    (site.folder / "data").mkdir(exist_ok=True)
    told = {
        "data_dir": site.folder / "data",
        "root_key_file": site.folder / "root.key",
        "smtp_host": "mail.vaxjo.example",
        "smtp_bounce_address": STUDS,
        "smime_keys": site.folder / "own",
        "smime_partners": site.folder / "partners",
        "smime_ca_file": site.folder / "ca.pem",
        "smime_maildir": site.maildir,
    }
    return Settings.model_validate({**told, **changes})


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site.make(tmp_path)


def test_settings_that_are_whole_connect_the_channel_and_keep_one_key_for_bounces(site: Site) -> None:
    neighbour = connected(_settings(site), NOBODYS, PdfDocuments(), site.clock)
    assert neighbour.channel is Channel.SMIME
    assert neighbour.expires() is not None
    key = (site.folder / "data" / "mail" / "verp.key").read_bytes()
    connected(_settings(site), NOBODYS, PdfDocuments(), site.clock)
    assert (site.folder / "data" / "mail" / "verp.key").read_bytes() == key


@pytest.mark.parametrize(
    "changes",
    [
        {"smtp_host": ""},
        {"smtp_host": "mail.vaxjo.example:99999"},
        {"smtp_host": "mail vaxjo"},
        {"smtp_security": "none"},
        {"smtp_domains": {"region.example": "x y"}},
        {"smtp_bounce_address": ""},
        {"smtp_bounce_address": "studs"},
        {"smtp_bounce_address": "studsar.och.kvittenser@vaxjo.example"},  # no room for what names the mail
        {"smtp_user": "sambud"},
        {"smtp_user": "sambud", "smtp_password_file": Path("/nonexistent")},
        {"smtp_ca_file": Path("/nonexistent")},
        {"smime_partners": None},
        {"smime_maildir": None},
        {"smime_partners": Path("/nonexistent")},
        {"smime_ca_file": Path("/nonexistent")},
        {"smime_keys": Path("/nonexistent")},
    ],
    ids=str,
)
def test_what_is_missing_or_would_be_unsafe_is_said_at_the_start(site: Site, changes: dict[str, Any]) -> None:
    """§7.1(4): a server on another machine is never spoken to in clear."""
    with pytest.raises(SetupError) as told:
        connected(_settings(site, **changes), NOBODYS, PdfDocuments(), site.clock)
    assert told.value.swedish


def test_a_server_on_this_machine_may_do_without_tls(site: Site) -> None:
    assert relay(_settings(site, smtp_host="127.0.0.1:2525", smtp_security="none"))
