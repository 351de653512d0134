"""What a conversation needs of a terminal, and the plain one: lines as the system edits them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol


class Terminal(Protocol):
    """Where a person types, and reads."""

    async def read_line(self, prompt: str) -> str | None:
        """Ask for a line; None at the end of the input. Afterwards a new line has begun.

        Raises:
          OSError: the terminal cannot be read from, or written to.
        """

    def write(self, text: str) -> None:
        """Show whole lines at once; if something is being typed, above it.

        Raises:
          OSError: the terminal cannot be written to.
        """

    def resume(self) -> None:
        """Go on after the process was stopped (Ctrl-Z) and continued.

        Raises:
          OSError: the terminal cannot be written to.
        """

    def resize(self) -> None:
        """Fit what is shown to the terminal's new size (SIGWINCH)."""


class PlainTerminal:
    """A terminal of which nothing is known: it only scrolls.

    Args:
      read_line: returns the next line typed, None at the end of the input.
      write: puts text on the screen at once.
    """

    def __init__(
        self, read_line: Callable[[], Awaitable[str | None]], write: Callable[[str], None]
    ) -> None:
        self._read_line = read_line
        self._write = write
        self._prompt: str | None = None  # on the screen, and waiting

    async def read_line(self, prompt: str) -> str | None:
        """Show the prompt, return what is typed after it."""
        self._prompt = prompt
        self._write(prompt)
        line = None
        try:
            line = await self._read_line()
        finally:
            self._prompt = None
            if line is None:
                self._write("\n")
        return line

    def write(self, text: str) -> None:
        """Show the text; a prompt that is waiting is shown again, below it."""
        if self._prompt is None:
            self._write(text)
        else:
            self._write(f"\n{text}{self._prompt}")

    def resume(self) -> None:
        """Show a prompt that is waiting again: the shell has written below it."""
        self._write(self._prompt or "")

    def resize(self) -> None:
        """Do nothing: lines that are on the screen are not drawn again."""
