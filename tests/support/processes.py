"""The program as its users run it: processes, terminals, and the exercise's old clients."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeVar

import pexpect

PROGRAM = [sys.executable, "-bb", "-m", "tcpecho_trio"]
ROOT = Path(__file__).parent.parent.parent

PEM = str(ROOT / "pyproject.toml")
CERTIFICATE = ("--tls-cert", PEM, "--tls-key", PEM)
"""Files that there are; what is in them is not looked at before the options are right."""

PATIENCE = 120.0
"""Seconds that anything may take before a test fails. It is for what hangs: the machine may be
far too busy, and then everything takes long."""

AT_ONCE = 20.0
"""Seconds within which happens what happens "at once" or "within a second". On a busy machine a
second is soon over; a wait that was forgotten (for a client, for a drain) would last longer."""

NOT_INSTALLED = """\
import sys
sys.modules['prompt_toolkit'] = None  # importing it fails from here on
from tcpecho_trio.cli import main
sys.exit(main())
"""
WITHOUT_EXTRA = [*PROGRAM[:2], "-c", NOT_INSTALLED]


PATH: tuple[str, ...] = ()
"""The option that chooses the way through the server; the fixture `path` sets it."""


class ServerProcess:
    """``serve`` on a free port, with pipes for its console."""

    program: Sequence[str] | None = None
    """How the program is run; None for :data:`PROGRAM`, which a test may replace."""

    def __init__(self, *options: str, stdin: int | IO[bytes] | None = subprocess.PIPE) -> None:
        self.process = subprocess.Popen(
            [
                *(self.program or PROGRAM),
                "serve",
                *(() if "--port" in options else ("--port", "0")),
                *PATH,
                *options,
            ],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        self.lines: list[str] = []
        self.port = int(self.wait_for(r'[a-z0-9.]+:(\d+)[ "]')[1])

    def wait_for(self, pattern: str) -> re.Match[str]:
        """The first line, already told or still to come, in which the pattern is found."""
        for line in self.lines:
            if found := re.search(pattern, line):
                return found
        assert self.process.stdout is not None
        while line := self.process.stdout.readline().decode().rstrip("\n"):
            self.lines.append(line)
            if found := re.search(pattern, line):
                return found
        raise AssertionError(f"ended without {pattern!r}: {self.lines}")

    def type(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()

    def finish(self) -> int:
        """Wait for its end, and take what it still told."""
        out, err = self.process.communicate()
        self.lines += out.decode().splitlines()
        assert err == b"", err.decode()
        return self.process.returncode

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.finish()


AnyServer = TypeVar("AnyServer", bound=ServerProcess)


@contextmanager
def serving(*options: str) -> Iterator[ServerProcess]:
    """A server process that ends well when it is told to."""
    with ending_well(ServerProcess(*options)) as server:
        yield server


@contextmanager
def ending_well(server: AnyServer) -> Iterator[AnyServer]:
    """Any such process, which has to end well; nothing is left of it."""
    try:
        yield server
        if server.process.poll() is None:
            assert server.stop() == 0
    finally:
        server.process.kill()
        server.process.communicate()


class OldClient:
    """An unmodified client of the exercise: one send() a message, then one recv(1024)."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("localhost", port))

    def __enter__(self) -> OldClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def hear(self) -> str:
        return self.socket.recv(1024).decode()

    def ask(self, text: str) -> str:
        self.socket.send(text.encode())
        return self.hear()

    def send_and_close(self, text: str) -> None:
        self.socket.send(text.encode())
        self.socket.close()


def run(
    *arguments: str, stdin: bytes = b"", env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """The program with a pipe for its input, to its end."""
    return subprocess.run(
        [*PROGRAM, *arguments],
        input=stdin,
        capture_output=True,
        cwd=ROOT,
        check=False,
        env={**os.environ, **(env or {})},
    )


@contextmanager
def at_terminal(*arguments: str) -> Iterator[pexpect.spawn]:  # type: ignore[type-arg]
    """The program at a terminal of its own."""
    child = pexpect.spawn(
        PROGRAM[0], [*PROGRAM[1:], *arguments], encoding="utf-8", cwd=ROOT, timeout=PATIENCE
    )
    child.delaybeforesend = None  # what is typed early waits in the terminal
    try:
        yield child
    finally:
        end_at_once(child)


def end_at_once(child: pexpect.spawn) -> None:  # type: ignore[type-arg]
    """Have a program no longer run. pexpect itself gives a busy machine a tenth of a second."""
    if not child.closed and child.isalive():
        child.kill(signal.SIGKILL)
        child.wait()
    child.close()


def exit_code(child: pexpect.spawn) -> int:  # type: ignore[type-arg]
    """Wait for the program at the terminal to end."""
    child.expect(pexpect.EOF)
    child.close()
    assert child.exitstatus is not None, f"killed by {child.signalstatus}"
    return int(child.exitstatus)


def matched(child: pexpect.spawn) -> str:  # type: ignore[type-arg]
    """What the parentheses of the pattern that was expected last stand for."""
    assert isinstance(child.match, re.Match)
    return str(child.match[1])
