"""Messages from a script, one at a time: each waits for its reply, and every reply is told.

For what :mod:`tcpecho_trio.client.stream` cannot do, because a stream of bytes does not show
where a reply ends: servers that know no lines, and replies as JSON with the time they took.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable

import trio

from tcpecho_trio.client import Client
from tcpecho_trio.errors import MessageRefused

NextMessage = Callable[[], Awaitable[str | None]]
"""Returns the next message; None after the last."""

Teller = Callable[[str, str, float], Awaitable[None]]
"""Told a message, its reply, and the milliseconds from sending the one to having the other."""

Refusal = Callable[[int, MessageRefused], None]
"""Told the number of a message, from 1, and why it was not sent."""


async def ask_each(
    client: Client, next_message: NextMessage, tell: Teller, refused: Refusal
) -> None:
    """Ask each message, and tell its reply before the next one is asked.

    A farewell is a reply if there is one; a server that closes in silence gives none to tell.
    A message that cannot be sent is left out, and the others go on.

    Raises:
      ServerLeft: the server closed the connection, and there were still messages.
      TooSlow: a reply took longer than the client's `timeout`.
      ConnectionLost: the connection broke.
      OSError: from `next_message` or `tell`.
    """
    number = 0
    while (message := await next_message()) is not None:
        number += 1
        start = trio.current_time()
        try:
            reply = await client.ask(message)
        except MessageRefused as error:
            refused(number, error)
            continue
        milliseconds = (trio.current_time() - start) * 1000
        command = client.command_in(message)
        if reply or command is None or not command.leaves:
            await tell(message, reply, milliseconds)


def as_json(sent: str, received: str, milliseconds: float) -> bytes:
    r"""One line of JSON (RFC 8259) in UTF-8: ``sent``, ``received``, ``milliseconds``.

    A byte that is not UTF-8 is written as the lone surrogate that Python reads it as
    (PEP 383): ``\xff`` becomes ``"\udcff"``. So nothing is lost, and the line is still UTF-8.
    """
    told = {"sent": sent, "received": received, "milliseconds": round(milliseconds, 3)}
    try:
        return (json.dumps(told, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(told) + "\n").encode()


def as_line(sent: str, received: str, milliseconds: float) -> bytes:  # noqa: ARG001
    """The reply alone, on a line of its own, byte for byte."""
    return f"{received}\n".encode("utf-8", "surrogateescape")
