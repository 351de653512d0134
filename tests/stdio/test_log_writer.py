"""Lines to a descriptor that stalls, fails or leaves."""

from __future__ import annotations

import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from io import FileIO
from pathlib import Path

import pytest
import trio
import trio.testing
from trio.testing import MockClock

from tcpecho_trio.stdio.log_writer import FLUSH_TIME, MAX_QUEUED, LogWriter

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
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for number in range(100):
            writer.put(f"línea {number}")
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(65536).decode() == "".join(f"línea {n}\n" for n in range(100))


@pytest.mark.parametrize(
    ("encoding", "line", "written"),
    [
        ("ascii", "ñ", b"\\xf1\n"),
        ("utf-8", "ñ", "ñ\n".encode()),
        ("utf-8", "\udcff\ud800", b"\\udcff\\ud800\n"),
    ],
)
async def test_a_line_that_the_encoding_lacks_is_escaped(
    pipe: Ends, encoding: str, line: str, written: bytes
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost, encoding=encoding)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put(line)
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(100) == written


async def test_a_stalled_output_drops_lines_and_says_so_once_it_moves(pipe: Ends) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    line = "x" * 1023
    lines = 3 * MAX_QUEUED // 1024
    received = b""

    def read_everything() -> bytes:
        return pipe[0].readall()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for _ in range(lines):
            writer.put(line)  # nobody reads, and yet this does not block

        async def drain_pipe() -> None:
            nonlocal received
            received = await trio.to_thread.run_sync(read_everything)

        async with trio.open_nursery() as reading:
            reading.start_soon(drain_pipe)
            await writer.flush()
            nursery.cancel_scope.cancel()
            pipe[1].close()
    told = received.decode().splitlines()
    assert told[-1] == f"lost {lines - (len(told) - 1)}"
    assert len(told) - 1 == 1024  # a mebibyte


async def test_a_reader_that_left_costs_lines_and_nothing_else(pipe: Ends) -> None:
    pipe[0].close()
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("nobody hears this")
        await writer.flush()
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("how", ["without a thread", "in a thread"])
async def test_flushing_a_stalled_output_gives_up(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setattr("tcpecho_trio.stdio.log_writer.FLUSH_TIME", 0.01)
    ended = threading.Event()

    def watched(fd: int, data: bytes) -> int:
        try:
            return os.write(fd, data)
        finally:
            ended.set()

    if how == "in a thread":
        monkeypatch.setattr("tcpecho_trio.stdio.output.reopened", lambda *_, **__: None)
        monkeypatch.setattr("tcpecho_trio.stdio.output._write", watched)
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("x" * 500_000)
        await writer.flush()
        nursery.cancel_scope.cancel()
    pipe[0].close()
    if how == "in a thread":  # it must be gone before its descriptor's number is used again
        await trio.to_thread.run_sync(ended.wait)


async def test_lines_that_could_not_be_written_are_told_when_it_works_again(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    real_write = os.write

    def full_disk(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        monkeypatch.setattr(os, "write", full_disk)
        writer.put("one")
        writer.put("two")
        await writer.flush()
        monkeypatch.setattr(os, "write", real_write)
        writer.put("three")
        await writer.flush()
        monkeypatch.setattr(os, "write", full_disk)
        writer.put("four")
        await writer.flush()
        monkeypatch.setattr(os, "write", real_write)
        writer.put("five")
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(100) == b"three\nlost 2\nfive\nlost 1\n"


class Disk:
    """What os.write() is replaced with: a disk that has so many bytes left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, left: int) -> None:
        self.left = left
        self._write = os.write
        monkeypatch.setattr(os, "write", self)

    def __call__(self, fd: int, data: bytes | memoryview) -> int:
        if not self.left:
            raise OSError(errno.ENOSPC, "No space left on device")
        written = self._write(fd, data[: self.left])
        self.left -= written
        return written


@pytest.mark.parametrize("left", range(13))
async def test_a_line_that_was_cut_is_completed_before_anything_else(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch, left: int
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with monkeypatch.context() as patch:
            disk = Disk(patch, left)
            for line in ("one", "two", "six"):
                writer.put(line)
            await writer.flush()
            for room in (0, 1, 0):  # and the rest of the line can be cut, too
                disk.left += room
                writer.put("lost")
                await writer.flush()
        writer.put("end")
        await writer.flush()
        nursery.cancel_scope.cancel()
    *told, last = pipe[0].read(1000).decode().splitlines()
    assert told[-1] == "end"
    begun = ["one", "two", "six"][: -(-left // 4)]
    if left % 4 == 0:  # none of them was cut, so the byte of room begins another one
        begun.append("lost")
    assert told[:-1] == begun
    assert last == f"lost {6 - len(begun)}"
    assert writer._size == 0


async def test_a_line_that_was_cut_is_not_completed_in_another_file(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for line in ("one", "two"):  # the second is cut in the same file again
            with monkeypatch.context() as patch:
                Disk(patch, 2)
                writer.put(line)
                await writer.flush()
            if line == "one":
                writer.start_anew()
            writer.put("end")
            await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(1000) == b"onend\nlost 1\ntwo\nend\n"
    assert writer.dropped == 1
    assert writer._size == 0


async def test_the_file_may_change_in_the_middle_of_a_line(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    disk = Disk(monkeypatch, 2)
    rooms = iter((1000, 1000))

    def write(fd: int, data: bytes | memoryview) -> int:
        written = disk(fd, data)
        disk.left = next(rooms, disk.left)
        writer.start_anew()
        return written

    monkeypatch.setattr(os, "write", write)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for line in ("one", "end"):
            writer.put(line)
            await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(1000) == b"onend\nlost 1\n"
    assert writer.dropped == 1


async def test_lines_that_failed_take_no_room_for_ever(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    line, count = "x" * 65535, 3 * MAX_QUEUED // 65536
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with monkeypatch.context() as patch:
            Disk(patch, 0)
            for _ in range(count):
                writer.put(line)
                await writer.flush()
        writer.put("end")
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(1000).decode() == f"end\nlost {count}\n"
    assert writer.dropped == count


async def test_what_has_no_room_for_a_while_is_still_counted(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = LogWriter(pipe[1].fileno(), lambda count: f"lost {count}".ljust(MAX_QUEUED - 10))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with monkeypatch.context() as patch:
            Disk(patch, 0)
            for _ in range(3):
                writer.put("one")
                await writer.flush()
        writer.put("two")
        real = writer._tell_lost

        def tell_late() -> None:  # as when others have filled the queue meanwhile
            writer.put("x" * 100)
            writer._tell_lost = real  # type: ignore[method-assign]
            real()

        writer._tell_lost = tell_late  # type: ignore[method-assign]
        received = b""
        while b"lost" not in received:
            await trio.lowlevel.wait_readable(pipe[0].fileno())
            received += pipe[0].read(65536)
        nursery.cancel_scope.cancel()
    assert b"lost 3 " in received


async def test_without_threads_lines_are_lost_and_counted_until_there_are_some(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refuse(*_: object, **__: object) -> None:
        await trio.lowlevel.checkpoint()
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("tcpecho_trio.stdio.output.reopened", lambda *_, **__: None)
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        with monkeypatch.context() as patch:
            patch.setattr(trio.to_thread, "run_sync", refuse)
            for _ in range(3):
                writer.put("nobody writes this")
                await writer.flush()
        writer.put("end")
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(1000) == b"end\nlost 3\n"


class Huge(str):
    """A line for which there is no memory."""

    def __format__(self, _: str) -> str:
        raise MemoryError


async def test_without_memory_lines_are_lost_and_counted(pipe: Ends) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put(Huge())
        writer.put("end")
        await writer.flush()
        nursery.cancel_scope.cancel()
    assert pipe[0].read(1000) == b"end\nlost 1\n"


def waiting_in(pipe: Ends) -> bytes:
    """What has been written and not been read."""
    fcntl.fcntl(pipe[0].fileno(), fcntl.F_SETFL, os.O_NONBLOCK)
    return pipe[0].read(65536) or b""


async def test_the_first_line_is_written_at_once_and_those_in_a_hurry_together(
    pipe: Ends, mock_clock: MockClock
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        for _ in range(3):
            writer.put("first")
            await trio.testing.wait_all_tasks_blocked()
            assert waiting_in(pipe) == b"first\n"
            writer.put("second")
            await trio.testing.wait_all_tasks_blocked()
            writer.put("third")
            mock_clock.jump(0.019)
            await trio.testing.wait_all_tasks_blocked()
            assert waiting_in(pipe) == b""
            mock_clock.jump(0.002)  # fifty writes a second
            await trio.testing.wait_all_tasks_blocked()
            assert waiting_in(pipe) == b"second\nthird\n"
            mock_clock.jump(0.021)
        nursery.cancel_scope.cancel()


async def test_at_the_end_the_last_lines_leave_without_a_pause(
    pipe: Ends, mock_clock: MockClock
) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("first")
        await trio.testing.wait_all_tasks_blocked()
        writer.put("last")
        nursery.start_soon(writer.flush)
        await trio.testing.wait_all_tasks_blocked()  # no time passes
        assert waiting_in(pipe) == b"first\nlast\n"
        nursery.cancel_scope.cancel()


async def test_a_stalled_output_gets_half_a_second_for_the_last_lines(
    pipe: Ends, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr("tcpecho_trio.stdio.log_writer.FLUSH_TIME", FLUSH_TIME)
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("x" * 500_000)
        start = trio.current_time()
        await writer.flush()
        assert trio.current_time() - start == pytest.approx(0.5)
        nursery.cancel_scope.cancel()


async def test_a_writer_without_lines_sleeps(pipe: Ends) -> None:
    writer = LogWriter(pipe[1].fileno(), lost)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(writer.run)
        writer.put("one")
        await writer.flush()
        with trio.fail_after(60):  # a task that spins is never blocked
            await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()


async def test_a_disk_that_stalls_does_not_stop_the_loop(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loop, written_in = threading.get_ident(), []
    real_write = os.write

    def write(fd: int, data: bytes | memoryview) -> int:
        if bytes(data) == b"one\n":
            written_in.append(threading.get_ident())
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", write)
    with (tmp_path / "log").open("wb", buffering=0) as file:
        writer = LogWriter(file.fileno(), lost)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(writer.run)
            writer.put("one")
            await writer.flush()
            nursery.cancel_scope.cancel()
    assert len(written_in) == 1
    assert written_in != [loop]
