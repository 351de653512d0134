"""The line between the supervisor and one of its workers: JSON, a message a line, both ways.

It is a socketpair. Its end tells either side of the other's death. Every message is an object with
a ``kind``; what a side does not know (it may be of another version) it ignores.

From a worker to the supervisor:

============ ======================= ===========================================================
kind         fields                  meaning
============ ======================= ===========================================================
``ready``    ``version``             its listeners accept
``beat``     ``counters``            its loop is alive; once a second
``journal``  ``name``, ``fields``    a record of its journal, sampled already
``access``   ``lines``               lines of the access log
``shutdown`` ``client``              a client's word ends the server
``term``     –                       somebody has sent it a SIGTERM
``draining`` ``clients``             it has closed its listeners; so many clients are there
``stopped``  ``counters``            it ends; its last counters
============ ======================= ===========================================================

From the supervisor to a worker:

============ ======================= ===========================================================
kind         fields                  meaning
============ ======================= ===========================================================
``config``   see :mod:`.config`      the first message: who it is, and where it listens
``drain``    ``reason``, ``client``  end in an orderly way
``abort``    –                       end at once
``retire``   –                       accept nobody else, and end when everybody has left
============ ======================= ===========================================================

Either side may ask the other: ``ask`` (``id``, ``what``, ``about``) is answered by ``answer``
(``id`` and ``value``, or ``error``). What can be asked is a table of functions that each side
hands to its :class:`Channel`:

=============== =============================== ================================================
of a worker     about                           value
=============== =============================== ================================================
``clients``     –                               its clients' addresses, in the order of arrival
``connections`` –                               an object for each (:func:`.counters.described`)
``counters``    –                               all counters (:func:`.counters.counters_of`)
``dismiss``     ``number``                      whether that client was there; it is closed
``faults``      ``faults``, as they are written how many there are from now on
=============== =============================== ================================================

A worker may ask its supervisor for ``clients``: the addresses of everybody else's.

A message may bring descriptors along (``SCM_RIGHTS``, unix(7)); the receiver finds them in its
``descriptors``.
"""

from __future__ import annotations

import array
import contextlib
import itertools
import json
import os
import socket
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import trio

from tcpecho_trio.nurseries import open_nursery

Message = dict[str, Any]

Answer = Callable[..., Any]
"""Called with what a question is about; its value, or what it awaits, is the answer."""

READ_SIZE = 65536

MAX_DESCRIPTORS = 16
"""Descriptors that come with one message, at most."""

DROPPABLE = 1 << 20
"""Bytes that may wait before what can be lost is lost: lines of logs, and heartbeats."""

MOST = 32 << 20
"""Bytes that may wait in all: the addresses of a million clients. A peer that leaves more unread
is lost, and so is the line to it."""

MAX_LINE = MOST
"""Bytes of a message."""

LAST_WORDS = 1.0
"""Seconds that the last messages get to leave."""


class Unanswered(Exception):
    """A question got no answer: too late, the line has ended, or the other side could not."""


class NoMessage(Exception):
    """What came is no message of ours."""


class _Question:
    """One that has been asked."""

    def __init__(self) -> None:
        self.done = trio.Event()
        self.value: Any = None
        self.error = "the line has ended"


class Channel:
    """One end of the line.

    Args:
      end: a stream socket; the channel owns it.
      answers: what the other side may ask.
    """

    def __init__(self, end: socket.socket, answers: Mapping[str, Answer] | None = None) -> None:
        end.setblocking(False)
        self._socket = end
        self._answers = dict(answers or {})
        self._queue: deque[tuple[bytes, tuple[int, ...]]] = deque()
        self._size = 0
        self._filled = trio.Event()
        self._emptied = trio.Event()
        self._emptied.set()
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer that hold no LF
        self._received: deque[int] = deque()  # descriptors without their message
        self._numbers = itertools.count(1)
        self._asked: dict[int, _Question] = {}
        self.ended = trio.Event()
        """Set when nothing more comes."""
        self.lost = 0
        """How many messages did not fit. It only grows."""

    def put(
        self, message: Message, *, droppable: bool = False, descriptors: Sequence[int] = ()
    ) -> bool:
        """Queue a message; never blocks.

        Args:
          message: its `kind` and its fields.
          droppable: it is lost where the other side reads too slowly.
          descriptors: sent along; they may be closed at once.

        Returns:
          Whether it will be sent, if the other side lives.
        """
        if self.ended.is_set():
            return False
        if descriptors:
            message = {**message, "fds": len(descriptors)}
        line = json.dumps(message, separators=(",", ":")).encode() + b"\n"
        if self._size + len(line) > (DROPPABLE if droppable else MOST):
            self.lost += 1
            if not droppable:
                self.close()
            return False
        self._queue.append((line, tuple(map(os.dup, descriptors))))
        self._size += len(line)
        if self._emptied.is_set():
            self._emptied = trio.Event()
            self._filled.set()
        return True

    async def ask(self, what: str, seconds: float, /, **about: Any) -> Any:
        """Ask the other side.

        Args:
          what: one of its questions.
          seconds: how long the answer may take.
          about: what the question is about.

        Raises:
          Unanswered: there is no answer.
        """
        number, question = next(self._numbers), _Question()
        self._asked[number] = question
        try:
            if self.put({"kind": "ask", "id": number, "what": what, "about": about}):
                with trio.move_on_after(seconds) as waiting:
                    await question.done.wait()
                if waiting.cancelled_caught:
                    question.error = f"no answer in {seconds:g} s"
        finally:
            del self._asked[number]
        if question.error:
            raise Unanswered(question.error)
        return question.value

    def also_answer(self, answers: Mapping[str, Answer]) -> None:
        """Answer these questions, too, from now on."""
        self._answers.update(answers)

    async def run(self, handle: Callable[[Message], None]) -> None:
        """Send, and receive, until the other side ends or the line is closed.

        Args:
          handle: takes each message that is no question and no answer.

        Raises:
          NoMessage: the other side is none of ours.
        """
        try:
            async with open_nursery(NoMessage) as nursery:
                nursery.start_soon(self._send)
                try:
                    await self._receive(handle, nursery)
                finally:
                    self.ended.set()
                    for question in self._asked.values():
                        question.done.set()
                nursery.cancel_scope.cancel()
        finally:
            self.close()

    async def flush(self) -> None:
        """Wait until everything is sent, for :data:`LAST_WORDS` seconds at most."""
        with trio.move_on_after(LAST_WORDS):
            await self._emptied.wait()

    def close(self) -> None:
        """Close our end; what waits is lost."""
        self.ended.set()
        if self._socket.fileno() >= 0:
            trio.lowlevel.notify_closing(self._socket)
            self._socket.close()
        for _, descriptors in self._queue:
            _close(descriptors)
        _close(self._received)
        self._queue.clear()
        self._received.clear()

    def _dispatch(
        self, message: Message, handle: Callable[[Message], None], nursery: trio.Nursery
    ) -> None:
        kind = message.get("kind")
        if kind == "ask":
            nursery.start_soon(self._answer, message)
        elif kind == "answer":
            if (question := self._asked.get(message.get("id", 0))) is not None:
                question.value = message.get("value")
                question.error = str(message.get("error", ""))
                question.done.set()
        else:
            try:
                handle(message)
            except (KeyError, TypeError, ValueError) as error:
                raise NoMessage(f"{kind}: {error!r}") from error

    async def _answer(self, message: Message) -> None:
        answer = {"kind": "answer", "id": message.get("id")}
        try:
            value = self._answers[message["what"]](**message.get("about", {}))
            answer["value"] = await value if isinstance(value, Awaitable) else value
        except Exception as error:  # noqa: BLE001  whatever it is: it is the other side's to know
            answer["error"] = f"{type(error).__name__}: {error}"
        self.put(answer)

    async def _send(self) -> None:
        """Send what is queued, as much at a time as there is without descriptors between."""
        with contextlib.suppress(OSError):  # the other side has ended, which receiving will see
            while True:
                await self._filled.wait()
                while self._queue:
                    lines, descriptors = self._next()
                    try:
                        await self._send_all(lines, descriptors)
                    finally:
                        _close(descriptors)
                    self._size -= len(lines)
                self._filled = trio.Event()
                self._emptied.set()

    def _next(self) -> tuple[bytes, tuple[int, ...]]:
        lines, descriptors = self._queue.popleft()
        if descriptors:
            return lines, descriptors
        batch = [lines]
        while self._queue and not self._queue[0][1]:
            batch.append(self._queue.popleft()[0])
        return b"".join(batch), ()

    async def _send_all(self, data: bytes, descriptors: tuple[int, ...]) -> None:
        rights = array.array("i", descriptors)
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)] if descriptors else []
        view = memoryview(data)
        while view:
            try:
                view = view[self._socket.sendmsg([view], ancillary) :]
                ancillary = []  # they have gone with the first byte
            except BlockingIOError:
                await trio.lowlevel.wait_writable(self._socket)

    async def _receive(self, handle: Callable[[Message], None], nursery: trio.Nursery) -> None:
        """Take each message, until the other side ends."""
        rights_size = socket.CMSG_SPACE(MAX_DESCRIPTORS * array.array("i").itemsize)
        with contextlib.suppress(OSError, trio.ClosedResourceError):  # either side has closed it
            while True:
                try:
                    data, rights, _, _ = self._socket.recvmsg(READ_SIZE, rights_size)
                except BlockingIOError:
                    await trio.lowlevel.wait_readable(self._socket)
                    continue
                for level, kind, numbers in rights:
                    if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
                        self._received.extend(_descriptors(numbers))
                if not data:
                    return
                for message in self._split(data):
                    self._dispatch(message, handle, nursery)
                # A flood of messages shall not keep the other tasks waiting.
                await trio.lowlevel.checkpoint()

    def _split(self, data: bytes) -> Iterator[Message]:
        """The messages that are whole now."""
        self._buffer += data
        while (end := self._buffer.find(b"\n", self._searched)) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            self._searched = 0
            yield self._parsed(line)
        self._searched = len(self._buffer)
        if self._searched > MAX_LINE:
            raise NoMessage("a message that does not end")

    def _parsed(self, line: bytes) -> Message:
        try:
            message = json.loads(line)
            count = message.pop("fds", 0)
            if count:
                message["descriptors"] = [self._received.popleft() for _ in range(count)]
        except (ValueError, AttributeError, TypeError, IndexError, RecursionError) as error:
            raise NoMessage(f"{line[:80]!r}") from error
        parsed: Message = message
        return parsed


def _descriptors(numbers: bytes) -> list[int]:
    received = array.array("i")
    received.frombytes(numbers[: len(numbers) - len(numbers) % received.itemsize])
    for number in received:
        os.set_inheritable(number, False)
    return received.tolist()


def _close(descriptors: Sequence[int] | deque[int]) -> None:
    for descriptor in descriptors:
        os.close(descriptor)
