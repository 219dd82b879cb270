"""One gateway that has just begun, to be copied for each case; PostgreSQL as the contract suite finds it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.contracts.conftest import postgres_dsn  # noqa: F401 - a fixture
from tests.site import Site


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("template")
    site = Site(folder)
    asyncio.run(site.begin())
    site.kept()
    return folder
