"""The command ``client``: its options, and what they become."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from tcpecho_trio.cli.option_types import (
    File,
    Host,
    Message,
    OneOf,
    Seconds,
    ServerName,
    Within,
    check_unix_sockets,
    dialect_option,
)
from tcpecho_trio.cli.running import run
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.texts import Texts

MESSAGE_TIMEOUT = 10.0
"""Seconds that ``client -m`` waits for a connection, and for each reply, unless it is told
otherwise: what asks once, in a script or a health check, has to end."""


def add_client_command(cli: click.Group, texts: Texts, lang: Callable[[Any], Any]) -> None:
    """Add it to the program.

    Args:
      cli: the program's command line.
      texts: its language.
      lang: the option that chooses it.
    """
    timeout_help = texts.cli_timeout.format(seconds=MESSAGE_TIMEOUT)

    @cli.command(help=texts.cli_about_client)
    @click.option("--host", type=Host(), default="localhost", help=texts.cli_host_client)
    @click.option("--port", type=Within(0, 65535), default=5000, help=texts.cli_port_client)
    @dialect_option(texts.cli_dialect_client)
    @lang
    @click.option(
        *("-m", "--message"), type=Message(), multiple=True, metavar="TEXT", help=texts.cli_message
    )
    @click.option(
        "--framing",
        type=OneOf("line", "raw"),
        default="line",
        help=texts.cli_framing,
    )
    @click.option(
        "--unix", type=click.Path(), default="", show_default=False, help=texts.cli_unix_client
    )
    @click.option("--tls", is_flag=True, help=texts.cli_tls)
    @click.option("--tls-ca", type=File(), help=texts.cli_tls_ca)
    @click.option("--tls-cert", type=File(), help=texts.cli_tls_cert_client)
    @click.option("--tls-key", type=File(), help=texts.cli_tls_key)
    @click.option("--sni", type=ServerName(), metavar="NAME", help=texts.cli_sni)
    @click.option("--insecure", is_flag=True, help=texts.cli_insecure)
    @click.option("--send-proxy", type=OneOf("v1", "v2"), help=texts.cli_send_proxy)
    @click.option("--timeout", type=Seconds(above_zero=True), help=timeout_help)
    @click.option("--connect-retry", type=Seconds(), default=0.0, help=texts.cli_connect_retry)
    @click.option("--json", is_flag=True, help=texts.cli_json)
    def client(
        dialect: str,
        message: tuple[str, ...],
        tls: bool,
        tls_ca: str | None,
        tls_cert: str | None,
        tls_key: str | None,
        sni: str | None,
        insecure: bool,
        timeout: float | None,
        json: bool,
        **rest: Any,
    ) -> None:
        if (tls_cert is None) is not (tls_key is None):
            raise click.UsageError(texts.cli_tls_both)

        if rest["unix"]:
            check_unix_sockets(texts)

        from tcpecho_trio.cli.client_process import ClientOptions, run_client
        from tcpecho_trio.client import ClientTls

        over = None
        if tls or tls_ca or tls_cert or sni or insecure:
            over = ClientTls(
                ca=tls_ca, certificate=tls_cert, key=tls_key, name=sni, insecure=insecure
            )
        if message and timeout is None:
            timeout = MESSAGE_TIMEOUT
        options = ClientOptions(
            dialect=DIALECTS[dialect],
            messages=message,
            tls=over,
            timeout=timeout,
            as_json=json,
            **rest,
        )
        run(run_client(options, texts))
