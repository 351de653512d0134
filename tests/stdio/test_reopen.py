"""Opening a shared pipe once more, and what stays as it was."""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpecho_trio.stdio.reopen import PIPE_SIZE, reopened

linux = pytest.mark.skipif(not hasattr(fcntl, "F_SETPIPE_SZ"), reason="a pipe's size is Linux's")


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    os.close(reading)
    os.close(writing)


@linux
@pytest.mark.parametrize(("end", "flags"), [(0, os.O_RDONLY), (1, os.O_WRONLY)])
def test_a_pipe_is_our_own_then_and_holds_more(pipe: tuple[int, int], end: int, flags: int) -> None:
    own = reopened(pipe[end], flags)
    assert own is not None
    assert not os.get_blocking(own)
    assert not os.get_inheritable(own)
    assert os.get_blocking(pipe[end])
    assert fcntl.fcntl(own, fcntl.F_GETPIPE_SZ) == PIPE_SIZE
    os.close(own)


@linux
def test_a_pipe_that_may_not_grow_serves_as_it_is(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = fcntl.fcntl

    def refuse(fd: int, command: int, argument: int = 0) -> int:
        if command == fcntl.F_SETPIPE_SZ:
            raise PermissionError
        return whole(fd, command, argument)

    with monkeypatch.context() as patched:
        patched.setattr(fcntl, "fcntl", refuse)
        own = reopened(pipe[0], os.O_RDONLY)
    assert own is not None
    os.write(pipe[1], b"hola")
    assert os.read(own, 100) == b"hola"
    os.close(own)


def test_a_descriptor_gets_no_direction_that_it_does_not_have(pipe: tuple[int, int]) -> None:
    assert reopened(pipe[0], os.O_WRONLY) is None
    assert reopened(pipe[1], os.O_RDONLY) is None


def test_what_cannot_be_opened_again_is_said_so(tmp_path: Path) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert reopened(ours.fileno(), os.O_RDONLY) is None
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(tmp_path / "fifo", os.O_WRONLY)
    os.close(reading)
    assert reopened(writing, os.O_WRONLY) is None  # ENXIO: nobody reads it
    os.close(writing)
