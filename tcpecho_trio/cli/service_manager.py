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
from collections.abc import Mapping, MutableMapping

import trio

FIRST_DESCRIPTOR = 3
"""SD_LISTEN_FDS_START."""


def inherited_listeners(environ: MutableMapping[str, str]) -> list[trio.SocketListener]:
    """The listening sockets that this process was started with; none for most.

    The variables are removed, so that no child takes the descriptors for its own.

    Raises:
      OSError: a descriptor is no socket that listens, which one the text says; then all of
        them are closed.
    """
    pid, count = environ.pop("LISTEN_PID", ""), environ.pop("LISTEN_FDS", "")
    environ.pop("LISTEN_FDNAMES", None)
    if pid != str(os.getpid()) or not count.isdecimal():
        return []
    with contextlib.ExitStack() as undo:
        listeners = []
        for number in range(FIRST_DESCRIPTOR, FIRST_DESCRIPTOR + int(count)):
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

    Args:
      environ: ``NOTIFY_SOCKET`` is where to, ``WATCHDOG_USEC`` how often we have to be alive.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        watched = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        microseconds = environ.get("WATCHDOG_USEC", "") if watched else ""
        self._period = int(microseconds) / 2e6 if microseconds.isdecimal() else 0.0

    def ready(self) -> None:
        """Clients can connect."""
        self._say("READY=1")

    def stopping(self) -> None:
        """The drain has begun."""
        self._say("STOPPING=1")

    async def run(self) -> None:
        """Say twice in each period that the event loop is alive, until cancelled."""
        if not (self._address and self._period):
            await trio.sleep_forever()
        while True:
            self._say("WATCHDOG=1")
            await trio.sleep(self._period)

    def _say(self, state: str) -> None:
        """One datagram; a service manager that does not listen is no reason to fail."""
        if self._address:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
                out.setblocking(False)
                try:
                    out.sendto(state.encode(), self._address)
                except OSError:
                    return
