"""Who may talk to the endpoint: names, origins, tokens, and what browsers are told."""

from __future__ import annotations

import json
import socket
import ssl
from pathlib import Path

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.admin.endpoint import AdminEndpoint
from tcpecho_trio.admin.http import Request
from tcpecho_trio.admin.security import Guard
from tcpecho_trio.server.tls import Tls
from tests.support.administered import administered
from tests.support.certificates import Certificates
from tests.support.web import Answer, Conversation, Web, ask, events

Where = int | str
TOKEN = "s3cr3t"
BEARER = {"authorization": f"Bearer {TOKEN}"}
BEHIND_A_TOKEN = [
    ("GET", "/metrics"),
    ("GET", "/api/status"),
    ("GET", "/api/clients"),
    ("DELETE", "/api/clients/1"),
    ("POST", "/api/drain"),
    ("GET", "/api/faults"),
    ("PUT", "/api/faults"),
    ("GET", "/events"),
    ("GET", "/ws"),
    ("GET", "/no-such-thing"),
]


def checked(names: tuple[str, ...] = (), /, **headers: str) -> int:
    """The status of a refusal; 200 if there is none."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    refusal = Guard(names, None).check(Request("GET", "/api/status", headers=named), public=False)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    "host",
    [
        *("localhost", "LOCALHOST", "localhost:9500", "localhost.", "app.localhost:80"),
        *("127.0.0.1", "127.0.0.1:9500", "[::1]", "[::1]:9500", "10.1.2.3", "[fe80::1]"),
        *(socket.gethostname(), "echo.example"),
    ],
)
def test_this_host_may_be_called_by_its_names(host: str) -> None:
    assert checked(("echo.example",), host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        *("evil.example", "evil.example:9500", "localhost.evil.example", "notlocalhost", ""),
        *("127.0.0.1.evil.example", "[::1", "localhost:x]", "user@evil.example", "127.1"),
        *("evil.example#localhost", "localhost, evil.example", "[v1.localhost]", "echo.example.it"),
    ],
)
def test_a_name_that_was_made_to_resolve_to_us_is_refused(host: str) -> None:
    assert checked(("echo.example",), host=host) == 421


@given(st.text(max_size=40))
def test_no_host_is_a_bug(host: str) -> None:
    assert checked(host=host, origin=host) in (200, 403, 421)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"origin": "http://localhost:9500"}, 200),
        ({"origin": "https://LOCALHOST:9500"}, 200),  # TLS may end before us
        ({"origin": "http://localhost"}, 403),
        ({"origin": "http://localhost:9501"}, 403),
        ({"origin": "http://127.0.0.1:9500"}, 403),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"origin": ""}, 403),
        ({"origin": "file://localhost:9500"}, 403),
        ({"origin": "localhost:9500"}, 403),
        ({"sec_fetch_site": "same-origin"}, 200),
        ({"sec_fetch_site": "none"}, 200),
        ({"sec_fetch_site": "cross-site"}, 403),
        ({"sec_fetch_site": "same-site"}, 403),
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate"}, 200),  # a link
        ({"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}, 403),
    ],
)
def test_pages_from_elsewhere_are_refused(headers: dict[str, str], status: int) -> None:
    assert checked(host="localhost:9500", **headers) == status


async def test_a_form_of_another_page_changes_nothing() -> None:
    async with administered() as server:

        def play(where: Where) -> list[int]:
            evil = {"origin": "http://evil.example"}
            return [
                ask(where, "POST", "/api/drain", **evil).status,
                ask(where, "PUT", "/api/faults", b'{"faults": ["stall"]}', **evil).status,
                ask(where, "DELETE", "/api/clients/1", **evil).status,
                ask(where, "GET", "/events", **evil).status,
            ]

        assert await server.play(play) == [403] * 4
        assert not server.lifecycle.draining
        assert server.state.faults.faults == ()


@pytest.mark.parametrize(("method", "path"), BEHIND_A_TOKEN)
async def test_with_a_token_everything_needs_it(method: str, path: str) -> None:
    async with administered(token=TOKEN) as server:

        def play(where: Where) -> list[Answer]:
            return [
                ask(where, method, path),
                ask(where, method, path, authorization="Bearer wrong"),
                ask(where, method, path, authorization="Bearer"),
                ask(where, method, path, authorization=f"Basic {TOKEN}"),
                ask(where, method, path, authorization=f"Bearer {TOKEN}x"),
                ask(where, method, f"{path}?token={TOKEN}"),
                ask(where, method, path, cookie=f"tcpecho={TOKEN}; token={TOKEN}"),
            ]

        for answer in await server.play(play):
            assert answer.status == 401
            assert answer.headers["www-authenticate"] == 'Bearer realm="tcpecho_trio"'
        assert not server.lifecycle.draining


async def test_health_and_the_page_need_none() -> None:
    async with administered(token=TOKEN) as server:

        def play(where: Where) -> list[int]:
            return [ask(where, "GET", path).status for path in ("/healthz", "/readyz")]

        assert await server.play(play) == [200, 200]


async def test_the_token_lets_in() -> None:
    async with administered(token=TOKEN) as server:

        def play(where: Where) -> None:
            assert ask(where, "GET", "/api/status", **BEARER).status == 200
            assert ask(where, "GET", "/api/status", authorization=f"bearer  {TOKEN}").status == 200
            with events(where, **BEARER) as stream:
                assert next(stream)[0]
            with Conversation(where, **BEARER) as client:
                assert client.accepted

        await server.play(play)


async def test_a_browser_gets_a_cookie_for_the_token() -> None:
    async with administered(token=TOKEN) as server:

        def play(where: Where) -> None:
            assert ask(where, "POST", "/api/session").status == 401
            assert ask(where, "POST", "/api/session", authorization="Bearer no").status == 401
            session = ask(where, "POST", "/api/session", **BEARER)
            assert session.status == 204
            cookie, *attributes = session.headers["set-cookie"].split("; ")
            assert {"HttpOnly", "SameSite=Strict", "Path=/"} == set(attributes)
            assert TOKEN not in cookie
            given = f"other=1; {cookie}; more=2"
            assert ask(where, "GET", "/api/status", cookie=given).status == 200
            assert ask(where, "GET", "/api/status", cookie=f"{cookie}x").status == 401
            with Conversation(where, cookie=given) as client:
                assert client.accepted
            evil = {"cookie": given, "origin": "http://evil.example"}
            assert ask(where, "POST", "/api/drain", **evil).status == 403

        await server.play(play)


async def test_without_a_token_there_is_no_session() -> None:
    async with administered() as server:
        answer = await server.play(lambda where: ask(where, "POST", "/api/session", **BEARER))
        assert answer.status == 401
        assert "set-cookie" not in answer.headers


async def test_every_response_keeps_the_browser_on_a_short_leash() -> None:
    async with administered(token=TOKEN) as server:

        def play(where: Where) -> list[Answer]:
            answers = [ask(where, *asked) for asked in BEHIND_A_TOKEN]
            answers += [ask(where, *asked, **BEARER) for asked in BEHIND_A_TOKEN[:3]]
            answers.append(ask(where, "GET", "/healthz", host="evil.example"))
            with Web(where) as web:
                web.socket.sendall(b"NONSENSE\r\n\r\n")
                web.http.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
                answers.append(web.head())
            return answers

        for answer in await server.play(play):
            policy = answer.headers["content-security-policy"]
            assert policy.startswith("default-src 'self'; ")
            assert "unsafe" not in policy
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["x-frame-options"] == "DENY"
            assert answer.headers["referrer-policy"] == "no-referrer"


async def test_over_tls_it_speaks_with_the_servers_certificate(certificates: Certificates) -> None:
    tls = Tls(certificates.files)
    url = "https://localhost:0"
    async with administered(url=url, tls=tls, token=TOKEN) as server:

        def asked(where: Where, number: int) -> tuple[bytes, object]:
            bare = socket.create_connection(("127.0.0.1", int(where)))
            context = certificates.client()
            with context.wrap_socket(bare, server_hostname="localhost") as client:
                request = f"POST /api/session HTTP/1.1\r\nHost: localhost\r\nX-N: {number}\r\n"
                request += f"Authorization: Bearer {TOKEN}\r\n\r\n"
                client.sendall(request.encode())
                return client.recv(4096), client.getpeercert(binary_form=True)

        first, old = await server.play(asked, 1)
        assert first.startswith(b"HTTP/1.1 204 ")
        assert b"; Secure\r\n" in first
        certificates.issue("server")
        tls.reload()
        second, new = await server.play(asked, 2)
        assert second.startswith(b"HTTP/1.1 204 ")
        assert old != new


async def test_who_does_not_speak_tls_there_is_dropped(certificates: Certificates) -> None:
    async with administered(url="https://localhost:0", tls=Tls(certificates.files)) as server:

        def play(where: Where) -> bytes:
            with Web(where) as web:
                web.socket.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
                try:
                    return web.socket.recv(100)
                except ConnectionResetError:
                    return b""

        assert not (await server.play(play)).startswith(b"HTTP")


async def test_a_unix_sockets_file_is_its_owners(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"
    async with administered(url=f"unix://{path}") as server:
        assert path.stat().st_mode & 0o777 == 0o600
        status = await server.play(ask, "GET", "/api/status")
        assert status.json["phase"] == "running"

        def talk(where: Where) -> str:
            with Conversation(where) as client:
                client.say("hola\n")
                client.hear("HOLA\n")
                return str(ask(where, "GET", "/api/clients").json["clients"][0]["client"])

        assert (await server.play(talk)).startswith("web:unix:")
    assert not path.exists()


@pytest.mark.parametrize(
    ("url", "endpoint", "local"),
    [
        ("http://127.0.0.1:9500", AdminEndpoint("127.0.0.1", 9500), True),
        ("http://localhost:0/", AdminEndpoint("localhost", 0), True),
        ("http://[::1]:9500", AdminEndpoint("::1", 9500), True),
        ("https://0.0.0.0:9500", AdminEndpoint("0.0.0.0", 9500, tls=True), False),
        (
            "http://10.0.0.1:9500?host=A&host=b",
            AdminEndpoint("10.0.0.1", 9500, names=("a", "b")),
            False,
        ),
        ("unix:///run/echo%20admin.sock", AdminEndpoint(path="/run/echo admin.sock"), True),
    ],
)
def test_an_endpoint_is_read_as_it_is_written(
    url: str, endpoint: AdminEndpoint, local: bool
) -> None:
    assert AdminEndpoint.parse(url) == endpoint
    assert endpoint.local is local


@pytest.mark.parametrize(
    "url",
    [
        *("", "9500", "127.0.0.1:9500", "http://127.0.0.1", "http://:9500", "ftp://localhost:1"),
        *("http://localhost:99999", "http://a:1/path", "http://u@a:1", "http://a:1#x"),
        *("http://a:1?host", "http://a:1?host=", "http://a:1?name=x", "unix://a/b", "unix://"),
        *("unix:///" + "x" * 99, "unix:///a%00b", "http://[::1:1", "tcp://localhost:1"),
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        AdminEndpoint.parse(url)


def test_a_problem_is_json(tmp_path: Path) -> None:
    refusal = Guard((), None).check(Request("GET", "/", headers={"host": "x"}), public=True)
    assert refusal is not None
    assert json.loads(refusal.body)["status"] == refusal.status == 421
    assert ssl.HAS_TLSv1_3
