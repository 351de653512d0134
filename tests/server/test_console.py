"""Words that are typed at the server, from a pipe that the test writes."""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
import trio

from tcpecho_trio.server import DrainReason, Lifecycle, Registry
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.console import Console, Listed, ListedElsewhere, everybody_at
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.stdio.input import MAX_LINE, Input, LineReader
from tcpecho_trio.texts import SPANISH


class Typed:
    """What is typed into a pipe or at a terminal, and the input at its other end."""

    def __init__(self, *, terminal: bool = False) -> None:
        if terminal:
            self._writing, self._reading = os.openpty()
        else:
            self._reading, self._writing = os.pipe()
        self.input = Input(self._reading)

    def type(self, text: bytes) -> None:
        os.write(self._writing, text)

    def steal(self) -> bytes:
        """Another reader of the same pipe."""
        return os.read(self._reading, 100)

    def close(self) -> None:
        self.input.close()
        os.close(self._reading)
        os.close(self._writing)


@pytest.fixture
def typed() -> Iterator[Typed]:
    pipe = Typed()
    yield pipe
    pipe.close()


@pytest.fixture
def at_terminal() -> Iterator[Typed]:
    terminal = Typed(terminal=True)
    yield terminal
    terminal.close()


class Someone:
    info = ConnectionInfo(1, "127.0.0.1:1", "127.0.0.1:1", "localhost:5000")

    def __init__(self) -> None:
        self.stats = ConnectionStats(trio.current_time())
        self.stats.received(b"hola\n" * 1234, 1234)

    closing = None

    def wake(self) -> None: ...

    def dismiss(self) -> None: ...


def console(
    source: Input, registry: Registry | None = None
) -> tuple[Console, Lifecycle, list[str]]:
    said: list[str] = []
    lifecycle = Lifecycle()
    registry = Registry() if registry is None else registry
    return (
        Console(
            source,
            said.append,
            texts=SPANISH,
            lifecycle=lifecycle,
            everybody=partial(everybody_at, registry),
        ),
        lifecycle,
        said,
    )


@pytest.mark.parametrize(
    "word", ["cerrarservidor", "cerrar servidor", " CerrarServidor ", "cerrar  servidor"]
)
async def test_the_closing_words_drain(word: str, typed: Typed) -> None:
    words, lifecycle, _ = console(typed.input)
    typed.type(f"{word}\n".encode())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(words.run)
        await lifecycle.wait_draining()
        nursery.cancel_scope.cancel()
    assert lifecycle.reason is DrainReason.CONSOLE


async def test_listing_shows_who_is_connected_and_what_passed(typed: Typed) -> None:
    registry = Registry()
    words, _, said = console(typed.input, registry)
    await words.obey("listar")
    assert said == ["No hay clientes conectados."]
    registry.accept("here")
    registry.open(Someone())
    await words.obey("listar")
    title, client = said[1:]
    assert title == "Clientes conectados: 1"
    assert re.fullmatch(
        r"  1  127\.0\.0\.1:1  desde \d\d:\d\d:\d\d  mensajes: 1.234  bytes: 6.170", client
    )


async def test_clients_elsewhere_stand_behind_our_own_and_are_counted(typed: Typed) -> None:
    own = Listed(3, "127.0.0.1:1", 0.0, None, 5)
    others = [ListedElsewhere("203.0.113.7:5 dos", 1), ListedElsewhere("… +12 dos", 12)]
    everybody: list[Listed | ListedElsewhere] = [own, *others]

    async def found() -> list[Listed | ListedElsewhere]:
        return everybody

    said: list[str] = []
    words = Console(typed.input, said.append, texts=SPANISH, lifecycle=Lifecycle(), everybody=found)
    await words.obey("listar")
    assert said[0] == "Clientes conectados: 14"
    assert said[1].startswith("  3  127.0.0.1:1  desde ")
    assert said[2:] == (elsewhere := ["  –  203.0.113.7:5 dos", "  –  … +12 dos"])
    everybody.remove(own)
    await words.obey("listar")
    assert said[4:] == ["Clientes conectados: 13", *elsewhere]


async def test_help_and_unknown_words(typed: Typed) -> None:
    words, lifecycle, said = console(typed.input)
    await words.obey("ayuda")
    assert "cerrarservidor" in said[0]
    await words.obey("apaga\x1b[2J")
    assert said[1] == r"No conozco «apaga\x1b[2J». Escribe «ayuda» para ver las palabras."
    await words.obey("   ")
    assert len(said) == 2
    assert not lifecycle.draining


@pytest.mark.parametrize("content", [b"", b"listar\n", b"listar"])
async def test_a_console_at_the_end_of_its_input_ends(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:  # epoll refuses regular files
        file.write(content)
        file.seek(0)
        with Input(file.fileno()) as source:
            words, lifecycle, said = console(source)
            await words.run(greet=True)
    assert said[1:] == ["No hay clientes conectados."] * bool(content)
    assert not lifecycle.draining


async def test_a_console_that_cannot_be_read_says_so_and_ends() -> None:
    write_only = os.open(os.devnull, os.O_WRONLY)  # as nohup(1) leaves standard input
    with Input(write_only) as source:
        words, lifecycle, said = console(source)
        await words.run()
    os.close(write_only)
    assert said == ["La consola no se puede leer; el servidor sigue. Termínalo con Ctrl-C."]
    assert not lifecycle.draining


async def test_lines_are_put_together_and_keep_undecodable_bytes(typed: Typed) -> None:
    lines = LineReader(typed.input)
    typed.type(b"uno\r\ndos\nt\xc3")
    assert await lines.read_line() == "uno"
    assert await lines.read_line() == "dos"
    with trio.move_on_after(0):
        await lines.read_line()
    typed.type(b"\xb1\xff\n")
    assert await lines.read_line() == "tñ\udcff"


async def test_a_line_without_end_is_cut_and_fills_no_memory(typed: Typed) -> None:
    lines = LineReader(typed.input)
    async with trio.open_nursery() as nursery:

        async def endless() -> None:
            while True:
                typed.type(b"x" * 1000)
                await trio.lowlevel.checkpoint()

        nursery.start_soon(endless)
        line = await lines.read_line()
        assert line is not None
        assert MAX_LINE <= len(line) < MAX_LINE + 70_000
        nursery.cancel_scope.cancel()


async def test_input_that_somebody_else_took_does_not_block_the_loop(
    at_terminal: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = at_terminal
    # Readable when it was waited for, and empty when it is read.
    wait_readable = trio.lowlevel.wait_readable

    async def and_then_stolen(fd: int) -> None:
        await wait_readable(fd)
        assert typed.steal() == b"mine\n"
        monkeypatch.setattr("trio.lowlevel.wait_readable", another_line_later)

    async def another_line_later(fd: int) -> None:
        typed.type(b"yours\n")
        await wait_readable(fd)

    monkeypatch.setattr("trio.lowlevel.wait_readable", and_then_stolen)
    typed.type(b"mine\n")
    assert await LineReader(typed.input).read_line() == "yours"


async def test_a_background_job_waits_for_the_foreground(
    at_terminal: Typed, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed = at_terminal
    foreground = iter([os.getpgrp() + 1, os.getpgrp()])
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: next(foreground))
    monkeypatch.setattr("tcpecho_trio.stdio.input.BACKGROUND_CHECK", 0.0)
    typed.type(b"x\n")
    assert await typed.input.read_chunk() == b"x\n"


async def test_a_fifo_whose_writer_has_left_before_we_came_has_an_end(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    reading = os.open(tmp_path / "fifo", os.O_RDONLY | os.O_NONBLOCK)
    writing = os.open(tmp_path / "fifo", os.O_WRONLY)
    os.write(writing, b"hola\n")
    os.close(writing)
    with Input(reading) as source:
        lines = LineReader(source)
        with trio.fail_after(10):
            assert await lines.read_line() == "hola"
            assert await lines.read_line() is None
    os.close(reading)


async def test_a_terminal_that_hung_up_is_the_end_of_the_input() -> None:
    controller, terminal = os.openpty()
    with Input(terminal) as source:
        os.close(controller)
        assert await source.read_chunk() == b""
    os.close(terminal)


async def test_without_proc_the_descriptor_itself_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def no_proc(*_: object) -> int:
        raise FileNotFoundError("/proc")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", no_proc)
        pipe = Typed()
    pipe.type(b"x")
    assert await pipe.input.read_chunk() == b"x"
    pipe.close()
