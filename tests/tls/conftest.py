"""What the tests of TLS share."""

from __future__ import annotations

import ssl
from collections.abc import Callable

import pytest

from tcpecho_trio.server.tls import Tls
from tests.support.certificates import Certificates
from tests.support.tls_pairs import VERSIONS, Ends, Pair


@pytest.fixture(scope="module")
def each(certificates: Certificates) -> dict[ssl.TLSVersion, Ends]:
    return {version: Ends(certificates, version) for version in VERSIONS}


@pytest.fixture(params=VERSIONS, ids=lambda version: str(version.name))
def ends(each: dict[ssl.TLSVersion, Ends], request: pytest.FixtureRequest) -> Ends:
    return each[request.param]


@pytest.fixture
def modern(each: dict[ssl.TLSVersion, Ends]) -> Ends:
    return each[ssl.TLSVersion.TLSv1_3]


@pytest.fixture(params=[False, True], ids=["the server", "the client"])
def turned(request: pytest.FixtureRequest) -> Callable[[Pair], Pair]:
    """One side and its peer: the server first, or the client first."""
    return lambda pair: pair[::-1] if request.param else pair


@pytest.fixture(scope="module")
def tls(certificates: Certificates) -> Tls:
    return Tls(certificates.files)
