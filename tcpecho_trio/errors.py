"""The errors that this package raises, and what can be done about each.

::

    TcpEchoError
    ├── CannotStart       no event loop could be made: free some descriptors
    ├── AdminError        the extra is missing, or there is no token: install it, write it
    ├── CannotRead        a certificate or key cannot be used: check the file
    ├── CannotListen      the server could not open its port: choose another one
    ├── CannotLog         the access log's file cannot be opened: check its folder
    ├── AdminError        no administrator's endpoint: look at its address, its token, its extra
    ├── ClusterError      the extra is missing, a file or Redis is of no use: look at its line
    │   └── NoSuchServer  the cluster has none of that name: look at its status
    ├── CannotConnect     nobody answers there: start the server, check host and port
    │   └── ServerFull    the server answers, and has no room for us: try again later
    ├── ConnectionLost    the conversation broke: connect again
    │   └── ServerLeft    the server closed it, and something was still due: look at its console
    ├── TooSlow           no connection, or no reply, in the time allowed: allow more
    ├── ReplyTooLong      a reply that does not end: is this the right server?
    ├── ClientBusy        two tasks sent, or listened, at once: use ask(), which takes turns
    ├── ClientClosed      it was closed, or a cancelled send cut a message: open another one
    ├── MessageRefused    this text cannot be sent as one message (a ValueError, too): change it
    ├── LoadFailed        a load met errors, or its report cannot be written: read the report
    ├── LoadRefused       a load that cannot be, or must not (a ValueError, too): change its options
    ├── LabError          certificates for a lab cannot be made: install the extra, choose a folder
    └── LocalFailure      standard input or output failed: free the disk, check the redirection

Foreign errors (``OSError``, trio's) are translated where they enter, ``raise … from``, so
the cause is kept. ``message`` names the line of :class:`~tcpecho_trio.texts.Texts` that
tells a person about it, and ``details`` what goes into its braces. ``str(error)`` is for programs:
it names no options. ``exit_code`` is what the program returns to its shell.
"""

from __future__ import annotations

import errno
import os
import re
import socket
from operator import attrgetter
from typing import ClassVar

from tcpecho_trio.addresses import format_address
from tcpecho_trio.display import shown
from tcpecho_trio.texts import ENGLISH, Texts
from tcpecho_trio.texts.for_programs import FOR_PROGRAMS

MODULE = "python -m tcpecho_trio"
"""How the program is called wherever this package is installed."""

OPENSSL = re.compile(r"\[[^]]*\] (.*?)(?: \(_ssl\.c:\d+\))?")
"""What an SSLError says: its names for the library and the reason, words, a line of CPython's."""


ERRNO = re.compile(r"\[Errno (\d+)\] [^:]*")
"""What an OSError says first: its number, and the system's words for it."""


class TcpEchoError(Exception):
    """Anything that went wrong and is not a bug of ours."""

    exit_code: ClassVar[int] = 1
    """What the program returns to its shell: 1 unless the kind of error has a code of its own."""

    def __init__(self, message: str, **details: object) -> None:
        self.message = message
        self.details = details
        super().__init__(self._filled(FOR_PROGRAMS.get(message), ENGLISH, MODULE))

    def localized(self, texts: Texts, program: str = MODULE) -> str:
        """One line for a person: what happened, and what to do next.

        Args:
          texts: the person's language.
          program: how they call the program, for a hint that is a command line.
        """
        return self._filled(None, texts, program)

    def _filled(self, line: str | None, texts: Texts, program: str) -> str:
        """A line with the details in its braces; by default the one of the texts."""
        line = line or str(attrgetter(self.message)(texts))
        details = {name: _printable(value, texts) for name, value in self.details.items()}
        if isinstance(reason := details.get("reason"), str):
            details["reason"] = in_words(reason, texts)
        return line.format(program=program, **details)


class CannotStart(TcpEchoError):
    """The system has no room for an event loop: no descriptors, no memory."""

    exit_code = 3


class CannotListen(TcpEchoError):
    """The server could not open its port."""

    exit_code = 3

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
            return cls(message, path=path, reason=error)
        message = "cannot_listen"
        if isinstance(error, (socket.gaierror, UnicodeError)):
            message = "unknown_host"
        elif error.errno == errno.EADDRINUSE:
            message = "port_taken"
        elif error.errno in (errno.EACCES, errno.EPERM):
            message = "port_forbidden"
        other = port + 1 if 1024 <= port < 65535 else 5000
        address = format_address((host, port))
        return cls(message, host=host, port=port, address=address, other=other, reason=error)

    @classmethod
    def on_inherited(cls, error: OSError) -> CannotListen:
        """Translate what was wrong with a socket that a service manager had opened for us."""
        return cls("cannot_inherit", reason=error)


class CannotRead(TcpEchoError):
    """A file with a certificate or a key cannot be used."""

    exit_code = 3

    @classmethod
    def because(cls, error: OSError, files: str) -> CannotRead:
        """Translate what open(2) or OpenSSL said; an SSLError's number means nothing to errno."""
        told = OPENSSL.fullmatch(error.strerror or "")
        return cls("cannot_read", files=files, reason=told[1] if told else error)


class CannotLog(TcpEchoError):
    """The access log's file cannot be opened."""

    exit_code = 3

    @classmethod
    def because(cls, error: OSError, file: str) -> CannotLog:
        """Translate what open(2) said."""
        return cls("cannot_log", file=file, reason=error)


class AdminError(TcpEchoError):
    """The administrator's endpoint cannot be set up as asked for."""

    exit_code = 3

    @classmethod
    def because(cls, error: OSError | UnicodeError, address: str) -> AdminError:
        """Translate what bind(2), listen(2), getaddrinfo(3) or the IDNA encoding said."""
        return cls("cannot_administer", address=address, reason=error)


class ClusterError(TcpEchoError):
    """A cluster's Redis cannot be reached, or is not to be used as asked for."""

    exit_code = 3


class NoSuchServer(ClusterError):
    """No server, or more than one, has the name that was said."""

    exit_code = 1


class CannotConnect(TcpEchoError):
    """No connection to the server came about."""

    exit_code = 3

    @classmethod
    def because(
        cls, error: OSError | UnicodeError, host: str, port: int, path: str = ""
    ) -> CannotConnect:
        """Translate what connect(2), getaddrinfo(3) or the IDNA encoding said.

        With a `path` it was a Unix socket.
        """
        if path:
            return cls("cannot_connect_at_path", path=path, reason=error)
        message = "cannot_connect"
        cause = error.__cause__
        attempts = cause.exceptions if isinstance(cause, ExceptionGroup) else (cause or error,)
        if isinstance(error, OSError) and error.errno is None:  # Trio's: no attempt succeeded
            error = next((one for one in attempts if isinstance(one, OSError)), error)
        if isinstance(error, (socket.gaierror, UnicodeError)):
            message = "unknown_host"
        elif all(isinstance(attempt, ConnectionRefusedError) for attempt in attempts):
            message = "connection_refused"
        address = format_address((host, port))
        return cls(message, host=host, port=port, address=address, reason=error)

    @classmethod
    def over_tls(cls, error: Exception, address: str) -> CannotConnect:
        """Translate what OpenSSL said, or what ended the connection before TLS was agreed on."""
        import ssl  # as late as Trio: wrong usage has to be told quickly

        cause = error.__cause__
        if isinstance(cause, ssl.SSLCertVerificationError):
            return cls("tls_untrusted", address=address, reason=cause.verify_message)
        reason = getattr(cause, "reason", None) or cause or error
        if reason == "TLSV1_ALERT_INTERNAL_ERROR":
            return ServerFull("tls_internal_error", address=address)
        return cls("tls_failed", address=address, reason=str(reason))


class ServerFull(CannotConnect):
    """The server has no room for us. It has said so, instead of any reply, and closed."""


class ConnectionLost(TcpEchoError):
    """The server closed the connection, or it broke, while something was still due."""


class ServerLeft(ConnectionLost):
    """The server closed the connection while something was still due: the end of the stream."""


class TooSlow(TcpEchoError):
    """No connection, or no reply, within the time that the caller allowed."""

    exit_code = 4


class ReplyTooLong(TcpEchoError):
    """A reply that does not end. No more of it is received, so the client cannot go on."""


class ClientBusy(TcpEchoError):
    """Two tasks at once sent, or listened: what each of them gets would be chance."""


class ClientClosed(TcpEchoError):
    """The client was closed, or half of a message is on the wire: it cannot go on."""


class MessageRefused(TcpEchoError, ValueError):
    """The text cannot be sent as one message; nothing of it has been sent."""

    exit_code = 2


class LoadFailed(TcpEchoError):
    """The load ran, and its result is not what it must be; or a report cannot be written."""


class LoadRefused(TcpEchoError, ValueError):
    """A load that cannot be, or must not; nothing has been sent."""

    exit_code = 2


class LabError(TcpEchoError):
    """Certificates for a lab could not be made."""

    @classmethod
    def because(cls, error: OSError, folder: str) -> LabError:
        """Translate what mkdir(2), open(2) or write(2) said."""
        return cls("lab_cannot_write", folder=folder, reason=error)


class LocalFailure(TcpEchoError):
    """Our own input or output failed."""

    @classmethod
    def because(cls, error: OSError) -> LocalFailure:
        """Translate what read(2) or write(2) said."""
        return cls("local_failure", reason=error)


def system_words(error: OSError, texts: Texts) -> str:
    """What the system says has gone wrong, without the numbers around it."""
    number = error.errno or 0
    if number <= 0:  # getaddrinfo(3) counts downwards; others have no number at all
        return in_words(str(error), texts).lower()
    return texts.system_errors.get(number) or os.strerror(number).lower()


def in_words(said: str, texts: Texts) -> str:
    """What an exception says (``[Errno 24] …``, OpenSSL's words), in the language of the texts."""
    said = ERRNO.sub(lambda found: system_words(OSError(int(found[1]), ""), texts), said)
    said = said.removesuffix(".")  # the line that it stands in has its own
    plain = said.lower().replace("_", " ")
    for begin, words in texts.tls_errors.items():
        if plain.startswith(begin):
            return words + said[len(begin) :]
    return said


def _printable(value: object, texts: Texts) -> int | float | str:
    """A detail of an error, as it stands in a line for a person."""
    if isinstance(value, (int, float)):
        return value
    return shown(system_words(value, texts) if isinstance(value, OSError) else str(value))
