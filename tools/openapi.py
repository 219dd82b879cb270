"""Write the API's description to docs/api/openapi.json; a test holds that the file is the one that the server gives.

Why this exists: whoever changes a call should see what changes for those who call it, as lines of a review.
`python tools/openapi.py` writes it.
"""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent.parent
DOCUMENT = HERE / "docs" / "api" / "openapi.json"


def made() -> str:
    """The description of every call."""
    from adapters.http.api import CALLS
    from adapters.http.openapi import text_of

    return text_of(CALLS)


def main() -> None:
    DOCUMENT.parent.mkdir(exist_ok=True)
    DOCUMENT.write_text(made(), "utf-8")
    print(DOCUMENT.relative_to(HERE))


if __name__ == "__main__":
    sys.path.insert(0, str(HERE))
    main()
