"""The client as a library.

::

    async with open_client("localhost", 5000) as client:
        reply = await client.ask("hola")

It speaks as a line client: a message ends in LF, and so does its reply. For servers that know
no lines there is :class:`tcpecho_trio.client.raw.RawClient`, with the same methods.

:meth:`Client.ask` may be used by any number of tasks at once: they take turns. It may be
cancelled: the late reply is never taken for the next one's. Of the other methods one task at a
time may send, and one may receive. Whatever goes wrong is an error of
:mod:`tcpecho_trio.errors`; none of Trio's comes out.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager

import trio

from tcpecho_trio.client.client import LEAVE_TIME, Client
from tcpecho_trio.client.connect import ProxyVersion, Target, connect
from tcpecho_trio.client.replies import GAP, Framing
from tcpecho_trio.client.tls import ClientTls
from tcpecho_trio.dialects import DIALECTS, STANDARD, Dialect
from tcpecho_trio.errors import TcpEchoError

__all__ = ["GAP", "LEAVE_TIME", "Client", "ClientTls", "Framing", "open_client"]

CLOSING_TIME = 3 * LEAVE_TIME
"""Seconds that leaving a server without lines may take even where all else is cancelled: it gets
:data:`LEAVE_TIME` for a reply that is due, for its farewell, and for its end."""


@asynccontextmanager
async def open_client(
    host: str = "localhost",
    port: int = 5000,
    *,
    dialect: Dialect | str = STANDARD,
    framing: Framing = "line",
    unix: str = "",
    tls: ClientTls | None = None,
    send_proxy: ProxyVersion | None = None,
    timeout: float | None = None,  # noqa: ASYNC109 (for each reply; a caller's scope would be for all)
    connect_retry: float = 0.0,
    on_retry: Callable[[TcpEchoError], None] | None = None,
    on_waiting: Callable[[], None] | None = None,
) -> AsyncGenerator[Client, None]:
    """Connect to a server; the connection is closed at the end of the block.

    Args:
      host: a name or an address.
      port: the port.
      dialect: which words the server obeys, and whether it greets; a dialect or its name.
      framing: ``"raw"`` for a server that knows no lines: the block then ends by sending the
        dialect's leaving word and reading to the end (:class:`~tcpecho_trio.client.raw.RawClient`).
      unix: path of a Unix socket to connect to instead of `host` and `port`.
      tls: how to speak TLS; None for not at all.
      send_proxy: PROXY header to begin with, naming our own addresses, as a proxy would.
      timeout: seconds for connecting, and again for each :meth:`Client.ask`; None for no limit.
      connect_retry: seconds to keep trying while the server is starting.
      on_retry: called once, with the error, when an attempt has failed and others will follow.
      on_waiting: called when a ``"raw"`` server has taken the connection but serves somebody
        else first, as those that serve one client at a time do.

    Raises:
      ValueError: no dialect has that name.
      CannotConnect: nobody answers there, or not over TLS as it was asked for.
      ServerFull: the server has no room for us. Most servers say so only after they have taken
        the connection; then it is raised where something is received.
      CannotRead: a certificate or key cannot be used.
      TooSlow: connecting took longer than `timeout`.
    """
    known = dialect if isinstance(dialect, Dialect) else _dialect_named(dialect)
    target = Target(host=host, port=port, path=unix, tls=tls, proxy=send_proxy)
    stream = await connect(target, limit=timeout, retry=connect_retry, on_retry=on_retry)
    async with stream:
        if framing == "line":
            yield Client(stream, known, target.name, timeout=timeout)
        else:
            from tcpecho_trio.client.raw import RawClient

            client = RawClient(stream, known, target.name, timeout=timeout, on_waiting=on_waiting)
            try:
                yield client
            finally:
                with trio.move_on_after(CLOSING_TIME, shield=True):
                    await client.close_politely()


def _dialect_named(name: str) -> Dialect:
    try:
        return DIALECTS[name]
    except KeyError:
        known = ", ".join(DIALECTS)
        raise ValueError(f"no dialect is called {name!r}; there are: {known}") from None
