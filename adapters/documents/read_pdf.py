"""Run by its path, confined (limits.py): a PDF on standard input, the data attached to it on standard output.

Why this exists: a PDF from outside is a program for a parser with a long history. It is read here, where it can take
ten seconds and nothing else, and all that comes out is one attachment of the name that was asked for.

Rules: nothing of ours is imported. Whatever is not a plain, unencrypted PDF with exactly one such attachment of at most
the octets that were asked for ends with status 1 and says nothing. Arguments: NAME OCTETS.
"""

from __future__ import annotations

import io
import logging
import sys

from pypdf import PdfReader
from pypdf.errors import PyPdfError


def attached(octets: bytes, name: str, most: int) -> bytes | None:
    reader = PdfReader(io.BytesIO(octets))
    if reader.is_encrypted:
        return None
    found = [one for one in reader.attachment_list if name in (one.name, one.alternative_name)]
    if len(found) != 1:
        return None
    data = found[0].content
    return data if isinstance(data, bytes) and len(data) <= most else None


def main() -> None:
    logging.disable()  # it quotes what it stumbles over
    try:
        found = attached(sys.stdin.buffer.read(), sys.argv[1], int(sys.argv[2]))
    except (PyPdfError, ValueError, LookupError, TypeError, AttributeError, RecursionError, OverflowError):
        found = None
    if found is None:
        sys.exit(1)
    sys.stdout.buffer.write(found)


if __name__ == "__main__":
    main()
