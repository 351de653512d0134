"""Restarting the servers behind a proxy, one after the other, under load: no message is lost.

What that means, and is checked: every reply is the whole reply to the request before it; a
connection ends only between replies; and what the servers took in all their lives is as many
messages as the clients have replies for. So whatever a client had no reply for, no server
has taken either: asking again on a new connection is safe, and is answered once.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import pytest

from tests.networks.backend import backend, connect
from tests.networks.programs import haproxy, haproxy_says
from tests.support.victim import Victim

CLIENTS = 4

SETTINGS = "\n".join(
    (
        "option redispatch 1",  # a server that refuses: the next attempt goes to another one
        "retries 3",
        "default-server send-proxy-v2 check inter 100ms fall 1 rise 1",
    )
)


class Talker:
    """A client that never stops asking; closed on, it comes again and repeats its question."""

    def __init__(self, port: int, name: str) -> None:
        self.port = port
        self.name = name
        self.answered = 0
        self.connections = 0
        self.enough = threading.Event()
        self._progress = threading.Condition()

    def talk(self) -> None:
        while not self.enough.is_set():
            self.connections += 1
            with connect(self.port) as client, client.makefile("rb") as replies:
                while not self.enough.is_set() and self._answered(client, replies):
                    with self._progress:
                        self.answered += 1
                        self._progress.notify()

    def _answered(self, client: socket.socket, replies: IO[bytes]) -> bool:
        """Whether the next question got its reply; False if there is a new connection to make."""
        question = f"{self.name} {self.answered} ñandú\n"
        reply = b""
        with contextlib.suppress(ConnectionError):
            client.sendall(question.encode())
            reply = replies.readline()
        assert reply in (b"", question.upper().encode())
        return bool(reply)

    def wait_for(self, more: int) -> None:
        """Until so many more questions have been answered."""
        with self._progress:
            goal = self.answered + more
            assert self._progress.wait_for(lambda: self.answered >= goal, 20), self.name


def taken(server: Victim) -> int:
    """The messages that a server has taken in its life; it has ended."""
    untold = sum(event["count"] for event in server.events("more_messages"))
    return len(server.events("received")) + int(untold)


def wait_until_free(port: int) -> None:
    """Somebody's outgoing connection may have the port for a moment."""
    while True:
        with contextlib.suppress(OSError):
            socket.create_server(("127.0.0.1", port)).close()
            return


@pytest.mark.parametrize("way", [(), ("--portable",)], ids=["pump", "portable"])
def test_clients_that_never_pause_are_closed_on_between_two_replies(way: tuple[str, ...]) -> None:
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(backend("--dialect", "standard", *way))
        talkers = [Talker(server.port, f"client {n}") for n in range(CLIENTS)]
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        for talker in talkers:
            stack.callback(talker.enough.set)
        talking = [pool.submit(talker.talk) for talker in talkers]
        for talker in talkers:
            talker.wait_for(10)
        assert server.stop() == 0
        (stopped,) = server.events("stopped")
        assert (stopped["served"], stopped["aborted"]) == (CLIENTS, 0)
        for future in talking:
            assert isinstance(future.exception(), ConnectionRefusedError)  # they came again
        assert taken(server) == sum(talker.answered for talker in talkers)


def test_a_rolling_restart_under_load_loses_no_message(tmp_path: Path) -> None:
    options = ("--proxy-protocol", "required", "--dialect", "standard", "--host", "127.0.0.1")
    ways = ((), ("--portable",))
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(backend(*options, *way)) for way in ways]
        lines = [f"server s{n} 127.0.0.1:{s.port}" for n, s in enumerate(servers)]
        ports = stack.enter_context(
            haproxy(tmp_path, {"front": "\n".join(lines)}, settings=SETTINGS)
        )
        talkers = [Talker(ports["front"], f"client {n}") for n in range(CLIENTS)]
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        for talker in talkers:
            stack.callback(talker.enough.set)
        talking = [pool.submit(talker.talk) for talker in talkers]
        lives = list(servers)
        for number in (0, 1):
            for talker in talkers:
                talker.wait_for(10)
            old = servers[number]
            assert old.stop() == 0
            (stopped,) = old.events("stopped")
            assert stopped["aborted"] == 0
            wait_until_free(old.port)
            again = (*ways[number], "--port", str(old.port))
            new = stack.enter_context(backend(*options, *again))
            lives.append(new)
            while haproxy_says(tmp_path, "front", f"s{number}")["status"] != "UP":
                pass
        for talker in talkers:
            talker.wait_for(10)
            talker.enough.set()
        for future in talking:
            future.result()
        for server in lives[2:]:
            assert server.stop() == 0
        assert sum(map(taken, lives)) == sum(talker.answered for talker in talkers)
        assert all(map(taken, lives[:3]))  # the last one may have come too late for anybody
        assert any(talker.connections > 1 for talker in talkers)
