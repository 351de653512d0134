"""Machines of our own: network namespaces (ip-netns(8)), each joined to one switch by a veth pair.

Nothing of it is seen outside: the switch is a namespace, too. Needs root and Linux.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks.programs import program
from tests.support.processes import PATIENCE

CLONE_NEWNET = 0x40000000
"""setns(2): a network namespace."""

NUMBERS = itertools.count()


class Machine:
    """A host with an address of its own.

    Args:
      namespace: its name.
      address: its IPv4 address.
      port: the switch's end of its cable.
    """

    def __init__(self, network: str, namespace: str, address: str, port: str) -> None:
        self._network = network
        self.namespace = namespace
        self.address = address
        self._port = port

    @property
    def within(self) -> tuple[str, ...]:
        """What a command is begun with to be run here."""
        return (program("ip"), "netns", "exec", self.namespace)

    def cut(self) -> None:
        """Pull the cable: whatever is sent gets lost, and nobody is told."""
        ip("-n", self._network, "link", "set", self._port, "down")

    def mend(self) -> None:
        ip("-n", self._network, "link", "set", self._port, "up")

    def connect(self, host: str, port: int) -> socket.socket:
        """A connection from here."""
        made: list[socket.socket | OSError] = []

        def enter() -> None:  # a namespace belongs to a thread
            libc = ctypes.CDLL(None, use_errno=True)
            with Path(f"/run/netns/{self.namespace}").open() as namespace:
                assert libc.setns(namespace.fileno(), CLONE_NEWNET) == 0, ctypes.get_errno()
            try:
                made.append(socket.create_connection((host, port), timeout=PATIENCE))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=enter)
        thread.start()
        thread.join()
        (result,) = made
        if isinstance(result, OSError):
            raise result
        return result


def ip(*arguments: str) -> None:
    done = subprocess.run([program("ip"), *arguments], capture_output=True, check=False)
    assert done.returncode == 0, (arguments, done.stderr.decode())


@contextlib.contextmanager
def machines(*names: str) -> Iterator[list[Machine]]:
    """So many machines in one network, 10.77.0.0/24; the test is skipped where that cannot be."""
    if not hasattr(os, "geteuid") or os.geteuid() != 0:
        pytest.skip("only root can make network namespaces")
    mark = f"te{os.getpid() % 100_000}x{next(NUMBERS)}"
    switch = f"{mark}sw"
    tried = subprocess.run(
        [program("ip"), "netns", "add", switch], capture_output=True, check=False
    )
    if tried.returncode != 0:
        pytest.skip(f"no network namespace can be had here: {tried.stderr.decode().strip()}")
    with contextlib.ExitStack() as stack:
        stack.callback(ip, "netns", "delete", switch)
        bridge = subprocess.run(
            [program("ip"), "-n", switch, "link", "add", "br0", "type", "bridge"],
            capture_output=True,
            check=False,
        )
        if bridge.returncode != 0:
            pytest.skip(f"no bridge can be had here: {bridge.stderr.decode().strip()}")
        ip("-n", switch, "link", "set", "br0", "up")
        joined = []
        for number, name in enumerate(names, 11):
            namespace, port = f"{mark}{name}", f"p{number}"
            ip("netns", "add", namespace)
            stack.callback(ip, "netns", "delete", namespace)
            ip(
                *("-n", switch, "link", "add", port, "type", "veth"),
                *("peer", "name", "eth0", "netns", namespace),
            )
            ip("-n", switch, "link", "set", port, "master", "br0", "up")
            address = f"10.77.0.{number}"
            ip("-n", namespace, "address", "add", f"{address}/24", "dev", "eth0")
            for device in ("lo", "eth0"):
                ip("-n", namespace, "link", "set", device, "up")
            joined.append(Machine(switch, namespace, address, port))
        yield joined
