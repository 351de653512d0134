"""The command ``cluster``: ``status``, ``drain`` and ``restart``, with their options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tcpecho_trio.cli.cluster_options import MemberName, cluster_options, take_cluster_options
from tcpecho_trio.cli.option_types import Seconds
from tcpecho_trio.cli.running import run
from tcpecho_trio.cli.translations import translated_group
from tcpecho_trio.texts import Texts

TIMEOUT = 60.0
"""Seconds for one server to end and to be ready again: its drain has ten, unless it is told
otherwise, and a start a few."""


def add_cluster_command(cli: click.Group, texts: Texts, lang: Callable[[Any], Any]) -> None:
    """Add it to the program.

    Args:
      cli: the program's command line.
      texts: its language.
      lang: the option that chooses it.
    """
    words = texts.cluster

    def where(command: Any) -> Any:
        return cluster_options(texts, "TCPECHO_CLUSTER", "TCPECHO_SERVE")(command)

    def timeout(command: Any) -> Any:
        return click.option(
            "--timeout",
            "seconds",
            type=Seconds(above_zero=True),
            default=TIMEOUT,
            envvar="TCPECHO_CLUSTER_TIMEOUT",
            help=words.timeout,
        )(command)

    def names(command: Any) -> Any:
        command = click.option("--all", "everybody", is_flag=True, help=words.all)(command)
        return click.argument("names", type=MemberName(), nargs=-1, metavar="[NAME]...")(command)

    def location(options: dict[str, Any]) -> Any:
        """The cluster that the options name."""
        taken = take_cluster_options(texts, options)
        if taken is None:
            raise click.UsageError(words.missing)
        return taken.location

    @cli.group(help=words.about, cls=translated_group(texts))
    @lang
    def cluster() -> None:
        pass

    @cluster.command(help=words.about_status)
    @where
    @click.option("--json", "as_json", is_flag=True, help=words.json)
    @click.option("--watch", is_flag=True, help=words.watch)
    @lang
    def status(as_json: bool, watch: bool, **options: Any) -> None:
        from tcpecho_trio.cli.cluster_process import show_status

        run(show_status(location(options), texts, as_json=as_json, watch=watch))

    @cluster.command(help=words.about_drain)
    @names
    @where
    @timeout
    @lang
    def drain(names: tuple[str, ...], everybody: bool, seconds: float, **options: Any) -> None:
        if names and everybody:
            raise click.UsageError(words.names_all)
        if not names and not everybody:
            raise click.UsageError(words.one_or_all)
        from tcpecho_trio.cli.cluster_process import drain_servers

        run(drain_servers(location(options), texts, names, seconds))

    @cluster.command(help=words.about_restart)
    @names
    @where
    @timeout
    @lang
    def restart(names: tuple[str, ...], everybody: bool, seconds: float, **options: Any) -> None:
        if names and everybody:
            raise click.UsageError(words.names_all)
        from tcpecho_trio.cli.cluster_process import restart_servers

        run(restart_servers(location(options), texts, names, seconds))
