"""What was typed before, kept between runs where the platform keeps such things.

That is ``$XDG_STATE_HOME`` or ``~/.local/state`` (XDG Base Directory Specification), and on
macOS ``~/Library/Application Support``. One message a line, as it was sent, the newest last:
a file that a person can read, search and edit.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from pathlib import Path

from platformdirs import user_state_path
from prompt_toolkit.history import History

MAX_MESSAGES = 1000
"""Messages that are remembered (bash keeps 500 lines, zsh's usual set-up 1000); the file is
cut to them when it has grown to twice as many."""

MAX_REMEMBERED = 4096
"""Bytes of a message that is remembered. A terminal's own line ends there (termios(3)), so a
longer message was pasted."""


def history_file() -> Path | None:
    """Where the history is kept; None where there is no such place."""
    path = user_state_path("tcpecho_trio") / "history"
    home = Path(os.environ.get("HOME") or "/")
    if not path.is_absolute() or (path.is_relative_to(home) and not home.is_dir()):
        return None  # never create a home directory
    return path


class FileHistory(History):
    """The history in a file that only its owner can read (mode 0600).

    A file that cannot be read or written is no error: the history is then that of this run.

    Args:
      path: the file, made together with its folders if need be; None for no file.
    """

    def __init__(self, path: Path | None) -> None:
        super().__init__()
        self._path = path

    def load_history_strings(self) -> Iterable[str]:
        """What is in the file, the newest first."""
        messages: list[bytes] = []
        with contextlib.suppress(OSError):
            if self._path is not None and self._path.is_file():  # a FIFO might never end
                messages = self._path.read_bytes().split(b"\n")[:-1]
                if len(messages) > 2 * MAX_MESSAGES:
                    _replace(self._path, messages[-MAX_MESSAGES:])
        for message in reversed(messages[-MAX_MESSAGES:]):
            yield message.decode("utf-8", "surrogateescape")

    def store_string(self, string: str) -> None:
        """Append one message."""
        message = string.encode("utf-8", "surrogateescape")
        if self._path is None or b"\n" in message or len(message) > MAX_REMEMBERED:
            return
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # One write(2) with O_APPEND: clients in several terminals do not mix their lines.
            _write(self._path, message + b"\n", os.O_APPEND)


def _replace(path: Path, messages: list[bytes]) -> None:
    """Put these in place of the file: a reader sees the old ones or the new."""
    new = path.with_name(f"{path.name}.{os.getpid()}")
    _write(new, b"".join(message + b"\n" for message in messages), os.O_TRUNC)
    new.replace(path)


def _write(path: Path, data: bytes, how: int) -> None:
    # O_NONBLOCK: a FIFO that nobody reads is an error (ENXIO, open(2)) and not a wait.
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK | how
    fd = os.open(path, flags, 0o600)
    try:
        os.write(fd, data)
    finally:
        os.close(fd)
