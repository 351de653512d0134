"""The command line: options → settings → ``trio.run``.

The only place that knows about argv, the environment and exit codes (0 done; 1 could not
connect or listen, or the conversation broke; 2 wrong usage). Errors are told here, in one line
on stderr, and never as a traceback unless they are our bug.
"""

from __future__ import annotations

import gc
import io
import math
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, Literal

import click

from tcpecho_trio import __version__
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.errors import MessageRefused, TcpEchoError
from tcpecho_trio.texts import LANGUAGES, Texts
from tcpecho_trio.translated import translated_group

# The server and the client are imported by the command that runs them: a one-shot client
# should not pay for a server.

COMPLETE = "_TCPECHO_TRIO_COMPLETE"
"""The environment variable by which click's scripts for bash, zsh and fish ask for completions,
named after the console script (its manual, "Shell Completion")."""

PORTS = click.IntRange(0, 65535)


class Seconds(click.FloatRange):
    """A number of seconds; ``nan`` is none."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it, and refuse what compares with nothing."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class Message(click.types.StringParamType):
    """A message; in an environment variable, one a line."""

    envvar_list_splitter = "\n"


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
        _complain(texts, error.format_message())
        if isinstance(error, click.UsageError) and error.ctx is not None:
            click.echo(texts.cli_hint.format(command=error.ctx.command_path), err=True)
        return error.exit_code
    except (KeyboardInterrupt, click.exceptions.Abort):  # before there was anything to end
        _complain(texts, texts.client_interrupted)
        return 1
    except BrokenPipeError:  # whoever read our output has left: nothing to say, nobody to hear
        _discard_output()
        return 1
    except TcpEchoError as error:
        _complain(texts, error.told(texts))
        return 2 if isinstance(error, MessageRefused) else 1
    return result or 0


def build_cli(texts: Texts) -> click.Group:
    """The whole command line in one language."""

    @click.group(
        cls=translated_group(texts),
        help=texts.cli_about,
        context_settings={"auto_envvar_prefix": "TCPECHO", "show_default": True},
    )
    @click.version_option(__version__, prog_name="tcpecho_trio", help=texts.cli_version)
    def cli() -> None:
        pass

    lang = click.option(
        "--lang",
        type=click.Choice(list(LANGUAGES)),
        default=next(name for name, known in LANGUAGES.items() if known is texts),
        expose_value=False,  # main() has looked before there was a command line to parse it
        help=texts.cli_lang,
    )

    def dialect(help_text: str) -> Callable[[Any], Any]:
        return click.option(
            "--dialect", type=click.Choice(list(DIALECTS)), default="standard", help=help_text
        )

    @cli.command(help=texts.cli_about_serve)
    @click.option("--host", default="localhost", help=texts.cli_host)
    @click.option("--port", type=PORTS, default=5000, help=texts.cli_port)
    @dialect(texts.cli_dialect)
    @lang
    @click.option(
        "--max-connections", type=click.IntRange(1), default=10_000, help=texts.cli_max_connections
    )
    @click.option("--drain-timeout", type=Seconds(0), default=10.0, help=texts.cli_drain_timeout)
    @click.option(
        "--remote-shutdown",
        type=click.Choice(["loopback", "anywhere", "never"]),
        default="loopback",
        help=texts.cli_remote_shutdown,
    )
    @click.option(
        "--log-format",
        type=click.Choice(["console", "json"]),
        default="console",
        help=texts.cli_log_format,
    )
    @click.option("--quiet", is_flag=True, help=texts.cli_quiet)
    @click.option("--no-console", is_flag=True, help=texts.cli_no_console)
    @click.option("--portable", is_flag=True, help=texts.cli_portable)
    def serve(
        host: str,
        port: int,
        dialect: str,
        max_connections: int,
        drain_timeout: float,
        remote_shutdown: str,
        log_format: str,
        quiet: bool,
        no_console: bool,
        portable: bool,
    ) -> None:
        from tcpecho_trio.server import RemoteShutdown, Settings
        from tcpecho_trio.server_process import room_for_connections, run_server

        settings = Settings(
            host=host,
            port=port,
            dialect=DIALECTS[dialect],
            max_connections=min(max_connections, room_for_connections()),
            drain_timeout=drain_timeout,
            remote_shutdown=RemoteShutdown(remote_shutdown),
            pump=not portable,
        )
        _run(
            run_server(
                settings,
                texts,
                as_json=log_format == "json",
                messages=not quiet,
                console=not no_console,
            )
        )

    @cli.command(help=texts.cli_about_client)
    @click.option("--host", default="localhost", help=texts.cli_host_client)
    @click.option("--port", type=PORTS, default=5000, help=texts.cli_port_client)
    @dialect(texts.cli_dialect_client)
    @lang
    @click.option(
        *("-m", "--message"), type=Message(), multiple=True, metavar="TEXT", help=texts.cli_message
    )
    @click.option(
        "--framing",
        type=click.Choice(["line", "raw"]),
        default="line",
        help=texts.cli_framing,
    )
    @click.option("--timeout", type=Seconds(0, min_open=True), help=texts.cli_timeout)
    @click.option("--connect-retry", type=Seconds(0), default=0.0, help=texts.cli_connect_retry)
    @click.option("--json", "as_json", is_flag=True, help=texts.cli_json)
    def client(
        host: str,
        port: int,
        dialect: str,
        message: tuple[str, ...],
        framing: Literal["line", "raw"],
        timeout: float | None,
        connect_retry: float,
        as_json: bool,
    ) -> None:
        if any("\n" in one for one in message):
            raise click.BadParameter(texts.cli_one_line, param_hint="-m")

        from tcpecho_trio.client_process import ClientOptions, run_client

        options = ClientOptions(
            host=host,
            port=port,
            dialect=DIALECTS[dialect],
            framing=framing,
            timeout=timeout,
            connect_retry=connect_retry,
            messages=message,
            as_json=as_json,
        )
        _run(run_client(options, texts))

    @cli.command(help=texts.cli_about_demo)
    @lang
    def demo() -> int:
        from tcpecho_trio import demo as player

        return 0 if _run(player.demo(click.echo, texts)) else 1

    return cli


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; unwrap the group that nurseries put around what has one cause."""
    import trio  # as late as the rest: completing a word in a shell has to be quick

    async def body() -> Any:
        return await main

    gc.freeze()
    gc.enable()
    try:
        return trio.run(body)
    except (KeyboardInterrupt, BaseExceptionGroup) as error:
        causes = _leaves(error)
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            raise TcpEchoError("client_interrupted") from error
        for kind in (TcpEchoError, BrokenPipeError):
            if all(isinstance(cause, kind) for cause in causes):
                raise causes[0] from error
        raise


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions themselves, out of however many groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]


def _language(arguments: Sequence[str]) -> str:
    """Which language the user wants, before anything can be said: ``--lang`` or the environment."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == "--lang":
            value = value if equals else "".join(arguments[place + 1 : place + 2])
            return value if value in LANGUAGES else "es"
    command = next((argument for argument in arguments if not argument.startswith("-")), "")
    for variable in (f"TCPECHO_{command.upper()}_LANG", "TCPECHO_LANG"):
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
