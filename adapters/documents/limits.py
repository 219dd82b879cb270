"""The first thing that a child process runs: it takes from itself what its work does not need, then does the work.

Why this exists: a parser of what came from outside is where an attacker's octets meet code. So that code gets a process
with bounded memory and processor time, that can write no file, has no network, and gains no rights by starting anything
(setrlimit(2), unshare(2), prctl(2)). What the machine does not grant (a network of one's own needs user namespaces) is
left out: the other limits stand.

Rules: this file is run by its path with `python -I`, so it imports the standard library alone. Its arguments are
`MEMORY SECONDS -- PROGRAM ARGUMENTS…`; a program that ends with `.py` runs in this very process.
"""

from __future__ import annotations

import ctypes
import os
import resource
import sys

CLONE_NEWUSER = 0x10000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWNET = 0x40000000
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38
FILES = 64


def confine(memory: int, seconds: int) -> None:
    """Limit this process for good."""
    for kind, most in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_NOFILE, FILES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),  # what it read would lie in the dump
    ):
        resource.setrlimit(kind, (most, most))
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    libc.prctl(PR_SET_DUMPABLE, 0, 0, 0, 0)
    libc.unshare(CLONE_NEWUSER | CLONE_NEWNET | CLONE_NEWIPC)  # may be refused: see the head of this file


def main() -> None:
    memory, seconds, _, *program = sys.argv[1:]
    confine(int(memory), int(seconds))
    if program[0].endswith(".py"):
        sys.argv = program
        with open(program[0], "rb") as file:  # not runpy: what it imports costs half of a small child's time
            code = compile(file.read(), program[0], "exec")
        exec(code, {"__name__": "__main__", "__file__": program[0]})  # noqa: S102 -- a fixed program of ours
    else:
        os.execv(program[0], program)  # noqa: S606 -- a fixed program of ours; no shell


if __name__ == "__main__":
    main()
