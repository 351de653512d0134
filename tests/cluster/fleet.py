"""A server of several processes, and crowds of clients that compare every byte."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio

from tests.support.victim import PATIENCE, Event, Victim


class Fleet(Victim):
    """A supervisor with its workers."""

    def pids(self) -> dict[int, int]:
        """The processes of the workers that live, by their numbers."""
        living: dict[int, int] = {}
        for event in self.events():
            if event["event"] == "worker_ready":
                living[event["worker"]] = event["pid"]
            elif event["event"] in ("worker_ended", "worker_died"):
                living.pop(event["worker"], None)
        return living

    def every_pid(self) -> set[int]:
        """Every worker that there ever was."""
        return {event["pid"] for event in self.events("worker_ready")}

    def wait_for_count(self, name: str, count: int) -> list[Event]:
        """So many events of that name."""
        self.wait_for(name, lambda _: len(self.events(name)) >= count)
        return self.events(name)

    def wait_for_more(self) -> None:
        """Until the journal has told something else."""
        known = len(self.lines)
        with self._told:
            assert self._told.wait_for(lambda: len(self.lines) > known, PATIENCE)

    def report(self) -> dict[str, Any]:
        """What the server says of itself to a new client of the inspect dialect."""
        report: dict[str, Any] = json.loads(self.ask(b"REPORT\n"))
        return report


@contextlib.contextmanager
def fleet(*options: str, processes: int = 2, **more: Any) -> Iterator[Fleet]:
    """A server of several processes, which has to end well, and leaves no process behind."""
    server = Fleet("--processes", str(processes), *options, **more)
    try:
        yield server
        if server.process.poll() is None:
            server.check()
            assert server.stop() == 0
        assert_no_orphans(server)
    finally:
        for pid in server.every_pid():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        server.close()


def guardian_of(server: Fleet) -> int:
    """The process that leads the group of the workers."""
    (group,) = {os.getpgid(pid) for pid in server.pids().values()}
    assert group in children_of(server.process.pid)
    return group


def install(program: Path) -> None:
    """Make a program that is this Python. A link to it would lose its virtual environment."""
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    program.chmod(0o755)


def assert_no_orphans(server: Fleet) -> None:
    """None of its processes is there any more; each gets a while to be gone."""
    for pid in server.every_pid():
        assert_ends(pid)


def assert_ends(pid: int) -> None:
    """The process is gone after a while."""
    deadline = time.monotonic() + PATIENCE
    while is_alive(pid):
        assert time.monotonic() < deadline, f"{pid} lives on"
        time.sleep(0.01)  # nobody tells us: it is not our child


def is_alive(pid: int) -> bool:
    """Whether there is such a process, and it has not ended already (proc(5))."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def children_of(pid: int) -> set[int]:
    """The processes that this one has started and not yet buried."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if int((folder / "stat").read_text().rpartition(")")[2].split()[1]) == pid:
                found.add(int(folder.name))
    return found


@dataclass
class Talker:
    """A client that asks and compares until it has had enough, or its connection ends."""

    stream: trio.SocketStream
    name: str
    worker: int = 0
    number: int = 0
    answered: int = 0
    ended: str = ""
    enough: bool = False
    progress: trio.Event = field(default_factory=trio.Event)

    async def introduce(self) -> None:
        """Ask the server which worker this is (dialect inspect)."""
        await self.stream.send_all(b"REPORT\n")
        report = json.loads(await self._line())
        self.worker, self.number = report["server"]["worker"], report["connection"]

    async def talk(self) -> None:
        """Ask; `ended` says at the end why: enough, closed or broken."""
        try:
            while not self.enough:
                question = f"{self.name} {self.answered} ñandú\n".encode()
                await self.stream.send_all(question)
                reply = await self._line()
                if not reply:
                    self.ended = "closed"
                    return
                assert reply == question.decode().upper().encode(), reply
                self.answered += 1
                self.progress.set()
                self.progress = trio.Event()
            self.ended = "enough"
        except trio.BrokenResourceError:
            self.ended = "broken"
        finally:
            self.progress.set()

    async def wait_for(self, more: int) -> None:
        """Until so many more questions have been answered."""
        goal = self.answered + more
        while self.answered < goal and not self.ended:
            await self.progress.wait()

    async def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            data = await self.stream.receive_some(65536)
            if not data:
                assert not line, f"cut: {line!r}"
                return b""
            line += data
        return line


@asynccontextmanager
async def crowd(
    server: Fleet, count: int, *, introduced: bool = True
) -> AsyncGenerator[list[Talker], None]:
    """So many clients that talk while the block runs; each ends by itself at its end."""
    async with trio.open_nursery() as nursery:
        talkers = []
        for n in range(count):
            talker = Talker(await trio.open_tcp_stream("127.0.0.1", server.port), f"cliente {n}")
            talkers.append(talker)
            if introduced:
                await talker.introduce()
        for talker in talkers:
            nursery.start_soon(talker.talk)
        yield talkers
        for talker in talkers:
            talker.enough = True
    for talker in talkers:
        await talker.stream.aclose()


async def waiting(call: Callable[..., Any], *arguments: Any, **more: Any) -> Any:
    """Wait in a thread, so that the crowd goes on talking."""
    return await trio.to_thread.run_sync(partial(call, *arguments, **more))


def connect_all(port: int, count: int) -> list[socket.socket]:
    """So many connections, as quickly as they can be made."""
    return [socket.create_connection(("127.0.0.1", port), PATIENCE) for _ in range(count)]
