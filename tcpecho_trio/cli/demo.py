"""The exercise's two manual tests, played over a real socket in one process.

Server and client are the real ones; only the person at the keyboard is played. What each
console shows is collected, and told step by step in the order of the exercise: what the
client typed, what the server showed, what the client was shown.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from tcpecho_trio.client import open_client
from tcpecho_trio.client.prompt import Conversation
from tcpecho_trio.client.terminal import PlainTerminal
from tcpecho_trio.server import Events, Journal, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.events import ConnectionClosed, Event, RepliesSent
from tcpecho_trio.server.renderers import console_renderer
from tcpecho_trio.texts import Texts

SCRIPT = ("hola servidor", "DESCONEXION")
"""What is typed, one line a test; the exercise's own words."""


class _Screen:
    """One console: what is written to it, as complete lines."""

    def __init__(self) -> None:
        self._text = ""

    def write(self, text: str) -> None:
        self._text += text

    def say(self, line: str) -> None:
        self.write(f"{line}\n")

    def take(self) -> list[str]:
        """The lines since the last look."""
        lines, self._text = self._text.splitlines(), ""
        return lines


async def demo(say: Callable[[str], None], texts: Texts) -> bool:
    """Play the transcript, a line at a time; return whether both tests passed."""
    server, client = _Screen(), _Screen()
    width = max(len(texts.demo_server), len(texts.demo_client))
    shown: list[str] = []

    def tell(label: str, lines: list[str]) -> None:
        for line in lines:
            shown.append(line)
            say(f"  {label:{width}} │ {line}")

    titles = iter((texts.demo_first, texts.demo_second))
    script = iter(SCRIPT)
    answered = trio.Event()  # the server has told of its reply, or of the close

    events = Events()
    Journal(console_renderer(server.say, texts)).listen_to(events)

    def look(event: Event) -> None:
        if isinstance(event, (RepliesSent, ConnectionClosed)):
            answered.set()

    events.subscribe(look, messages=True)  # after the journal: it has told by then

    async def read_line() -> str | None:
        nonlocal answered
        typed = next(script)
        if typed != SCRIPT[0]:
            await answered.wait()
            finish_step()
        answered = trio.Event()
        say(f"\n{next(titles)}")
        client.say(typed)
        tell(texts.demo_client, client.take())
        return typed

    def finish_step() -> None:
        # The prompt of the next step is already on the client's screen, without its end.
        tell(texts.demo_server, server.take())
        lines = client.take()
        if lines and lines[-1] == texts.client_prompt:
            client.write(lines.pop())
        tell(texts.demo_client, lines)

    lifecycle, registry = Lifecycle(), Registry()
    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(
            partial(serve, Settings(port=0), lifecycle=lifecycle, registry=registry, events=events)
        )
        tell(texts.demo_server, server.take())
        port: int = listeners[0].socket.getsockname()[1]
        async with open_client(port=port) as connection:
            tell(texts.demo_client, [texts.client_connected.format(address=f"localhost:{port}")])
            terminal = PlainTerminal(read_line, client.write)
            await Conversation(connection, terminal, texts=texts).run()
        while len(registry):  # the server's half of the close
            answered = trio.Event()
            await answered.wait()
        finish_step()
        lifecycle.drain()
    reply = texts.client_reply.format(text=SCRIPT[0].upper())
    passed = reply in shown and any(line.endswith(texts.closed_disconnected) for line in shown)
    if passed:
        say(f"\n{texts.demo_end}")
    return passed
