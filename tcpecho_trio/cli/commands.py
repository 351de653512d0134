"""The command line: all commands, each with its options.

What a command does is imported as it runs: a one-shot client should not pay for a server.
"""

from __future__ import annotations

import click

from tcpecho_trio import __version__
from tcpecho_trio.cli.client_command import add_client_command
from tcpecho_trio.cli.cluster_command import add_cluster_command
from tcpecho_trio.cli.load_command import add_load_command
from tcpecho_trio.cli.option_types import Folder, OneOf
from tcpecho_trio.cli.running import run
from tcpecho_trio.cli.serve_command import add_serve_command
from tcpecho_trio.cli.translations import translated_group
from tcpecho_trio.errors import LocalFailure
from tcpecho_trio.texts import LANGUAGES, Texts


def build_cli(texts: Texts) -> click.Group:
    """The whole command line in one language."""
    lang = click.option(
        "--lang",
        type=OneOf(*LANGUAGES),
        default=next(name for name, known in LANGUAGES.items() if known is texts),
        expose_value=False,  # main() has looked before there was a command line to parse it
        help=texts.cli_lang,
    )

    @click.group(
        cls=translated_group(texts),
        help=texts.cli_about,
        context_settings={"auto_envvar_prefix": "TCPECHO", "show_default": True},
    )
    @lang
    @click.version_option(__version__, prog_name="tcpecho_trio", help=texts.cli_version)
    def cli() -> None:
        pass

    add_serve_command(cli, texts, lang)
    add_client_command(cli, texts, lang)
    add_load_command(cli, texts, lang)
    add_cluster_command(cli, texts, lang)

    @cli.command("lab-certs", help=texts.cli_about_lab_certs)
    @click.argument("folder", metavar="DIR", type=Folder())
    @click.option(
        "--name",
        multiple=True,
        default=("localhost", "127.0.0.1", "::1"),
        help=texts.cli_lab_names,
    )
    @lang
    def lab_certs(folder: str, name: tuple[str, ...]) -> None:
        from tcpecho_trio.cli.lab_certificates import make_lab_certificates

        for file in make_lab_certificates(folder, name):
            _say(file)

    @cli.command(help=texts.cli_about_demo)
    @lang
    def demo() -> int:
        from tcpecho_trio.cli import demo as player

        return 0 if run(player.demo(_say, texts)) else 1

    return cli


def _say(line: str) -> None:
    """Put a line on standard output.

    Raises:
      BrokenPipeError: whoever read it has left.
      LocalFailure: it cannot be written.
    """
    try:
        click.echo(line)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise LocalFailure.because(error) from error
