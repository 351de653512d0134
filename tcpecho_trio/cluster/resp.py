"""A connection to Redis or Valkey: commands in, answers out, in RESP 2, on Trio.

hiredis is Redis's own parser, without I/O. A client library (coredis runs on Trio) would bring
pools, retries and unbounded queues, and 17 MiB: what is needed is one connection, one command at a
time, a deadline of our own, and an answer that is bounded. On a connection one thing goes wrong at
most: then it is given up, with whatever was still due on it.

The protocol: https://redis.io/docs/latest/develop/reference/protocol-spec/
"""

from __future__ import annotations

import enum
import os
import re
import ssl
from typing import Any

import hiredis
import trio

from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.nurseries import leaves

DEADLINE = 1.0
"""Seconds for one answer, a new connection included. Within a data centre an answer takes a
millisecond. A Redis that is frozen, or behind a link that is cut, accepts what it is sent and says
nothing; and the next attempt after a link is mended begins no later than this."""

MAX_ANSWER = 8 * 1024 * 1024
"""Bytes of one answer. Ours have less than five million: the records of a thousand servers."""

RECEIVE_SIZE = 65536

MANY_ELEMENTS = re.compile(rb"\r\n[*~%>|]\d{7,}\r")
"""The length of an array, or of what RESP 3 has beside it, that no answer of ours can have. hiredis
makes room for as many elements as it is told of. Two thousand million that never come take Python
four seconds to free, in which nobody is served. No text of ours is taken for one: none has a CR in
it, and none begins so (they are JSON, or lines of addresses).
"""

TOO_MANY = "this is no Redis: an array of millions"
"""What is said of such an answer."""

LONGEST_LENGTH = 32
"""Bytes of a length that may be cut by the end of a reception, and some more."""

INCOMPLETE = object()

NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says when the system starts no more threads; to look up a name takes
one."""


class Trouble(enum.Enum):
    """Why Redis is of no use now."""

    UNREACHABLE = "unreachable"
    """No connection, or it broke."""
    TIMEOUT = "timeout"
    """No answer in time."""
    REFUSED = "refused"
    """It answers, and will not: wrong password, full, read-only, a key of another type."""


class StoreError(Exception):
    """Redis is of no use now.

    Args:
      trouble: in which way.
      reason: what the system, OpenSSL or Redis said.
    """

    def __init__(self, trouble: Trouble, reason: str) -> None:
        self.trouble = trouble
        self.reason = reason
        super().__init__(reason)


class Connection:
    """One connection, made when it is first used.

    Args:
      location: where to, and whom to log in as.
    """

    def __init__(self, location: ClusterLocation) -> None:
        self._location = location
        self._stream: trio.abc.Stream | None = None
        self._reader = hiredis.Reader(notEnoughData=INCOMPLETE)
        self._end = b"\r\n"  # of what has come; an answer begins behind one

    async def call(self, *command: str | bytes | int) -> Any:
        """Send a command; return its answer: bytes, an int, None, or a list of such.

        Raises:
          StoreError: there is none; then the connection is of no more use. Or it is an error,
            which does not harm the connection.
        """
        try:
            with trio.fail_after(DEADLINE):
                if self._stream is None:
                    self._stream = await self._open()
                return await self._exchange(self._stream, *command)
        except trio.TooSlowError as error:
            raise StoreError(Trouble.TIMEOUT, f"no answer within {DEADLINE:g} s") from error
        except (OSError, UnicodeError, ExceptionGroup, trio.BrokenResourceError) as error:
            raise _unreachable(error) from error
        except (hiredis.ProtocolError, MemoryError) as error:
            raise StoreError(Trouble.REFUSED, f"this is no Redis: {error}") from error
        except RuntimeError as error:
            if str(error) != NO_THREAD:
                raise
            raise StoreError(Trouble.UNREACHABLE, NO_THREAD) from error

    async def aclose(self) -> None:
        """Close it at once."""
        if self._stream is not None:
            await trio.aclose_forcefully(self._stream)

    async def _open(self) -> trio.abc.Stream:
        """Connect, log in, choose the database (AUTH, SELECT)."""
        location = self._location
        stream: trio.abc.Stream
        if location.path:
            stream = await trio.open_unix_socket(location.path)
        else:
            stream = await trio.open_tcp_stream(location.host, location.port)
        try:
            if location.tls:
                stream = trio.SSLStream(
                    stream,
                    tls_context(location),
                    server_hostname=location.host,
                    https_compatible=True,
                )
            if location.password is not None:
                who = () if location.username is None else (location.username,)
                await self._exchange(stream, "AUTH", *who, location.password)
            if location.database:
                await self._exchange(stream, "SELECT", location.database)
        except BaseException:  # whatever it is, the stream is nobody else's yet
            await trio.aclose_forcefully(stream)
            raise
        return stream

    async def _exchange(self, stream: trio.abc.Stream, *command: str | bytes | int) -> Any:
        await stream.send_all(hiredis.pack_command(command))  # type: ignore[arg-type]
        size = 0
        while (answer := self._reader.gets()) is INCOMPLETE:
            received = await stream.receive_some(RECEIVE_SIZE)
            size += len(received)
            if not received:
                raise StoreError(Trouble.UNREACHABLE, "Redis has closed the connection")
            if size > MAX_ANSWER:
                raise StoreError(Trouble.REFUSED, f"an answer of more than {MAX_ANSWER} bytes")
            seen = self._end + received
            if MANY_ELEMENTS.search(seen):
                raise StoreError(Trouble.REFUSED, TOO_MANY)
            self._end = seen[-LONGEST_LENGTH:]
            self._reader.feed(bytes(received))
        if isinstance(answer, hiredis.ReplyError):
            raise StoreError(Trouble.REFUSED, str(answer))
        return answer


def tls_context(location: ClusterLocation) -> ssl.SSLContext:
    """Whom to trust and who we are.

    Raises:
      OSError: one of the files cannot be used.
    """
    context = ssl.create_default_context(cafile=location.ca)
    if location.certificate is not None:
        context.load_cert_chain(location.certificate, location.key)
    return context


def _unreachable(error: BaseException) -> StoreError:
    """What the system or OpenSSL said: the innermost cause has the words."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) and cause not in causes:
        causes.append(leaves(cause)[0])
    told = next((c for c in reversed(causes) if isinstance(c, OSError)), error)
    if isinstance(told, ssl.SSLCertVerificationError):
        return StoreError(Trouble.UNREACHABLE, told.verify_message)
    if (
        isinstance(told, OSError)
        and told.errno
        and told.errno > 0
        and not isinstance(told, ssl.SSLError)
    ):
        return StoreError(Trouble.UNREACHABLE, f"[Errno {told.errno}] {os.strerror(told.errno)}")
    return StoreError(Trouble.UNREACHABLE, str(told))
