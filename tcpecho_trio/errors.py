"""The errors that this package raises, and what can be done about each.

::

    TcpEchoError
    ├── CannotRead        a certificate or key cannot be used: check the file
    ├── CannotListen      the server could not open its port: choose another one
    ├── CannotConnect     nobody answers there: start the server, check host and port
    ├── ConnectionLost    the conversation broke, or the server left: connect again
    └── LocalFailure      standard input or output failed: free the disk, check the redirection

Foreign errors (``OSError``, trio's) are translated where they enter, ``raise … from``, so
the cause is kept. ``message`` names the line of :class:`~tcpecho_trio.texts.Texts` that
tells a person about it, and ``details`` what goes into its braces.
"""

from __future__ import annotations

import errno
import os
import socket

from tcpecho_trio.addresses import format_address
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
    def because(
        cls, error: OSError | UnicodeError, host: str, port: int, path: str = ""
    ) -> CannotListen:
        """Translate what bind(2), listen(2), getaddrinfo(3) or the IDNA encoding said.

        With a `path` it is a Unix socket that could not be opened.
        """
        if path:
            taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
            message = "path_taken" if taken else "cannot_listen_at_path"
            return cls(message, path=path, reason=_reason(error))
        message = "cannot_listen"
        if isinstance(error, (socket.gaierror, UnicodeError)):
            message = "unknown_host"
        elif error.errno == errno.EADDRINUSE:
            message = "port_taken"
        elif error.errno in (errno.EACCES, errno.EPERM):
            message = "port_forbidden"
        other = port + 1 if 1024 <= port < 65535 else 5000
        address = format_address((host, port))
        return cls(
            message, host=host, port=port, address=address, other=other, reason=_reason(error)
        )


class CannotRead(TcpEchoError):
    """A file with a certificate or a key cannot be used."""

    @classmethod
    def because(cls, error: OSError, files: str) -> CannotRead:
        """Translate what open(2) or OpenSSL said, whose numbers are not the system's."""
        reason = getattr(error, "reason", None) or error.strerror or str(error)
        return cls("cannot_read", files=files, reason=reason.lower())


class CannotConnect(TcpEchoError):
    """No connection to the server came about."""

    @classmethod
    def because(cls, error: OSError | UnicodeError, host: str, port: int) -> CannotConnect:
        """Translate what connect(2), getaddrinfo(3) or the IDNA encoding said."""
        message = "cannot_connect"
        cause = error.__cause__
        attempts = cause.exceptions if isinstance(cause, ExceptionGroup) else (cause or error,)
        if isinstance(error, (socket.gaierror, UnicodeError)):
            message = "unknown_host"
        elif all(isinstance(attempt, ConnectionRefusedError) for attempt in attempts):
            message = "connection_refused"
        address = format_address((host, port))
        return cls(message, host=host, port=port, address=address, reason=_reason(error))


class ConnectionLost(TcpEchoError):
    """The server closed the connection, or it broke, while something was still due."""


class LocalFailure(TcpEchoError):
    """Our own input or output failed."""

    @classmethod
    def because(cls, error: OSError) -> LocalFailure:
        """Translate what read(2) or write(2) said."""
        return cls("local_failure", reason=_reason(error))


def _reason(error: OSError | UnicodeError) -> str:
    """The system's own words, without the numbers around them."""
    if isinstance(error, UnicodeError):
        return str(error)
    return (os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)).lower()
