"""Reads the attachment policy: the one that ships, or the operator's own."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Final

from gateway.errors import SetupError
from gateway.filepolicy import FilePolicy, policy_of

SHIPPED: Final = Path(__file__).with_name("attachments.toml")


def load(path: Path | None = None) -> FilePolicy:
    """The policy in `path`, else the one that ships.

    Raises:
        SetupError: it cannot be read or says what is not known.
    """
    chosen = path or SHIPPED
    try:
        data = tomllib.loads(chosen.read_text("utf-8"))
    except (OSError, ValueError) as trouble:
        raise SetupError(
            f"{chosen.name} cannot be read as TOML",
            swedish=f"Bilagepolicyn {chosen} går inte att läsa.",
            next_step="Rätta filen, eller ta bort SAMBUD_ATTACHMENT_POLICY.",
        ) from trouble
    return policy_of(data, source=chosen.name)
