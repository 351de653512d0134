"""Connecting: to where, over what, with a time limit for each attempt, and with further attempts
while a server is starting.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.client.tls import ClientTls
from tcpecho_trio.errors import CannotConnect, CannotRead, TcpEchoError, TooSlow
from tcpecho_trio.tls.stream import TlsStream

FIRST_PAUSE = 0.1
"""Seconds before the second attempt. A server that is just starting needs about as long."""

LONGEST_PAUSE = 1.0
"""The pause doubles up to this. An attempt a second costs a server nothing, and is soon enough
for a container that waits for another one."""

ProxyVersion = Literal["v1", "v2"]
"""Which PROXY header to send."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """The server, and what lies between it and the messages.

    Args:
      host: a name or an address; each address of a name is tried (RFC 8305).
      port: the port.
      path: of a Unix socket, used instead of both.
      tls: how to speak TLS; None for not at all.
      proxy: which PROXY header to send first, with our own addresses in it, as a proxy would.
    """

    host: str = "localhost"
    port: int = 5000
    path: str = ""
    tls: ClientTls | None = None
    proxy: ProxyVersion | None = None

    @property
    def name(self) -> str:
        """The server's name in messages for people."""
        return f"unix://{self.path}" if self.path else format_address((self.host, self.port))


async def connect(
    target: Target,
    *,
    limit: float | None = None,
    retry: float = 0.0,
    on_retry: Callable[[TcpEchoError], None] | None = None,
) -> trio.abc.HalfCloseableStream:
    """A connection to the server.

    Args:
      target: where to, and over what.
      limit: seconds for one attempt, from looking up the name to the last handshake; None
        leaves it to the system (about two minutes, tcp(7), tcp_syn_retries).
      retry: seconds from now during which a further attempt is made after one that failed,
        also when the name cannot be found yet. An attempt that is under way when they end
        may still succeed.
      on_retry: called once, with the error, when the first attempt has failed and another one
        will be made.

    Raises:
      CannotRead: a certificate or key cannot be used.
      CannotConnect: nobody answers there; what the last attempt met.
      TooSlow: the last attempt took longer than `limit`.
    """
    context = None
    if target.tls is not None:
        try:
            context = target.tls.context()
        except OSError as error:
            raise CannotRead.because(error, target.tls.files()) from error
    give_up = trio.current_time() + retry
    pause = FIRST_PAUSE
    while True:
        try:
            return await _attempt(target, context, limit)
        except (CannotConnect, TooSlow) as error:
            left = give_up - trio.current_time()
            if left <= 0 or isinstance(error.__cause__, UnicodeError):  # that will never be a name
                raise
            if on_retry is not None:
                on_retry(error)
                on_retry = None
        await trio.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


async def _attempt(
    target: Target, context: ssl.SSLContext | None, limit: float | None
) -> trio.abc.HalfCloseableStream:
    async with contextlib.AsyncExitStack() as undo:
        try:
            with trio.fail_after(math.inf if limit is None else limit):
                if target.path:
                    if not hasattr(socket, "AF_UNIX"):
                        raise OSError(errno.EAFNOSUPPORT, os.strerror(errno.EAFNOSUPPORT))
                    stream = await trio.open_unix_socket(target.path)
                else:
                    stream = await trio.open_tcp_stream(target.host, target.port)
                undo.push_async_callback(trio.aclose_forcefully, stream)
                if target.proxy is not None:
                    await stream.send_all(proxy_header(stream.socket, target.proxy))
                talking = await _secured(stream, target, context)
        except trio.TooSlowError as error:
            raise TooSlow("connect_too_slow", address=target.name, seconds=limit) from error
        except trio.BrokenResourceError as error:
            raise CannotConnect.over_tls(error, target.name) from error
        except (OSError, UnicodeError) as error:
            raise CannotConnect.because(error, target.host, target.port, target.path) from error
        undo.pop_all()
        return talking


async def _secured(
    stream: trio.SocketStream, target: Target, context: ssl.SSLContext | None
) -> trio.abc.HalfCloseableStream:
    """The stream that messages go over."""
    if target.tls is None or context is None:
        return stream
    secured = TlsStream(stream, context, name=target.tls.name or target.host)
    await secured.do_handshake()
    return secured


def proxy_header(sock: trio.socket.SocketType | socket.socket, version: ProxyVersion) -> bytes:
    """What a proxy would say of a client that has our address."""
    # Most clients pay for no PROXY protocol.
    from tcpecho_trio.proxy_protocol import Header, encode_v1, encode_v2

    unix = sock.family not in (socket.AF_INET, socket.AF_INET6)
    source, destination = (None, None) if unix else (sock.getsockname(), sock.getpeername())
    if version == "v1":
        return encode_v1(source, destination)
    return encode_v2(Header.relaying(source, destination))
