"""What several files of the SDK tests open and close."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.sdk.federation import Federation, a_federation


@pytest.fixture
async def federation() -> AsyncIterator[Federation]:
    async with a_federation() as opened:
        yield opened
