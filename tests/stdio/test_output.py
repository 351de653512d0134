"""Writing all of it, to whatever is behind a descriptor, and never stopping the loop."""

from __future__ import annotations

import fcntl
import os
import socket
import threading
from io import FileIO
from pathlib import Path

import pytest
import trio

from tcpecho_trio.stdio.output import Output, write_all

MUCH = bytes(range(256)) * 4000  # far more than a pipe holds


def test_a_descriptor_that_somebody_made_non_blocking_gets_every_byte() -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)

    def write() -> None:
        write_all(writing, MUCH)
        os.close(writing)

    with FileIO(reading) as reader:
        writer = threading.Thread(target=write)
        writer.start()
        assert reader.readall() == MUCH
        writer.join()


@pytest.mark.parametrize("kind", ["a pipe", "a socket"])
async def test_a_slow_reader_gets_every_byte_and_stops_nobody(kind: str) -> None:
    if kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    received = bytearray()

    async def write() -> None:
        with Output(writing) as output:
            await output.write(MUCH)
        os.close(writing)

    with FileIO(reading) as reader:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(write)
            await trio.testing.wait_all_tasks_blocked()  # the writer waits: the loop goes on
            while data := await trio.to_thread.run_sync(reader.read, 65536):
                received += data
    assert received == MUCH


@pytest.mark.parametrize("kind", ["a pipe", "a socket"])
async def test_the_descriptor_stays_as_others_share_it(kind: str) -> None:
    if kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    with Output(writing) as output:
        await output.write(b"hola")
        assert not fcntl.fcntl(writing, fcntl.F_GETFL) & os.O_NONBLOCK
    assert os.read(reading, 10) == b"hola"
    os.write(writing, b"still open")
    os.close(reading)
    os.close(writing)


async def test_a_file_is_written_where_it_stands(tmp_path: Path) -> None:
    path = tmp_path / "out"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT)
    os.write(fd, b"before ")
    with Output(fd) as output:
        await output.write(MUCH)
    os.close(fd)
    assert path.read_bytes() == b"before " + MUCH


@pytest.mark.parametrize("kind", ["a pipe", "a socket", "a full disk"])
async def test_what_write_says_is_raised(kind: str) -> None:
    if kind == "a full disk":
        reading, writing = os.open("/dev/null", os.O_RDONLY), os.open("/dev/full", os.O_WRONLY)
    elif kind == "a pipe":
        reading, writing = os.pipe()
    else:
        reading, writing = (end.detach() for end in socket.socketpair())
    os.close(reading)
    with (
        Output(writing) as output,
        pytest.raises(OSError if kind == "a full disk" else BrokenPipeError),
    ):
        await output.write(MUCH)
    os.close(writing)


async def test_where_nothing_can_be_opened_a_thread_writes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    reading, writing = os.pipe()

    def refuse(*_: object) -> int:
        raise PermissionError

    with monkeypatch.context() as patch:
        patch.setattr("tcpecho_trio.stdio.reopen.os.open", refuse)
        output = Output(writing)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(output.write, MUCH)
        await trio.testing.wait_all_tasks_blocked()
        with FileIO(reading) as reader:
            left = len(MUCH)
            while left:
                left -= len(await trio.to_thread.run_sync(reader.read, 65536))
    os.close(writing)
    assert left == 0
