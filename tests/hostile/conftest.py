"""One server for many attacks: whatever one test did to it, the next finds it well."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.hostile.lab import Lab
from tests.support.victim import Victim, attacked


@pytest.fixture(scope="session", params=["pump", "portable"])
def way(request: pytest.FixtureRequest) -> str:
    """Which way traffic takes through the server."""
    return str(request.param)


@pytest.fixture(scope="session")
def attacked_server(way: str) -> Iterator[Victim]:
    with attacked(way=way) as victim:
        yield victim


@pytest.fixture
def server(attacked_server: Victim) -> Iterator[Victim]:
    """The server, which has to be well after each test."""
    yield attacked_server
    attacked_server.check()


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("tls"))
