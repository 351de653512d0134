"""A server that delays each reply by a time of its own, and writes down by how much it has.

``delays.py FILE``: the nanoseconds from each message to its reply, one a line, at SIGTERM. Threads,
blocking sockets: what is written down is what this server did, not what it meant to do.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from pathlib import Path

SHORTEST, SPREAD, STEPS = 0.01, 0.0007, 97
"""Seconds of the shortest delay, between two of them, and how many different ones there are."""


def converse(client: socket.socket, seen: list[int], number: int) -> None:
    """Answer one client."""
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with client:
        while data := client.recv(65536):
            began = time.perf_counter_ns()
            number += 41  # has no factor in common with 97: each delay has its turn
            time.sleep(SHORTEST + SPREAD * (number % STEPS))
            seen.append(time.perf_counter_ns() - began)
            client.sendall(data.upper())


def main() -> None:
    """Serve until SIGTERM."""
    seen: list[int] = []
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listener:
        print(listener.getsockname()[1], flush=True)
        signal.signal(signal.SIGTERM, lambda *_: listener.close())
        number = 0
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                break
            number += 1
            threading.Thread(target=converse, args=(client, seen, number), daemon=True).start()
    with Path(sys.argv[1]).open("w", encoding="ascii") as file:
        file.writelines(f"{one}\n" for one in seen)


main()
