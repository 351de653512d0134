"""What a load can be told to be; checked once, frozen afterwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tcpecho_trio.client.connect import Target
from tcpecho_trio.errors import LoadRefused
from tcpecho_trio.load.messages import Expectation, Framing, Given, Make, Numbered
from tcpecho_trio.load.schedule import Schedule

DURATION = 10.0
"""Seconds of a load that is told no other end."""

TIMEOUT = 5.0
"""Seconds that a connection, or a reply, may take: far more than an echo needs, and still soon
enough for somebody who waits for the end of a load whose server does not answer."""

LARGEST = 16 * 1_048_576
"""Bytes of a message: as much as the client takes for one."""

LARGEST_FILE = 64 * 1_048_576
"""Bytes of a file with messages: it is kept in memory, and so are its replies."""

MOST_CONNECTIONS = 1_000_000

DISCONNECT = b"DESCONEXION"
"""The word that nearly all servers of the exercise want to be left with."""


@dataclass(frozen=True, slots=True)
class Ramp:
    """A rate that climbs.

    Args:
      low: the first rate, in messages a second.
      high: the last rate.
      seconds: how long it takes.
    """

    low: float
    high: float
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSettings:
    """What a load is made of.

    Args:
      target: the server, and what lies between it and the messages.
      connections: how many there are at the same time.
      rate: messages a second over all connections, each due at its time (open loop); None for as
        fast as replies come (closed loop).
      ramp: a rate that climbs, instead of `rate`.
      slo: seconds of the p99 below which a step of the ramp is good.
      pipeline: messages that may be under way on one connection.
      duration: seconds of the load, after the warm-up; None for :data:`DURATION`, or for as long
        as `messages` or the ramp take.
      warmup: seconds before that, in which nothing is counted.
      messages: how many messages there are in all; None for no limit.
      size: least and most bytes of a message, with its line feed.
      texts: messages to send in turn instead of numbered ones, without line feeds.
      expect: what a reply must be.
      framing: whether a message ends in a line feed.
      leave: what is said before a connection is closed, without lines; empty for nothing.
      churn: whether each message gets a connection of its own.
      think: seconds between a reply and the next message of its connection (closed loop).
      timeout: seconds that a connection may take, and a reply before it is late; also how long
        the last replies are waited for.
      seed: decides the sizes.
      anywhere: whether more than one connection may go to an address that is not private.
      portable: do without epoll.

    Raises:
      LoadRefused: a load that cannot be (a ValueError, too).
    """

    target: Target = field(default_factory=Target)
    connections: int = 1
    rate: float | None = None
    ramp: Ramp | None = None
    slo: float = 0.1
    pipeline: int = 1
    duration: float | None = None
    warmup: float = 0.0
    messages: int | None = None
    size: tuple[int, int] = (64, 64)
    texts: Sequence[bytes] = ()
    expect: Expectation = "upper"
    framing: Framing = "line"
    leave: bytes = DISCONNECT
    churn: bool = False
    think: float = 0.0
    timeout: float = TIMEOUT
    seed: int = 0
    anywhere: bool = False
    portable: bool = False

    def __post_init__(self) -> None:
        least, most = self.size
        end = 1 if self.framing == "line" else 0
        open_loop = self.open_loop
        for refused, wrong in (
            ("load.bad_connections", not 1 <= self.connections <= MOST_CONNECTIONS),
            ("load.bad_pipeline", not 1 <= self.pipeline <= MOST_CONNECTIONS),
            ("load.bad_size", not 1 <= least <= most <= LARGEST),
            ("load.rate_and_ramp", self.rate is not None and self.ramp is not None),
            ("load.think_open", self.think > 0 and open_loop),
            ("load.think_pipeline", self.think > 0 and self.pipeline > 1),
            ("load.churn_pipeline", self.churn and self.pipeline > 1),
            ("load.churn_think", self.churn and self.think > 0),
            (
                "load.raw_any",
                self.framing == "raw" and self.expect == "any" and self.pipeline > 1,
            ),
            ("load.line_feed", end > 0 and any(b"\n" in text for text in self.texts)),
            ("load.blank", end == 0 and not all(self.texts)),
            ("load.bad_rate", self.rate is not None and not 0 < self.rate < 1e9),
            (
                "load.bad_ramp",
                self.ramp is not None
                and not (0 < self.ramp.low <= self.ramp.high < 1e9 and 0 < self.ramp.seconds < 1e7),
            ),
            ("load.ramp_duration", self.ramp is not None and self.duration is not None),
            ("load.bad_messages", self.messages is not None and self.messages < 1),
            ("load.bad_duration", self.duration is not None and not 0 < self.duration < 1e7),
            ("load.bad_warmup", not 0 <= self.warmup < 1e7),
            ("load.bad_think", not 0 <= self.think < 1e7),
            ("load.bad_timeout", not 0 < self.timeout < 1e7),
            ("load.bad_slo", not 0 < self.slo < 1e7),
        ):
            if wrong:
                raise LoadRefused(refused)

    @property
    def open_loop(self) -> bool:
        """Whether each message is due at a time of its own."""
        return self.rate is not None or self.ramp is not None

    @property
    def limit(self) -> float | None:
        """Seconds of the load after its warm-up; None if something else ends it."""
        if self.duration is not None:
            return self.duration
        if self.ramp is not None:
            return self.ramp.seconds
        return None if self.messages is not None else DURATION

    def schedule(self) -> Schedule | None:
        """When messages are due; None in a closed loop."""
        if self.ramp is not None:
            ramp = Schedule.ramp(self.ramp.low, self.ramp.high, self.ramp.seconds)
            if not self.warmup:
                return ramp
            rates = [(step.rate, self.ramp.seconds / len(ramp.steps)) for step in ramp.steps]
            return Schedule([(self.ramp.low, self.warmup), *rates])
        return None if self.rate is None else Schedule.steady(self.rate)

    def make(self) -> Make:
        """What makes the messages."""
        if self.texts:
            return Given(self.texts, self.framing, self.expect)
        return Numbered(*self.size, self.framing, self.expect, self.seed)


def read_texts(path: str) -> tuple[bytes, ...]:
    """The lines of a file, each of them a message.

    Raises:
      LoadRefused: it has none, or is too large.
      OSError: it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(LARGEST_FILE + 1)
    if len(data) > LARGEST_FILE:
        raise LoadRefused("load.file_large", path=path, limit=LARGEST_FILE >> 20)
    texts = data.removesuffix(b"\n").split(b"\n")
    if not data:
        raise LoadRefused("load.file_empty", path=path)
    return tuple(texts)
