"""A connection to Redis, against peers that are none, or behave as a network lets them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing, asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import trio
import trio.testing

from tcpecho_trio.cluster import resp
from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.resp import MAX_ANSWER, TOO_MANY, Connection, StoreError, Trouble
from tests.cluster.redis_server import RedisServer

pytestmark = pytest.mark.usefixtures("patient")

Peer = Callable[[trio.SocketStream], Awaitable[None]]


@asynccontextmanager
async def peer(handler: Peer) -> AsyncIterator[ClusterLocation]:
    """Something that listens where Redis should."""
    async with trio.open_nursery() as nursery:
        serving = partial(trio.serve_tcp, handler, 0, host="127.0.0.1")
        (listener,) = await nursery.start(serving)
        yield ClusterLocation("127.0.0.1", listener.socket.getsockname()[1])
        nursery.cancel_scope.cancel()


async def failure(location: ClusterLocation) -> StoreError:
    async with aclosing(Connection(location)) as connection:
        with pytest.raises(StoreError) as caught:
            await connection.call("PING")
    return caught.value


async def swallow(stream: trio.SocketStream) -> None:
    async for _ in stream:
        pass


@pytest.mark.parametrize(
    "url",
    ["redis://127.0.0.1:1", "redis://nobody.invalid", "redis://" + "x" * 70, "unix:///nowhere/r"],
)
async def test_nobody_there_is_unreachable_in_the_systems_words(url: str) -> None:
    error = await failure(ClusterLocation.parse(url))
    assert error.trouble is Trouble.UNREACHABLE
    assert error.reason


async def test_a_refused_connection_is_told_in_words_that_can_be_translated() -> None:
    error = await failure(ClusterLocation("127.0.0.1", 1))
    assert error.reason == "[Errno 111] Connection refused"


async def test_a_peer_that_says_nothing_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp, "DEADLINE", 0.05)
    async with peer(swallow) as location:
        assert (await failure(location)).trouble is Trouble.TIMEOUT


async def test_a_peer_that_drips_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resp, "DEADLINE", 0.05)

    async def drip(stream: trio.SocketStream) -> None:
        while True:
            try:
                await stream.send_all(b":1")
            except trio.BrokenResourceError:
                return
            await trio.sleep(0.01)  # the pace of this peer

    async with peer(drip) as location:
        assert (await failure(location)).trouble is Trouble.TIMEOUT


@pytest.mark.parametrize(
    "said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"\x15\x03\x01\x00\x02", b"*1\r\n" * 5000]
)
async def test_a_peer_that_is_no_redis_is_told_for_it(said: bytes) -> None:
    async def talk(stream: trio.SocketStream) -> None:
        await stream.send_all(said)
        await swallow(stream)

    async with peer(talk) as location:
        error = await failure(location)
    assert error.trouble is Trouble.REFUSED
    assert "no Redis" in error.reason


@pytest.mark.parametrize("kind", [b"*", b"~", b"%", b">", b"|"])
@pytest.mark.parametrize("cut", range(2, 17, 3))
async def test_a_peer_that_promises_millions_of_elements_is_no_redis(kind: bytes, cut: int) -> None:
    said = b"*3\r\n" + kind + b"2147483647\r\n:1\r\n"

    async def promise(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        for piece in (said[:cut], said[cut:]):
            await stream.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()  # so that the pieces are received apart
        await swallow(stream)

    async with peer(promise) as location:
        error = await failure(location)
    # To free what hiredis would make of them takes Python seconds.
    assert (error.trouble, error.reason) == (Trouble.REFUSED, TOO_MANY)


async def test_nor_may_it_promise_them_behind_an_answer() -> None:
    async def promise(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"+PONG\r\n*2147483647")
        await stream.receive_some()
        await stream.send_all(b"\r\n:1\r\n")
        await swallow(stream)

    async with peer(promise) as location, aclosing(Connection(location)) as connection:
        assert await connection.call("PING") == b"PONG"
        with pytest.raises(StoreError) as caught:
            await connection.call("PING")
    assert caught.value.reason == TOO_MANY


@pytest.mark.parametrize("kind", ["*", "~", "%", ">", "|"])
async def test_a_name_that_looks_like_a_length_is_a_name(redis: RedisServer, kind: str) -> None:
    names = f"127.0.0.1:1\nunix:/run/app{kind}20250101"
    async with aclosing(Connection(ClusterLocation.parse(redis.url))) as connection:
        await connection.call("SET", "tcpecho:name", names)
        assert await connection.call("GET", "tcpecho:name") == names.encode()
        assert await connection.call("ECHO", names) == names.encode()


@pytest.mark.parametrize("said", [b"$999999999\r\n", b"*999999\r\n" * 3])
async def test_an_answer_that_does_not_end_is_bounded(said: bytes) -> None:
    async def pour(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        sent = len(said)
        try:
            await stream.send_all(said)
            while sent < 4 * MAX_ANSWER:
                await stream.send_all(b":1\r\n" * 16384)
                sent += 65536
        except trio.BrokenResourceError:
            return
        raise AssertionError("everything was taken")

    async with peer(pour) as location:
        error = await failure(location)
    assert error.trouble in (Trouble.REFUSED, Trouble.TIMEOUT)


async def test_a_peer_that_closes_or_resets_is_unreachable() -> None:
    async def close(stream: trio.SocketStream) -> None:
        await stream.receive_some()

    async with peer(close) as location:
        assert (await failure(location)).trouble is Trouble.UNREACHABLE


async def test_an_error_is_an_answer_and_the_connection_goes_on(redis: RedisServer) -> None:
    async with aclosing(Connection(ClusterLocation.parse(redis.url))) as connection:
        with pytest.raises(StoreError, match="unknown command") as caught:
            await connection.call("HOLA")
        assert caught.value.trouble is Trouble.REFUSED
        assert await connection.call("PING") == b"PONG"


async def test_a_database_is_chosen_before_anything_else(redis: RedisServer) -> None:
    async with aclosing(Connection(ClusterLocation.parse(f"{redis.url}?db=3"))) as connection:
        await connection.call("SET", "k", "v")
    redis.call("SWAPDB", 0, 3)
    assert redis.call("GET", "k") == "v"


@pytest.mark.parametrize("password", [None, "falsch"])
async def test_a_wrong_password_is_refused_in_redis_own_words(
    redis: RedisServer, password: str | None
) -> None:
    redis.call("CONFIG", "SET", "requirepass", "sal")
    location = ClusterLocation(port=0, path=str(redis.path), password=password)
    error = await failure(location)
    assert error.trouble is Trouble.REFUSED
    assert ("NOAUTH" if password is None else "WRONGPASS") in error.reason
    right = ClusterLocation(port=0, path=str(redis.path), password="sal")
    async with aclosing(Connection(right)) as connection:
        assert await connection.call("PING") == b"PONG"


async def test_a_user_of_redis_own_list_logs_in(redis: RedisServer) -> None:
    redis.call("ACL", "SETUSER", "ana", "on", ">sal", "+ping")
    location = ClusterLocation(port=0, path=str(redis.path), username="ana", password="sal")
    async with aclosing(Connection(location)) as connection:
        assert await connection.call("PING") == b"PONG"
        with pytest.raises(StoreError, match="NOPERM"):
            await connection.call("GET", "k")


async def test_no_thread_for_looking_up_a_name_is_no_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_: object, **__: object) -> None:
        raise RuntimeError(resp.NO_THREAD)

    monkeypatch.setattr(trio, "open_tcp_stream", none_left)
    assert (await failure(ClusterLocation("azul"))).trouble is Trouble.UNREACHABLE


async def test_a_path_that_is_no_socket_is_unreachable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    error = await failure(ClusterLocation(port=0, path=str(tmp_path / "file")))
    assert error.trouble is Trouble.UNREACHABLE
