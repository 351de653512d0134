"""Random schedules of what clients, signals and the clock can do, against the whole server.

Everything runs inside one ``trio.run`` on memory streams with a clock that only the schedule
moves, and after every step all of the server's promises are checked.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import trio
import trio.testing
from hypothesis import event, example, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio.addresses import format_address
from tcpecho_trio.dialects import (
    ADMIN,
    SALUTATION,
    SERVER_FULL,
    SHUTDOWN_REFUSED,
    STANDARD,
    Action,
    Dialect,
)
from tcpecho_trio.protocol import Foreign
from tcpecho_trio.server import DrainReason, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.admission import REFUSAL_TIME
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.closing import LINGER_TIME
from tests.support.memory_network import MemoryListener, MemorySocket
from tests.support.naive_model import NaiveModel
from tests.support.protocol_inputs import chunks, lines_together, openings, words
from tests.support.running import Told, told_by

IDLE, WRITE, DRAIN = 60.0, 30.0, 10.0
CLIENTS = 4
"""As many as the server has room for; a further one is refused."""

SOON = 0.2
"""Seconds that pass between a cause and its effect at most: a quiet period and some slack."""

Step = tuple[str, Any]
which = st.integers(0, 5)
step = st.one_of(
    st.tuples(st.just("connect"), st.booleans()),
    st.tuples(st.just("say"), st.tuples(which, st.one_of(chunks, lines_together, words))),
    st.tuples(st.just("say"), st.tuples(which, st.just(b"hola\nDESCO"))),
    st.tuples(st.just("stall"), which),
    st.tuples(st.just("advance"), st.sampled_from([0.01, 0.06, 0.06, 1, 5, 20, 31, 61])),
    st.tuples(st.sampled_from(["stop reading", "resume", "half-close", "reset"]), which),
    st.tuples(st.just("open with"), st.tuples(st.booleans(), openings)),
)
rare = st.one_of(
    step,
    st.tuples(st.just("fault"), which),
    st.tuples(st.sampled_from(["drain", "signal"]), st.none()),
)
schedules = st.tuples(
    st.lists(step, min_size=3, max_size=20), st.lists(st.one_of(step, step, rare), max_size=20)
).map(lambda parts: [("connect", True), ("connect", False), *parts[0], *parts[1]])


class Directory(Registry):
    """Lists always the same, so that the model can know it."""

    def clients(self) -> list[str]:
        assert len(super().clients()) == len(self)
        return ["whoever is here"]


@dataclass
class Client:
    """One client of the schedule."""

    socket: MemorySocket
    refused: bool
    dialect: Dialect
    tokens: int = 0
    fed: int = 0  # how much of what the server consumed the model has
    left: bool = False  # a word of its own ends it
    ended_at: int | None = None  # how many outputs there were when its input ended

    def __post_init__(self) -> None:
        self.model = NaiveModel(self.dialect)

    @property
    def name(self) -> str:
        return format_address(self.socket.address)

    def say(self, chunk: bytes) -> None:
        """With a token that no other message has, so that nothing can pass for another's."""
        token = f"<{self.name}#{self.tokens}>".encode()
        self.tokens += 1
        self.socket.say(chunk.replace(b"a", token) if chunk else token)

    def due(self, *, at_end: bool = False) -> bytes:
        """All that it is to be told for what the server has read from it.

        With `at_end` also what is due once the server ends the conversation.
        """
        for kind, chunk in self.socket.consumed[self.fed :]:
            if kind == "data":
                self.model.data(chunk)
            elif kind == "quiet":
                self.model.quiet()
            elif self.ended_at is None:
                self.ended_at = len(self.model.outputs)
                self.model.eof()
        self.fed = len(self.socket.consumed)
        model = self.model
        ended = at_end or self.socket.output_ended_at is not None
        if ended and self.ended_at is None:  # an end on the server's side
            model = copy.copy(model)
            model.outputs = list(model.outputs)
            model.eof()
        told = self.dialect.greeting.encode()
        for place, output in enumerate(model.outputs):
            if isinstance(output, bytes):
                told += output
                continue
            if isinstance(output, Foreign):
                break
            command, terminator = output.command, output.terminator
            text = command.text
            if command.action is Action.LIST:
                text += (terminator or b"\n").decode() + "whoever is here"
            if command.action is Action.SHUTDOWN and self.socket.address[0] != "127.0.0.1":
                told += SHUTDOWN_REFUSED.encode() + terminator
            # No farewell to a client whose own end of input decided the word.
            elif not (command.leaves and self.ended_at is not None and place >= self.ended_at):
                told += text.encode() + terminator
            if command.leaves and not told.endswith(SHUTDOWN_REFUSED.encode() + terminator):
                self.left = True
                break
        return told


@dataclass
class World:
    """The server, its clients, and what has been asked of it."""

    dialect: Dialect
    clock: MockClock
    listener: MemoryListener = field(default_factory=MemoryListener)
    lifecycle: Lifecycle = field(default_factory=Lifecycle)
    registry: Directory = field(default_factory=Directory)
    told: Told = field(default_factory=Told)
    clients: list[Client] = field(default_factory=list)
    drained_at: float | None = None
    signals: int = 0
    returned: bool = False

    async def run(self) -> None:
        limits = Settings(
            dialect=self.dialect,
            max_connections=CLIENTS,
            idle_timeout=IDLE,
            write_timeout=WRITE,
            drain_timeout=DRAIN,
        )
        await serve(
            limits,
            lifecycle=self.lifecycle,
            registry=self.registry,
            events=told_by(self.told, probes=True),
            listeners=[self.listener],
        )
        self.returned = True

    async def take(self, kind: str, what: Any) -> None:
        """One step of the schedule, and everything that follows from it without waiting."""
        if kind in ("connect", "open with"):
            trusted, opening = (what, b"") if kind == "connect" else what
            full = self.registry.places >= CLIENTS
            socket = self.listener.connect("127.0.0.1" if trusted else "192.0.2.1")
            if socket is not None:
                self.clients.append(Client(socket, full, self.dialect))
                socket.say(opening) if opening else None
        elif kind == "advance":
            await self.advance(what)
        elif kind == "drain":
            self.lifecycle.drain()
        elif kind == "signal":
            self.signals += 1
            self.lifecycle.signal(DrainReason.SIGTERM)
        elif self.clients:
            number, chunk = what if kind == "say" else (what, b"")
            client = self.clients[number % len(self.clients)]
            socket = client.socket
            if kind == "say":
                client.say(chunk)
            elif kind in ("stop reading", "stall"):
                socket.read(False)
                if kind == "stall":  # and ask for more than fits
                    client.say(b"a line of some length\n" * 8)
            elif kind == "resume":
                socket.read(True)
            elif kind == "half-close":
                socket.half_close()
            elif kind == "reset":
                socket.reset()
            elif kind == "fault":
                socket.fail(RuntimeError("a bug"))
        await trio.testing.wait_all_tasks_blocked()
        if self.lifecycle.draining and self.drained_at is None:
            self.drained_at = trio.current_time()

    async def advance(self, seconds: float) -> None:
        """Let the time pass from one deadline to the next, as it does on a real clock."""
        end = trio.current_time() + seconds
        while (now := trio.current_time()) < end:
            await trio.testing.wait_all_tasks_blocked()
            if self.lifecycle.draining and self.drained_at is None:
                self.drained_at = now
            next_one = trio.lowlevel.current_statistics().seconds_to_next_deadline
            self.clock.jump(max(1e-6, min(next_one, end - now)))
        await trio.testing.wait_all_tasks_blocked()

    def check(self) -> None:
        """Everything that is promised at any moment."""
        registry = self.registry
        assert registry.accepted == registry.places + registry.closed
        served = [c for c in self.clients if not c.refused]
        names = set(Registry.clients(registry))
        open_ones = {c.name for c in served if not c.socket.closed}
        refusing = [c for c in self.clients if c.refused and not c.socket.closed]
        assert names == open_ones
        assert handlers() == len(registry) + len(refusing)
        closed = [fields["client"] for fields in self.told.named("closed")]
        assert sorted(closed) == sorted(c.name for c in served if c.socket.closed)
        assert registry.closed - registry.close_reasons[CloseReason.FULL] == len(closed)
        for client in self.clients:
            self.check_bytes(client)
            self.check_deadlines(client)
        for name, fields in self.told.events:
            for value in fields.values():
                assert str(value).isprintable() or name == "crashed", (name, value)
        if self.drained_at is not None and self.signals > 1:
            assert self.returned
        if self.drained_at is not None and trio.current_time() > self.drained_at + DRAIN:
            assert self.returned
        assert self.returned == (self.lifecycle.phase.value == "stopped")

    def ending(self, client: Client) -> CloseReason | None:
        for fields in self.told.named("closed"):
            if fields["client"] == client.name:
                return CloseReason(fields["reason"])
        return None

    def check_bytes(self, client: Client) -> None:
        socket = client.socket
        if client.refused:
            assert SERVER_FULL.encode().startswith(socket.received)
            return
        read = b"".join(chunk for _, chunk in socket.consumed)
        assert socket.sent.startswith(read)
        due = client.due()
        if not due.startswith(socket.received):  # the server is ending, and stuck with the rest
            due = client.due(at_end=True)
        assert due.startswith(socket.received), (due, socket.received)
        ending = self.ending(client)
        graceful = (
            CloseReason.DISCONNECTED,
            CloseReason.SHUTDOWN,
            CloseReason.EOF,
            CloseReason.DRAINED,
            CloseReason.IDLE,
        )
        if ending in graceful and not socket.was_reset and socket.fault is None:
            assert due == socket.received
            assert client.left == (ending in (CloseReason.DISCONNECTED, CloseReason.SHUTDOWN))
            if ending is CloseReason.EOF:
                assert read == socket.sent, "closed with unread input"

    def check_deadlines(self, client: Client) -> None:
        socket = client.socket
        if socket.closed:
            return
        now = trio.current_time()
        if socket.output_ended_at is not None:
            linger = REFUSAL_TIME if client.refused else LINGER_TIME
            assert now <= socket.output_ended_at + linger + SOON
        elif socket.stuck_since is not None:
            assert now <= socket.stuck_since + WRITE + SOON
        else:
            assert now <= max(socket.heard, socket.taken) + IDLE + SOON


def handlers() -> int:
    """How many tasks there are that serve a connection."""

    def below(task: trio.lowlevel.Task) -> int:
        here = task.name.endswith("_serve_and_close")
        return here + sum(
            below(child) for nursery in task.child_nurseries for child in nursery.child_tasks
        )

    root = trio.lowlevel.current_root_task()
    assert root is not None
    return below(root)


@settings(deadline=None)
@example(  # what is held falls due as the drain begins, and does not fit
    dialect=STANDARD,
    schedule=[
        ("connect", True),
        ("stop reading", 0),
        ("say", (0, b"hola servidor \r\n")),
        *[("say", (0, b"hola\nDESCO"))] * 3,
    ],
)
@given(dialect=st.sampled_from([STANDARD, SALUTATION, ADMIN, ADMIN]), schedule=schedules)
def test_the_server_keeps_its_promises_whatever_happens(
    dialect: Dialect, schedule: list[Step]
) -> None:
    clock = MockClock()

    async def main() -> None:
        world = World(dialect, clock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.run)
            await trio.testing.wait_all_tasks_blocked()
            for kind, what in schedule:
                await world.take(kind, what)
                world.check()
            await world.take("drain", None)
            world.check()
            await world.take("advance", DRAIN + SOON)
            world.check()
            assert world.returned
            nursery.cancel_scope.cancel()
        for reason in world.registry.close_reasons:
            event(f"a connection closed: {reason.value}")
        (stopped,) = world.told.named("stopped")
        assert len(world.told.named("draining")) == 1
        reasons = world.registry.close_reasons
        others = reasons[CloseReason.FULL] + reasons[CloseReason.PROBE]
        assert stopped["served"] + stopped["aborted"] + others == world.registry.accepted

    trio.run(partial(main), clock=clock)
