"""What holds for every input, by name."""

from __future__ import annotations

from hypothesis import assume, example, given
from hypothesis import strategies as st

from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
from tcpecho_trio.protocol import (
    TLS_HELLO,
    Foreign,
    Output,
    Protocol,
    Request,
    State,
)
from tests.support.naive_model import command_in, merged, upper
from tests.support.protocol_inputs import (
    chunks,
    cuts,
    dialects,
    fragments,
    lines_together,
    streams,
    unframed_messages,
    uppercasing_dialects,
)


def converse(dialect: Dialect, pieces: list[bytes], *, eof: bool = True) -> list[Output]:
    protocol = Protocol(dialect)
    outputs: list[Output] = []
    for piece in pieces:
        outputs += protocol.receive_data(piece)
    if eof:
        outputs += protocol.receive_eof()
    return merged(outputs)


@given(dialect=dialects, stream=streams, data=st.data())
def test_any_chunking_of_framed_input_gives_the_same_output(
    dialect: Dialect, stream: bytes, data: st.DataObject
) -> None:
    # Framed from the first byte on: before the first LF a chunk's start has a meaning.
    framed = b"hola\n" + stream
    pieces = data.draw(cuts(stream))
    whole = converse(dialect, [framed])
    assert converse(dialect, [b"hola\n", *pieces]) == whole
    assert converse(dialect, [bytes([byte]) for byte in framed]) == whole


@given(dialect=uppercasing_dialects, groups=st.lists(lines_together))
@example(dialect=STANDARD, groups=[b"x DESCONEXION\n"])
@example(dialect=STANDARD, groups=["año\nDESCONEXION \nhola\n".encode()])
def test_fast_path_equals_slow_path(dialect: Dialect, groups: list[bytes]) -> None:
    fast, slow = Protocol(dialect), Protocol(dialect)
    for group in [b"hola\n", *groups]:
        assert fast.receive_data(group) == slow._receive_any(group)
        assert fast.state is slow.state


@given(dialect=uppercasing_dialects, messages=st.lists(unframed_messages, max_size=8))
def test_unframed_messages_separated_by_quiet_equal_the_exercise(
    dialect: Dialect, messages: list[bytes]
) -> None:
    assume(not b"".join(messages).startswith(TLS_HELLO))
    protocol = Protocol(dialect)
    for message in messages:
        outputs = list(protocol.receive_data(message))
        if protocol.awaits_quiet:
            outputs += protocol.receive_quiet()
        command = command_in(message, dialect)
        if command is None:
            assert merged(outputs) == [upper(message)]
        else:
            assert outputs == [Request(command, b"")]
            if command.disconnects:
                break


@given(dialect=uppercasing_dialects, stream=streams, data=st.data())
def test_output_for_non_commands_equals_upper_of_the_input(
    dialect: Dialect, stream: bytes, data: st.DataObject
) -> None:
    for word in dialect.words:
        stream = stream.replace(word, b"")
    assume(not any(word in stream for word in dialect.words))
    outputs = converse(dialect, data.draw(cuts(stream)))
    assume(not any(isinstance(output, Foreign) for output in outputs))
    assert outputs == merged([upper(stream)])


@given(target=st.text().map(lambda text: text.replace("\n", "").encode()), data=st.data())
def test_an_http_request_is_cut_where_its_first_line_ends(
    target: bytes, data: st.DataObject
) -> None:
    line = b"POST /" + target + b" HTTP/1.1\r"
    pieces = data.draw(cuts(line + b"\nHost: x\r\n\r\nDESCONEXION\n"))
    assert converse(ADMIN, pieces) == [upper(line), Foreign("HTTP")]


@given(rest=streams, data=st.data())
def test_a_tls_hello_is_cut_at_its_second_byte(rest: bytes, data: st.DataObject) -> None:
    pieces = data.draw(cuts(b"\x16\x03" + rest))
    assert converse(ADMIN, pieces) == [b"\x16", Foreign("TLS")]


@given(stream=streams, dialect=st.sampled_from([STANDARD, SALUTATION, ECHO]))
def test_where_no_word_has_power_every_other_protocol_is_text(
    stream: bytes, dialect: Dialect
) -> None:
    for opening in (b"GET / HTTP/1.1\r\n", b"\x16\x03\x01"):
        assert not any(isinstance(one, Foreign) for one in converse(dialect, [opening + stream]))
        assert converse(dialect, [opening]) == [opening.upper() if dialect.upper else opening]


@given(dialect=dialects, before=streams, after=st.lists(chunks), eof=st.booleans())
def test_nothing_comes_after_finished(
    dialect: Dialect, before: bytes, after: list[bytes], eof: bool
) -> None:
    protocol = Protocol(dialect)
    protocol.receive_data(before)
    if eof or protocol.state is not State.FINISHED:
        protocol.receive_eof()
    assert protocol.state is State.FINISHED
    for chunk in after:
        assert protocol.receive_data(chunk) == ()
        assert protocol.receive_quiet() == ()
        assert protocol.receive_eof() == ()
    assert protocol.state is State.FINISHED
    assert not protocol.awaits_quiet


@given(dialect=dialects, pieces=st.lists(chunks), quiet=st.lists(st.booleans(), min_size=30))
def test_held_bytes_are_bounded(dialect: Dialect, pieces: list[bytes], quiet: list[bool]) -> None:
    protocol = Protocol(dialect)
    for piece, pause in zip(pieces, quiet, strict=False):
        protocol.receive_data(piece)
        assert len(protocol._held) <= dialect.longest + 3
        assert len(protocol._head or b"") <= dialect.longest
        if pause:
            protocol.receive_quiet()
            assert not protocol.awaits_quiet, "one quiet period is enough"
            assert len(protocol._held) <= (
                3 if protocol.state is State.UNDECIDED else dialect.longest
            )


@given(dialect=dialects, message=st.lists(fragments, max_size=3).map(b"".join), crlf=st.booleans())
@example(dialect=STANDARD, message=b"DESCONEXION" + b" " * 16, crlf=False)
@example(dialect=STANDARD, message=b"DESCONEXION" + b" " * 16, crlf=True)
@example(dialect=STANDARD, message=b"desconexion", crlf=True)
@example(dialect=STANDARD, message="deſconexıon".encode(), crlf=True)
@example(dialect=STANDARD, message=b"DESCONEXION\x00", crlf=False)
@example(dialect=STANDARD, message=b"\xef\xbb\xbfDESCONEXION", crlf=False)
@example(dialect=STANDARD, message=b"DESCONEXION\xc2\xa0", crlf=False)
def test_commands_only_by_exact_match(dialect: Dialect, message: bytes, crlf: bool) -> None:
    message = message.replace(b"\n", b"")
    line = message + (b"\r\n" if crlf else b"\n")
    command = command_in(line[:-1], dialect)
    for before in (b"", b"hola\n", b"hola\nDESC\n"):
        requests = [o for o in converse(dialect, [before + line]) if isinstance(o, Request)]
        if command:
            terminator = b"\r\n" if line.endswith(b"\r\n") else b"\n"
            assert requests == [Request(command, terminator)]
        else:
            assert requests == []
