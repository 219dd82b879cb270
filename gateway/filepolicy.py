"""Which files a function takes: types by content, size and number, as data that an operator may replace.

Why this exists: an intake that reads on telephones and a registrator who files for thirty years do not take the same.
The shipped policy stands in policies/attachments.toml; what it does not name, nobody takes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from gateway.errors import SetupError
from gateway.filetypes import KNOWN
from gateway.model.directory import Inbox, InboxKind

MOST_FILES: Final = 20
MOST_BYTES: Final = 1024**3


@dataclass(frozen=True, slots=True, kw_only=True)
class Takes:
    """What a function takes."""

    types: frozenset[str] = frozenset(KNOWN)
    max_bytes: int = MOST_BYTES  # of one file
    max_files: int = MOST_FILES

    @property
    def suffixes(self) -> tuple[str, ...]:
        """What a file picker may offer."""
        return tuple(suffix for kind, suffixes in KNOWN.items() if kind in self.types for suffix in suffixes)


@dataclass(frozen=True, slots=True, kw_only=True)
class FilePolicy:
    """A rule for everybody, others for kinds of inboxes, others for single inboxes: the closest one counts."""

    default: Takes = field(default_factory=Takes)
    kinds: Mapping[str, Takes] = field(default_factory=dict)
    inboxes: Mapping[str, Takes] = field(default_factory=dict)

    def narrowed(self, max_bytes: int) -> FilePolicy:
        """The same, with no file larger than the gateway takes at all."""
        return FilePolicy(
            default=_narrow(self.default, max_bytes),
            kinds={kind: _narrow(takes, max_bytes) for kind, takes in self.kinds.items()},
            inboxes={name: _narrow(takes, max_bytes) for name, takes in self.inboxes.items()},
        )

    def of(self, inbox: Inbox) -> Takes:
        return self.inboxes.get(str(inbox.id)) or self.kinds.get(str(inbox.kind)) or self.default


def _narrow(takes: Takes, max_bytes: int) -> Takes:
    return dataclasses.replace(takes, max_bytes=min(takes.max_bytes, max_bytes))


def policy_of(data: Mapping[str, Any], *, source: str) -> FilePolicy:
    """A policy from the tables of a TOML file: `[default]`, `[kind.<kind>]`, `[inbox."<id>"]`.

    A rule for a kind or an inbox says only what differs from the default.

    Raises:
        SetupError: an unknown table, key, kind or type, or a number out of bounds; the gateway does not start.
    """
    _only(data, {"default", "kind", "inbox"}, source)
    default = _takes(data.get("default", {}), Takes(), f"{source}: default")
    kinds, inboxes = data.get("kind", {}), data.get("inbox", {})
    _only(kinds, set(InboxKind), f"{source}: kind")
    return FilePolicy(
        default=default,
        kinds={kind: _takes(rule, default, f"{source}: kind.{kind}") for kind, rule in kinds.items()},
        inboxes={name: _takes(rule, default, f"{source}: inbox.{name}") for name, rule in inboxes.items()},
    )


def _takes(rule: Mapping[str, Any], default: Takes, where: str) -> Takes:
    _only(rule, {"types", "max_bytes", "max_files"}, where)
    types = rule.get("types", sorted(default.types))
    if not isinstance(types, list) or not set(types) <= set(KNOWN):
        raise _wrong(where, f"types får bara innehålla {', '.join(KNOWN)}")
    return Takes(
        types=frozenset(types),
        max_bytes=_number(rule, "max_bytes", default.max_bytes, MOST_BYTES, where),
        max_files=_number(rule, "max_files", default.max_files, MOST_FILES, where),
    )


def _number(rule: Mapping[str, Any], name: str, default: int, most: int, where: str) -> int:
    value = rule.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise _wrong(where, f"{name} ska vara ett heltal från 0 till {most}")
    return value


def _only(table: Mapping[str, Any], names: set[Any], where: str) -> None:
    unknown = set(table) - {str(name) for name in names}
    if unknown:
        raise _wrong(where, f"{', '.join(sorted(unknown))} är okänt")


def _wrong(where: str, why: str) -> SetupError:
    return SetupError(
        f"the attachment policy is not valid: {where}",
        swedish=f"Bilagepolicyn går inte att använda ({where}): {why}.",
        next_step="Rätta filen. Gatewayen startar inte med en policy som den inte förstår.",
    )
