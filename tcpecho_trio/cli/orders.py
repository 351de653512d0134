"""What tells a process with a server to do something: signals, and words at its console."""

from __future__ import annotations

import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

from tcpecho_trio.server import DrainReason, Lifecycle
from tcpecho_trio.server.console import Console, Listed, ListedElsewhere
from tcpecho_trio.server.renderers import Put
from tcpecho_trio.stdio.input import Input
from tcpecho_trio.texts import Texts

STOPPING = {signal.SIGINT: DrainReason.SIGINT, signal.SIGTERM: DrainReason.SIGTERM}
"""Signals that end the server, and what is said of them."""


async def obey_signals(arriving: AsyncIterator[int], lifecycle: Lifecycle) -> None:
    """Drain at the first of :data:`STOPPING`, cut at the second."""
    async for number in arriving:
        lifecycle.signal(STOPPING[signal.Signals(number)])


async def obey_console(
    answer: Put,
    texts: Texts,
    lifecycle: Lifecycle,
    everybody: Callable[[], Awaitable[Sequence[Listed | ListedElsewhere]]],
) -> None:
    """Obey the words that are typed on standard input.

    Args:
      answer: takes what is said to the person there.
      texts: the language.
      lifecycle: the server's.
      everybody: its clients, for the list of them.
    """
    with Input(0) as typed:
        words = Console(
            typed,
            answer,
            texts=texts,
            lifecycle=lifecycle,
            everybody=everybody,
            at_terminal=lambda: os.isatty(0),
        )
        await words.run(greet=os.isatty(0))
