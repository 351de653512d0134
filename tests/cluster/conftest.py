"""What the tests of the cluster share."""

from __future__ import annotations

import pytest

from tcpecho_trio.cluster import resp, store
from tests.cluster.redis_server import redis as redis
from tests.support.processes import PATIENCE

LONG_LIFE = 1000 * 3600
"""Milliseconds in which no test ends, however busy the machine is."""


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis may take its time, and records do not expire by themselves."""
    monkeypatch.setattr(resp, "DEADLINE", PATIENCE)
    monkeypatch.setattr(store, "LIFE", LONG_LIFE)
    monkeypatch.setattr(store, "LIMITS", (*store.LIMITS[:3], LONG_LIFE))
