"""A terminal with line editing, history and completion, on prompt_toolkit.

prompt_toolkit runs on asyncio, so each prompt runs in a worker thread with a loop of its own.
The thread is ended only by asking its loop to end the prompt, and the task that started it waits
for it, cancelled or not. Between two prompts the terminal does not echo; what is typed then is
kept for the next prompt.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import termios
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, cast

import trio
from prompt_toolkit import PromptSession, print_formatted_text
from prompt_toolkit.application import run_in_terminal
from prompt_toolkit.document import Document
from prompt_toolkit.enums import DEFAULT_BUFFER
from prompt_toolkit.filters import has_focus, is_done
from prompt_toolkit.formatted_text import FormattedText
from prompt_toolkit.history import History
from prompt_toolkit.input import create_input
from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent
from prompt_toolkit.keys import Keys
from prompt_toolkit.layout import ConditionalContainer, FormattedTextControl, HSplit, Window
from prompt_toolkit.output import ColorDepth
from prompt_toolkit.output.vt100 import Vt100_Output
from prompt_toolkit.styles import Style

from tcpecho_trio.display import shown
from tcpecho_trio.nurseries import open_nursery

STOP_TIME = 0.5
"""Seconds that Ctrl-Z waits until the process is stopped. The system does not stop a process group
that nobody could continue (POSIX: an orphaned one); then the prompt comes back."""

STYLE = Style.from_dict({"prompt": "bold ansigreen", "hint": "ansicyan"})


class Editor:
    """The terminal behind descriptors 0 and 1; use it with ``with``.

    Ctrl-C is SIGINT here as anywhere, whichever mode the terminal is in; Ctrl-D on an empty
    line is the end of the input; Ctrl-Z stops the process as it stops any job.

    Args:
      words: what Tab completes, and goes through.
      hint: one line, shown below what is typed.
      history: what the up arrow finds.
      write: puts text on the screen at once.
    """

    def __init__(
        self,
        *,
        words: Sequence[str],
        hint: str,
        history: History,
        write: Callable[[str], None],
    ) -> None:
        self._write = write
        self._words = words
        self._choices = deque[str]()  # of Tab: first the one that was taken last
        self._unwritten: deque[str] = deque()  # came while something was being typed
        self._pasted: deque[str] = deque()  # whole lines, still to be sent
        self._unfinished = Document()  # and the last one, still to be finished
        self._prompting = False
        self._ending = False
        self._stopping = False  # by Ctrl-Z
        self._continued = threading.Event()
        self._output = Vt100_Output.from_pty(
            sys.stdout,
            term=os.environ.get("TERM"),
            default_color_depth=ColorDepth.from_env(),  # NO_COLOR
        )
        # No cursor position requests (CPR): a terminal that does not answer, or does so late,
        # would hold up the end of a prompt, and its answer would be typed into the shell.
        self._output.enable_cpr = False
        self._session: PromptSession[str] = PromptSession(
            history=history,
            key_bindings=self._bindings(),
            style=STYLE,
            input=create_input(sys.stdin),
            output=self._output,
        )
        # The main thread receives SIGWINCH and calls resize(). Looking at the size twice a second
        # instead would come too late right after an Enter.
        self._session.app.terminal_size_polling_interval = None
        # PromptSession's own bottom_toolbar waits for the answer to a CPR.
        below = Window(FormattedTextControl([("class:hint", hint)]), height=1)
        layout = cast("HSplit", self._session.layout.container)
        layout.children.append(ConditionalContainer(below, ~is_done))
        self._modes: list[Any] | None = None  # the terminal's, as we found it

    def __enter__(self) -> Editor:
        with contextlib.suppress(termios.error):
            self._modes = termios.tcgetattr(0)
        self._silence()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(termios.error):
            if self._modes is not None:
                termios.tcsetattr(0, termios.TCSANOW, self._modes)

    def _silence(self) -> None:
        """No echo, no line editing by the system; Ctrl-C and Ctrl-Z are still signals."""
        with contextlib.suppress(termios.error):  # the terminal is gone
            quiet = termios.tcgetattr(0)
            quiet[0] &= ~(termios.ICRNL | termios.INLCR | termios.IGNCR)
            quiet[3] = quiet[3] & ~(termios.ECHO | termios.ICANON) | termios.ISIG
            quiet[6][termios.VMIN], quiet[6][termios.VTIME] = 1, 0
            termios.tcsetattr(0, termios.TCSANOW, quiet)

    async def read_line(self, prompt: str) -> str | None:
        """Let a line be typed; of several that were pasted, return one after the other.

        Cancelling it ends the prompt, and waits for that.

        Raises:
          OSError: the terminal cannot be read from, or written to.
        """
        if self._pasted:
            await trio.lowlevel.checkpoint()
            return self._take_pasted(prompt)
        line: str | None = None
        self._ending, self._prompting = False, True
        try:
            async with open_nursery(OSError) as nursery:
                nursery.start_soon(self._end_when_cancelled)
                line = await trio.to_thread.run_sync(self._edit, prompt)
                nursery.cancel_scope.cancel()
        finally:
            self._prompting = False
            self._write_above()
        return line

    def write(self, text: str) -> None:
        """Show whole lines at once, above what is being typed."""
        self._unwritten.append(text)
        if not self._prompting:
            self._write_above()
        elif len(self._unwritten) == 1:  # else the prompt has been asked, and writes all there is
            self._ask_the_prompt(lambda: run_in_terminal(self._write_above_or_fail))

    def resume(self) -> None:
        """Take the terminal back: the process was stopped, and has been continued."""
        self._silence()
        self._continued.set()
        if not self._stopping:
            self._ask_the_prompt(self._begin_again)

    def resize(self) -> None:
        """Draw the prompt anew: the terminal has another size."""
        self._ask_the_prompt(self._session.app.invalidate)

    def _take_pasted(self, prompt: str) -> str:
        """The next pasted line, shown as if it had been typed."""
        line = self._pasted.popleft()
        typed = FormattedText([("class:prompt", prompt), ("", shown(line, 10 * len(line) + 1))])
        print_formatted_text(typed, output=self._output, style=STYLE)
        self._session.default_buffer.history.append_string(line)
        return line

    async def _end_when_cancelled(self) -> None:
        try:
            await trio.sleep_forever()
        finally:
            self._ending = True  # in case the prompt has not begun yet
            self._ask_the_prompt(self._end_now)

    def _ask_the_prompt(self, what: Callable[[], object]) -> None:
        """Have it done by the prompt's loop, unless there is none (any more)."""
        loop = self._session.app.loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # it is closed
                loop.call_soon_threadsafe(what)

    def _write_above(self) -> None:
        while self._unwritten:
            self._write(self._unwritten.popleft())

    # What follows runs in the worker thread.

    def _edit(self, prompt: str) -> str | None:
        """Run one prompt; None when the input, or the terminal, has ended."""
        default, self._unfinished = self._unfinished, Document()
        self._choices.clear()
        try:
            text = self._session.prompt(
                [("class:prompt", prompt)],
                default=default,
                pre_run=self._begin,
                set_exception_handler=False,  # it would stop to show a traceback
                handle_sigint=False,
            )
        except EOFError:
            return None
        line, *more = text.split("\n")  # a line feed that was typed as Ctrl-Q Ctrl-J
        self._pasted.extendleft(reversed(more))
        return line

    def _begin(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._fail)
        if self._ending:
            self._end_now()
        elif self._unwritten:
            run_in_terminal(self._write_above_or_fail)

    def _fail(self, _: object, context: dict[str, Any]) -> None:
        """End the prompt with what went wrong in a callback of its loop."""
        self._end_now(context.get("exception") or RuntimeError(context["message"]))

    def _end_now(self, reason: BaseException | None = None) -> None:
        app = self._session.app
        if app.future is not None and not app.future.done():
            app.exit(exception=reason or EOFError())

    def _write_above_or_fail(self) -> None:
        try:
            self._write_above()
        except OSError as error:
            self._end_now(error)

    def _stop(self) -> None:
        """Stop this job until it is continued (job control, termios(4))."""
        self._stopping = True
        self._continued.clear()
        os.kill(0, signal.SIGTSTP)  # the process group, as the terminal itself would
        # The signal may reach another thread first: do not draw before the stop.
        self._continued.wait(STOP_TIME)
        self._stopping = False

    def _begin_again(self) -> None:
        """Draw the prompt where the cursor is now: another program has had the terminal."""
        app = self._session.app
        app.input.raw_mode().__enter__()  # left by the one that the prompt began with
        app.renderer.reset()
        self._output.write_raw("\r")
        app.invalidate()

    def _bindings(self) -> KeyBindings:
        bindings = KeyBindings()

        @bindings.add("c-c")
        def interrupt(_: KeyPressEvent) -> None:
            signal.raise_signal(signal.SIGINT)

        @bindings.add("tab", filter=has_focus(DEFAULT_BUFFER))
        def complete(event: KeyPressEvent) -> None:
            # prompt_toolkit's own completion is a task: an Enter right after the Tab may come
            # before it, and sends what was typed while the word is on the screen.
            buffer = event.current_buffer
            typed = buffer.document.text_before_cursor
            if typed != next(iter(self._choices), None):
                fits = [w for w in self._words if w.casefold().startswith(typed.casefold())]
                self._choices = deque([typed, *fits])
            self._choices.rotate(-1)
            buffer.delete_before_cursor(len(typed))
            buffer.insert_text(self._choices[0])

        @bindings.add("c-z")
        def stop(_: KeyPressEvent) -> None:
            run_in_terminal(self._stop)

        @bindings.add(Keys.BracketedPaste, filter=has_focus(DEFAULT_BUFFER))
        def paste(event: KeyPressEvent) -> None:
            """A line end that is pasted sends the line, as one that is typed does."""
            pasted = event.data.replace("\r\n", "\n").replace("\r", "\n")
            first, *more = pasted.split("\n")
            buffer = event.current_buffer
            if more:
                after = buffer.document.text_after_cursor
                self._pasted.extend(more[:-1])
                self._unfinished = Document(more[-1] + after, len(more[-1]))
                buffer.delete(len(after))
            buffer.insert_text(first)
            if more:
                buffer.validate_and_handle()

        return bindings
