"""A worker as its supervisor sees it: the process, the line to it, and what it last said."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import trio

from tcpecho_trio.cluster.channel import Channel, Message, NoMessage, Unanswered
from tcpecho_trio.cluster.config import CHANNEL
from tcpecho_trio.cluster.counters import Counters
from tcpecho_trio.display import shown

QUIET_SIGNALS = {
    number
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1")
    if (number := getattr(signal, name, None)) is not None
}
"""Signals that a terminal, or whoever sends them to all processes of a group, may send before a new
worker knows what to do with them. It begins with these blocked (execve(2) keeps the mask)."""

MOST_SAID = 200
"""Lines of a worker's standard error that are told: a few tracebacks."""

LONGEST_SAID = 4096
"""Bytes of such a line."""

OUR_ERROR = "Error: "
"""What an error begins with that we tell a person, in every language."""

LAST_WORDS = 1.0
"""Seconds that what a dead process had sent may take to be read."""


class WorkerProcess:
    """One worker. :meth:`attend` has to run as long as the process does.

    Args:
      number: from 1; that of its slot.
      command: how it is started.
      environ: its environment, but for the variable that makes it a worker.
      descriptors: what it inherits.
      group: the process group that it joins; None for ours.
      answers: what it may ask.

    Raises:
      OSError: it cannot be started (fork(2), execve(2)), or no descriptors are left.
    """

    def __init__(
        self,
        number: int,
        command: Sequence[str],
        environ: Mapping[str, str],
        descriptors: Sequence[int],
        group: int | None,
        answers: Mapping[str, Callable[..., Any]],
    ) -> None:
        self.number = number
        ours, theirs = socket.socketpair()
        self._errors = -1
        try:
            with theirs:
                self._errors, writing = os.pipe()  # now: later there may be no descriptors left
                with os.fdopen(writing, "wb") as errors, _blocked():
                    self._process = subprocess.Popen(  # noqa: S603  ourselves
                        command,
                        stdin=subprocess.DEVNULL,
                        stdout=subprocess.DEVNULL,  # two processes must not write to one log
                        stderr=errors,
                        pass_fds=(theirs.fileno(), *descriptors),
                        env={**environ, CHANNEL: str(theirs.fileno())},
                        process_group=group,
                    )
        except BaseException:  # no process, no line to it
            ours.close()
            if self._errors >= 0:
                os.close(self._errors)
            raise
        self.channel = Channel(ours, answers)
        self.pid = self._process.pid
        self.born = self.beat = trio.current_time()
        """When it was started, and when it last gave a sign of life."""
        self.counters: Counters = {}
        """What it counted when it last said so."""
        self.clients_left = 0
        """How many clients it had when it closed its listeners."""
        self.accepting_over = trio.Event()
        """Set when it has closed its listeners, or ended."""
        self.ready = trio.Event()
        self.ended = trio.Event()
        self.settled = trio.Event()
        """Set when it is ready, or has ended."""
        self.retiring = False
        """Whether another one has taken its place."""
        self.stopped = False
        """Whether it has said that it ends."""
        self.last_words = ""
        """What it said on its standard error of why it cannot be."""
        self._has_said_why = False
        self.last_clients: list[str] = []
        """Its clients' addresses when it was last asked."""

    async def attend(self, handle: Callable[[Message], None], said: Callable[[str], None]) -> None:
        """Take what it sends and says until it has ended.

        Args:
          handle: takes each message.
          said: takes each line of its standard error.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._listen, handle)
                nursery.start_soon(self._read_errors, said)
                await self._wait()
                # Both end by themselves now, unless a child of its own holds its descriptors.
                nursery.cancel_scope.deadline = trio.current_time() + LAST_WORDS
        finally:
            self.channel.close()
            if self._process.poll() is None:  # we are being cancelled: no orphan stays
                self.kill()
                self._process.wait()
            self.accepting_over.set()
            self.ended.set()
            self.settled.set()

    @property
    def code(self) -> int | None:
        """Its exit code; None if a signal has ended it, or nothing yet."""
        code = self._process.returncode
        return None if code is None or code < 0 else code

    @property
    def signal(self) -> str | None:
        """The name of the signal that has ended it."""
        code = self._process.returncode
        if code is None or code >= 0:
            return None
        try:
            return signal.Signals(-code).name
        except ValueError:  # a real-time signal has none
            return f"{-code}"

    @property
    def failure(self) -> str:
        """Why it could not be, as far as that is known; empty while it lives."""
        by_code = "" if self.code is None else f"exit code {self.code}"
        return self.last_words or self.signal or by_code

    @property
    def well(self) -> bool:
        """Whether it has ended as it should."""
        return self.stopped and self._process.returncode == 0

    def order(self, kind: str, **fields: Any) -> None:
        """Tell it to end in some way."""
        self.retiring = self.retiring or kind == "retire"
        self.channel.put({"kind": kind, **fields})

    def kill(self) -> None:
        """End it at once (SIGKILL); also when it is stopped or hangs."""
        self._process.kill()

    async def _listen(self, handle: Callable[[Message], None]) -> None:
        try:
            await self.channel.run(handle)
        except NoMessage as error:  # whatever it is, it is no worker of ours
            self.last_words = f"not a message: {error}"
            self.kill()

    async def _read_errors(self, said: Callable[[str], None]) -> None:
        rest, lines = b"", 0
        async with trio.lowlevel.FdStream(self._errors) as stream:
            async for data in stream:
                *whole, rest = (rest + data).split(b"\n")
                rest = rest[:LONGEST_SAID]
                for line in whole:
                    lines += 1
                    if lines <= MOST_SAID:
                        text = shown(line[:LONGEST_SAID])
                        said(text)
                        # An error of ours is one line, and a hint may follow; of a traceback
                        # the last line says what has happened.
                        if not self._has_said_why:
                            self._has_said_why = text.startswith(OUR_ERROR)
                            self.last_words = text.removeprefix(OUR_ERROR)

    async def _wait(self) -> None:
        """Until the process has ended."""
        try:
            descriptor = os.pidfd_open(self.pid)
        except (AttributeError, OSError):  # not Linux, or no descriptor is left
            await trio.to_thread.run_sync(self._process.wait, abandon_on_cancel=True)
            return
        try:
            await trio.lowlevel.wait_readable(descriptor)
        finally:
            os.close(descriptor)
        self._process.wait()


@contextlib.contextmanager
def _blocked() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, QUIET_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


async def ask_each(
    workers: Sequence[WorkerProcess], what: str, seconds: float, **about: Any
) -> dict[WorkerProcess, Any]:
    """Ask several workers at once; who does not answer in time is left out.

    Args:
      workers: whom.
      what: a question (:mod:`tcpecho_trio.cluster.channel`).
      seconds: how long their answers may take.
      about: what the question is about.
    """
    answers: dict[WorkerProcess, Any] = {}

    async def ask(worker: WorkerProcess) -> None:
        with contextlib.suppress(Unanswered):
            answers[worker] = await worker.channel.ask(what, seconds, **about)

    async with trio.open_nursery() as nursery:
        for worker in workers:
            nursery.start_soon(ask, worker)
    return answers
