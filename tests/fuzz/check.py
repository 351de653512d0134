"""What any bytes at all say about the protocol: the one target of every fuzzer.

The bytes are a little program. Their first one chooses a dialect (``0``, ``1``, …, modulo how
many there are); the rest is what a peer sends, with ASCII's separators (RFC 20 §4.2) as actions:

===== ==== ===========================================================================
byte  name means
===== ==== ===========================================================================
1C    FS   the network cuts here: what stands before it is a chunk
1D    GS   the same, and then a quiet period
1E    RS   the same, and then the end of input
1F    US   the chunk so far once more (a long one is left as it is): short programs, long lines
10    DLE  the next byte is data, whatever it is
===== ==== ===========================================================================

Every string of bytes is a program and nearly every change of a byte is a meaningful one, which
is what a fuzzer needs; and a person can read the files of the corpus.
"""

from __future__ import annotations

from collections.abc import Iterator

from tcpecho_trio.dialects import DIALECTS, Dialect
from tcpecho_trio.protocol import Output, Protocol, State
from tests.support.naive_model import NaiveModel, merged
from tests.support.protocol_inputs import TANGLED

CUT, QUIET, EOF, REPEAT, LITERAL = 0x1C, 0x1D, 0x1E, 0x1F, 0x10
LONG = 4096
"""Bytes from which on a chunk is not repeated any more: the protocol treats chunks as long as
this differently, and the naive model takes quadratic time."""
LONGEST = 6_000
"""Bytes of all chunks together; the rest of a longer program is not run, for the same reason."""
BYTE_BY_BYTE = 600
"""Bytes up to which a stream is also played a byte at a time, which takes long."""
SPARE = 64
"""Bytes that a machine may hold on top of its two candidates: part of a character, say."""

PLAYED: list[Dialect] = [TANGLED, *DIALECTS.values()]
"""By number. A new dialect comes last, so the files of the corpus keep their meaning."""

Action = bytes | None
"""A chunk; b"" is a quiet period, None the end of input."""


def actions(program: bytes) -> Iterator[Action]:
    """What the program tells the peer to do, without its first byte."""
    chunk = bytearray()
    room = LONGEST
    bytes_left = iter(program[1:])
    for byte in bytes_left:
        if byte in (CUT, QUIET, EOF):
            if chunk:
                yield bytes(chunk)
            room -= len(chunk)
            chunk.clear()
            if room <= 0:
                return
            if byte != CUT:
                yield b"" if byte == QUIET else None
        elif byte == REPEAT:
            if len(chunk) < LONG:
                chunk *= 2
        else:
            chunk.append(next(bytes_left, byte) if byte == LITERAL else byte)
    if chunk:
        yield bytes(chunk)


def check(program: bytes) -> None:
    """Run a program; raise AssertionError where the protocol is not what it promises."""
    dialect = PLAYED[(program[0] - ord("0") if program else 0) % len(PLAYED)]
    done = list(actions(program))
    equals_the_model(dialect, done)
    cuts_never_show_to_line_clients(dialect, [chunk for chunk in done if chunk])


def equals_the_model(dialect: Dialect, done: list[Action]) -> None:
    """After every action the machine and the model have said the same."""
    protocol, model = Protocol(dialect), NaiveModel(dialect)
    said: list[Output] = []
    for action in [*done, None]:
        was_finished = protocol.state is State.FINISHED
        awaited = protocol.awaits_quiet
        outputs = play(protocol, action)
        if was_finished:
            assert outputs == (), "something came after FINISHED"
            assert protocol.state is State.FINISHED, "FINISHED is final"
        if action == b"" and not awaited:
            assert outputs == (), "a quiet period that nobody asked for changed something"
        assert merged(list(outputs)) == list(outputs), "replies in a row belong together"
        said += outputs
        if action is None:
            model.eof()
        elif action:
            model.data(action)
        else:
            model.quiet()
        assert merged(said) == merged(model.outputs), "not what the model says"
        assert (protocol.state is State.FINISHED) == model.finished, "one of them has finished"
        assert protocol.awaits_quiet == model.awaits_quiet, "one of them waits for quiet"
        assert held(protocol) <= 2 * dialect.longest + SPARE, "it holds too much"


def cuts_never_show_to_line_clients(dialect: Dialect, chunks: list[bytes]) -> None:
    """Once there was an LF, the stream alone says what is answered."""
    stream = b"\n" + b"".join(chunks)
    whole = converse(dialect, [stream])
    assert converse(dialect, [b"\n", *chunks]) == whole, "a cut shows"
    if len(stream) < BYTE_BY_BYTE:
        assert converse(dialect, [bytes([byte]) for byte in stream]) == whole, "a cut shows"


def converse(dialect: Dialect, chunks: list[bytes]) -> list[Output]:
    """All that is said to these chunks and the end of input, with quiet periods in between."""
    protocol = Protocol(dialect)
    said: list[Output] = []
    for chunk in chunks:
        said += protocol.receive_data(chunk)
        said += protocol.receive_quiet()
    return merged([*said, *protocol.receive_eof()])


def play(protocol: Protocol, action: Action) -> tuple[Output, ...]:
    """One action of the peer."""
    if action is None:
        return protocol.receive_eof()
    return protocol.receive_data(action) if action else protocol.receive_quiet()


def held(protocol: Protocol) -> int:
    """Bytes that the machine keeps of what it was sent, in whatever it keeps them."""
    kept = [getattr(protocol, name, None) for name in protocol.__slots__]
    return sum(len(value) for value in kept if isinstance(value, bytes | bytearray))
