"""Whether everything was answered: the same verdict as by counting every line."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tcpecho_trio.client import outstanding_replies
from tcpecho_trio.client.outstanding_replies import OutstandingReplies
from tcpecho_trio.dialects import SALUTATION, STANDARD, Dialect
from tcpecho_trio.protocol import Foreign, Protocol, Request
from tests.support.protocol_inputs import cuts

COUNTED = 20
"""Bytes after which lengths are counted here, so that examples can be small."""


def served(dialect: Dialect, sent: bytes) -> bytes:
    """What a server of this dialect answers to all of it."""
    protocol, replies = Protocol(dialect), b""
    for output in protocol.receive_data(sent) + protocol.receive_eof():
        assert not isinstance(output, Foreign)
        if isinstance(output, Request):
            replies += output.command.text.encode() + output.terminator
        else:
            replies += output
    return replies


def lines(data: bytes) -> int:
    return data.count(b"\n") + bool(data.rpartition(b"\n")[2])


sendings = st.lists(
    st.sampled_from(
        [
            *(b"hola\n", b"que tal estamos\n", b"\n", b"sin fin", "añ\n".encode(), b"\xff"),
            *(b"DESCO", b"NEXION", b"hola servidor\n", b"x" * 30 + b"\n"),
        ]
    ),
    max_size=30,
).map(b"".join)


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outstanding_replies, "COUNTED", COUNTED)


@given(st.data(), st.sampled_from([STANDARD, SALUTATION]), sendings)
def test_everything_answered_is_never_taken_for_a_loss(
    data: st.DataObject, dialect: Dialect, sent: bytes
) -> None:
    account = OutstandingReplies(dialect)
    replies = served(dialect, sent)
    assume(lines(replies) == lines(sent))  # else the server has left in the middle of it
    for chunk in data.draw(cuts(sent)):
        account.sent(chunk)
    for chunk in data.draw(cuts(replies)):
        account.received(chunk)
    assert not account.owed
    assert not account.lost


@given(st.data(), sendings)
def test_a_lost_line_is_seen_however_the_two_directions_interleave(
    data: st.DataObject, sent: bytes
) -> None:
    account = OutstandingReplies(STANDARD)
    sent += b"\nhola\n"  # the last line is no command: it is its reply that will be lost
    replies = served(STANDARD, sent)
    if b"Conexi" in replies:  # the server has left in the middle of it
        lost = lines(replies) < lines(sent)
    else:
        replies, lost = replies[: -len(b"HOLA\n")], True
    outgoing, incoming = data.draw(cuts(sent)), data.draw(cuts(replies))
    answerable = arrived = 0
    while outgoing or incoming:
        may_hear = incoming and arrived + len(incoming[0]) <= answerable
        if outgoing and not (may_hear and data.draw(st.booleans())):
            done = outgoing.pop(0)
            account.sent(done)
            answerable = len(replies) if not outgoing else len(_certain(sent, outgoing))
        else:
            arrived += len(incoming[0])
            account.received(incoming.pop(0))
    assert account.lost == lost


def _certain(sent: bytes, outgoing: list[bytes]) -> bytes:
    """What a server has said before the rest of the input was sent."""
    protocol, replies = Protocol(STANDARD), b""
    for output in protocol.receive_data(sent[: len(sent) - sum(map(len, outgoing))]):
        assert not isinstance(output, Foreign)
        replies += output if isinstance(output, bytes) else output.command.text.encode() + b"\n"
    return replies


def test_a_last_farewell_is_not_due() -> None:
    account = OutstandingReplies(STANDARD)
    account.sent(b"hola\nDESCONEXION\n")
    account.received(b"HOLA\n")
    assert account.leaves
    assert account.owed
    assert not account.lost


def test_a_server_with_other_words_is_not_suspected_in_a_conversation() -> None:
    account = OutstandingReplies(STANDARD)
    account.sent(b"hola servidor\n")  # 14 bytes
    account.received(b"HOLA CLIENTE\n")  # 13 bytes
    assert not account.lost


def test_lines_are_not_counted_where_lengths_tell_as_much() -> None:
    account = OutstandingReplies(STANDARD)
    for _ in range(100):
        account.sent(b"hola\n" * 100)
        account.received(b"HOLA\n" * 100)
    assert len(account._lines_sent) < 200
    assert not account.owed
    account.sent(b"hola\n")
    assert account.lost


def test_a_word_that_two_chunks_share_is_a_word() -> None:
    account = OutstandingReplies(STANDARD)
    account.sent(b"hola\n" * 10)
    account.sent(b"hola\nDESCO")
    account.received(b"HOLA\n" * 11)
    account.sent(b"NEXION\n")
    assert not account.lost  # no farewell is due, and everything else has been answered
    account.sent(b"hola\n")
    account.received("Conexión cerrada\n".encode())
    assert account.lost
