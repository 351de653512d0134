"""The whole server over real sockets: accepting, isolation, draining, cutting."""

from __future__ import annotations

import errno
import socket
import struct
from functools import partial
from typing import Any

import pytest
import trio
import trio.testing

from tcpecho_trio.dialects import ADMIN
from tcpecho_trio.errors import CannotListen
from tcpecho_trio.protocol import Output, Protocol
from tcpecho_trio.server import DrainReason, Lifecycle, Phase, Registry, Settings, serve
from tcpecho_trio.server import opening as opening_module
from tcpecho_trio.server.accepting import KEEPALIVE
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault, Kind
from tcpecho_trio.server.peer import Peer
from tcpecho_trio.texts import ENGLISH
from tests.support import running
from tests.support.running import Told, read_all, read_exactly, running_server, told_by, until

pytestmark = pytest.mark.usefixtures("path")  # on the pump, and without it

RESET = struct.pack("ii", 1, 0)


async def test_line_and_unframed_clients_talk_on_one_port_at_the_same_time() -> None:
    async with (
        running_server() as server,
        await server.connect() as lines,
        await server.connect() as unframed,
    ):
        await lines.send_all(b"hola\r\n")
        await unframed.send_all("año".encode())
        assert await read_exactly(lines, 6) == b"HOLA\r\n"
        assert await read_exactly(unframed, 4) == "AÑO".encode()
        await unframed.send_all(b"DESCONEXION")
        assert await read_all(unframed) == "Conexión cerrada".encode()
        await lines.send_all(b"DESCONEXION\r\n")
        assert await read_all(lines) == "Conexión cerrada\r\n".encode()


async def test_typing_a_character_at_a_time_ends_in_a_farewell() -> None:
    async with running_server() as server, await server.connect() as stream:
        for byte in b"DESCONEXION":
            await stream.send_all(bytes([byte]))
            assert await read_exactly(stream, 1) == bytes([byte])
        await stream.send_all(b"\r\n")
        assert await read_all(stream) == "Conexión cerrada\r\n".encode()


async def test_the_server_goes_on_after_a_client_has_left() -> None:
    async with running_server() as server:
        for _ in range(3):
            assert await server.ask(b"hola\nDESCONEXION\n") == "HOLA\nConexión cerrada\n".encode()


async def test_a_client_that_resets_costs_nobody_else() -> None:
    async with running_server() as server, await server.connect() as polite:
        for sent in (b"", b"hola", b"hola\n" * 1000):
            rude = await server.connect()
            await rude.send_all(sent) if sent else None
            rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            await rude.aclose()
        await polite.send_all(b"hola\n")
        assert await read_exactly(polite, 5) == b"HOLA\n"
        await server.told.wait_for("closed", 2)  # who has said nothing was a probe
        assert await server.endings(3) == ["probe", "reset", "reset"]


async def test_a_reset_before_accept_goes_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    # The kernel still hands such a connection over; only its peer cannot be named any more.
    def nobody(sock: object) -> object:
        raise OSError(errno.ENOTCONN, "Transport endpoint is not connected")

    async with running_server() as server:
        with monkeypatch.context() as patched:
            patched.setattr("trio.socket.SocketType.getpeername", nobody, raising=False)
            patched.setattr("trio._socket._SocketType.getpeername", nobody)
            assert await server.ask(b"") == b""
        assert server.registry.accepted == 0
        assert await server.ask(b"hola") == b"HOLA"


async def test_replies_are_not_lost_when_the_close_finds_unread_input() -> None:
    async with running_server() as server, await server.connect() as stream:
        text = b"x" * 999 + b"\n"
        unread = b"unread\n" * 5000
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, text * 1000 + b"DESCONEXION\n" + unread)
            received = await read_all(stream)
        assert received == text.upper() * 1000 + "Conexión cerrada\n".encode()


async def test_the_drain_refuses_new_clients_and_finishes_the_old_ones() -> None:
    async with running_server() as server:
        idle, busy = await server.connect(), await server.connect()
        await busy.send_all(b"hola\n")
        assert await read_exactly(busy, 5) == b"HOLA\n"
        await server.told.wait_for("connected", 2)
        await busy.send_all(b"adios\n")
        server.lifecycle.drain()
        assert await read_all(busy) == b"ADIOS\n"
        assert await read_all(idle) == b""
        with pytest.raises(OSError, match=r"(?i)connect"):
            await server.connect()
        await idle.aclose()
        await busy.aclose()


async def test_a_client_that_never_reads_is_cut_at_the_drain_timeout() -> None:
    async with running_server(Settings(drain_timeout=0.2)) as server:
        stuck = await server.connect()
        await fill(stuck)
        server.lifecycle.drain()
        await server.lifecycle.wait_stopped()
        assert await server.endings() == ["aborted"]  # the journal may have told too much
        with pytest.raises(trio.BrokenResourceError):  # what is cut is reset
            await read_all(stuck)
        await stuck.aclose()


async def test_a_second_signal_cuts_at_once() -> None:
    async with running_server(Settings(drain_timeout=3600)) as server:
        stuck = await server.connect()
        await fill(stuck)
        server.lifecycle.signal(DrainReason.SIGINT)
        assert server.lifecycle.phase is Phase.DRAINING
        server.lifecycle.signal(DrainReason.SIGTERM)
        await server.lifecycle.wait_stopped()
        assert len(server.told.named("draining")) == len(server.told.named("cutting")) == 1
        await stuck.aclose()


async def fill(stream: trio.SocketStream) -> None:
    """Send and never read, until the server has stopped reading too."""
    while True:
        with trio.move_on_after(0.2) as waiting:
            await stream.send_all(b"hola\n" * 10_000)
        if waiting.cancelled_caught:
            return


async def test_one_drain_however_many_ask_for_it() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server, await server.connect() as admin:
        await read_exactly(admin, len(ADMIN.greeting.encode()))
        await admin.send_all(b"DESCONEXION\n")
        server.lifecycle.drain()
        server.lifecycle.signal(DrainReason.SIGTERM)
        assert await read_all(admin) == "SERVIDOR CERRÁNDOSE...\n".encode()
        await admin.aclose()  # else the server lingers
        await server.lifecycle.wait_stopped()
        assert len(server.told.named("draining")) == 1
        assert server.told.named("cutting") == []


async def test_the_remote_word_drains_the_whole_server() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server, await server.connect() as other:
        reply = await server.ask(b"DESCONEXION\nnever answered\n")
        assert reply == (ADMIN.greeting + "SERVIDOR CERRÁNDOSE...\n").encode()
        assert await read_all(other) == ADMIN.greeting.encode()
        await other.aclose()
        await server.lifecycle.wait_stopped()


async def test_a_full_server_says_so_and_has_room_again_at_once() -> None:
    full = "ERROR: el servidor está lleno, inténtalo más tarde\n".encode()
    async with running_server(Settings(max_connections=2)) as server:
        async with await server.connect() as one:
            async with await server.connect():
                await server.told.wait_for("connected", 2)
                for _ in range(20):
                    assert await server.ask(b"hola\n" * 1000) == full
            await server.told.wait_for("closed")
            assert await server.ask(b"hola\n") == b"HOLA\n"
            await one.send_all(b"still here\n")
            assert await read_exactly(one, 11) == b"STILL HERE\n"
        assert len(server.told.named("refused")) == 1  # told now and then


async def test_a_drain_of_nobody_is_at_once() -> None:
    async with running_server(Settings(drain_timeout=3600)) as server:
        server.lifecycle.drain()
        await server.lifecycle.wait_stopped()


async def test_cancelling_serve_cuts_everybody() -> None:
    async with trio.open_nursery() as nursery:
        lifecycle, registry, told = Lifecycle(), Registry(), Told()
        settings = Settings(host="127.0.0.1", port=0, pump=running.PUMP)
        server = partial(serve, settings)
        (listener,) = await nursery.start(
            partial(server, lifecycle=lifecycle, registry=registry, events=told_by(told))
        )
        stream = await trio.open_tcp_stream(*listener.socket.getsockname())
        await told.wait_for("connected")
        nursery.cancel_scope.cancel()
    assert [closed["reason"] for closed in told.named("closed")] == ["aborted"]
    await stream.aclose()


@pytest.mark.parametrize("passes", range(4))
async def test_newcomers_at_the_moment_of_a_cancellation_are_cut_and_no_bug(passes: int) -> None:
    told = Told()
    peers: list[socket.socket] = []
    async with trio.open_nursery() as nursery:
        settings = Settings(host="127.0.0.1", port=0, pump=running.PUMP)
        server = partial(serve, settings, registry=Registry())
        (listener,) = await nursery.start(
            partial(server, lifecycle=Lifecycle(), events=told_by(told))
        )
        address = listener.socket.getsockname()
        peers += [socket.create_connection(address) for _ in range(20)]
        for _ in range(passes):
            await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    for peer in peers:
        peer.close()
    assert told.named("crashed") == []


async def test_all_that_had_been_sent_when_the_drain_began_is_answered() -> None:
    async with running_server() as server, await server.connect() as slow:
        text, sent = b"hola\n" * 20_001, 0
        with trio.move_on_after(0.3):  # it does not read: the sockets fill, the server stops, too
            while True:
                sent += await slow.socket.send(text[sent % 5 :])
        server.lifecycle.drain()
        received = await read_all(slow)
        assert received == (b"HOLA\n" * sent)[:sent]


async def test_a_free_port_is_the_same_on_every_address_of_the_host() -> None:
    async with trio.open_nursery() as nursery:
        told = Told()
        server = partial(serve, Settings(host="localhost", port=0), registry=Registry())
        listeners = await nursery.start(
            partial(server, lifecycle=Lifecycle(), events=told_by(told))
        )
        ports = {listener.socket.getsockname()[1] for listener in listeners}
        assert len(ports) == 1
        assert told.named("listening") == [{"listener": f"localhost:{ports.pop()}"}]
        nursery.cancel_scope.cancel()


async def test_an_address_that_this_machine_lacks_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # localhost with an ::1 in /etc/hosts where IPv6 is switched off, as in many containers.
    real = trio.socket.getaddrinfo
    hosts = ["192.0.2.1", "127.0.0.1"]

    async def two_addresses(host: str, *rest: Any, **options: Any) -> list[Any]:
        found: list[Any] = []
        while hosts:
            found += await real(hosts.pop(0), *rest, **options)
        return found or await real(host, *rest, **options)

    monkeypatch.setattr("trio.socket.getaddrinfo", two_addresses)
    async with running_server() as server:
        assert await server.ask(b"hola") == b"HOLA"


async def test_everybody_at_the_door_is_let_in_at_once() -> None:
    async with running_server() as server:
        peers = []
        for _ in range(100):  # without a checkpoint: the server has no chance to accept
            peer = socket.create_connection(("127.0.0.1", server.port))
            peer.setblocking(False)
            peers.append(trio.SocketStream(trio.socket.from_stdlib_socket(peer)))
        passes = 0
        while server.registry.accepted < 100:
            passes += 1
            await trio.lowlevel.checkpoint()
        assert passes < 20
        for stream in peers:
            await stream.send_all(b"hola\n")
            assert await read_exactly(stream, 5) == b"HOLA\n"
            await stream.aclose()


async def test_whoever_is_at_the_door_when_the_drain_begins_is_answered() -> None:
    async with running_server() as server:
        clients = [server.at_the_door(f"hola {number}\n".encode()) for number in range(100)]
        server.lifecycle.drain()
        for number, client in enumerate(clients):
            assert await read_all(client) == f"HOLA {number}\n".encode()
            await client.aclose()


async def test_whoever_is_at_the_door_when_there_is_no_time_is_cut() -> None:
    async with running_server() as server:
        client = server.at_the_door(b"hola\n")
        server.lifecycle.abort()
        with pytest.raises(trio.BrokenResourceError):
            await read_all(client)
        await client.aclose()


async def test_a_server_that_cannot_open_every_endpoint_aborts_who_came_by_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    early: list[trio.SocketStream] = []
    resolve = trio.socket.getaddrinfo
    with socket.create_server(("127.0.0.1", 0)) as taken:
        endpoints = (
            Endpoint(Scheme.TCP, "127.0.0.1", 0),
            Endpoint(Scheme.TCP, "127.0.0.1", taken.getsockname()[1]),
        )

        async def connect_before_the_second(host: str, port: int, *rest: Any, **more: Any) -> Any:
            if port == endpoints[1].port and not early:
                (first,) = opened
                early.append(await trio.open_tcp_stream("127.0.0.1", first))
            return await resolve(host, port, *rest, **more)

        async def free_port(addresses: list[str]) -> int:
            opened.append(await find(addresses))
            return opened[0]

        opened: list[int] = []
        find = opening_module.free_port
        monkeypatch.setattr(opening_module, "free_port", free_port)
        monkeypatch.setattr("trio.socket.getaddrinfo", connect_before_the_second)
        assert (await unstarted(Settings(listen=endpoints))).message == "port_taken"
    (client,) = early
    with pytest.raises(trio.BrokenResourceError):
        await read_all(client)
    await client.aclose()


async def test_connections_are_numbered_and_listed_in_the_order_of_arrival() -> None:
    async with running_server(Settings(dialect=ADMIN)) as server:
        for _ in range(5):
            # Without a checkpoint: the server finds them all in its backlog at once.
            clients = [server.at_the_door() for _ in range(8)]
            names = ["{}:{}".format(*client.socket.getsockname()) for client in clients]
            listing = (await server.ask(b"LISTAR\n")).decode().splitlines()[1:]
            assert listing[:8] == names
            numbers = [c.info.number for c in server.registry if c.info.client in names]
            assert numbers == sorted(numbers)
            for client in clients:
                await client.aclose()
            await until(lambda: not server.registry.places)


async def test_the_same_connections_suffer_a_drawn_fault_in_every_run() -> None:
    fault = Fault(Kind.CLOSE, 0, 0.5)
    runs = []
    for _ in range(3):
        async with running_server(Settings(faults=(fault,), fault_seed=7)) as server:
            clients = [server.at_the_door(b"hola\n") for _ in range(16)]
            runs.append([await read_some(client) for client in clients])
    assert runs[0] == runs[1] == runs[2]
    assert set(runs[0]) == {b"HOLA\n", b""}


async def read_some(stream: trio.SocketStream) -> bytes:
    async with stream:
        return bytes(await stream.receive_some(5))


async def test_a_bug_of_ours_costs_the_client_that_met_it_and_nobody_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def buggy(protocol: Protocol, data: bytes) -> tuple[Output, ...]:
        if b"bug" in data:
            raise RuntimeError("a bug")
        return receive_any(protocol, data)

    receive_any = Protocol._receive_any
    monkeypatch.setattr(Protocol, "_receive_any", buggy)
    async with running_server() as server, await server.connect() as polite:
        await polite.send_all(b"hola")
        assert await read_exactly(polite, 4) == b"HOLA"
        async with await server.connect() as unlucky:
            await unlucky.send_all(b"bug")
            with pytest.raises(trio.BrokenResourceError):
                await read_all(unlucky)
        await polite.send_all(b"adios")
        assert await read_exactly(polite, 5) == b"ADIOS"
        (crash,) = server.told.named("crashed")
        assert "RuntimeError: a bug" in crash["traceback"]


async def test_an_end_while_the_second_endpoint_is_being_opened_is_an_orderly_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    resolve = trio.socket.getaddrinfo

    async def slow_for_the_second(host: str, *args: object, **options: object) -> object:
        if host == "::1":
            lifecycle.drain()
            await trio.sleep_forever()
        return await resolve(host, *args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr("trio.socket.getaddrinfo", slow_for_the_second)
    lifecycle, told = Lifecycle(), Told()
    endpoints = tuple(Endpoint(Scheme.TCP, host) for host in ("127.0.0.1", "::1"))
    server = partial(serve, Settings(listen=endpoints), lifecycle=lifecycle, registry=Registry())
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(partial(server, events=told_by(told)))
    assert listeners == []
    assert told.named("listening") == []
    assert len(told.named("stopped")) == 1


async def test_a_socket_that_was_given_to_us_is_kept_alive_too() -> None:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    lifecycle = Lifecycle()
    server = partial(serve, Settings(), lifecycle=lifecycle, registry=Registry())
    async with trio.open_nursery() as nursery:
        await nursery.start(partial(server, listeners=[listener]))
        assert listener.socket.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1
        lifecycle.drain()


async def test_the_kernel_asks_silent_peers_whether_they_are_still_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    accepted: list[tuple[int, ...]] = []

    def look(stream: trio.socket.SocketType) -> None:
        options = [getattr(socket, name) for name in KEEPALIVE if hasattr(socket, name)]
        accepted.append(
            (
                stream.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
                *(stream.getsockopt(socket.IPPROTO_TCP, option) for option in options),
            )
        )

    original = Peer.of

    def look_at_it(sock: trio.socket.SocketType) -> Peer:
        look(sock)
        return original(sock)

    monkeypatch.setattr(Peer, "of", look_at_it)
    async with running_server() as server:
        for _ in range(3):
            assert await server.ask(b"hola") == b"HOLA"
    assert accepted == [(1, 300, 30, 4)] * 3


async def test_an_end_that_is_asked_for_during_the_start_is_an_orderly_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def slow_resolver(*_: object, **__: object) -> list[object]:
        await trio.sleep_forever()
        raise AssertionError("unreachable")

    monkeypatch.setattr("trio.socket.getaddrinfo", slow_resolver)
    for ask in (Lifecycle.abort, lambda life: life.drain("early")):
        lifecycle, told = Lifecycle(), Told()
        server = partial(serve, Settings(), lifecycle=lifecycle, registry=Registry())
        async with trio.open_nursery() as nursery:

            async def end() -> None:
                await trio.testing.wait_all_tasks_blocked()
                ask(lifecycle)  # noqa: B023

            nursery.start_soon(end)
            listeners = await nursery.start(partial(server, events=told_by(told)))
        assert listeners == []
        assert told.named("listening") == []
        assert len(told.named("stopped")) == 1


async def unstarted(settings: Settings) -> CannotListen:
    with pytest.raises(CannotListen) as caught:
        await serve(
            settings,
            lifecycle=Lifecycle(),
            registry=Registry(),
        )
    return caught.value


async def test_a_taken_port_is_said_with_what_to_do() -> None:
    async with running_server() as server:
        error = await unstarted(Settings(host="127.0.0.1", port=server.port))
        assert error.message == "port_taken"
        assert str(server.port) in str(error)
        assert f"--port {server.port + 1}" in error.localized(ENGLISH)
        assert "--" not in str(error)  # a program has no options


async def test_a_host_that_is_not_ours_is_said_with_what_to_do() -> None:
    assert (await unstarted(Settings(host="192.0.2.1"))).message == "cannot_listen"
    assert (await unstarted(Settings(host="nobody.invalid"))).message == "unknown_host"
