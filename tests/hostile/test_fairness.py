"""Hundreds of clients that flood a word: everybody else is answered, and the end is kept."""

from __future__ import annotations

import contextlib
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from tcpecho_trio.dialects import ADMIN
from tests.support.processes import AT_ONCE
from tests.support.victim import Victim, attacked, processor_time, read_all, read_exactly

FLOODERS = 200

FLOODER = """\
import selectors, socket, sys
port, count, word = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3].encode()
selector, data = selectors.DefaultSelector(), (word + b'\\n') * 2000
for _ in range(count):
    client = socket.create_connection(('127.0.0.1', port))
    client.setblocking(False)
    selector.register(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
told = 0
while selector.get_map():
    for key, events in selector.select():
        try:
            if events & selectors.EVENT_READ and not key.fileobj.recv(1 << 18):
                raise ConnectionError
            if events & selectors.EVENT_WRITE:
                key.fileobj.send(data)
                told += 1
                if told == count:
                    print('flooding', flush=True)
        except BlockingIOError:
            pass
        except OSError:
            selector.unregister(key.fileobj)
            key.fileobj.close()
"""

WORDS = [
    ("standard", "una linea cualquiera", ""),
    ("salutation", "hola servidor", ""),
    ("inspect", "REPORT", ""),
    ("admin", "LISTAR", ADMIN.greeting),
]

WAIT = 0.5
"""Seconds of the server's processor time that an answer may be waited for. Unlike a clock on the
wall, that does not grow while the machine serves others. Two hundred clients' turns at text take
0.2 s; obeying them without a bound took more than a second."""

SPENT = 1.0
"""Seconds of the same in which an end has come, besides those that the clients are given."""


ASKED = 30
"""Questions of the polite client; the slowest of them stands for the slowest hundredth."""

MOST = 5
"""How many times as long as beside a flood of text anybody may wait beside one of commands."""


@pytest.fixture(params=WORDS, ids=[word[0] for word in WORDS])
def flooded(request: pytest.FixtureRequest, way: str) -> Iterator[Victim]:
    """A server that hundreds of clients flood with a word of its dialect."""
    with flooding(way, *request.param) as server:
        yield server


@contextlib.contextmanager
def flooding(way: str, dialect: str, word: str, greeting: str) -> Iterator[Victim]:
    """A server that hundreds of clients flood with a word."""
    options = ("--dialect", dialect, "--drain-timeout", "1", "--quiet")
    with (
        attacked(*options, way=way, greeting=greeting) as server,
        subprocess.Popen(
            [sys.executable, "-c", FLOODER, str(server.port), str(FLOODERS), word],
            stdout=subprocess.PIPE,
        ) as flood,
    ):
        try:
            assert flood.stdout is not None
            assert flood.stdout.readline() == b"flooding\n"
            yield server
        finally:
            flood.kill()


def spent_by_children() -> float:
    """Seconds of processor time of the processes that have ended and were waited for."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def waits(server: Victim, count: int) -> list[float]:
    """What a polite client waited for each answer, in seconds of the server's processor time."""
    found = []
    with server.connect() as polite:
        polite.settimeout(AT_ONCE)
        for _ in range(count):
            before = processor_time(server.process.pid)
            polite.sendall(b"hola\n")
            assert read_exactly(polite, 5) == b"HOLA\n"
            found.append(processor_time(server.process.pid) - before)
    return found


def test_nobody_waits_long_beside_them_nor_five_times_as_long_as_beside_text(way: str) -> None:
    slowest = {}
    for flood in WORDS:
        with flooding(way, *flood) as server:
            slowest[flood[0]] = max(waits(server, ASKED))
        # At the end of the block a newcomer has asked, and was answered at once, too.
    assert max(slowest.values()) < WAIT, slowest
    beside_text = slowest.pop("standard")
    assert max(slowest.values()) < MOST * beside_text, (beside_text, slowest)


def test_the_drain_ends_in_its_time_whatever_they_flood(flooded: Victim) -> None:
    with flooded.connect() as polite:
        before = processor_time(flooded.process.pid) + spent_by_children()
        start = time.monotonic()
        flooded.process.send_signal(signal.SIGTERM)
        polite.settimeout(AT_ONCE)
        with contextlib.suppress(ConnectionResetError):  # a busy machine had no turn for it
            assert read_all(polite) == b""
        polite.close()
        assert flooded.finish() == 0
        assert time.monotonic() - start < 1 + AT_ONCE
        assert spent_by_children() - before < 1 + SPENT


def test_a_second_signal_ends_it_whatever_they_flood(flooded: Victim) -> None:
    flooded.process.send_signal(signal.SIGTERM)
    flooded.wait_for("draining")
    before = processor_time(flooded.process.pid) + spent_by_children()
    start = time.monotonic()
    flooded.process.send_signal(signal.SIGINT)
    assert flooded.finish() == 0
    assert time.monotonic() - start < AT_ONCE
    assert spent_by_children() - before < SPENT
