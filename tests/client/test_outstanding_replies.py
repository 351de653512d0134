"""Whether everything was answered: the same verdict as by counting every line."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tcpecho_trio.client import outstanding_replies
from tcpecho_trio.client.outstanding_replies import KEPT, OutstandingReplies
from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Dialect
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


def told_apart(sent: bytes, replies: bytes) -> tuple[bool, bool]:
    """Whether something is owed, and lost if no more comes, by counting all lines each time."""
    owed = replies.count(b"\n") < sent.count(b"\n") or lines(replies) < lines(sent)
    return owed, lines(replies) < lines(sent)


@given(st.data(), sendings)
def test_where_both_sides_are_between_lines_the_verdict_is_that_of_all_lines(
    data: st.DataObject, sent: bytes
) -> None:
    account, spoken, heard = OutstandingReplies(ECHO), b"", b""
    outgoing = data.draw(cuts(sent + b"\n"))
    while outgoing or heard != spoken:
        unheard = spoken[len(heard) :]
        if outgoing and not (unheard and data.draw(st.booleans())):
            chunk = outgoing.pop(0)
            account.sent(chunk)
            spoken += chunk
        else:
            chunk = unheard[: data.draw(st.integers(1, len(unheard)))]
            assert account.received(chunk) is (b"\n" in chunk)
            heard += chunk
        assert account.unfinished == heard.rpartition(b"\n")[2]
        assert account.between_lines is spoken.endswith(b"\n")
        if spoken.endswith(b"\n") and heard.endswith(b"\n"):
            assert (account.owed, account.lost) == told_apart(spoken, heard)
    assert not account.owed


def test_a_last_line_without_an_end_is_owed_until_its_reply_has_begun() -> None:
    account = OutstandingReplies(STANDARD)
    assert (account.owed, account.lost) == (False, False)
    account.sent(b"hola")
    assert (account.owed, account.lost) == (True, True)
    account.received(b"HO")
    assert (account.owed, account.lost) == (False, False)
    account.sent(b"\n")
    assert (account.owed, account.lost) == (True, False)
    account.received(b"LA\n")
    assert (account.owed, account.lost) == (False, False)


@pytest.mark.parametrize("heard", [0, 1, 5, 6])
def test_a_line_that_turns_out_not_to_be_plain_is_counted_from_its_beginning(heard: int) -> None:
    account = OutstandingReplies(STANDARD)
    account.sent(b"hola\n" * 5)
    account.received(b"HOLA\n" * 5)
    account.sent(b"abcdef")  # counted by its length
    account.received(b"ABCDEF"[:heard])
    account.sent("ß\n".encode())
    assert (account.owed, account.lost) == (True, heard == 0)
    account.received(b"ABCDEF"[heard:] + b"SS\n")
    assert (account.owed, account.lost) == (False, False)
    account.sent(b"hola\n")
    assert (account.owed, account.lost) == (True, True)


def test_replies_that_are_still_due_when_lines_are_counted_again_are_told_from_later_ones() -> None:
    account = OutstandingReplies(STANDARD)
    account.sent(b"hola\n" * 5)
    account.sent(b"hola\n" * 5)  # counted by their length
    account.received(b"HOLA\n" * 4)
    account.sent("año\n".encode())
    account.received(b"HOLA\n" * 5 + b"HO")
    assert (account.owed, account.lost) == (True, True)
    for rest in (b"LA", b"\n"):
        account.received(rest)
        assert (account.owed, account.lost) == (True, True)
    account.received(b"A")
    assert (account.owed, account.lost) == (True, False)
    account.received("ÑO\n".encode())
    assert (account.owed, account.lost) == (False, False)


def test_many_replies_that_are_shorter_than_their_messages_are_all_there() -> None:
    account = OutstandingReplies(SALUTATION)
    for _ in range(30):
        account.sent(b"hola servidor\n")
        account.received(b"HOLA CLIENTE\n")
        assert (account.owed, account.lost) == (False, False)


def test_of_a_line_without_an_end_only_the_beginning_is_kept() -> None:
    account = OutstandingReplies(STANDARD)
    assert account.unfinished == b""
    assert account.received(b"\n" + b"x" * 5000)
    assert account.unfinished == b"x" * KEPT
    assert not account.received(b"y" * 5000)
    assert account.unfinished == b"x" * KEPT
    assert account.received(b"\n")
    assert account.unfinished == b""
    for letter in (b"a", b"b"):
        account.received(letter * (KEPT - 1))
    assert account.unfinished == b"a" * (KEPT - 1) + b"b" * (KEPT - 1)
    account.received(b"\n")
    account.received(b"z" * 5000)
    assert account.unfinished == b"z" * KEPT


@pytest.mark.parametrize("blanks", [0, 16])
def test_a_leaving_word_is_known_wherever_the_chunks_before_it_were_cut(blanks: int) -> None:
    word = b"DESCONEXION" + b" " * blanks + b"\n"
    for size in range(100):
        for cut in (0, len(word) // 2):
            account = OutstandingReplies(STANDARD)
            account.sent(b"x" * size + b"\n" + word[:cut])
            account.sent(word[cut:])
            assert account.leaves
            account.sent(b"x" + word)
            assert not account.leaves


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


@pytest.mark.parametrize("before", [b"", b"a\n", b"a\n\nb\n"])
def test_the_last_line_is_the_one_that_counts_however_short_those_before_it_are(
    before: bytes,
) -> None:
    account = OutstandingReplies(ADMIN)
    account.sent(before + b"LISTAR\n")
    assert account.ends_by_gap
    assert not account.leaves
    account.sent(before + b"APAGAR\n")
    assert account.leaves
    assert not account.ends_by_gap
    account.sent(before + b"x")
    assert (account.leaves, account.ends_by_gap) == (False, False)
