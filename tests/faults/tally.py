"""Counts of the fault tests: how often each fault was injected, and how often a promise broke under it.

Why this exists: "nothing acknowledged is lost" says little without the number of tries behind it. A test tallies what it
injected under the row of the catalogue it belongs to; the end of the run prints the sums, and SAMBUD_TALLY=FILE writes
them for `tools/reliability.py`, which renders docs/reliability.md.

Rules: a row is described here once; a test counts cases that ran, never cases that were planned; the three figures are
the ways in which the invariant can break (acknowledged => durable, one visible copy, logged; not acknowledged => absent
or whole).
"""

from __future__ import annotations

import datetime
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the catalogue: what goes wrong, and how the tests make it go wrong."""

    fault: str
    how: str


#: Sorted by id; a new row is a line here and a `tally` in a test.
ROWS: Final[dict[str, Kind]] = {
    "A07": Kind(
        "crash between commit and checkpoint", "SIGKILL by strace at each call that publishes tiles and checkpoint"
    ),
    "D01": Kind("kill -9 at each step and system call", "SIGKILL at named steps and, by strace, at each changing call"),
    "D02": Kind("EIO, ENOSPC at each system call", "strace answers in the disk's place"),
    "D03": Kind(
        "power loss", "disk states rebuilt from a recording: unsynced writes and names lost, kept, mixed, torn"
    ),
    "D04": Kind(
        "kill between a file's sync and its commit", "SIGKILL by strace at each call of an upload, then a sweep"
    ),
    "D05": Kind("disk full at start, middle, commit", "tmpfs of 8 to 64 MiB; the reserve of 5 %"),
    "D06": Kind("database locked by another process", "a second connection holds BEGIN IMMEDIATE"),
    "D10": Kind("a sync fails once, then succeeds", "EIO by strace; also a served gateway"),
    "D11": Kind("no file numbers, no memory", "RLIMIT_NOFILE and RLIMIT_AS, taken and given back"),
    "D12": Kind("the log cannot be written", "full disk, read-only disk, full disk of tiles"),
    "D16": Kind(
        "kills and restores over both stores",
        "backups of three moments in every order; kills in sweep, backup, restore, move",
    ),
    "D17": Kind("sweeper against a paused accept", "a sweep between decision and commit"),
    "D07": Kind(
        "PostgreSQL killed, crashed, restarted", "signals to postmaster and backends of a real server, clients retry"
    ),
    "D08": Kind("connection to PostgreSQL cut", "TCP proxy that cuts at message k of the protocol, in both directions"),
    "D09": Kind("serialization failure, deadlock", "two stores and a plain connection, scripted, on one PostgreSQL"),
    "A02": Kind(
        "log cut, rolled back, continued otherwise", "rows removed, copies of files put back, a second history"
    ),
    "A04": Kind("tiles, bundles, side rows damaged", "gone, cut, flipped, longer, garbage, a folder in their place"),
    "A08": Kind("time goes backwards", "a clock that the test sets, and two nodes that disagree"),
    "A09": Kind("newlines, escapes, bidi, NUL, surrogates, megabytes", "generated texts in log lines and log entries"),
    "A14": Kind(
        "integrator stopped, flood of refusals", "no publishing, leaves that cannot be signed, refusals counted"
    ),
    "Q08": Kind(
        "out of order, late, lost and doubled", "generated lives of deliveries between two gateways, over days"
    ),
    "Q09": Kind("clock jumps", "a clock that the test sets, over the real stores"),
    "D13": Kind("restore of a backup, any order of acts", "real files; half counts what was deleted and came back"),
    "Q10": Kind(
        "line ends, NUL, quotes, long and foreign texts near SMTP", "generated texts in each place of a parcel"
    ),
    "Q11": Kind(
        "personal data in notices and around sealed mail", "a word of its own in every field, looked for in all"
    ),
    "Q12": Kind(
        "a message that meets a bug each time", "bugs of five kinds: delivering, handing over, asking, taking in"
    ),
    "Q13": Kind("workers killed at random moments", "SIGKILL to delivery processes with deliveries queued"),
    "H-race": Kind("withdraw, remove, recall, change the directory meanwhile", "rival act at each call of the store"),
    "Q01": Kind("4xx of a mail server at each step", "a scripted server: greeting, EHLO, MAIL, RCPT, DATA, last dot"),
    "Q02": Kind("5xx of a mail server at each step", "a scripted server, with and without status codes"),
    "Q03": Kind(
        "a mail server silent, half-open, slow, gone", "a scripted server at each step; the same Message-ID again"
    ),
    "Q04": Kind("no TLS that holds", "STARTTLS not offered, written over, failing; certificates wrong in one way each"),
    "Q05": Kind("worker killed at each step", "SIGKILL by strace at each call of a delivery"),
    "Q06": Kind("the same arrival a hundred times at once", "SDK messages taken in side by side; also over SQLite"),
    "Q07": Kind("another content or sender under a known id", "an SDK message changed in one place each"),
    "Q14": Kind(
        "a message service that answers nonsense", "a real server: redirects, bombs, cuts, half and endless answers"
    ),
    "X02": Kind("external entities, inclusions, schemas in XML", "documents of every kind, before anything is parsed"),
    "X03": Kind("XML that grows, nests or branches", "generated documents; octets, processor time and depth bounded"),
    "X04": Kind("mutated messages and receipts", "hypothesis, from the official examples"),
    "X01": Kind(
        "archives, in every place", "made here: bombs, paths, links, many and nested entries; none is unpacked"
    ),
    "X06": Kind("certificates that are wrong in one way", "pinned by the directory all the same; S/MIME, both ways"),
    "X07": Kind(
        "answers that tell why a mail cannot be opened", "bits of sealed mail changed: key, content, padding, end"
    ),
    "X08": Kind("names of files that are paths or headers", "generated names through upload, arrivals and downloads"),
    "X09": Kind("files that blow up when they are read", "made here; each in a child of its own with its limits"),
    "X10": Kind("polyglots, wrong types, malware, macros", "made here; the shipped policy and a real clamd"),
    "W01": Kind(
        "objects of others", "every route with an object x people it does not concern, real ids against absent"
    ),
    "W02": Kind("forged ids of others", "in headers, cookies, queries and bodies of every route"),
    "W06": Kind("forged forms", "every unsafe route x ten ways to forge"),
    "W08": Kind(
        "slow and idle callers, hoarded connections", "real connections; bounds in time by a clock of the test's"
    ),
    "W09": Kind("requests too large in every way", "raw sockets against a gateway in a process of its own"),
    "W10": Kind("SQL in parameters", "paths, queries, bodies and fields of the whole table, a seeded sample"),
    "W11": Kind("ambiguous requests, false names and addresses", "raw sockets, straight and behind nginx"),
}


@dataclass(slots=True)
class Sum:
    """What the tests of one row found in this run."""

    cases: int = 0
    acknowledged_lost: int = 0
    doubled: int = 0
    half: int = 0
    note: str = ""


_SUMS: dict[str, Sum] = {}


def tally(row: str, *, cases: int, acknowledged_lost: int = 0, doubled: int = 0, half: int = 0, note: str = "") -> None:
    """Add to the counts of `row`. Call it before the assertions, so that a red run tells its figures too.

    Raises:
        KeyError: the row is not described in ROWS.
    """
    ROWS[row]
    found = _SUMS.setdefault(row, Sum())
    found.cases += cases
    found.acknowledged_lost += acknowledged_lost
    found.doubled += doubled
    found.half += half
    if note and note not in found.note:
        found.note = f"{found.note}; {note}" if found.note else note


def lines() -> list[str]:
    """The sums, one line for each row that ran; nothing when none did."""
    if not _SUMS:
        return []
    head = f"{'row':<5}{'cases':>8}{'lost':>6}{'doubled':>9}{'half':>6}  note"
    return [head] + [
        f"{row:<5}{found.cases:>8}{found.acknowledged_lost:>6}{found.doubled:>9}{found.half:>6}  {found.note}".rstrip()
        for row, found in sorted(_SUMS.items())
    ]


def written(path: Path) -> None:
    """Write this run's sums with its date and machine."""
    told: dict[str, Any] = {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": f"{os.cpu_count()} cores, Linux {platform.release().split('-')[0]}, {platform.machine()}",
        "rows": {row: asdict(found) for row, found in sorted(_SUMS.items())},
    }
    path.write_text(json.dumps(told, ensure_ascii=False, indent=1) + "\n", "utf-8")
