"""The program: arguments in, exit code out.

The only place that knows about argv and exit codes (0 done; 1 could not connect or listen, or the
conversation broke; 2 wrong usage). Errors are told here, in one line on stderr, and never as a
traceback unless they are our bug. What each command takes is in :mod:`tcpecho_trio.cli.commands`.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress

import click

from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.cli.translations import localized
from tcpecho_trio.errors import LocalFailure, MessageRefused, TcpEchoError
from tcpecho_trio.texts import LANGUAGES, Texts

COMPLETE = "_TCPECHO_TRIO_COMPLETE"
"""The environment variable by which click's scripts for bash, zsh and fish ask for completions,
named after the console script (its manual, "Shell Completion")."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code."""
    # What is imported from here on stays: looking through it for garbage, again and again while
    # it grows, is a tenth of the time that a one-shot client takes.
    gc.disable()
    try:
        return _main(argv)
    finally:
        gc.enable()


def _main(argv: Sequence[str] | None) -> int:
    _open_standard_descriptors()
    arguments = list(sys.argv[1:] if argv is None else argv)
    texts = LANGUAGES[_language(arguments)]
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # no letter may end the program
    try:
        return _obey(arguments, texts)
    except BrokenPipeError:  # whoever read our output has left: nothing to say, nobody to hear
        _discard_output()
        return 1
    except OSError as error:  # click's own output, help for example
        _discard_output()
        _complain(texts, LocalFailure.because(error).localized(texts))
        return 1


def _obey(arguments: list[str], texts: Texts) -> int:
    """Run the command that the arguments ask for; return the exit code.

    Raises:
      OSError: our own output failed.
    """
    completing = COMPLETE in os.environ
    try:
        result: int | None = build_cli(texts).main(
            arguments,
            # What a shell completes is a command of one word: the console script.
            prog_name="tcpecho-trio" if completing else "python -m tcpecho_trio",
            standalone_mode=False,
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.ClickException as error:
        _complain(texts, localized(error, texts))
        if isinstance(error, click.UsageError) and error.ctx is not None:
            hint = texts.cli_hint.format(command=error.ctx.command_path)
            with suppress(OSError):
                click.echo(hint, err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):  # before there was anything to end
        _complain(texts, texts.client_interrupted)
        return 1
    except TcpEchoError as error:
        _complain(texts, error.localized(texts))
        return 2 if isinstance(error, MessageRefused) else 1
    return result or 0


def _language(arguments: Sequence[str]) -> str:
    """Which language the user wants, before anything can be said: ``--lang`` or the environment."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--lang":
            value = value if equals else "".join(arguments[place + 1 : place + 2])
            return value if value in LANGUAGES else "es"
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    name = command.upper().replace("-", "_")
    for variable in (f"TCPECHO_{name}_LANG", "TCPECHO_LANG"):
        if os.environ.get(variable) in LANGUAGES:
            return os.environ[variable]
    return "es"


def _complain(texts: Texts, message: str) -> None:
    with suppress(OSError):
        click.echo(texts.error.format(message=message), err=True)


def _open_standard_descriptors() -> None:
    """Have something behind 0, 1 and 2: a closed one would be given to the next socket."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r+", encoding="utf-8"))  # noqa: SIM115, PTH123


def _discard_output() -> None:
    """Let what is still buffered go nowhere, so that the interpreter's last flush is silent."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
