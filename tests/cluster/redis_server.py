"""A real Redis or Valkey, one for each test: its own process, in its own folder."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hiredis
import pytest

from tests.networks.programs import program
from tests.support.processes import PATIENCE


class RedisServer:
    """A server at a Unix socket; its data live in its memory only.

    Args:
      folder: for its socket.
      options: more of redis-server's.
      name: the program.
      prefix: what the program is run by, such as ``ip netns exec``.
    """

    def __init__(
        self,
        folder: Path,
        *options: str,
        name: str = "redis-server",
        prefix: tuple[str, ...] = (),
    ) -> None:
        self.path = folder / "redis.sock"
        self._command = [
            *(*prefix, program(name), "--unixsocket", str(self.path), "--save", ""),
            *("--appendonly", "no", "--dir", str(folder), "--port", "0", *options),
        ]
        self.process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def url(self) -> str:
        """As ``--cluster`` takes it."""
        return f"unix://{self.path}"

    def start(self) -> None:
        """Start it (again), empty; return once it takes connections."""
        self.process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        assert self.process.stdout is not None
        said = b""
        while b"eady to accept connections" not in said:
            line = self.process.stdout.readline()
            assert line, said.decode()
            said += line

    def kill(self) -> None:
        """End it at once, and wait until it has ended."""
        assert self.process is not None
        self.process.kill()
        self.process.communicate()
        self.process = None

    def freeze(self) -> None:
        """It accepts connections and commands, as the kernel does that, and answers nothing."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def call(self, *command: str | bytes | int) -> Any:
        """One command on a connection of its own, and its answer; text where it can be text."""
        return self._talk(command)

    def call_as(self, password: str, *command: str | bytes | int) -> Any:
        """The same after logging in."""
        return self._talk(("AUTH", password), command)

    def _talk(self, *commands: tuple[str | bytes | int, ...]) -> Any:
        reader = hiredis.Reader(encoding="utf-8", errors="surrogateescape")
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(PATIENCE)
            connection.connect(str(self.path))
            for command in commands:
                connection.sendall(hiredis.pack_command(command))  # type: ignore[arg-type]
                while (answer := reader.gets()) is False:
                    reader.feed(connection.recv(65536))
                if isinstance(answer, Exception):
                    raise answer
        return answer


@contextlib.contextmanager
def running_redis(
    folder: Path, *options: str, name: str = "redis-server", prefix: tuple[str, ...] = ()
) -> Iterator[RedisServer]:
    """A Redis that ends with the block, whatever became of it meanwhile."""
    server = RedisServer(folder, *options, name=name, prefix=prefix)
    try:
        yield server
    finally:
        if server.process is not None:
            server.process.send_signal(signal.SIGCONT)
            server.kill()


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test's own."""
    with running_redis(tmp_path) as server:
        yield server
