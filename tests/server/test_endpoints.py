"""Where a server listens, as one writes it."""

from __future__ import annotations

import contextlib
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.server.endpoints import MAX_PATH, Endpoint, Scheme

HOSTS = st.one_of(
    st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,30}[a-z0-9])?", fullmatch=True),
    st.ip_addresses(v=4).map(str),
    st.ip_addresses(v=6).map(str).filter(lambda host: not host.startswith("::ffff:")),
)
NETWORKED = st.builds(
    Endpoint, st.sampled_from([Scheme.TCP, Scheme.TLS]), HOSTS, st.integers(0, 65535)
)
PATHS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
UNIX = st.builds(
    lambda path: Endpoint(Scheme.UNIX, path=f"/{path}"),
    PATHS.filter(lambda path: len(path.encode()) < MAX_PATH),
)


@given(NETWORKED)
def test_a_host_and_a_port_are_read_as_they_are_said(endpoint: Endpoint) -> None:
    said = str(endpoint)
    assert Endpoint.parse(said if "://" in said else f"tcp://{said}") == endpoint


@given(UNIX)
def test_any_path_can_be_written_as_a_url(endpoint: Endpoint) -> None:
    assert Endpoint.parse(f"unix://{quote(endpoint.path)}") == endpoint
    assert str(endpoint) == f"unix://{endpoint.path}"


@given(st.text(), st.sampled_from(["", "tcp:", "tls://", "unix://", "unix:///"]))
def test_whatever_else_is_written_is_read_or_refused(text: str, start: str) -> None:
    with contextlib.suppress(ValueError):
        endpoint = Endpoint.parse(start + text)
        assert endpoint.path if endpoint.scheme is Scheme.UNIX else endpoint.host


@pytest.mark.parametrize(
    ("url", "endpoint"),
    [
        ("tcp://localhost:5000", Endpoint(Scheme.TCP, "localhost", 5000)),
        ("tcp://[::1]:0/", Endpoint(Scheme.TCP, "::1", 0)),
        ("tls://0.0.0.0:5001", Endpoint(Scheme.TLS, "0.0.0.0", 5001)),
        ("TLS://LOCALHOST:5001", Endpoint(Scheme.TLS, "localhost", 5001)),
        ("unix:///run/echo.sock", Endpoint(Scheme.UNIX, path="/run/echo.sock")),
        ("unix:///tmp/a%20b%25", Endpoint(Scheme.UNIX, path="/tmp/a b%")),
        ("unix:relative", Endpoint(Scheme.UNIX, path="relative")),
    ],
)
def test_examples(url: str, endpoint: Endpoint) -> None:
    assert Endpoint.parse(url) == endpoint


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost:5000",
        "5000",
        "http://localhost:5000",
        "tcp://localhost",
        "tcp://localhost:",
        "tcp://:5000",
        "tcp://localhost:65536",
        "tcp://localhost:-1",
        "tcp://localhost:x",
        "tcp://[::1:5000",
        "tcp://localhost:5000/path",
        "tcp://localhost:5000?query",
        "tcp://localhost:5000#fragment",
        "tcp://somebody@localhost:5000",
        "unix://",
        "unix://run/echo.sock",
        "unix:///a%00b",
        "unix:///run/echo.sock?mode=660",
        "unix:///" + "x" * MAX_PATH,
        "unix:///" + "ñ" * (MAX_PATH // 2 + 1),
    ],
)
def test_what_nobody_can_listen_at_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Endpoint.parse(url)


@pytest.mark.parametrize("url", ["localhost:5000", "5000", "http://localhost:5000"])
def test_a_scheme_that_is_not_ours_is_told_which_there_are(url: str) -> None:
    with pytest.raises(ValueError, match=r"tcp://.*tls://.*unix://.*" + url):
        Endpoint.parse(url)
