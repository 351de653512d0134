"""A cluster's URL: what it says, and that it never says a password to anybody."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.cluster.location import NAME, ClusterLocation, without_password

READ = {
    "redis://localhost": ClusterLocation("localhost"),
    "redis://10.0.0.7:7000/3": ClusterLocation("10.0.0.7", 7000, database=3),
    "redis://[::1]:7000": ClusterLocation("::1", 7000),
    "rediss://azul.example/": ClusterLocation("azul.example", tls=True),
    "redis://:s%40l@azul": ClusterLocation("azul", password="s@l"),
    "redis://ana:sal@azul": ClusterLocation("azul", username="ana", password="sal"),
    "redis://azul?prefix=prod": ClusterLocation("azul", prefix="prod"),
    "unix:///run/redis.sock": ClusterLocation(port=0, path="/run/redis.sock"),
    "unix:///r%20s?db=2&prefix=x": ClusterLocation(port=0, path="/r s", database=2, prefix="x"),
}

REFUSED = [
    "",
    "localhost",
    "localhost:6379",
    "http://localhost",
    "redis://",
    "redis:///0",
    "redis://h:0",
    "redis://h:70000",
    "redis://h:x",
    "redis://h/x",
    "redis://h/-1",
    "redis://h/00000",
    "redis://h/٣",
    "redis://h/0/1",
    "redis://h?prefix=",
    "redis://h?prefix=a%20b",
    "redis://h?prefix=a&prefix=b",
    "redis://h?db=1",
    "redis://h?timeout=3",
    "redis://h?prefix",
    "redis://h#x",
    "unix://h/r",
    "unix:///",
    "unix:///r?db=x",
    "redis://[::1",
]


@pytest.mark.parametrize("url", READ)
def test_a_url_is_read(url: str) -> None:
    assert ClusterLocation.parse(url) == READ[url]


@pytest.mark.parametrize("url", REFUSED)
def test_what_is_no_such_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"(?s).*"):
        ClusterLocation.parse(url)


@pytest.mark.parametrize("url", READ)
def test_what_is_shown_leads_to_the_same_place_without_the_password(url: str) -> None:
    shown = ClusterLocation.parse(str(READ[url]).replace(" ", "%20"))
    there = READ[url]
    assert (shown.host, shown.port, shown.path) == (there.host, there.port, there.path)
    assert (shown.database, shown.prefix, shown.tls) == (there.database, there.prefix, there.tls)
    assert (shown.username, shown.password) == (there.username, None)


SECRET = st.text("abcXYZ0189-_.~!$&'()*+,;=:@/?#%", min_size=1).map(lambda text: f"Q{text}Q")


@given(SECRET, st.sampled_from(["azul", "azul:1", "azul:x", "", "[::1"]))
def test_a_password_is_never_shown(secret: str, rest: str) -> None:
    url = f"redis://ana:{secret}@{rest}"
    assert secret not in without_password(url)
    try:
        location = ClusterLocation.parse(url)
    except ValueError:
        return
    assert secret not in str(location)
    assert secret not in repr(location)


def test_a_password_comes_from_the_first_line_of_a_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("s@l y pimienta\nnot this\n")
    location = ClusterLocation.parse("redis://azul").with_password_of(str(file))
    assert location.password == "s@l y pimienta"


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe\n"])
def test_a_file_without_a_password_is_refused_without_showing_it(
    tmp_path: Path, content: bytes
) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=r"^nothing is in it$|codec can't decode"):
        ClusterLocation.parse("redis://azul").with_password_of(str(file))


@pytest.mark.parametrize("name", ["web1", "a", "WEB-1.example_2", "x" * 63])
def test_a_name_fits_behind_an_address(name: str) -> None:
    assert NAME.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-x", ".x", "a b", "ñ", "x" * 64, "a\n", "a/b"])
def test_what_would_not_fit_there_is_no_name(name: str) -> None:
    assert not NAME.fullmatch(name)
