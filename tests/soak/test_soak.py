"""The soak's plans are repeatable, its comparison bites, and a short run of it passes."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
from collections import Counter

import pytest
import trio

from tests.soak.client import Heard, play
from tests.soak.fault_proxy import Faults, reset_on_close
from tests.soak.plans import KINDS, HalfClose, Plan, Reset, Say, plan
from tests.soak.report import Life, Tally, report
from tests.soak.server import Held, Server, journal_trouble
from tests.support.processes import ROOT

linux = pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="reads /proc, connects from 127.0.0.0/8"
)


def test_the_same_seed_makes_the_same_decisions() -> None:
    one, same, other = ([plan(seed, number) for number in range(60)] for seed in (1, 1, 2))
    assert one == same != other


def test_plans_are_of_every_kind_and_mostly_whole() -> None:
    plans = [plan(1, number) for number in range(300)]
    assert {plan.kind for plan in plans} == {kind.__name__.replace("_", " ") for kind in KINDS}
    assert 0.5 < sum(plan.whole for plan in plans) / len(plans) < 0.9


def test_every_message_has_a_token_of_its_own() -> None:
    for number in range(100):
        decided = plan(1, number)
        said = b"".join(step.data for step in decided.steps if isinstance(step, Say))
        tokens = [b"c%dm%d" % (number, message + 1) for message in range(decided.messages)]
        if decided.whole:
            assert all(token in said for token in tokens)


def a_plan(due: bytes, *, whole: bool = True) -> Plan:
    end = HalfClose() if whole else Reset()
    return Plan(7, "test", (Say(b"c7m1\n"), end), due, whole, Faults(), 1)


async def verdict(decided: Plan, reply: bytes, *, abortive: bool = False) -> str:
    """What a client finds wrong with a server that says this, whatever it hears."""

    async def answer(stream: trio.SocketStream) -> None:
        with contextlib.suppress(trio.BrokenResourceError):  # some leave before the reply
            await stream.receive_some(1)
            await stream.send_all(reply)
            if abortive:
                reset_on_close(stream)
            else:
                async for _ in stream:
                    pass

    async def connect(faults: Faults) -> trio.SocketStream:
        return await trio.open_tcp_stream("127.0.0.1", port)

    async with trio.open_nursery() as nursery:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        _, wrong = await play(decided, connect)
        nursery.cancel_scope.cancel()
    return wrong


async def test_a_reset_in_place_of_an_end_is_seen() -> None:
    assert "reset after" in await verdict(a_plan(b"C7M1\n"), b"C7M1\n", abortive=True)


async def test_whoever_was_broken_off_may_have_heard_any_beginning() -> None:
    assert await verdict(a_plan(b"C7M1\n", whole=False), b"C7M") == ""
    assert await verdict(a_plan(b"C7M1\n", whole=False), b"C7M", abortive=True) == ""


async def test_a_faithful_server_is_found_faithful() -> None:
    assert await verdict(a_plan(b"C7M1\n"), b"C7M1\n") == ""


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (b"C7M1", "4 bytes; 5 were due"),
        (b"C7M1\nC7M1\n", "byte 5:"),
        (b"C8M1\n", "byte 1: due …b'C7M1\\n'…, heard …b'C8M1\\n'…, of the messages C8M1"),
    ],
)
async def test_what_is_lost_added_or_somebody_elses_is_seen(reply: bytes, said: str) -> None:
    assert said in await verdict(a_plan(b"C7M1\n"), reply)


def test_differences_are_found_at_the_byte_wherever_chunks_begin() -> None:
    heard = Heard(b"abcdef")
    heard.take(b"ab")
    heard.take(b"cXef")
    assert heard.wrong.startswith("byte 3:")


@pytest.mark.parametrize(
    ("line", "trouble"),
    [
        (json.dumps({"event": "received", "timestamp": "now", "text": "año"}), ""),
        ("[::1] Cliente conectado", "no JSON"),
        ("[1]", "no event"),
        ('{"event": "crashed", "timestamp": "now"}', "crash"),
        ('{"event": "received", "timestamp": "now", "text": "\\u001b[2J"}', "U+001B"),
        ('{"event": "received", "timestamp": "now", "text": "\x9b"}', "U+009B"),
        ('{"event": "received", "timestamp": "now", "text": "\u202e"}', "U+202E"),
    ],
)
def test_the_journal_is_read_with_care(line: str, trouble: str) -> None:
    found = journal_trouble(line)
    assert trouble in found
    assert bool(trouble) == bool(found)


@pytest.mark.parametrize(
    ("settled", "exit_code", "said"),
    [
        (Held(30 << 20, 9), 0, "lost          nothing"),
        (Held(30 << 20, 10), 0, "descriptors: 9 → 10"),
        (Held(60 << 20, 9), 0, "memory: 30.0 MiB → 60.0 MiB"),
        (Held(30 << 20, 9), 1, "exit code 1"),
        (Held(30 << 20, 9), None, "exit code None"),
    ],
)
def test_what_a_server_keeps_or_how_it_ends_is_reported(
    settled: Held, exit_code: int | None, said: str
) -> None:
    life = Life(Server("pump"), Held(30 << 20, 9), Held(30 << 20, 9), settled, exit_code)
    text, well = report(Tally(), [life], Counter(), seed=1, seconds=1)
    assert said in text
    assert well == ("nothing" in said)


@linux
def test_a_short_soak_passes() -> None:
    command = [sys.executable, "-m", "tests.soak", "--seconds", "1", "--seed", "1"]
    command += ["--linger", "20"]  # however busy the machine is
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert "nothing" in done.stdout.decode()


@linux
def test_one_client_can_be_repeated() -> None:
    command = [sys.executable, "-m", "tests.soak", "--seed", "1", "--client", "3"]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stdout.decode() + done.stderr.decode()
    assert " 4 connections" in done.stdout.decode()  # one at each of the servers
