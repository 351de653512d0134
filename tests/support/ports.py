"""Ports for programs that have to be told theirs."""

from __future__ import annotations

import contextlib
import socket
from pathlib import Path
from random import SystemRandom

RANGE = Path("/proc/sys/net/ipv4/ip_local_port_range")


def free_ports(count: int) -> list[int]:
    """Ports on which nobody listens, below those that the kernel gives away (ip(7)).

    One of the kernel's would be another connection's by the time at which it is used, now and then.
    """
    first = int(RANGE.read_text().split()[0]) if RANGE.exists() else 32_768
    choice = SystemRandom()  # pytest-randomly gives all its processes one seed
    found: set[int] = set()
    while len(found) < count:
        port = choice.randrange(first // 2, first)
        with contextlib.suppress(OSError), socket.create_server(("", port)):
            found.add(port)
    return list(found)
