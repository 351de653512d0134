"""The server under test: a process, what it holds, what it tells, and how it ends."""

from __future__ import annotations

import json
import os
import ssl
import sys
import unicodedata
from collections.abc import AsyncIterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE

import trio

from tests.soak.plans import DIALECT

OPTIONS = ["--host", "127.0.0.1", "--port", "0", "--log-format", "json", "--no-console"]
DRAIN_TIMEOUT = 10
"""Seconds that the server gives its clients (its own default)."""
IN_TIME = DRAIN_TIMEOUT + 5.0
"""Seconds after SIGTERM by which it must have ended, on a machine that has other work, too."""
LINGERING = """
import sys
from tcpecho_trio.cli import main
from tcpecho_trio.server import connection
connection.LINGER_TIME = float(sys.argv.pop(1))
main()
"""
"""The program with another time for a lingering close. On a machine that is far too busy, what a
client still sends may come later than that; the server's reset then costs it unread replies."""
SETTLING = 10.0
"""Seconds for the last connections to be closed: a lingering close takes two."""
PAGE = os.sysconf("SC_PAGE_SIZE")

UNSHOWABLE = {"Cc", "Cs", "Co", "Cn"}
"""Unicode's categories of controls, and of what is no character at all."""
TURNING = {*range(0x202A, 0x202F), *range(0x2066, 0x206A)}
"""Controls of the direction of writing (UAX #9): they make a line read as another one."""


@dataclass(frozen=True)
class Held:
    """What a process holds of the system."""

    rss: int
    descriptors: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """What this process holds just now (proc(5)); nothing, if it is gone."""
        process = Path(f"/proc/{pid}")
        try:
            pages = int((process / "statm").read_text().split()[1])
            return cls(pages * PAGE, len(list((process / "fd").iterdir())))
        except OSError:
            return cls(0, 0)


def journal_trouble(line: str) -> str:
    """What is wrong with a line of the JSON journal; nothing, if it is as it should be."""
    try:
        event = json.loads(line)
    except ValueError as error:
        return f"no JSON: {error}"
    if not isinstance(event, dict) or not {"event", "timestamp"} <= event.keys():
        return "no event with its time"
    if event["event"] == "crashed":
        return "a crash"
    for text in (line, *(value for value in event.values() if isinstance(value, str))):
        for character in text:
            if unicodedata.category(character) in UNSHOWABLE or ord(character) in TURNING:
                return f"U+{ord(character):04X} in it"
    return ""


class Server:
    """A server process on a free port.

    Args:
      name: what the report calls it.
      options: of ``serve``, besides those that every server of the soak gets.
      linger: seconds of a lingering close; None for the server's own.
      context: what its clients shake hands with; None without TLS.
    """

    def __init__(
        self,
        name: str,
        *options: str,
        linger: float | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        self.context = context
        self.port = 0
        self.journal_lines = 0
        self.troubles: list[str] = []
        """What its journal and its standard error should not have told."""
        program = ["-m", "tcpecho_trio"] if linger is None else ["-c", LINGERING, str(linger)]
        self._command = [sys.executable, "-bb", *program, "serve", *OPTIONS, *options]
        self._command += ["--dialect", DIALECT.name]
        self._process: trio.Process | None = None

    @property
    def process(self) -> trio.Process:
        """The running process."""
        assert self._process is not None
        return self._process

    def held(self) -> Held:
        """What it holds just now."""
        return Held.by(self.process.pid)

    async def serve(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start it, and read what it tells until it ends; when cancelled, kill it."""
        listening = trio.Event()
        async with trio.open_nursery() as nursery:
            self._process = await nursery.start(
                partial(
                    trio.run_process,
                    self._command,
                    stdin=DEVNULL,
                    stdout=PIPE,
                    stderr=PIPE,
                    check=False,
                )
            )
            assert self.process.stdout is not None
            assert self.process.stderr is not None
            nursery.start_soon(self._read_journal, self.process.stdout, listening)
            nursery.start_soon(self._read_errors, self.process.stderr)
            with trio.fail_after(IN_TIME):
                await listening.wait()
            task_status.started()

    async def settle(self, before: Held) -> Held:
        """What it holds once all its connections are closed, or after the time for that."""
        with trio.move_on_after(SETTLING):
            while True:
                await trio.sleep(0.05)  # nothing outside a process tells of its descriptors
                if self.held().descriptors <= before.descriptors:
                    break
        return self.held()

    async def _read_journal(
        self, lines: AsyncIterable[bytes | bytearray], listening: trio.Event
    ) -> None:
        rest = b""
        async for data in lines:
            *complete, rest = (rest + data).split(b"\n")
            for line in complete:
                self._check(line)
                if not listening.is_set() and b'"listening"' in line:
                    self.port = int(json.loads(line)["listener"].rpartition(":")[2])
                    listening.set()
        if rest:
            self._trouble(f"journal ends in the middle of a line: {rest!r}")

    def _check(self, line: bytes) -> None:
        self.journal_lines += 1
        trouble = journal_trouble(line.decode(errors="replace"))
        if trouble:
            self._trouble(f"journal: {trouble}: {line[:300]!r}")

    async def _read_errors(self, text: AsyncIterable[bytes | bytearray]) -> None:
        async for data in text:
            self._trouble(f"standard error: {bytes(data)!r}")

    def _trouble(self, trouble: str) -> None:
        if len(self.troubles) < 10:
            self.troubles.append(trouble)
