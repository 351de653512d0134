"""What a service manager and its services say to each other: systemd's two small protocols.

Sockets that were opened for us come as descriptors from 3 on (sd_listen_fds(3)); that we are
ready, alive, or stopping, we say in a datagram (sd_notify(3)). Both are a few environment
variables, and the libraries for them are bindings to libsystemd, or no longer kept up; so they are
spoken here.
"""

from __future__ import annotations

import contextlib
import os
import socket
import time
from collections.abc import Mapping, MutableMapping

import trio

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""

MAX_DESCRIPTOR = 2**31 - 1
"""The largest number that a descriptor can have: it is an int of C."""

MAX_DIGITS = 18
"""Digits of a number that a service manager can mean: it has 64 bits at most. Python refuses to
read numbers of thousands of digits."""

LONGEST_PERIOD = 1_000_000_000
"""Seconds of a watchdog's period, at most: thirty years are as good as none."""


def inherited_listeners(environ: MutableMapping[str, str]) -> list[trio.SocketListener]:
    """The listening sockets that this process was started with; none for most.

    The variables are removed, so that no child takes the descriptors for its own.

    Raises:
      OSError: a descriptor is no socket that listens, which one the text says; then all of
        them are closed.
    """
    pid, count = environ.pop("LISTEN_PID", ""), _number(environ.pop("LISTEN_FDS", ""))
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not 0 < count <= MAX_DESCRIPTOR - FIRST_DESCRIPTOR:
        return []
    with contextlib.ExitStack() as undo:
        listeners = []
        for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + count):
            try:
                listening = socket.socket(fileno=number)
                undo.callback(listening.close)
                listening.set_inheritable(False)
                listening.setblocking(False)
                listener = trio.SocketListener(trio.socket.from_stdlib_socket(listening))
            except (OSError, ValueError) as error:  # ValueError: it is none that listens
                raise OSError(f"descriptor {number}: {error}") from error
            listeners.append(listener)
        undo.pop_all()
    return listeners


class Notifier:
    """Tells the service manager how we are; says nothing if there is none.

    A notification that cannot be sent is lost, and nothing else: the service manager may not
    listen, and the system may have no memory for it. The socket is opened once, as we get ready,
    because later all descriptors may be in use. It is closed when :meth:`run` ends.

    Args:
      environ: ``NOTIFY_SOCKET`` is where to, ``WATCHDOG_USEC`` how often we have to be alive.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        period = _number(environ.get("WATCHDOG_USEC", "")) / 2e6 if watched else 0.0
        self._period = period if period <= LONGEST_PERIOD else 0.0
        self._socket: socket.socket | None = None

    def ready(self) -> None:
        """Clients can connect."""
        self._say("READY=1")

    def reloading(self) -> None:
        """What serves is being replaced; :meth:`ready` has to follow (sd_notify(3))."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """The drain has begun."""
        self._say("STOPPING=1")

    async def run(self) -> None:
        """Say twice in each period that the event loop is alive, until cancelled."""
        try:
            if not (self._address and self._period):
                await trio.sleep_forever()
            while True:
                self._say("WATCHDOG=1")
                await trio.sleep(self._period)
        finally:
            self.close()

    def close(self) -> None:
        """Close the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _say(self, state: str) -> None:
        """One datagram."""
        if not self._address:
            return
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(state.encode(), self._address)


def _number(text: str) -> int:
    """A whole number of a few digits from the environment; 0 for anything else."""
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS else 0
