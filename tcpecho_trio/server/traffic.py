"""Plain traffic: one turn of one client, without a wait.

A turn is what can be done for a client that is ready: receive → :class:`Protocol` → send, as long
as that is the whole story. What is more than that is a :class:`Handoff`, for the client's own task,
which is the only place with policy: the end of input, a :class:`~tcpecho_trio.protocol.Request`, a
reply that the socket does not take whole, a held burst that needs a quiet period.

The pump moves the bare sockets of many clients by a loop of its own, which does the same as
:func:`move_bare`. Everybody else takes the turns from here: the pump for TLS, and the portable way
(:mod:`tcpecho_trio.server.portable`) for both.
"""

from __future__ import annotations

import ssl
import typing
from dataclasses import dataclass
from typing import TypeGuard, cast

import outcome
import trio

from tcpecho_trio.protocol import Output, Protocol
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.sockets import read, write
from tcpecho_trio.server.stats import ConnectionStats, count_lines
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.tls.stream import PIECE, TlsStream, is_end

READ_SIZE = 65536
"""Bytes asked for in one read. ``os.read`` allocates as much each time and gives back what was
not filled: measured with a 64-byte message, 64 KiB cost what 4 KiB cost (2.3 µs, with the
write), but 256 KiB cost 16 µs, because glibc maps and unmaps whatever is larger than 128 KiB
(M_MMAP_THRESHOLD, mallopt(3)). Reading into a kept buffer instead costs 0.2 µs more for the
copy of a short message. Bulk transfer is as dear with 96 KiB or 128 KiB, or dearer: the heap's
top is then trimmed and grown again for every chunk."""

SHORT_READ = 448
"""Bytes asked for in the next read of a client whose lines are short. What fits into 512 bytes with
its header is Python's own to allocate (``SMALL_REQUEST_THRESHOLD``, obmalloc), which is 0.12 µs
cheaper than to have glibc cut it from 64 KiB. A read that fills them shows that there may be
more."""

COMMAND_PIECE = 4096
"""Bytes of a chunk that holds a word which the protocol gets at a time. So much text holds some six
hundred commands, which cost a fraction of a millisecond to recognise. A longer chunk is left to
the client's own task."""

PlainStream = trio.SocketStream | TlsStream
"""What a turn can be taken on: a bare socket, or TLS right above one."""


@dataclass(frozen=True, slots=True)
class Handoff:
    """What a turn leaves to a client's own task.

    Args:
      outputs: of the protocol, still to be obeyed and sent.
      sent: how many bytes of the first output (then a reply) have been sent, or are kept by the
        stream, which sends them with whatever it sends next.
      ended: the peer has closed its sending direction.
      unread: bytes that the protocol has not seen yet, and that nobody has counted.
    """

    outputs: tuple[Output, ...] = ()
    sent: int = 0
    ended: bool = False
    unread: bytes = b""


RECEIVE = Handoff()
"""Nothing is left to do, but the stream itself has to receive next: what came is no ordinary
traffic of its protocol."""


class Client(typing.Protocol):
    """What has to be known of a client to move its traffic."""

    protocol: Protocol
    watched: bool
    """Whether somebody wants to be told of the reply to what was received last."""

    @property
    def info(self) -> ConnectionInfo:
        """Who is connected."""

    @property
    def stats(self) -> ConnectionStats:
        """Its counters, which are added to."""


class Taskless(Client, typing.Protocol):
    """A client that has no task, as long as its traffic is plain."""

    def resume(self, result: outcome.Outcome[Handoff | None]) -> None:
        """It is not carried any more, for what :meth:`carry` would return or raise.

        What is left to do is done at once, or in a task.
        """


def is_plain(stream: trio.abc.HalfCloseableStream) -> TypeGuard[PlainStream]:
    """Whether turns can be taken on a stream now: all its bytes that have come lie in the socket.

    Behind TLS some may have been received already.
    """
    if isinstance(stream, TlsStream):
        return isinstance(stream.below, trio.SocketStream) and not stream.buffers
    return isinstance(stream, trio.SocketStream)


def socket_of(stream: PlainStream) -> trio.socket.SocketType:
    """The socket that a stream's bytes come from."""
    below = stream.below if isinstance(stream, TlsStream) else stream
    return cast("trio.SocketStream", below).socket


def broken(cause: OSError) -> trio.BrokenResourceError:
    """What Trio's streams raise for an error of a socket, or of TLS."""
    error = trio.BrokenResourceError(f"socket connection broken: {cause}")
    error.__cause__ = cause
    return error


def move_bare(fd: int, client: Client, events: Events, now: float) -> Handoff | None:
    """Take one chunk of a client on a bare socket; None if nothing is left to do.

    Args:
      fd: the socket.
      client: whose it is.
      events: who is told of its messages.
      now: the clock of the run.

    Raises:
      OSError: the connection broke.
    """
    try:
        data = read(fd, READ_SIZE)
    except BlockingIOError:
        return None
    client.stats.active = now
    reply = client.protocol.receive_plain(data)
    if reply is not None:
        count_plain(data, client, events)
    elif not isinstance(taken := take(data, client, events), bytes):
        return taken
    else:
        reply = taken
    try:
        sent = write(fd, reply)
    except BlockingIOError:
        sent = 0
    if sent != len(reply):
        return Handoff((reply,), sent)
    _count_reply(reply, client, events)
    return None


def move_tls(
    fd: int, stream: TlsStream, client: Client, events: Events, now: float
) -> Handoff | None:
    """Take what one read brings of a client behind TLS; None if nothing is left to do.

    All records that have come whole are decrypted, and their replies are sent together.

    Args:
      fd: the socket.
      stream: TLS above it; nothing waits in it.
      client: whose it is.
      events: who is told of its messages.
      now: the clock of the run.

    Raises:
      OSError: the connection broke, or what came is no TLS (``ssl.SSLError``).
    """
    try:
        data = read(fd, READ_SIZE)
    except BlockingIOError:
        return None
    stats, incoming, ssl_object = client.stats, stream.incoming, stream.ssl_object
    if data:
        stats.active = now
        incoming.write(data)
    else:
        incoming.write_eof()  # an end without a close_notify is an end, as it is without TLS
    receive_plain, decrypt = client.protocol.receive_plain, ssl_object.read
    # Room for what came, no more: what is encrypted is longer than its text, and to make room for a
    # whole record takes longer than to decrypt a short one.
    room = min(len(data), PIECE) or 1
    replies: list[bytes] = []
    while True:
        try:
            text = decrypt(room)
        except ssl.SSLWantReadError:  # the rest of a record is still on its way
            break
        except ssl.SSLError as error:
            _send_all(fd, stream, replies, client, events)
            if not is_end(error):
                raise
            return Handoff(ended=True)
        reply = receive_plain(text)
        if reply is None:
            # More than one reply may wait for the socket only if nothing else has to be done.
            if unsent := _send_all(fd, stream, replies, client, events):
                stream.put_back(text)
                return unsent
            taken = take(text, client, events)
            if isinstance(taken, Handoff):
                return taken
            reply = taken
        elif stats.messages_in is None and not (events.messages or client.watched):
            stats.bytes_in += len(text)
        else:
            count_plain(text, client, events)
        if reply is not None:
            written = ssl_object.write(reply)
            if written < len(reply):  # it takes several records
                stream.encrypt(memoryview(reply)[written:])
            replies.append(reply)
        # OpenSSL keeps a part of a record only where there was no room for it.
        if not (incoming.pending or (len(text) == room and ssl_object.pending())):
            break
        room = PIECE
        # Who is told of messages is told of each reply after its message, also of the last before
        # it has heard enough.
        telling = events.messages or client.watched
        if telling and (unsent := _send_all(fd, stream, replies, client, events)):
            return unsent
    if replies:
        return _send_all(fd, stream, replies, client, events)
    return RECEIVE if stream.outgoing.pending else None


def _send_all(
    fd: int, stream: TlsStream, replies: list[bytes], client: Client, events: Events
) -> Handoff | None:
    """Send what has been encrypted, and forget the replies; what is left if not all is sent.

    Then nothing more can be done in this turn.
    """
    if not replies:
        return None
    records = stream.outgoing.read()
    try:
        sent = write(fd, records)
    except BlockingIOError:
        sent = 0
    if sent != len(records):
        stream.outgoing.write(records[sent:])
        whole = b"".join(replies)
        return Handoff((whole,), len(whole))
    stats = client.stats
    if client.watched:
        _count_reply(b"".join(replies), client, events)
    else:
        stats.bytes_out += len(replies[0]) if len(replies) == 1 else sum(map(len, replies))
        if stats.messages_in is not None:
            stats.answered(client.protocol.holds)
    replies.clear()
    return None


def take(data: bytes, client: Client, events: Events) -> bytes | Handoff | None:
    """Take a chunk that is no plain one, or the end of input.

    Returns its reply if to send it is all there is to do, None if there is nothing to do.
    """
    if not data:
        return Handoff(ended=True)
    protocol = client.protocol
    if len(data) > COMMAND_PIECE and protocol.dialect.mentions_word(data):
        return Handoff(unread=data)
    outputs = protocol.receive_data(data)
    client.stats.received(data, protocol.begun)
    if events.messages:
        client.watched = events.received(client.info, data, protocol.begun)
    else:
        client.watched, events.begun = False, events.begun + protocol.begun
    if protocol.awaits_quiet:
        return Handoff(outputs)
    if len(outputs) == 1 and isinstance(reply := outputs[0], bytes):
        return reply
    return Handoff(outputs) if outputs else None


def count_plain(data: bytes, client: Client, events: Events) -> None:
    """Count a chunk of whole lines, and tell of it."""
    stats = client.stats
    if stats.messages_in is None and not events.messages:
        stats.bytes_in += len(data)
        client.watched = False  # who was told of the message before has heard enough since
        return
    messages = count_lines(data)
    stats.received(data, messages)
    if events.messages:
        client.watched = events.received(client.info, data, messages)
    else:
        client.watched, events.begun = False, events.begun + messages


def _count_reply(reply: bytes, client: Client, events: Events) -> None:
    """Count a reply that the socket has taken whole, and tell of it."""
    stats = client.stats
    stats.bytes_out += len(reply)
    if stats.messages_in is not None or client.watched:
        answered = stats.answered(client.protocol.holds)
        if client.watched:
            events.replied(client.info, reply, answered)
