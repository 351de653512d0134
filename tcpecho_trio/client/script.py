"""Messages from a script, one at a time: each waits for its reply, and every reply is reported.

For what :mod:`tcpecho_trio.client.stream` cannot do, because a stream of bytes does not show
where a reply ends: servers that know no lines, and replies as JSON with the time they took.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from tcpecho_trio.client.client import Client
from tcpecho_trio.errors import MessageRefused, TcpEchoError

NextMessage = Callable[[], Awaitable[str | None]]
"""Returns the next message; None after the last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of a message.

    Args:
      number: of the message, from 1.
      sent: the message.
      received: its reply; None when there is none.
      milliseconds: from sending the one to having the other, or to the error.
      error: why there is no reply.
    """

    number: int
    sent: str
    received: str | None
    milliseconds: float
    error: TcpEchoError | None = None


Reporter = Callable[[Result], Awaitable[None]]
"""Takes the result of each message as soon as it is known."""


async def ask_each(client: Client, next_message: NextMessage, report: Reporter) -> None:
    """Ask each message, and report its reply before the next one is asked.

    A farewell is a reply if there is one; a server that closes in silence gives none to report.
    A message that cannot be sent is left out, and the others go on.

    Raises:
      MessageRefused: at the end, when messages had to be left out.
      ServerFull: the server has no room for us.
      ServerLeft: the server closed the connection, and there were still messages.
      TooSlow: a reply took longer than the client's `timeout`.
      ReplyTooLong: a reply does not end.
      ConnectionLost: the connection broke.
      OSError: from `next_message` or `report`.
    """
    number = refused = 0
    while (message := await next_message()) is not None:
        number += 1
        begun = trio.current_time()
        reply: str | None = None
        failure: TcpEchoError | None = None
        try:
            reply = await client.ask(message)
        except TcpEchoError as error:
            failure = error
        command = client.command_in(message)
        if failure or reply or command is None or not command.leaves:
            milliseconds = (trio.current_time() - begun) * 1000
            await report(
                Result(
                    number=number,
                    sent=message,
                    received=reply,
                    milliseconds=milliseconds,
                    error=failure,
                )
            )
        if isinstance(failure, MessageRefused):
            refused += 1
        elif failure is not None:
            raise failure
    if refused:
        raise MessageRefused("lines_left_out", count=refused)


def as_json(result: Result) -> bytes:
    r"""One line of JSON (RFC 8259) in UTF-8: ``sent``, ``received``, ``milliseconds``.

    When there is no reply, ``received`` is null, and a fourth member ``error`` has the error's
    name in :mod:`tcpecho_trio.errors`, ``ServerFull`` for example.

    A byte that is not UTF-8 is written as the lone surrogate that Python reads it as
    (PEP 383): ``\xff`` becomes ``"\udcff"``. So nothing is lost, and the line is still UTF-8.
    """
    members: dict[str, object] = {
        "sent": result.sent,
        "received": result.received,
        "milliseconds": round(result.milliseconds, 3),
    }
    if result.error is not None:
        members["error"] = type(result.error).__name__
    try:
        return (json.dumps(members, ensure_ascii=False) + "\n").encode()
    except UnicodeEncodeError:
        return (json.dumps(members) + "\n").encode()


def as_line(result: Result) -> bytes:
    """The reply alone, on a line of its own, byte for byte; nothing where there is none."""
    if result.received is None:
        return b""
    return f"{result.received}\n".encode("utf-8", "surrogateescape")
