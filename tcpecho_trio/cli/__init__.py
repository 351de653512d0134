"""The program: arguments in, exit code out.

The only place that knows about argv and exit codes:

==  =====================================================================
0   done
1   the conversation broke, or the answer is not what it must be
2   wrong usage
3   cannot connect or listen (name, refused, unreachable, full)
4   a timeout ran out
==  =====================================================================

Each error brings its code along (``exit_code``). Errors are told here, in one line on stderr, and
never as a traceback unless they are our bug. What each command takes is in
:mod:`tcpecho_trio.cli.commands`.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TextIO

import click

from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.cli.translations import localized
from tcpecho_trio.errors import MODULE, LocalFailure, TcpEchoError
from tcpecho_trio.texts import LANGUAGES, Texts

SCRIPT = "tcpecho-trio"
"""The console script's name. What a shell completes is a command of one word: this one."""

COMPLETE = "_TCPECHO_TRIO_COMPLETE"
"""The environment variable by which click's scripts for bash, zsh and fish ask for completions,
named after the console script (its manual, "Shell Completion")."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the program; return its exit code.

    Args:
      argv: what follows the program's name; by default this process's own arguments.
    """
    # What is imported from here on stays: looking through it for garbage, again and again while
    # it grows, is a tenth of the time that a one-shot client takes.
    gc.disable()
    try:
        _open_standard_descriptors()
        arguments = list(sys.argv[1:] if argv is None else argv)
        texts = LANGUAGES[_language(arguments)]
        program = MODULE if argv is not None else _called_as(sys.argv[0])
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # no letter may end the program
        try:
            code = _obey(arguments, texts, program)
        except BrokenPipeError:  # whoever read our output has left: nothing to say, nobody to hear
            code = 1
        except OSError as error:  # click's own output, help for example
            code = _failed(error, texts)
        return _flushed(code, texts)
    finally:
        gc.enable()


def _obey(arguments: list[str], texts: Texts, program: str) -> int:
    """Run the command that the arguments ask for; return the exit code.

    Raises:
      OSError: our own output failed.
    """
    if COMPLETE in os.environ:
        from tcpecho_trio.cli.completion import complete_after_equals

        complete_after_equals()
        program = SCRIPT
    try:
        result: int | None = build_cli(texts).main(
            arguments,
            prog_name=program,
            standalone_mode=False,
            obj=tuple(arguments),  # for those who start the program once more
        )
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return error.exit_code
    except click.ClickException as error:
        _complain(texts.error.format(message=localized(error, texts)))
        if isinstance(error, click.UsageError) and error.ctx is not None:
            _complain(texts.cli_hint.format(command=error.ctx.command_path))
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):  # before there was anything to end
        _complain(texts.error.format(message=texts.client_interrupted))
        return 1
    except TcpEchoError as error:
        _complain(texts.error.format(message=error.localized(texts, program)))
        return error.exit_code
    return result or 0


def _flushed(code: int, texts: Texts) -> int:
    """Write what the standard streams still hold; return the exit code that the program ends with.

    The interpreter flushes them once more as it ends. If that fails, it says so in its own words
    and ends with code 120 instead of ours. So it must find nothing to write.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except KeyboardInterrupt:  # nobody reads, and the user does not want to wait for it
            _discard(stream)
            code = code or 1
        except OSError as error:
            _discard(stream)
            if stream is sys.stdout and code == 0:  # else the reason has been told already
                code = 1 if isinstance(error, BrokenPipeError) else _failed(error, texts)
    return code


def _failed(error: OSError, texts: Texts) -> int:
    """Say that our own output failed; return the exit code for that."""
    failure = LocalFailure.because(error)
    _complain(texts.error.format(message=failure.localized(texts)))
    return failure.exit_code


def _discard(stream: TextIO) -> None:
    """Let what a stream still holds go nowhere, and whatever is written to it from now on."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, stream.fileno())
    os.close(null)
    stream.flush()


def _called_as(name: str) -> str:
    """The program as the user has called it, for the hints: a script's name, or the module."""
    name = Path(name).name
    return MODULE if name in ("__main__.py", "-c", "") else name


def _complain(line: str) -> None:
    with suppress(OSError):
        click.echo(line, err=True)


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
