"""One client of the soak: it plays its plan, and compares every byte that it hears."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable

import trio

from tcpecho_trio.tls.stream import TlsStream
from tests.soak.fault_proxy import Faults, reset_on_close
from tests.soak.plans import HalfClose, Hear, Pause, Plan, Reset, Say
from tests.support.certificates import HOST

PATIENCE = 30.0
"""Seconds until a client's life counts as hung; it should take two or three, and machines are
shared."""
SHOWN = 40
"""Bytes shown around a difference."""

Open = Callable[[Faults], Awaitable[trio.SocketStream]]
"""Connects, by way of such faults."""

Stream = trio.SocketStream | TlsStream


async def secured(below: trio.SocketStream, context: ssl.SSLContext | None) -> Stream:
    """The connection, with TLS on it if there is a context to shake hands with."""
    if context is None:
        return below
    stream = TlsStream(below, context, name=HOST)
    try:
        await stream.do_handshake()
    except BaseException:
        await trio.aclose_forcefully(below)
        raise
    return stream


class Heard:
    """What came in, compared as it comes with what is due."""

    def __init__(self, due: bytes) -> None:
        self.total = 0
        self.wrong = ""
        self._due = due
        self._more = trio.Event()

    def take(self, data: bytes) -> None:
        """Compare what came in next."""
        due = self._due[self.total : self.total + len(data)]
        if data != due and not self.wrong:
            self.wrong = difference(self.total, due, data)
        self.total += len(data)
        self._more.set()
        self._more = trio.Event()

    async def wait_for(self, total: int) -> None:
        """Wait until so many bytes have come in since the beginning."""
        while self.total < total:
            await self._more.wait()


def difference(at: int, due: bytes, data: bytes) -> str:
    """Where two pieces of a stream begin to differ, and how."""
    same = next(
        (place for place, pair in enumerate(zip(due, data, strict=False)) if pair[0] != pair[1]),
        min(len(due), len(data)),
    )
    around = slice(max(0, same - SHOWN), same + SHOWN)
    tokens = {token.decode() for token in re.findall(rb"C\d+M\d+", data[around])}
    return (
        f"byte {at + same:,}: due …{due[around]!r}…, heard …{data[around]!r}…"
        f"{', of the messages ' + ' '.join(sorted(tokens)) if tokens else ''}"
    )


async def play(plan: Plan, connect: Open, context: ssl.SSLContext | None = None) -> tuple[int, str]:
    """Live a client's life; return how many bytes were compared, and what was wrong."""
    heard, ending = Heard(plan.due), "hung"
    with trio.move_on_after(PATIENCE):
        await trio.lowlevel.checkpoint()
        try:
            stream = await secured(await connect(plan.faults), context)
            async with stream, trio.open_nursery() as nursery:
                nursery.start_soon(_act, plan, stream, heard)
                ending = await _listen(plan, stream, heard)
                nursery.cancel_scope.cancel()  # who has heard the end need not say more
        except trio.BrokenResourceError as error:  # while they shook hands
            ending = f"not agreed ({error})"
        except OSError as error:  # the proxy was reached too late for a reset before accept
            ending = f"not connected ({error})"
    if heard.wrong:
        return heard.total, heard.wrong
    if ending == "hung" or (plan.whole and (ending, heard.total) != ("end", len(plan.due))):
        return heard.total, f"{ending} after {heard.total:,} bytes; {len(plan.due):,} were due"
    return heard.total, ""


def socket_of(stream: Stream) -> trio.SocketStream:
    """The bare connection."""
    if isinstance(stream, TlsStream):
        assert isinstance(stream.below, trio.SocketStream)
        return stream.below
    return stream


async def _act(plan: Plan, stream: Stream, heard: Heard) -> None:
    try:
        for step in plan.steps:
            if isinstance(step, Say):
                await stream.send_all(step.data)
            elif isinstance(step, Hear):
                await heard.wait_for(step.total)
            elif isinstance(step, Pause):
                await trio.sleep(step.seconds)  # a client that pauses
            elif isinstance(step, HalfClose):
                await stream.send_eof()
            elif isinstance(step, Reset):
                reset_on_close(socket_of(stream))
                await stream.aclose()
    except trio.BrokenResourceError:
        pass  # who listens sees it as well, after all that still came


async def _listen(plan: Plan, stream: Stream, heard: Heard) -> str:
    """Listen until there is nothing more; return how that was."""
    try:
        while data := await stream.receive_some(plan.read_size):
            heard.take(bytes(data))
            if plan.read_pause:
                await trio.sleep(plan.read_pause)  # a slow reader
    except trio.BrokenResourceError:
        return "reset"
    except trio.ClosedResourceError:
        return "left"
    return "end"
