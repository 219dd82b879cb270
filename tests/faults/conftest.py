"""What fault tests share: the folders that scenes begin from, made once; a PostgreSQL cluster that they may kill, and that
runs again when a test has ended."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.faults import images as prepared
from tests.faults.cluster import Cluster, a_cluster


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, prepared.Image]:
    return prepared.made(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    with a_cluster() as running:
        yield running
