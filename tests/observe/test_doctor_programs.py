"""`sambud doctor`: what the configured ways need on this machine; docs/operations.md, Doctor."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli import main
from gateway.doctor import Finding, Level
from gateway.doctor_programs import _PAGES, _SDK, programs
from gateway.errors import SetupError
from gateway.settings import Settings


def looked(there: set[str], **chosen: object) -> list[Finding]:
    settings = Settings(data_dir=Path("/nowhere"), root_key_file=Path("/nowhere/key"), **chosen)  # type: ignore[arg-type]
    return programs(
        settings,
        which=lambda name: f"/usr/bin/{name}" if name in there else None,
        package=lambda name: object() if name in there else None,
    )


def test_a_gateway_without_channels_needs_no_program() -> None:
    assert looked(set()) == []


@pytest.mark.parametrize(
    ("chosen", "needed"),
    [
        ({"smime_keys": Path("/keys")}, {"openssl", "typst", "pypdf"}),
        ({"sdk_url": "https://sdk.example/"}, {"typst", "pypdf", "lxml"}),
    ],
    ids=["S/MIME", "SDK"],
)
def test_each_thing_that_a_channel_needs_and_lacks_is_named_with_what_to_do(
    chosen: dict[str, object], needed: set[str]
) -> None:
    assert {found.level for found in looked(needed, **chosen)} == {Level.OK}
    for one in needed:
        [found] = [found for found in looked(needed - {one}, **chosen) if found.level is Level.WRONG]
        assert one in found.swedish
        assert "nstallera" in found.next_step


def test_a_scanner_whose_socket_is_not_there_is_told(tmp_path: Path) -> None:
    [found] = looked(set(), clamd=str(tmp_path / "clamd.ctl"))
    assert (found.level, "karantän" in found.swedish) == (Level.WRONG, True)
    (tmp_path / "clamd.ctl").touch()
    assert looked(set(), clamd=str(tmp_path / "clamd.ctl")) == []


def test_a_word_that_is_no_reason_is_called_unknown_where_no_gateway_is_set_up() -> None:
    """Whoever looks up a code on another computer is not asked for settings."""

    def load(**_: object) -> Settings:
        raise SetupError("no settings", swedish="Inställningar saknas.", next_step="Ange SAMBUD_DATA_DIR.")

    done = CliRunner().invoke(main, ["channels", "explain", "okänt"], obj={"load": load, "wiring": None})
    assert done.exit_code == 3
    assert "okänt är inget skäl" in done.stderr
    assert "unreachable" in done.stderr


def test_whatever_is_looked_for_is_a_package_that_the_lock_installs() -> None:
    """A look for what nobody installs would call every gateway with SDK broken."""
    lock = (Path(__file__).parent.parent.parent / "requirements.lock").read_text("utf-8")
    installed = set(re.findall(r"(?m)^([a-z0-9.-]+)==", lock))
    assert {*_PAGES, *_SDK} <= installed
