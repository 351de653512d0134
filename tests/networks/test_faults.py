"""Faults on demand as a client sees them."""

from __future__ import annotations

import socket
import time

import pytest

from tests.networks.backend import ask, backend, connect, name_of, report
from tests.support.victim import read_all, read_exactly

OFTEN = 24
"""Connections in which a fault with an even chance looks like one: all alike come once in
eight million runs, and with a fixed seed never."""


def test_a_delay_comes_before_every_reply() -> None:
    with backend("--fault", "delay:150ms") as server, connect(server.port) as client:
        for _ in range(2):
            start = time.monotonic()
            assert ask(client, "hola") == "HOLA"
            assert time.monotonic() - start >= 0.15
        assert report(client)["faults"] == ["delay:0.15s"]
        told = server.wait_for("faulty", lambda event: event["client"] == name_of(client))
        assert told["faults"] == "delay:0.15s"


def test_a_drip_comes_in_pieces_no_faster_than_asked_for() -> None:
    with backend("--fault", "drip:100") as server, connect(server.port) as client:
        start, pieces, received = time.monotonic(), 0, b""
        client.sendall(b"x" * 29 + b"\n")
        while len(received) < 30:
            received += client.recv(100)
            pieces += 1
        assert received == b"X" * 29 + b"\n"
        assert time.monotonic() - start >= 0.25  # thirty hundredths, but for the last piece
        assert pieces > 1


def test_a_stalled_connection_is_accepted_and_never_answered() -> None:
    with backend("--fault", "stall") as server, connect(server.port) as client:
        client.sendall(b"hola\n")
        client.settimeout(0.2)
        with pytest.raises(TimeoutError):
            client.recv(1)
        client.shutdown(socket.SHUT_WR)
        assert server.stop() == 0  # a stalled client does not hold up the end
        assert server.events("stopped")[0]["aborted"] == 0


def test_a_close_is_orderly_after_so_many_bytes() -> None:
    with backend("--fault", "close:7") as server, connect(server.port) as client:
        client.sendall(b"hola\nadios\n")
        assert read_all(client) == b"HOLA\nAD"
        client.close()
        server.wait_for("closed", lambda event: event["reason"] == "fault")


def test_a_reset_is_one_after_so_many_bytes() -> None:
    with backend("--fault", "reset:7") as server, connect(server.port) as client:
        client.sendall(b"hola\n")
        assert read_exactly(client, 5) == b"HOLA\n"
        client.sendall(b"adios\n")
        with pytest.raises(ConnectionResetError):
            read_all(client)


def test_the_same_seed_hits_the_same_connections() -> None:
    def hit(seed: int) -> list[bool]:
        options = ("--fault", "close:0@0.5", "--fault-seed", str(seed), "--quiet")
        with backend("--dialect", "standard", *options) as server:
            found = []
            for _ in range(OFTEN):
                with connect(server.port) as client:
                    client.sendall(b"hola\n")
                    found.append(client.recv(100) == b"")
            return found

    first = hit(7)
    assert hit(7) == first
    assert hit(8) != first
    assert 0 < sum(first) < OFTEN
