"""Run by its path, confined (limits.py): pages as JSON on standard input, PDFs on standard output, until that ends.

Before each stands its length in four octets, the highest first; a page that cannot be made is answered with nothing.

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
    template = TEMPLATE.read_bytes()
    while head := sys.stdin.buffer.read(4):
        given = json.loads(sys.stdin.buffer.read(int.from_bytes(head)))
        made = page(template, given)
        sys.stdout.buffer.write(len(made).to_bytes(4) + made)
        sys.stdout.buffer.flush()


def page(template: bytes, given: dict[str, str]) -> bytes:
    try:
        made = typst.compile(
            template,
            format="pdf",
            sys_inputs=given,
            pdf_standards=["a-3a", "ua-1"],
            ignore_system_fonts=True,  # the same octets on every machine
        )
    except typst.TypstError:
        return b""
    return made if isinstance(made, bytes) else b""


if __name__ == "__main__":
    main()
