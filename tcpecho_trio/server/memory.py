"""How many clients fit into the memory that this process may have (``ulimit -v``, setrlimit(2)).

When memory is used up, the next allocation fails, wherever it is: in Trio's scheduler, where that
ends the run, or in a place in CPython that ends the process. So under such a limit a server takes
no more clients than have room whatever they send. It tells the others that it is full. Without a
limit it takes them all: then the system decides which process to kill.
"""

from __future__ import annotations

import sys
from pathlib import Path

CLIENT = 320 * 1024
"""Bytes that a client can cost, besides the kernel's buffers: one that asks and never reads. A
chunk of 64 KiB and its reply, which may be three times as long, or some 64 KiB of replies to words
(``tests/hostile/test_memory.py``)."""

RESERVE = 12 * 1024 * 1024
"""Bytes for everything that is not a client. A thread that looks up a name or reads standard input
has a stack of 8 MiB (pthread_create(3)); the rest is for the journal, and for refusals."""

REFUSALS = 64
"""Clients that are being told at a time why they may not talk, where memory is limited. A refusal
takes some 10 KiB for up to a second; a client beyond that is reset at once."""

PAGES = ("RLIMIT_AS", 0), ("RLIMIT_DATA", 5)
"""Limits of memory, and where in ``/proc/self/statm`` stands how many pages have been used of each
(proc(5))."""


def room_for_clients() -> int:
    """How many clients have room beside what this process uses already; at least one."""
    try:
        import resource
    except ImportError:  # Windows has no such limits
        return sys.maxsize
    room = sys.maxsize
    for name, field in PAGES:
        limit, _ = resource.getrlimit(getattr(resource, name))
        if limit != resource.RLIM_INFINITY:
            try:
                used = int(Path("/proc/self/statm").read_text().split()[field])
            except OSError:  # macOS, which does not keep to the limit either
                continue
            left = limit - used * resource.getpagesize() - RESERVE
            room = min(room, left // CLIENT)
    return max(1, room)
