"""The words of whoever sits at the server, from a pipe that the test writes."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

import pytest
import trio

from tcpecho_trio.server import Lifecycle, Registry
from tcpecho_trio.server.console import Console
from tcpecho_trio.standard_input import LineReader, read_chunk
from tcpecho_trio.texts import SPANISH


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    ends = os.pipe()
    yield ends
    for end in ends:
        os.close(end)


class Someone:
    peer = "127.0.0.1:1"

    def drain(self) -> None: ...


def console(fd: int, registry: Registry | None = None) -> tuple[Console, Lifecycle, list[str]]:
    said: list[str] = []
    lifecycle = Lifecycle()
    registry = Registry() if registry is None else registry
    return (
        Console(fd, said.append, texts=SPANISH, lifecycle=lifecycle, registry=registry),
        lifecycle,
        said,
    )


@pytest.mark.parametrize(
    "word", ["cerrarservidor", "cerrar servidor", " CerrarServidor ", "cerrar  servidor"]
)
async def test_the_closing_words_drain(word: str, pipe: tuple[int, int]) -> None:
    words, lifecycle, _ = console(pipe[0])
    os.write(pipe[1], f"{word}\n".encode())
    async with trio.open_nursery() as nursery:
        nursery.start_soon(words.run)
        await lifecycle.wait_draining()
        nursery.cancel_scope.cancel()
    assert lifecycle.reason == "pedido en la consola"


def test_listing_shows_who_is_connected() -> None:
    registry = Registry()
    words, _, said = console(0, registry)
    words.obey("listar")
    assert said == ["No hay clientes conectados."]
    registry.add(Someone())
    words.obey("listar")
    assert said[1:] == ["Clientes conectados: 1", "  127.0.0.1:1"]


def test_help_and_unknown_words() -> None:
    words, lifecycle, said = console(0)
    words.obey("ayuda")
    assert "cerrarservidor" in said[0]
    words.obey("apaga\x1b[2J")
    assert said[1] == r"No conozco «apaga\x1b[2J». Escribe «ayuda» para ver las palabras."
    words.obey("   ")
    assert len(said) == 2
    assert not lifecycle.draining


@pytest.mark.parametrize("content", [b"", b"listar\n", b"listar"])
async def test_a_console_at_the_end_of_its_input_ends(content: bytes) -> None:
    with tempfile.TemporaryFile() as file:  # epoll refuses regular files
        file.write(content)
        file.seek(0)
        words, lifecycle, said = console(file.fileno())
        await words.run(greet=True)
    assert said[1:] == ["No hay clientes conectados."] * bool(content)
    assert not lifecycle.draining


async def test_lines_are_put_together_and_keep_undecodable_bytes(pipe: tuple[int, int]) -> None:
    lines = LineReader(pipe[0])
    os.write(pipe[1], b"uno\r\ndos\nt\xc3")
    assert await lines.read_line() == "uno"
    assert await lines.read_line() == "dos"
    with trio.move_on_after(0):
        await lines.read_line()
    os.write(pipe[1], b"\xb1\xff\n")
    assert await lines.read_line() == "tñ\udcff"


async def test_a_background_job_waits_for_the_foreground(
    pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    foreground = iter([os.getpgrp() + 1, os.getpgrp()])
    monkeypatch.setattr(os, "tcgetpgrp", lambda _: next(foreground))
    monkeypatch.setattr("tcpecho_trio.standard_input.BACKGROUND_CHECK", 0.0)
    os.write(pipe[1], b"x")
    assert await read_chunk(pipe[0]) == b"x"


async def test_a_terminal_that_hung_up_is_the_end_of_the_input() -> None:
    controller, terminal = os.openpty()
    os.close(controller)
    assert await read_chunk(terminal) == b""
    os.close(terminal)
