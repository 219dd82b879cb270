"""docs/smime-transcript.md is what happens."""

from __future__ import annotations

import pytest

from tests.smtp.postfix import needed

pytestmark = pytest.mark.slow


async def test_the_transcript_is_what_happens() -> None:
    """`python tools/smime_transcript.py` draws it again."""
    needed()
    from tools.smime_transcript import DOCUMENT, drawn

    assert DOCUMENT.read_text("utf-8") == await drawn()
