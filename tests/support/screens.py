"""A terminal with a screen: what a person would see, and keys to press."""

from __future__ import annotations

import os
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pexpect
import pyte

from tests.support.processes import PATIENCE, PROGRAM, ROOT, end_at_once

UP, LEFT, TAB, ENTER = "\x1b[A", "\x1b[D", "\t", "\r"
CTRL_C, CTRL_D, CTRL_U, CTRL_Z = "\x03", "\x04", "\x15", "\x1a"
PASTE_BEGINS, PASTE_ENDS = "\x1b[200~", "\x1b[201~"  # xterm's bracketed paste

PROMPT = "Ingresa un mensaje:"
HINT = "Palabras: DESCONEXION · Tab completa · ↑ repite · Ctrl-D sale"


class Screen:
    """A program at a terminal emulator."""

    def __init__(self, command: Sequence[str], columns: int) -> None:
        self.child = pexpect.spawn(
            command[0],
            list(command[1:]),
            encoding="utf-8",
            cwd=ROOT,
            timeout=PATIENCE,
            dimensions=(24, columns),
        )
        self.child.delaybeforesend = None
        self.raw = ""  # everything that was written to the terminal
        self.screen = pyte.Screen(columns, 24)
        self._emulator = pyte.Stream(self.screen)

    @property
    def lines(self) -> list[str]:
        """What is to be read, without the empty rest of the screen."""
        return "\n".join(line.rstrip() for line in self.screen.display).rstrip().split("\n")

    def press(self, *keys: str) -> None:
        self.child.send("".join(keys))

    def paste(self, text: str) -> None:
        self.press(PASTE_BEGINS, text, PASTE_ENDS)

    def resize(self, columns: int) -> None:
        self.screen.resize(24, columns)
        self.child.setwinsize(24, columns)

    def see(self, *lines: str) -> None:
        """Wait until the screen ends with these lines."""
        while self.lines[-len(lines) :] != list(lines):
            self._read()

    def see_text(self, text: str) -> None:
        """Wait until this can be read somewhere."""
        while text not in "\n".join(self.lines):
            self._read()

    def see_somewhere(self, text: str) -> None:
        """Wait until this was written to the terminal, wherever it stands now."""
        while text not in self.raw:
            self._read()

    def see_prompt(self, typed: str = "", *, after: str | None = None, hint: str = HINT) -> None:
        """Wait until there is a prompt with this text, and the hint below."""
        above = [] if after is None else [after]
        self.see(*above, f"{PROMPT} {typed}".rstrip(), hint)

    def echoes(self) -> bool:
        """Whether the terminal shows what is typed: the usual mode."""
        return bool(termios.tcgetattr(self.child.child_fd)[3] & termios.ECHO)

    def become_quiet(self) -> None:
        """Wait until it does not."""
        while self.echoes():
            os.sched_yield()

    def end(self) -> int:
        """Wait for the program to end; its exit code."""
        try:
            while True:
                self._read()
        except pexpect.EOF:
            usual = self.echoes()
            self.child.close()
            assert usual, "the terminal was not given back as it was found"
        assert self.child.exitstatus is not None, f"killed by {self.child.signalstatus}"
        return int(self.child.exitstatus)

    def _read(self) -> None:
        try:
            text = self.child.read_nonblocking(65536, timeout=PATIENCE)
        except pexpect.TIMEOUT as error:
            raise AssertionError("nothing more comes:\n" + "\n".join(self.lines)) from error
        self.raw += text
        self._emulator.feed(text)


@contextmanager
def client_screen(port: int, *options: str, columns: int = 80) -> Iterator[Screen]:
    """The client in front of a screen."""
    command = [*PROGRAM, "client", "--host", "127.0.0.1", "--port", str(port), *options]
    with screen(command, columns=columns) as one:
        yield one


@contextmanager
def screen(command: Sequence[str], *, columns: int = 80) -> Iterator[Screen]:
    """Any program in front of a screen."""
    shown = Screen(command, columns)
    try:
        yield shown
    finally:
        if not shown.child.closed:
            end_at_once(shown.child)
