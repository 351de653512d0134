"""What a carrier does for a client on a bare socket: the pump's loop, and the turns of its own."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import AsyncGenerator

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.dialects import STANDARD
from tcpecho_trio.protocol import Protocol
from tcpecho_trio.server import Events, sockets
from tcpecho_trio.server import pump as pump_module
from tcpecho_trio.server import traffic as traffic_module
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import Event, MessagesReceived, RepliesSent
from tcpecho_trio.server.portable import OwnTask
from tcpecho_trio.server.pump import Pump, pump_exists
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.traffic import Handoff
from tests.support.running import read_exactly

WAYS = [
    pytest.param(
        "pump", marks=pytest.mark.skipif(not pump_exists(), reason="there is no epoll here")
    ),
    "own task",
]


class Client:
    """What a carrier knows of a client."""

    def __init__(self, *, messages: bool = True, read_sizes: bool = False) -> None:
        self.info = ConnectionInfo(1, "peer", "peer", "here")
        self.stats = ConnectionStats(-1.0, messages=messages, read_sizes=read_sizes)
        self.protocol = Protocol(STANDARD)
        self.watched = False


class Carrying:
    """A carrier, and who is carried by it."""

    def __init__(self, way: str, nursery: trio.Nursery, stack: contextlib.AsyncExitStack) -> None:
        self.events = Events()
        self.carrier = Pump(self.events) if way == "pump" else OwnTask(self.events)
        self.came_back: list[object] = []
        self._nursery, self._stack = nursery, stack

    async def client(self, carried: Client) -> trio.SocketStream:
        """The other end of a carried client."""
        ours, theirs = (trio.SocketStream(end) for end in trio.socket.socketpair())
        await self._stack.enter_async_context(ours)
        await self._stack.enter_async_context(theirs)

        async def carry() -> None:
            try:
                self.came_back.append(await self.carrier.carry(theirs, carried))
            except Exception as error:  # noqa: BLE001  what comes back is what is tested
                self.came_back.append(error)
                await trio.aclose_forcefully(theirs)  # else who waits for a reply waits for ever

        self._nursery.start_soon(carry)
        await trio.testing.wait_all_tasks_blocked()
        return ours


@pytest.fixture(params=WAYS)
async def carrying(request: pytest.FixtureRequest) -> AsyncGenerator[Carrying, None]:
    async with contextlib.AsyncExitStack() as stack, trio.open_nursery() as nursery:
        carrying = Carrying(request.param, nursery, stack)
        if isinstance(carrying.carrier, Pump):
            stack.callback(carrying.carrier.close)
            nursery.start_soon(carrying.carrier.run)
        yield carrying
        nursery.cancel_scope.cancel()


async def ask(client: trio.SocketStream, said: bytes, reply: bytes) -> None:
    await client.send_all(said)
    assert await read_exactly(client, len(reply)) == reply
    await trio.testing.wait_all_tasks_blocked()


@pytest.mark.parametrize(
    "told", [None, "all", "some", "first", "nothing"], ids=lambda told: f"told {told}"
)
@pytest.mark.parametrize(("messages", "read_sizes"), [(False, False), (True, False), (True, True)])
async def test_what_is_wanted_is_counted_and_told_and_nothing_else(
    carrying: Carrying, messages: bool, read_sizes: bool, told: str | None
) -> None:
    heard: list[tuple[type[Event], bytes, int]] = []

    def hear(event: Event) -> None:
        if isinstance(event, MessagesReceived | RepliesSent):
            assert event.connection is carried.info
            heard.append((type(event), event.data, event.messages))
            if told == "first":
                carrying.events.stop_asking(hear)  # of what it was told it hears the reply

    def but_one(connection: ConnectionInfo, data: bytes, _messages: int) -> bool:
        assert connection is carried.info
        return data != b"tres\n"

    if told is not None:
        carrying.events.subscribe(hear, messages=but_one if told == "some" else True)
    if told == "nothing":
        carrying.events.stop_asking(hear)
    carried = Client(messages=messages, read_sizes=read_sizes)
    client, stats = await carrying.client(carried), carried.stats
    answered, begun = [], []
    for said, reply in (
        (b"uno\ndos\n", b"UNO\nDOS\n"),
        (b"tres\n", b"TRES\n"),
        (b"hola\nDESCO", b"HOLA\n"),  # the second message has begun, and has no reply yet
        (b" dos\n", b"DESCO DOS\n"),
        (b"uno\n", b"UNO\n"),
    ):
        await ask(client, said, reply)
        answered.append((stats.messages_in, stats.messages_out))
        begun.append(carrying.events.begun)
    assert carrying.came_back == []
    assert (stats.bytes_in, stats.bytes_out) == (32, 32)
    counted = [(2, 2), (3, 3), (5, 4), (5, 5), (6, 6)]
    assert answered == (counted if messages else [(None, None)] * 5)
    if messages or told in ("all", "some"):  # of all clients together
        assert begun == [begun_so_far for begun_so_far, _ in counted]
    if read_sizes:
        assert stats.read_sizes is not None
        assert list(stats.read_sizes.latest) == [8, 5, 10, 5, 4]
        assert stats.read_sizes.count == 5
    if told in (None, "nothing"):
        assert heard == []
        return
    pairs = [
        ((b"uno\ndos\n", 2), (b"UNO\nDOS\n", 2)),
        ((b"tres\n", 1), (b"TRES\n", 1)),
        ((b"hola\nDESCO", 2), (b"HOLA\n", 1)),
        ((b" dos\n", 0), (b"DESCO DOS\n", 1)),
        ((b"uno\n", 1), (b"UNO\n", 1)),
    ]
    if told == "some":
        del pairs[1]
    if told == "first":
        del pairs[1:]
    assert heard == [
        line
        for (said, started), (reply, ended) in pairs
        for line in (
            (MessagesReceived, said, started),
            (RepliesSent, reply, ended if messages else 0),
        )
    ]


@pytest.mark.parametrize("size", [0, 4])
@pytest.mark.parametrize("told", [True, False])
@pytest.mark.parametrize("messages", [True, False])
async def test_a_message_whose_reply_is_not_taken_whole_is_counted_and_its_reply_left(
    carrying: Carrying, messages: bool, told: bool, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[bytes] = []

    def hear(event: Event) -> None:
        if isinstance(event, MessagesReceived | RepliesSent):
            assert event.connection is carried.info
            heard.append(event.data)

    def write(fd: int, data: bytes) -> int:
        if not size:
            raise BlockingIOError
        return real(fd, data[:size])

    real = sockets.write
    carried = Client(messages=messages)
    client, stats = await carrying.client(carried), carried.stats
    await ask(client, b"uno\n", b"UNO\n")
    begun = carrying.events.begun
    if told:
        carrying.events.subscribe(hear, messages=True)
    monkeypatch.setattr(pump_module, "write", write)
    monkeypatch.setattr(traffic_module, "write", write)
    await client.send_all(b"hola\nmundo\n")
    await trio.testing.wait_all_tasks_blocked()
    assert carrying.came_back == [Handoff((b"HOLA\nMUNDO\n",), size)]
    assert (stats.bytes_in, stats.bytes_out) == (15, 4)
    assert (stats.messages_in, stats.messages_out) == ((3, 1) if messages else (None, None))
    if messages or told:
        assert carrying.events.begun == begun + 2
    assert heard == ([b"hola\nmundo\n"] if told else [])
    assert carried.watched is told


async def test_what_several_clients_say_in_one_turn_is_counted_together(
    carrying: Carrying,
) -> None:
    clients = [await carrying.client(Client(messages=True)) for _ in range(3)]
    for client in clients:
        await ask(client, b"hola\n", b"HOLA\n")
    for client in clients:  # at once: no other task has its turn meanwhile
        os.write(client.socket.fileno(), b"uno\ndos\n")
    for client in clients:
        assert await read_exactly(client, 8) == b"UNO\nDOS\n"
    for client in clients:  # and chunks that are counted in the longer way
        os.write(client.socket.fileno(), b"uno\n" * 100)
    for client in clients:
        assert await read_exactly(client, 400) == b"UNO\n" * 100
    await trio.testing.wait_all_tasks_blocked()
    assert carrying.events.begun == 3 * (1 + 2 + 100)


async def test_a_connection_that_breaks_is_given_back_with_the_reason(
    carrying: Carrying, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> bytes:
        raise ConnectionResetError("by a test")

    client = await carrying.client(Client())
    await ask(client, b"hola\n", b"HOLA\n")
    monkeypatch.setattr(pump_module, "read", broken)
    monkeypatch.setattr(traffic_module, "read", broken)
    await client.send_all(b"hola\n")
    await trio.testing.wait_all_tasks_blocked()
    (error,) = carrying.came_back
    assert isinstance(error, trio.BrokenResourceError)
    assert "by a test" in str(error)


def test_linux_has_a_pump() -> None:
    """Else the tests of the pump would skip, and nobody would notice."""
    assert pump_exists() == (sys.platform == "linux")


async def test_whole_lines_take_the_short_way(
    carrying: Carrying, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = await carrying.client(Client())
    await ask(client, b"uno\n", b"UNO\n")

    def take(*_: object) -> None:
        raise AssertionError("this is for what is no plain chunk")

    monkeypatch.setattr(pump_module, "take", take)
    monkeypatch.setattr(traffic_module, "take", take)
    await ask(client, b"dos\ntres\n", b"DOS\nTRES\n")
    assert carrying.came_back == []


async def test_a_bug_of_ours_costs_the_client_that_met_it(
    carrying: Carrying, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Buggy:
        def receive_plain(self, data: bytes) -> bytes:
            raise RuntimeError("a bug")

    unlucky = Client()
    unlucky.protocol = Buggy()  # type: ignore[assignment]
    first, other = await carrying.client(unlucky), await carrying.client(Client())
    await first.send_all(b"hola\n")
    await ask(other, b"hola\n", b"HOLA\n")
    (error,) = carrying.came_back
    assert isinstance(error, RuntimeError)


async def test_a_client_is_active_when_its_chunk_comes(
    carrying: Carrying, mock_clock: MockClock
) -> None:
    carried = Client()
    client = await carrying.client(carried)
    for said in (b"hola\n", b"DESCO", b"sigue\n"):
        mock_clock.jump(10)
        now = trio.current_time()
        await client.send_all(said)
        await trio.testing.wait_all_tasks_blocked()
        assert carried.stats.active == now
    assert carrying.came_back == []
