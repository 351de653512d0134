"""The program as on a system that lacks what only POSIX has; Linux is still below it.

``python -m tests.support.elsewhere serve --port 0`` runs the program with some modules and names
hidden from its own modules. Trio and the standard library keep theirs: they have another way on
each system, and are not under test here.
"""

from __future__ import annotations

import builtins
import os
import socket
import stat
import sys
import types
from collections.abc import Mapping, Sequence
from typing import Any

OURS = "tcpecho_trio"

MODULES = frozenset({"fcntl", "grp", "pty", "pwd", "resource", "termios", "tty"})
"""Modules that do not exist on Windows."""

NAMES = {
    "os": frozenset(
        {
            *("O_ACCMODE", "O_CLOEXEC", "O_DIRECTORY", "O_NOCTTY", "O_NOFOLLOW", "O_NONBLOCK"),
            *("chown", "fchmod", "fchown", "fork", "getpgid", "getpgrp", "getsid", "getuid"),
            *("killpg", "mkfifo", "openpty", "pipe2", "set_blocking", "setsid", "sysconf"),
            *("tcgetpgrp", "tcsetpgrp", "ttyname", "uname"),
        }
    ),
    "select": frozenset({"EPOLLIN", "epoll", "kqueue", "poll"}),
    "signal": frozenset(
        {
            *("SIGALRM", "SIGCHLD", "SIGCONT", "SIGHUP", "SIGKILL", "SIGPIPE", "SIGQUIT"),
            *("SIGSTOP", "SIGTSTP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGWINCH"),
            *("pthread_sigmask", "setitimer", "sigwait"),
        }
    ),
    "socket": frozenset({"AF_UNIX", "MSG_DONTWAIT", "SO_PEERCRED", "SO_REUSEPORT"}),
}
"""Names that do not exist on Windows, or not in each of the Pythons that we run on."""


class Without(types.ModuleType):
    """A module without some of its names."""

    def __init__(self, whole: types.ModuleType, hidden: frozenset[str]) -> None:
        super().__init__(whole.__name__)
        self.whole, self.hidden = whole, hidden

    def __getattr__(self, name: str) -> Any:
        if name in self.hidden:
            raise AttributeError(f"{self.__name__}.{name} does not exist here")
        return getattr(self.whole, name)


class Lowlevel(types.ModuleType):
    """Trio's low level, which on Windows can wait for sockets only."""

    def __init__(self, whole: types.ModuleType) -> None:
        super().__init__(whole.__name__)
        self.whole = whole

    def __getattr__(self, name: str) -> Any:
        wait = getattr(self.whole, name)
        if name not in ("wait_readable", "wait_writable"):
            return wait

        async def wait_for_socket(place: int | socket.socket) -> None:
            fd = place if isinstance(place, int) else place.fileno()
            if not stat.S_ISSOCK(os.fstat(fd).st_mode):
                raise OSError(10038, "an operation was attempted on something that is not a socket")
            await wait(place)

        return wait_for_socket


class Trio(types.ModuleType):
    """Trio with that low level."""

    def __init__(self, whole: types.ModuleType) -> None:
        super().__init__(whole.__name__)
        self.whole = whole
        self.lowlevel = Lowlevel(whole.lowlevel)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.whole, name)


def hide() -> None:
    """From now on our modules import what is left."""
    real = builtins.__import__
    seen: dict[str, types.ModuleType] = {}

    def instead(whole: types.ModuleType) -> types.ModuleType:
        name = whole.__name__
        if name not in seen:
            if name == "trio":
                seen[name] = Trio(whole)
            elif name in NAMES:
                seen[name] = Without(whole, NAMES[name])
            else:
                return whole
        return seen[name]

    def import_(
        name: str,
        importing: Mapping[str, object] | None = None,
        local: Mapping[str, object] | None = None,
        fromlist: Sequence[str] | None = (),
        level: int = 0,
    ) -> types.ModuleType:
        found = real(name, importing, local, fromlist or (), level)
        importer = str((importing or {}).get("__name__"))
        if importer.partition(".")[0] != OURS or level:
            return found
        if name.partition(".")[0] in MODULES:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return instead(found)

    builtins.__import__ = import_  # type: ignore[assignment]  # it is called by position


if __name__ == "__main__":
    hide()
    from tcpecho_trio.cli import main

    sys.exit(main(sys.argv[1:]))
