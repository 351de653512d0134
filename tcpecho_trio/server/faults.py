"""Faults on demand: what does a client, or a proxy, do when its backend misbehaves?

Each ``--fault KIND[:AMOUNT]@SHARE`` makes a share of the connections suffer one fault. Which ones
is decided when they are accepted, by a generator of its own for each fault: the same seed and
the same order of arrival give the same faults, whatever other faults there are.

========= ================= =======================================================
kind      amount            what the client sees
========= ================= =======================================================
``delay`` ``200ms``, ``2s`` every reply comes that much later
``drip``  bytes a second    replies come no faster
``stall`` –                 it is accepted, and nothing ever answers it
``close`` bytes             an orderly close after that many bytes of replies
``reset`` bytes             a reset after that many bytes of replies
========= ================= =======================================================
"""

from __future__ import annotations

import enum
import math
import random
import re
from dataclasses import dataclass

import trio

from tcpecho_trio.server import write_timeout

STEPS_A_SECOND = 20
"""Pieces a second in which a reply drips, if there is a byte for each: a person sees it flow."""

SPEC = re.compile(
    r"(?P<kind>[a-z]+)(?::(?P<amount>\d+(?:\.\d+)?)(?P<unit>ms|s)?)?(?:@(?P<share>[0-9.]+))?"
)


class Kind(enum.Enum):
    """What goes wrong; the module's docstring has the table."""

    DELAY = "delay"
    DRIP = "drip"
    STALL = "stall"
    CLOSE = "close"
    RESET = "reset"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault, and the share of the connections that it hits.

    Args:
      kind: what goes wrong.
      amount: seconds for a delay, bytes a second for a drip, bytes for a close or a reset.
      share: of the connections, 0 to 1.
    """

    kind: Kind
    amount: float = 0.0
    share: float = 1.0

    @classmethod
    def parse(cls, spec: str) -> Fault:
        """Read ``delay:200ms@0.1``; without a share it hits every connection.

        Raises:
          ValueError: it is no such thing.
        """
        found = SPEC.fullmatch(spec)
        if found is None:
            raise ValueError(f"KIND[:AMOUNT][@SHARE], such as delay:200ms@0.1: {spec}")
        try:
            kind, unit = Kind(found["kind"]), found["unit"]
            amount = float(found["amount"] or 0) / (1000 if unit == "ms" else 1)
            share = float(found["share"] or 1)
        except ValueError as error:
            raise ValueError(f"no such fault: {spec}") from error
        timed, sized = kind is Kind.DELAY, kind is not Kind.STALL
        if (
            not 0 <= share <= 1
            or (found["amount"] is None) is sized
            or (unit is None) is timed
            or (kind is Kind.DRIP and amount < 1)
            or (kind in (Kind.CLOSE, Kind.RESET) and not amount.is_integer())
            or math.isinf(amount)
        ):
            raise ValueError(f"no such fault: {spec}")
        return cls(kind, amount, share)

    def __str__(self) -> str:
        """As it is given, but for its share."""
        if self.kind is Kind.STALL:
            return str(self.kind.value)
        unit = "s" if self.kind is Kind.DELAY else ""
        amount = f"{self.amount:f}".rstrip("0").rstrip(".")  # %g would round 1234567 bytes
        return f"{self.kind.value}:{amount}{unit}"


class FaultSampler:
    """Decides which connections suffer which faults.

    Args:
      faults: those that there are.
      seed: None for a different choice in every run.

    Attributes:
      faults: those that there are now.
    """

    def __init__(self, faults: tuple[Fault, ...] = (), seed: int | None = None) -> None:
        self._seed = seed
        self.change(faults)

    def change(self, faults: tuple[Fault, ...]) -> None:
        """Inject these faults from now on; each begins its choices anew."""
        self.faults = faults
        seed = self._seed
        self._draws = [
            (fault, random.Random(None if seed is None else f"{seed}/{number}"))  # noqa: S311
            for number, fault in enumerate(faults)
        ]

    def draw(self) -> tuple[Fault, ...]:
        """The faults of the next connection."""
        return tuple(fault for fault, chance in self._draws if chance.random() < fault.share)


class Injected(Exception):
    """The connection ends here, because a fault says so."""

    def __init__(self, *, reset: bool) -> None:
        self.reset = reset
        super().__init__("reset" if reset else "close")


class FaultyStream(trio.abc.HalfCloseableStream):
    """A stream that suffers from faults.

    Args:
      below: the connection; not closed by this.
      faults: what happens to it.
      period: as for :func:`~tcpecho_trio.server.write_timeout.send_all`. It is measured below:
        injected delay is not slowness of the peer.
    """

    patient = True

    def __init__(
        self, below: trio.abc.HalfCloseableStream, faults: tuple[Fault, ...], period: float
    ) -> None:
        self.below = below
        self._period = period
        amounts = {fault.kind: fault.amount for fault in faults}
        self._stalls = Kind.STALL in amounts
        self._delay = amounts.get(Kind.DELAY, 0.0)
        self._rate = amounts.get(Kind.DRIP)
        ends = [
            (amounts[kind], kind is Kind.RESET)
            for kind in (Kind.CLOSE, Kind.RESET)
            if kind in amounts
        ]
        self._room: float | None = None
        self._reset = False
        if ends:
            self._room, self._reset = min(ends)

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive, if it does not stall. Once we have half-closed, nothing is injected.

        Raises:
          Injected: not one byte of a reply may be sent.
        """
        if self._room == 0:
            raise Injected(reset=self._reset)
        if self._stalls:
            await trio.sleep_forever()
        return await self.below.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send as late, as slowly and as much as the faults let it.

        Raises:
          Injected: that was all.
        """
        if self._delay:
            await trio.sleep(self._delay)
        view = memoryview(data)
        if self._room is not None:
            view = view[: int(self._room)]
            self._room -= len(view)
        if self._rate is None:
            await write_timeout.send_all(self.below, view, self._period)
        else:
            await self._drip(view, self._rate)
        if self._room == 0:
            raise Injected(reset=self._reset)

    async def _drip(self, view: memoryview, rate: float) -> None:
        step = max(1, int(rate / STEPS_A_SECOND))
        for start in range(0, len(view), step):
            piece = view[start : start + step]
            await write_timeout.send_all(self.below, piece, self._period)
            await trio.sleep(len(piece) / rate)

    async def wait_send_all_might_not_block(self) -> None:
        """See :class:`trio.abc.SendStream`."""
        await self.below.wait_send_all_might_not_block()

    async def send_eof(self) -> None:
        """Half-close; from now on nothing is injected, so that the close is an orderly one."""
        self._room, self._stalls = None, False
        await self.below.send_eof()

    async def aclose(self) -> None:
        """Close the connection below."""
        await self.below.aclose()
