"""Run by its path, confined (limits.py): a page as JSON on standard input, a PDF on standard output.

Why this exists: what makes the page lays out what strangers wrote, and holds a processor while it does; neither belongs
in the process that serves everybody. It is given the words as data, so that none of them is ever a command.

Rules: nothing of ours is imported, nothing is written to disk, nothing of the page is said on standard error.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import typst

TEMPLATE = Path(__file__).with_name("page.typ")


def main() -> None:
    given = json.loads(sys.stdin.buffer.read())
    made = typst.compile(
        TEMPLATE.read_bytes(),
        format="pdf",
        sys_inputs=given,
        pdf_standards=["a-3a", "ua-1"],
        ignore_system_fonts=True,  # the same octets on every machine
    )
    sys.stdout.buffer.write(made)


if __name__ == "__main__":
    main()
