"""Wrong settings that no operator can choose, put into a child process so that a test can show it would notice.

A fault test that cannot fail proves nothing: with these, the power-loss test must lose what was acknowledged.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import adapters.blobs.folder as folder
import adapters.sql.sqlite as engine


def synchronous_normal() -> None:
    """SQLite as most programs run it: a commit is in the file, but not on the disk, when it is acknowledged."""
    connect = engine._connect

    def hasty(path: Path, *, writer: bool = False) -> sqlite3.Connection:
        connection = connect(path, writer=writer)
        connection.execute("PRAGMA synchronous=NORMAL")
        return connection

    engine._connect = hasty


def unsynced_files() -> None:
    """Blobs and tiles that are never synced."""

    class Hasty:
        def __getattr__(self, name: str) -> object:
            return (lambda descriptor: None) if name == "fsync" else getattr(os, name)

    folder.os = Hasty()  # type: ignore[attr-defined]
