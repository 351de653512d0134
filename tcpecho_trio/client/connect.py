"""Connecting, with a limit for each attempt and patience while a server is starting."""

from __future__ import annotations

import math

import trio

from tcpecho_trio.addresses import format_address
from tcpecho_trio.errors import CannotConnect, TooSlow

FIRST_PAUSE = 0.1
"""Seconds before the second attempt. A server that is just starting needs about as long."""

LONGEST_PAUSE = 1.0
"""The pause doubles up to this: once a second wears nobody out, and is soon enough for a
container that waits for another one."""


async def connect(
    host: str, port: int, *, patience: float | None = None, retry: float = 0.0
) -> trio.SocketStream:
    """A connection to the server.

    Args:
      host: a name or an address; each address of a name is tried (RFC 8305).
      port: the port.
      patience: seconds for one attempt, from looking up the name to the connection; None
        leaves it to the system (about two minutes, tcp(7), tcp_syn_retries).
      retry: seconds from now during which a further attempt is made after one that failed,
        also when the name cannot be found yet. An attempt that is under way when they end
        may still succeed.

    Raises:
      CannotConnect: nobody answers there; what the last attempt met.
      TooSlow: the last attempt took longer than `patience`.
    """
    give_up = trio.current_time() + retry
    pause = FIRST_PAUSE
    while True:
        try:
            return await _attempt(host, port, patience)
        except (CannotConnect, TooSlow) as error:
            left = give_up - trio.current_time()
            if left <= 0 or isinstance(error.__cause__, UnicodeError):  # never to become a name
                raise
        await trio.sleep(min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE)


async def _attempt(host: str, port: int, patience: float | None) -> trio.SocketStream:
    try:
        with trio.fail_after(math.inf if patience is None else patience):
            return await trio.open_tcp_stream(host, port)
    except trio.TooSlowError as error:
        address = format_address((host, port))
        raise TooSlow("connect_too_slow", address=address, seconds=patience) from error
    except (OSError, UnicodeError) as error:
        raise CannotConnect.because(error, host, port) from error
