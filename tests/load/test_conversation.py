"""One connection's part of a load: whatever the server does, each message ends in one counter."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.load.conversation import Conversation, Terms
from tcpecho_trio.load.messages import Framing, Given, Make, Numbered
from tcpecho_trio.load.tally import Tally

GREETING = DIALECTS["admin"].greeting.encode()


def talking(
    *,
    depth: int = 1,
    framing: Framing = "line",
    make: Make | None = None,
    limit: float = float("inf"),
) -> tuple[Conversation, Tally]:
    """A conversation in a closed loop, not connected yet."""
    tally = Tally(two_clocks=False, limit=limit)
    terms = Terms(
        tally=tally,
        make=make or Numbered(20, 20, framing, "upper", 0),
        schedule=None,
        count=1,
        depth=depth,
        framing=framing,
        churn=False,
        think=0,
        wake_by=lambda moment: None,
    )
    return Conversation(0, terms), tally


def replies(tally: Tally) -> int:
    return tally.replied + sum(tally.since_sent.values())


def settled(tally: Tally) -> int:
    """Messages that have ended in a counter."""
    return replies(tally) + tally.errors["wrong"] + tally.errors["missing"] + tally.cut


def test_a_right_reply_is_counted_with_its_latency_and_the_next_message_follows() -> None:
    talk, tally = talking()
    first = talk.opened(1000, 0)
    assert first == b"000000000000 hola s\n"
    second = talk.receive(first.upper(), 1500)  # the first one: is it a greeting?
    third = talk.receive(second.upper(), 1800)  # the usual case
    assert (second, third) == (b"000000000001 hola s\n", b"000000000002 hola s\n")
    assert sorted(tally.since_sent) == [300, 500]
    assert tally.sent == 3
    assert not sum(tally.errors.values())


@given(
    st.integers(1, 5),
    st.sampled_from(["line", "raw"]),
    st.lists(st.integers(1, 30), max_size=100),
)
def test_replies_may_come_in_any_pieces(depth: int, framing: Framing, pieces: list[int]) -> None:
    talk, tally = talking(depth=depth, framing=framing)
    stream, come = talk.opened(0, 0).upper(), 0
    for now, size in enumerate(pieces):
        come += min(size, len(stream))
        data, stream = stream[:size], stream[size:]
        stream += talk.receive(data, now).upper()
        assert talk.outstanding == depth
    assert not sum(tally.errors.values())
    assert replies(tally) == tally.sent - depth
    assert replies(tally) == come // 20


@given(st.data())
def test_whatever_comes_no_message_is_lost_and_none_is_counted_twice(data: st.DataObject) -> None:
    """A server that does anything at all; the tally always adds up."""
    depth = data.draw(st.integers(1, 4))
    framing: Framing = data.draw(st.sampled_from(["line", "raw"]))
    talk, tally = talking(depth=depth, framing=framing)
    stream = b""
    for now in range(data.draw(st.integers(0, 25))):
        if not talk.open or talk.broken:
            if talk.open:
                talk.closed(by_us=True)
            stream = talk.opened(now, now).upper()
        elif data.draw(st.integers(0, 9)) == 0:
            talk.closed()
            continue
        elif data.draw(st.booleans()):
            size = data.draw(st.integers(1, 60))
            piece, stream = stream[:size], stream[size:]
            stream += talk.receive(piece, now).upper()
        else:
            noise = data.draw(
                st.sampled_from([b"\n", b"x", b"E", b"ERROR: no\n", GREETING, b"0" * 90])
            )
            stream += talk.receive(noise, now).upper()
        assert settled(tally) + talk.outstanding == tally.sent
        assert 0 <= talk.outstanding <= depth
    talk.abandon(10**12, 1)
    assert settled(tally) == tally.sent


@given(st.integers(0, 18), st.integers(0, 255), st.integers(1, 4))
def test_one_wrong_byte_is_one_wrong_reply(place: int, byte: int, depth: int) -> None:
    talk, tally = talking(depth=depth)
    good = talk.opened(0, 0).upper()
    bad = bytearray(good)
    bad[place] = byte if byte not in (good[place], 10) else good[place] ^ 0x80
    following = talk.receive(bytes(bad), 1)
    assert tally.errors["wrong"] == 1
    assert replies(tally) == depth - 1
    (sample,) = tally.samples
    assert (sample.expected, sample.received) == (good[:20], bytes(bad[:20]))
    talk.receive(following.upper(), 2)  # and it goes on
    assert replies(tally) == 2 * depth - 1


def test_swapped_replies_are_both_wrong() -> None:
    talk, tally = talking(depth=2)
    said = talk.opened(0, 0).upper()
    talk.receive(said[20:] + said[:20], 1)
    assert (tally.errors["wrong"], replies(tally)) == (2, 0)


def test_a_repeated_reply_is_wrong() -> None:
    talk, tally = talking()
    said = talk.opened(0, 0).upper()
    talk.receive(said, 1)
    talk.receive(said, 2)
    assert (tally.errors["wrong"], replies(tally)) == (1, 1)


def test_a_wrong_reply_without_end_is_not_kept() -> None:
    talk, tally = talking()
    talk.opened(0, 0)
    for now in range(100):
        assert talk.receive(b"x" * 65536, now) == b""
    talk.receive(b"\n", 101)
    (sample,) = tally.samples
    assert len(sample.received) <= 256
    assert tally.errors["wrong"] == 1


def test_what_nobody_asked_for_is_counted() -> None:
    talk, tally = talking(limit=1)
    said = talk.opened(0, 0).upper()
    talk.receive(said + b"more\n", 1)
    assert (replies(tally), tally.errors["unexpected"]) == (1, 1)


@pytest.mark.parametrize("pieces", [1, 3, len(GREETING)])
def test_a_greeting_is_no_reply(pieces: int) -> None:
    talk, tally = talking()
    stream = GREETING + talk.opened(0, 0).upper()
    for place in range(0, len(stream), pieces):
        talk.receive(stream[place : place + pieces], place)
    assert (replies(tally), sum(tally.errors.values())) == (1, 0)


def test_a_greeting_in_the_middle_is_a_wrong_reply() -> None:
    talk, tally = talking()
    second = talk.receive(talk.opened(0, 0).upper(), 1)
    talk.receive(GREETING + second.upper(), 2)
    assert (replies(tally), tally.errors["wrong"]) == (1, 1)


def test_a_refusal_is_known_when_the_server_has_closed() -> None:
    talk, tally = talking()
    talk.opened(0, 0)
    assert talk.receive(b"ERROR: servidor lleno\n", 1) == b""
    assert talk.closed() == "full"
    assert talk.refusal == "servidor lleno"
    assert tally.errors["missing"] == 1
    assert tally.errors["wrong"] == 0


def test_a_refusal_after_which_nobody_closes_is_a_wrong_reply() -> None:
    talk, tally = talking()
    talk.opened(0, 0)
    talk.receive(b"ERROR: no\n", 1)
    assert talk.release(5, 10) == b""
    assert tally.errors["wrong"] == 0
    assert talk.release(11, 10) != b""  # the next message
    assert tally.errors["wrong"] == 1


def test_an_error_line_that_was_asked_for_is_a_reply() -> None:
    talk, tally = talking(make=Given([b"error: hola"], "line", "upper"))
    talk.opened(0, 0)
    talk.receive(b"ERROR: HOLA\n", 1)
    assert replies(tally) == 1


def test_any_reply_will_do_if_that_was_asked_for() -> None:
    talk, tally = talking(make=Numbered(20, 20, "line", "any", 0))
    talk.opened(0, 0)
    assert talk.receive(b"what", 1) == b""
    assert talk.receive(b"ever\n", 2)
    assert talk.receive(b"ERROR: x\n", 3)
    assert replies(tally) == 2


def test_without_lines_a_connection_with_a_wrong_reply_is_replaced() -> None:
    talk, tally = talking(framing="raw")
    said = talk.opened(0, 0).upper()
    assert talk.receive(b"y" * len(said), 1) == b""
    assert talk.broken
    assert talk.closed(by_us=True) == ""
    assert talk.opened(2, 2)
    assert tally.errors["wrong"] == 1


def test_a_reply_that_was_wrong_so_far_when_the_connection_ended_is_wrong() -> None:
    talk, tally = talking(framing="raw")
    talk.opened(0, 0)
    talk.receive(b"y", 1)
    assert talk.closed() == "closed"
    assert (tally.errors["wrong"], tally.errors["missing"]) == (1, 0)


def test_messages_under_way_are_missing_when_the_connection_ends() -> None:
    talk, tally = talking(depth=3)
    talk.opened(0, 0)
    assert talk.closed() == "closed"
    assert tally.errors["missing"] == 3
    talk.opened(1, 1)
    talk.abandon(2, timeout=1000)
    assert (tally.errors["missing"], tally.cut) == (3, 3)


def test_no_message_is_sent_beyond_the_limit() -> None:
    talk, tally = talking(limit=2)
    first = talk.opened(0, 0)
    second = talk.receive(first.upper(), 1)
    assert talk.receive(second.upper(), 2) == b""
    assert (tally.sent, replies(tally)) == (2, 2)


@given(st.lists(st.sampled_from(["right", "cut", "wrong", "close"]), max_size=30))
def test_the_usual_case_and_the_general_one_say_the_same(steps: list[str]) -> None:
    """A numbered message of one size takes the short way; a maker without a tail never does."""
    plain, plain_tally = talking()
    numbered = Numbered(20, 20, "line", "upper", 0)
    general, general_tally = talking(make=lambda number: numbered(number))
    said = [plain.opened(0, 0), general.opened(0, 0)]
    for now, step in enumerate(steps, start=1):
        assert said[0] == said[1]
        for place, talk in enumerate((plain, general)):
            reply = said[place].upper()
            if step == "close":
                talk.closed()
                said[place] = talk.opened(now, now)
            elif step == "wrong":
                said[place] = talk.receive(b"z" + reply[1:], now)
            elif step == "cut":
                assert talk.receive(reply[:5], now) == b""
                said[place] = talk.receive(reply[5:], now)
            else:
                said[place] = talk.receive(reply, now)
    plain_tally.last_reply = general_tally.last_reply  # the short way does not write it down
    assert plain_tally == general_tally
