"""What is typed on the server's own terminal."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import trio

from tcpecho_trio.display import shown
from tcpecho_trio.server.events import DrainReason
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.stdio.input import Input, LineReader
from tcpecho_trio.texts import Texts

CLOSE_WORDS = frozenset({"cerrarservidor", "cerrar servidor"})
LIST_WORDS = frozenset({"listar"})
HELP_WORDS = frozenset({"ayuda", "help"})


class Listed(NamedTuple):
    """A client as it is listed.

    Args:
      number: of its connection.
      client: its address, as it is written.
      since: when it came, in seconds since 1970 (time(2)).
      messages: how many it has sent; None if nobody counts.
      size: bytes that it has sent.
    """

    number: int
    client: str
    since: float
    messages: int | None
    size: int


class ListedElsewhere(NamedTuple):
    """A client of another server as it is listed.

    Args:
      client: its address, as it is written, and its server's name; or how many more there are.
      clients: how many that stands for.
    """

    client: str
    clients: int


class Console:
    """Obeys the words that are typed at the server's terminal.

    It ends at the end of its input (a closed stdin, ``/dev/null``), and the server goes on. At a
    terminal Ctrl-D ends nothing: the next line is read.

    Args:
      source: where the words come from.
      say: takes each line of the answers.
      everybody: who is connected; in a cluster, also elsewhere.
      at_terminal: whether `source` is a terminal, and has not hung up.
    """

    def __init__(
        self,
        source: Input,
        say: Callable[[str], None],
        *,
        texts: Texts,
        lifecycle: Lifecycle,
        everybody: Callable[[], Awaitable[Sequence[Listed | ListedElsewhere]]],
        at_terminal: Callable[[], bool] = lambda: False,
    ) -> None:
        self._source = source
        self._at_terminal = at_terminal
        self._say = say
        self._texts = texts
        self._lifecycle = lifecycle
        self._everybody = everybody

    async def run(self, *, greet: bool = False) -> None:
        """Read and obey until the input ends; `greet` tells a person about the words first."""
        if greet:
            self._say(self._texts.console_hint)
        try:
            await self._obey_lines()
            while self._at_terminal():  # Ctrl-D: the system shows nothing for it
                self._say(self._texts.console_hint)
                await self._obey_lines()
        except OSError:  # nothing can be typed here; that is no reason to stop serving
            self._say(self._texts.console_unreadable)

    async def _obey_lines(self) -> None:
        lines = LineReader(self._source)
        while (line := await lines.read_line()) is not None:
            await self.obey(line)

    async def obey(self, line: str) -> None:
        """Do what one line says; case and surrounding blanks do not matter to a person."""
        word = " ".join(line.split()).lower()
        if word in CLOSE_WORDS:
            self._lifecycle.drain(DrainReason.CONSOLE)
        elif word in LIST_WORDS:
            await self._list()
        elif word in HELP_WORDS:
            self._say(self._texts.console_help)
        elif word:
            self._say(self._texts.console_unknown.format(word=shown(line.strip())))

    async def _list(self) -> None:
        clients = await self._everybody()
        if not clients:
            self._say(self._texts.console_nobody)
            return
        own = [listed for listed in clients if isinstance(listed, Listed)]
        others = [listed for listed in clients if isinstance(listed, ListedElsewhere)]
        count = len(own) + sum(listed.clients for listed in others)
        self._say(self._texts.console_listing.format(count=count))
        width = max((len(listed.client) for listed in own), default=0)
        for listed in own:
            line = self._texts.console_client.format(
                number=listed.number,
                client=listed.client.ljust(width),
                since=time.strftime("%H:%M:%S", time.localtime(listed.since)),
                messages=self._number(listed.messages),
                size=self._texts.number(listed.size),
            )
            self._say(f"  {line}")
        for elsewhere in others:  # that server's own console says the rest
            self._say(f"  –  {elsewhere.client}")

    def _number(self, count: int | None) -> str:
        return "–" if count is None else self._texts.number(count)


async def everybody_at(registry: Registry) -> list[Listed]:  # noqa: ASYNC124  others ask
    """Who is connected to a server that is one process."""
    now, clock = time.time(), trio.current_time()
    return [
        Listed(
            one.info.number,
            one.info.client,
            now - (clock - one.stats.opened_at),
            one.stats.messages_in,
            one.stats.bytes_in,
        )
        for one in registry
    ]
