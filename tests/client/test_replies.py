"""When a reply is complete: the rule, without any input or output."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.client.outstanding_replies import OutstandingReplies
from tcpecho_trio.client.replies import GAP, REPLY_LIMIT, Ending, Part, Replies, ending_of
from tcpecho_trio.dialects import ADMIN, STANDARD, Command
from tcpecho_trio.errors import ReplyTooLong
from tests.support.protocol_inputs import cuts

LIST = ADMIN.command_in(b"LISTAR")


def parts(replies: Replies) -> list[Part]:
    """All that there is to take."""
    taken: list[Part] = []
    while (part := replies.next_part()) is not None:
        taken.append(part)
    return taken


def line(text: str) -> Part:
    return Part(text, complete=True, ended=True)


def within(text: str) -> Part:
    return Part(text, complete=False, ended=True)


@pytest.mark.parametrize(
    ("command", "framing", "ending"),
    [
        (None, "line", Ending.LINE_FEED),
        (STANDARD.command_in(b"DESCONEXION"), "line", Ending.LINE_FEED),
        (LIST, "line", Ending.GAP),
        (None, "raw", Ending.GAP),
        (LIST, "raw", Ending.GAP),
    ],
)
def test_what_ends_a_reply(command: Command | None, framing: str, ending: Ending) -> None:
    assert ending_of(command, framing) is ending  # type: ignore[arg-type]


def test_a_line_is_complete_with_its_line_feed() -> None:
    replies = Replies()
    replies.expect(None)
    replies.feed(b"HO")
    assert (parts(replies), replies.due, replies.gap) == ([], 1, math.inf)
    replies.quiet()
    assert parts(replies) == []  # silence means nothing
    replies.feed(b"LA\r\nnext")
    assert (parts(replies), replies.due) == ([line("HOLA")], 0)
    assert replies.unfinished == "next"


def test_a_list_is_complete_after_a_gap() -> None:
    replies = Replies()
    replies.expect(LIST)
    replies.expect(None)
    assert replies.gap == math.inf  # its first line may take its time
    replies.feed(b"Clientes:\na:1\nb")
    assert (parts(replies), replies.due) == ([within("Clientes:"), within("a:1")], 2)
    assert replies.gap == math.inf  # a line has begun, so the list goes on
    replies.feed(b":2\n")
    assert (parts(replies), replies.gap) == ([within("b:2")], GAP)
    replies.quiet()
    assert (parts(replies), replies.due) == ([Part(None, complete=True)], 1)
    replies.feed(b"HOLA\n")
    assert (parts(replies), replies.due) == ([line("HOLA")], 0)


def test_a_gap_that_was_too_short_is_forgotten() -> None:
    replies = Replies()
    replies.expect(LIST)
    replies.feed(b"Clientes:\n")
    assert parts(replies) == [within("Clientes:")]
    replies.feed(b"a:1\n")
    assert parts(replies) == [within("a:1")]
    assert replies.due == 1


@pytest.mark.parametrize("rest", [b"", b"b:2"])
def test_a_list_is_complete_at_the_end_too(rest: bytes) -> None:
    replies = Replies()
    replies.expect(LIST)
    replies.feed(b"Clientes:\n" + rest)
    assert parts(replies) == [within("Clientes:")]
    replies.feed(b"")
    assert parts(replies) == [line("b:2") if rest else Part(None, complete=True)]
    assert (replies.due, replies.closed) == (0, True)


def test_without_lines_whatever_comes_before_a_gap_is_one_reply() -> None:
    replies = Replies("raw")
    assert replies.gap == math.inf
    replies.expect(None)
    replies.feed(b"HOLA\nQUE")
    assert (parts(replies), replies.gap) == ([], GAP)
    replies.feed(b" TAL\r\n")
    assert parts(replies) == []
    replies.quiet()
    assert (parts(replies), replies.due) == ([line("HOLA\nQUE TAL")], 0)
    replies.expect(None)
    replies.feed(b"ADIOS")
    replies.feed(b"")
    assert (parts(replies), replies.due) == ([line("ADIOS")], 0)


def test_a_gap_before_what_has_come_since_does_not_end_a_reply() -> None:
    replies = Replies("raw")
    replies.expect(None)
    replies.feed(b"HO")
    replies.quiet()
    replies.feed(b"LA")
    assert parts(replies) == []


def test_no_byte_of_a_line_that_drips_in_is_looked_at_twice() -> None:
    looked_at = 0

    class Watched(bytearray):
        def find(self, what: bytes, start: int = 0) -> int:  # type: ignore[override]
            nonlocal looked_at
            looked_at += len(self) - start
            return super().find(what, start)

    replies = Replies()
    replies._buffer = Watched()
    for _ in range(1000):
        replies.feed(b"x")
        assert replies.next_part() is None
    replies.feed(b"\n")
    assert parts(replies) == [line("x" * 1000)]
    assert looked_at <= 1001


def test_what_is_unfinished_may_be_taken_as_it_is() -> None:
    replies = Replies()
    replies.expect(None)
    replies.feed("AÑO".encode())
    assert parts(replies) == []
    assert replies.take_unfinished() == Part("AÑO", complete=True, ended=False)
    assert (replies.due, replies.has_unfinished) == (0, False)
    replies.feed(b"X\n")
    assert parts(replies) == [line("X")]


def test_what_is_no_text_is_kept_as_it_came() -> None:
    for framing in ("line", "raw"):
        replies = Replies(framing)
        replies.feed(b"\xff")
        assert replies.has_unfinished
        assert replies.unfinished == "\udcff"
        replies.feed(b"\n")
        replies.quiet()
        assert parts(replies) == [line("\udcff")]


@pytest.mark.parametrize("framing", ["line", "raw"])
def test_what_is_forgotten_is_no_part_of_what_comes_next(framing: str) -> None:
    replies = Replies(framing)  # type: ignore[arg-type]
    replies.feed(b"stray, and longer")
    assert parts(replies) == []
    replies.forget()
    assert not replies.has_unfinished
    replies.feed(b"\n")
    replies.quiet()
    assert parts(replies) == [line("")]


@pytest.mark.parametrize("lines", [1, 3])
def test_the_limit_of_a_list_is_that_of_all_its_lines(lines: int) -> None:
    replies = Replies()
    replies.expect(LIST)
    size = REPLY_LIMIT // lines
    for _ in range(lines - 1):
        replies.feed(b"x" * (size - 1) + b"\n")
        assert parts(replies) == [within("x" * (size - 1))]
    replies.feed(b"x" * (REPLY_LIMIT - (lines - 1) * size))
    assert parts(replies) == []
    replies.feed(b"x")
    with pytest.raises(ReplyTooLong):
        replies.next_part()


def test_what_nobody_asked_for_is_a_line_as_well() -> None:
    replies = Replies()
    replies.feed(b"news\n")
    assert (parts(replies), replies.due) == ([line("news")], 0)


@pytest.mark.parametrize("framing", ["line", "raw"])
def test_a_reply_has_a_limit_that_grows_with_its_message(framing: str) -> None:
    for size in (0, 1000):
        room = REPLY_LIMIT + 3 * size
        replies = Replies(framing)  # type: ignore[arg-type]
        replies.expect(None, size)
        replies.feed(bytes(room))
        assert parts(replies) == []
        replies.feed(b"x")
        for _ in range(2):
            with pytest.raises(ReplyTooLong, match="16 MiB"):
                replies.next_part()


def test_a_line_that_is_too_long_is_refused_also_when_it_comes_at_once() -> None:
    replies = Replies()
    replies.expect(None)
    replies.feed(bytes(REPLY_LIMIT + 1) + b"\n")
    with pytest.raises(ReplyTooLong):
        replies.next_part()


LINES = st.lists(st.text(st.characters(exclude_characters="\r\n", codec="utf-8"), max_size=9))


@given(data=st.data(), texts=LINES)
def test_replies_are_the_same_however_they_are_cut(data: st.DataObject, texts: list[str]) -> None:
    wire = "".join(f"{text}\n" for text in texts).encode()
    replies = Replies()
    for _ in texts:
        replies.expect(None)
    taken: list[Part] = []
    for piece in data.draw(cuts(wire)):
        replies.feed(piece)
        taken += parts(replies)
    assert taken == [line(text) for text in texts]
    assert replies.due == 0


# The same rule where replies are only counted.


def test_a_reply_in_a_stream_is_complete_with_its_line_feed() -> None:
    stream = OutstandingReplies(STANDARD)
    stream.sent(b"hola\nadios\n")
    assert not stream.received(b"HO")
    assert (stream.owed, stream.unfinished) == (True, b"HO")
    assert stream.received(b"LA\nAD")
    assert stream.owed
    assert stream.received(b"IOS\n")
    assert (stream.owed, stream.lost, stream.unfinished) == (False, False, b"")


def test_at_the_end_of_a_stream_the_last_line_may_lack_its_end() -> None:
    for sent in (b"hola\n", b"hola"):
        stream = OutstandingReplies(STANDARD)
        stream.sent(sent)
        stream.received(b"HOLA")
        assert stream.owed == sent.endswith(b"\n")  # more may come
        assert not stream.lost  # and if not, nothing is missing


def test_in_a_stream_a_list_ends_by_a_gap() -> None:
    stream = OutstandingReplies(ADMIN)
    stream.sent(b"hola\n")
    assert not stream.ends_by_gap
    stream.sent(b"LISTAR\n")
    assert stream.ends_by_gap


def test_in_a_stream_what_nobody_asked_for_counts_as_a_line_as_well() -> None:
    stream = OutstandingReplies(STANDARD)
    stream.received(b"Bienvenido\n")
    stream.sent(b"hola\n")
    assert not stream.owed
