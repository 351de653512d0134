"""Lines to a descriptor that stalls, fails or leaves."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator
from io import FileIO

import pytest
import trio

from tcpecho_trio.stdio.log_writer import MAX_QUEUED, LogWriter

Ends = tuple[FileIO, FileIO]


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a loaded machine a thread may take longer than the server would wait."""
    monkeypatch.setattr("tcpecho_trio.stdio.log_writer.FLUSH_TIME", 3600)


@pytest.fixture
def pipe() -> Iterator[Ends]:
    """A pipe's reading and writing end."""
    reading, writing = os.pipe()
    with FileIO(reading, "r") as reader, FileIO(writing, "w") as writer:
        yield reader, writer


def lost(count: int) -> str:
    return f"lost {count}"


async def test_lines_are_written_in_order(pipe: Ends) -> None:
    outlet = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        for number in range(100):
            outlet.put(f"línea {number}")
        await outlet.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(65536).decode() == "".join(f"línea {n}\n" for n in range(100))


async def test_a_line_that_the_encoding_lacks_is_escaped(pipe: Ends) -> None:
    outlet = LogWriter(pipe[1].fileno(), lost, encoding="ascii")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        outlet.put("ñ")
        await outlet.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(100) == b"\\xf1\n"


async def test_a_stalled_output_drops_lines_and_says_so_once_it_moves(pipe: Ends) -> None:
    outlet = LogWriter(pipe[1].fileno(), lost)
    line = "x" * 1023
    lines = 3 * MAX_QUEUED // 1024
    received = b""

    def read_everything() -> bytes:
        return pipe[0].readall()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        for _ in range(lines):
            outlet.put(line)  # nobody reads, and yet this does not block

        async def drain_pipe() -> None:
            nonlocal received
            received = await trio.to_thread.run_sync(read_everything)

        async with trio.open_nursery() as reading:
            reading.start_soon(drain_pipe)
            await outlet.flush()
            nursery.cancel_scope.cancel()
            pipe[1].close()
    told = received.decode().splitlines()
    assert told[-1] == f"lost {lines - (len(told) - 1)}"
    assert len(told) - 1 == MAX_QUEUED // 1024


async def test_a_reader_that_left_costs_lines_and_nothing_else(pipe: Ends) -> None:
    pipe[0].close()
    outlet = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        outlet.put("nobody hears this")
        await outlet.flush()
        nursery.cancel_scope.cancel()


async def test_flushing_a_stalled_output_gives_up(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tcpecho_trio.stdio.log_writer.FLUSH_TIME", 0.01)
    ended = threading.Event()

    class Watched(LogWriter):
        def _write(self, data: bytes) -> bool:
            try:
                return super()._write(data)
            finally:
                ended.set()

    outlet = Watched(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        outlet.put("x" * 500_000)
        await outlet.flush()
        nursery.cancel_scope.cancel()
    # The abandoned thread must be gone before its descriptor's number is used again.
    pipe[0].close()
    await trio.to_thread.run_sync(ended.wait)


async def test_lines_that_could_not_be_written_are_told_when_it_works_again(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    outlet = LogWriter(pipe[1].fileno(), lost)
    real_write = os.write

    def full_disk(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(outlet.run)
        monkeypatch.setattr(os, "write", full_disk)
        outlet.put("one")
        outlet.put("two")
        await outlet.flush()
        monkeypatch.setattr(os, "write", real_write)
        outlet.put("three")
        await outlet.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(100) == b"three\nlost 2\n"
