"""One HTTP connection: keep-alive, pipelining, half requests, bodies."""

from __future__ import annotations

import time

import pytest

from tcpecho_trio.admin import http
from tcpecho_trio.admin.http import BODY_BYTES
from tests.support.administered import administered
from tests.support.web import Web

Where = int | str
HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"


def talk(where: Where, *pieces: bytes) -> bytes:
    """Send the pieces one by one; what comes back until the endpoint closes, or we do."""
    with Web(where) as web:
        for piece in pieces:
            web.socket.sendall(piece)
        received = b""
        while data := web.socket.recv(65536):
            received += data
        return received


async def test_a_connection_is_kept_for_the_next_request() -> None:
    async with administered() as server:

        def play(where: Where) -> list[int]:
            with Web(where) as web:
                return [web.ask("GET", path).status for path in ("/healthz", "/x", "/api/clients")]

        assert await server.play(play) == [200, 404, 200]


async def test_requests_may_come_all_at_once() -> None:
    async with administered() as server:
        last = HEAD.replace(b"Host", b"Connection: close\r\nHost")
        answers = await server.play(talk, HEAD * 50 + last)
        assert answers.count(b"HTTP/1.1 200 OK") == 51


async def test_a_request_may_come_byte_by_byte() -> None:
    async with administered() as server:
        close = HEAD.replace(b"Host", b"Connection: close\r\nHost")
        pieces = [close[n : n + 1] for n in range(len(close))]
        assert (await server.play(talk, *pieces)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize(
    "half",
    [
        b"GET /healthz HT",
        b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n",
        b"PUT /api/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\n{",
        HEAD + b"GET",
    ],
)
async def test_a_half_request_is_cut_in_time(half: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "REQUEST_TIME", 0.3)
    async with administered() as server:
        answer = await server.play(talk, half)
        assert answer[answer.rindex(b"HTTP/1.1") :].startswith(b"HTTP/1.1 408 Request Timeout")


@pytest.mark.parametrize("silent", ["from the start", "after a request"])
async def test_a_silent_connection_is_closed_without_a_word(
    silent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "REQUEST_TIME", 0.3)
    monkeypatch.setattr(http, "IDLE_TIME", 0.3)
    async with administered() as server:
        answer = await server.play(talk, HEAD if silent == "after a request" else b"")
        assert answer.count(b"HTTP/1.1") == (silent == "after a request")


async def test_a_body_that_is_too_long_is_not_waited_for() -> None:
    head = b"PUT /api/faults HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n"
    async with administered() as server:
        answer = await server.play(talk, head + b" " * (BODY_BYTES + 1))
        assert answer.startswith(b"HTTP/1.1 413 ")


async def test_whoever_wants_to_be_asked_for_a_body_is_asked() -> None:
    head = (
        b"PUT /api/faults HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
        b"Content-Length: 14\r\nConnection: close\r\n\r\n"
    )

    def play(where: Where) -> bytes:
        with Web(where) as web:
            web.socket.sendall(head)
            received = web.socket.recv(1000)
            assert received.startswith(b"HTTP/1.1 100 ")
            web.socket.sendall(b'{"faults": []}')
            while data := web.socket.recv(1000):
                received += data
            return received

    async with administered() as server:
        assert b"HTTP/1.1 200 OK" in await server.play(play)


async def test_a_client_of_http_1_0_gets_a_list_that_ends_with_the_connection() -> None:
    async with administered() as server:
        answer = await server.play(talk, b"GET /api/clients HTTP/1.0\r\n\r\n")
        assert answer.endswith(b'\r\n\r\n{"clients": [], "total": 0}')


async def test_a_refusal_is_read_although_more_was_sent() -> None:
    async with administered() as server:
        answer = await server.play(talk, b"NONSENSE" + b"x" * 100_000)
        assert answer.startswith(b"HTTP/1.1 4")


async def test_requests_wait_when_they_have_had_their_share_of_the_time() -> None:
    async with administered() as server:
        server.admin._turns.spent(0.3)  # of which half is made good in as long

        def play(where: Where) -> float:
            before = time.monotonic()
            with Web(where) as web:
                web.ask("GET", "/healthz")
            return time.monotonic() - before

        assert await server.play(play) > 0.4
