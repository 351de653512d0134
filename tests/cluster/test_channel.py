"""The line between supervisor and worker: whatever is put in comes out, in order, and whole."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.cluster.channel import DROPPABLE, Channel, Message, NoMessage, Unanswered

PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=4,
)
# No field of ours, and no kind that the channel takes for itself.
MESSAGES = st.lists(
    st.dictionaries(st.text().filter(lambda name: name not in ("kind", "fds")), PLAIN),
    max_size=5,
)


@asynccontextmanager
async def channels(
    taken: Callable[[Message], None] = lambda _: None,
    answers: Mapping[str, Callable[..., Any]] | None = None,
) -> AsyncGenerator[tuple[Channel, Channel], None]:
    """Two ends; what the first one sends, the second one takes."""
    one, other = socket.socketpair()
    near, far = Channel(one), Channel(other, answers)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(near.run, taken)
        nursery.start_soon(far.run, taken)
        yield near, far
        near.close()
        far.close()


@given(sent=MESSAGES)
def test_messages_arrive_in_order_and_as_they_were(sent: list[Message]) -> None:
    came: list[Message] = []

    async def main() -> None:
        done = trio.Event()

        def take(message: Message) -> None:
            if message.get("kind") == "last":
                done.set()
            else:
                came.append(message)

        async with channels(take) as (near, _):
            for message in sent:
                assert near.put(message)
            near.put({"kind": "last"})
            await done.wait()

    trio.run(main)
    assert came == sent


@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=30), st.lists(st.text("a\né☃"), max_size=8)
)
def test_how_the_bytes_are_cut_makes_no_difference(cuts: list[int], texts: list[str]) -> None:
    sent = [{"kind": "x", "text": text} for text in texts]
    came: list[Message] = []

    async def main() -> None:
        one, other = socket.socketpair()
        far = Channel(other)
        data = b"".join(json.dumps(message).encode() + b"\n" for message in sent)
        with one:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(far.run, came.append)
                while data:
                    for cut in cuts:
                        one.send(data[:cut])
                        data = data[cut:]
                        await trio.lowlevel.checkpoint()
                one.close()  # which ends the other

    trio.run(main)
    assert came == sent


async def test_descriptors_come_with_their_message() -> None:
    got: list[Message] = []
    done = trio.Event()

    def take(message: Message) -> None:
        got.append(message)
        if message["n"] == 9:
            done.set()

    async with channels(take) as (near, _):
        pipes = [os.pipe() for _ in range(3)]
        for n in range(10):
            ends = [writing for _, writing in pipes][: n % 4]
            near.put({"kind": "take", "n": n}, descriptors=ends)
        for _, writing in pipes:
            os.close(writing)  # the channel has its own
        await done.wait()
    for n, message in enumerate(got):
        assert message["n"] == n
        descriptors = message.get("descriptors", [])
        assert len(descriptors) == n % 4
        for number, descriptor in enumerate(descriptors):
            assert not os.get_inheritable(descriptor)
            os.write(descriptor, b"%d" % n)
            os.close(descriptor)
            assert os.read(pipes[number][0], 10) == b"%d" % n
    for reading, _ in pipes:
        assert os.read(reading, 1) == b""  # nobody else has kept one
        os.close(reading)


async def test_questions_are_answered_by_what_they_ask_for_whatever_the_order() -> None:
    first = trio.Event()

    async def later(text: str) -> str:
        await first.wait()
        return text.upper()

    def now(text: str) -> str:
        first.set()
        return text

    async with channels(answers={"later": later, "now": now}) as (near, _):
        answers: dict[str, Any] = {}

        async def ask(question: str) -> None:
            answers[question] = await near.ask(question, 20, text=question)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, "later")
            await trio.testing.wait_all_tasks_blocked()
            nursery.start_soon(ask, "now")
        assert answers == {"later": "LATER", "now": "now"}


async def test_a_question_that_fails_there_fails_here() -> None:
    def fail() -> None:
        raise LookupError("not here")

    async with channels(answers={"fail": fail}) as (near, _):
        with pytest.raises(Unanswered, match="LookupError: not here"):
            await near.ask("fail", 20)
        with pytest.raises(Unanswered, match="unknown"):
            await near.ask("unknown", 20)
        with pytest.raises(Unanswered, match="TypeError"):
            await near.ask("fail", 20, more="than it takes")


async def test_a_question_has_a_deadline() -> None:
    async with channels(answers={"never": trio.sleep_forever}) as (near, far):
        with pytest.raises(Unanswered, match="no answer in"):
            await near.ask("never", 0.01)
        far.close()


async def test_the_end_of_one_side_ends_the_other_and_its_questions() -> None:
    async with channels(answers={"never": trio.sleep_forever}) as (near, far):
        async with trio.open_nursery() as nursery:

            async def ask() -> None:
                with pytest.raises(Unanswered, match="ended"):
                    await near.ask("never", 20)

            nursery.start_soon(ask)
            await trio.testing.wait_all_tasks_blocked()
            far.close()
        await near.ended.wait()
        assert not near.put({"kind": "x"})
        with pytest.raises(Unanswered):
            await near.ask("never", 20)


@pytest.mark.parametrize(
    "said",
    [
        b"hola\n",
        b"[1]\n",
        b"1\n",
        b'{"fds": 1}\n',
        b'{"fds": "x"}\n',
        b"\xff\n",
        b"[" * 99999 + b"\n",
    ],
)
async def test_what_is_no_message_is_an_error(said: bytes) -> None:
    one, other = socket.socketpair()
    with one:
        one.sendall(said)
        with pytest.raises(NoMessage):
            await Channel(other).run(lambda _: None)


async def test_what_can_be_lost_is_lost_when_the_other_side_does_not_read() -> None:
    one, other = socket.socketpair()
    with other:
        near = Channel(one)
        line = {"kind": "access", "lines": ["x" * 1000]}
        put = 0
        while near.put(line, droppable=True):
            put += 1
        assert 900 < put < DROPPABLE // 1000
        assert near.lost == 1
        assert near.put({"kind": "drain"})  # what matters still has room
        near.close()


async def test_a_side_that_reads_nothing_loses_its_line() -> None:
    one, other = socket.socketpair()
    with other:
        near = Channel(one)
        while near.put({"kind": "answer", "value": "x" * 1_000_000}):
            pass
        assert near.ended.is_set()
