"""The errors that this package raises, and what can be done about each.

::

    TcpEchoError
    ├── CannotListen      the server could not open its port: choose another one
    ├── CannotConnect     nobody answers there: start the server, check host and port
    └── ConnectionLost    the conversation broke, or the server left: connect again

Foreign errors (``OSError``, trio's) are translated where they enter, ``raise … from``, so
the cause is kept. ``message`` names the line of :class:`~tcpecho_trio.texts.Texts` that
tells a person about it, and ``details`` what goes into its braces.
"""

from __future__ import annotations

import errno
import os
import socket

from tcpecho_trio.texts import ENGLISH, Texts


class TcpEchoError(Exception):
    """Anything that went wrong and is not a bug of ours."""

    def __init__(self, message: str, **details: object) -> None:
        self.message = message
        self.details = details
        super().__init__(self.told(ENGLISH))

    def told(self, texts: Texts) -> str:
        """One line for a person: what happened, and what to do next."""
        line: str = getattr(texts, self.message)
        return line.format(**self.details)


class CannotListen(TcpEchoError):
    """The server could not open its port."""

    @classmethod
    def because(cls, error: OSError, host: str, port: int) -> CannotListen:
        """Translate what bind(2), listen(2) or getaddrinfo(3) said."""
        message = "cannot_listen"
        if isinstance(error, socket.gaierror):
            message = "unknown_host"
        elif error.errno == errno.EADDRINUSE:
            message = "port_taken"
        elif error.errno in (errno.EACCES, errno.EPERM):
            message = "port_forbidden"
        other = port + 1 if 1024 <= port < 65535 else 5000
        return cls(message, host=host, port=port, other=other, reason=_reason(error))


class CannotConnect(TcpEchoError):
    """No connection to the server came about."""

    @classmethod
    def because(cls, error: OSError, host: str, port: int) -> CannotConnect:
        """Translate what connect(2) or getaddrinfo(3) said."""
        message = "cannot_connect"
        cause = error.__cause__
        attempts = cause.exceptions if isinstance(cause, ExceptionGroup) else (cause or error,)
        if isinstance(error, socket.gaierror):
            message = "unknown_host"
        elif all(isinstance(attempt, ConnectionRefusedError) for attempt in attempts):
            message = "connection_refused"
        return cls(message, host=host, port=port, reason=_reason(error))


class ConnectionLost(TcpEchoError):
    """The server closed the connection, or it broke, while something was still due."""


def _reason(error: OSError) -> str:
    """The system's own words, without the numbers around them."""
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)).lower()
