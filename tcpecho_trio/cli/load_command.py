"""The command ``load``: its options, and what they become."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import click

from tcpecho_trio.cli.load_options import (
    Count,
    FailIf,
    HostAndPort,
    RampSpec,
    Rate,
    Size,
    Time,
)
from tcpecho_trio.cli.option_types import (
    File,
    Message,
    OneOf,
    ServerName,
    Whole,
    check_unix_sockets,
)
from tcpecho_trio.cli.running import run
from tcpecho_trio.texts import Texts


def add_load_command(cli: click.Group, texts: Texts, lang: Callable[[Any], Any]) -> None:
    """Add it to the program.

    Args:
      cli: the program's command line.
      texts: its language.
      lang: the option that chooses it.
    """
    words = texts.load
    report_file = click.Path(dir_okay=False, allow_dash=True)

    @cli.command(help=words.about)
    @click.argument("target", type=HostAndPort(), metavar="[HOST:PORT]", required=False)
    @click.option(*("-c", "--connections"), type=Count(), default=1, help=words.help_connections)
    @click.option("--rate", type=Rate(), default="max", help=words.help_rate)
    @click.option("--ramp", type=RampSpec(), metavar="FROM:TO:TIME", help=words.help_ramp)
    @click.option("--slo", type=Time(), default="100ms", help=words.help_slo)
    @click.option("--pipeline", type=Count(), default=1, help=words.help_pipeline)
    @click.option("--duration", type=Time(), help=words.help_duration)
    @click.option("--warmup", type=Time(zero=True), default="0s", help=words.help_warmup)
    @click.option("--messages", type=Count(), help=words.help_messages)
    @click.option("--size", type=Size(), default="64", help=words.help_size)
    @click.option(*("-m", "--message"), type=Message(), metavar="TEXT", help=words.help_message)
    @click.option("--file", type=File(), help=words.help_file)
    @click.option(
        "--expect", type=OneOf("upper", "echo", "any"), default="upper", help=words.help_expect
    )
    @click.option("--framing", type=OneOf("line", "raw"), default="line", help=words.help_framing)
    @click.option("--leave", type=Message(), metavar="TEXT", help=words.help_leave)
    @click.option("--churn", is_flag=True, help=words.help_churn)
    @click.option("--think", type=Time(zero=True), default="0s", help=words.help_think)
    @click.option("--timeout", type=Time(), default="5s", help=words.help_timeout)
    @click.option("--unix", type=click.Path(), default="", show_default=False, help=words.help_unix)
    @click.option("--tls", is_flag=True, help=texts.cli_tls)
    @click.option("--tls-ca", type=File(), help=texts.cli_tls_ca)
    @click.option("--tls-cert", type=File(), help=texts.cli_tls_cert_client)
    @click.option("--tls-key", type=File(), help=texts.cli_tls_key)
    @click.option("--sni", type=ServerName(), metavar="NAME", help=words.help_sni)
    @click.option("--insecure", is_flag=True, help=texts.cli_insecure)
    @click.option("--send-proxy", type=OneOf("v1", "v2"), help=texts.cli_send_proxy)
    @click.option("--json", type=report_file, metavar="PATH", help=words.help_json)
    @click.option("--html", type=report_file, metavar="PATH", help=words.help_html)
    @click.option("--hdr", type=report_file, metavar="PATH", help=words.help_hdr)
    @click.option("--compare", type=File(), metavar="PATH", help=words.help_compare)
    @click.option(
        "--fail-if", type=FailIf(), multiple=True, metavar="CONDITION", help=words.help_fail_if
    )
    @click.option("--seed", type=Whole(), default=0, help=words.help_seed)
    @click.option("--quiet", is_flag=True, help=words.help_quiet)
    @click.option("--yes-i-may", is_flag=True, help=words.help_anywhere)
    @click.option("--portable", is_flag=True, help=words.help_portable)
    @lang
    @click.pass_context
    def load(
        context: click.Context,
        /,
        target: tuple[str, int] | None,
        rate: float | str,
        message: str | None,
        file: str | None,
        leave: str | None,
        unix: str,
        tls: bool,
        tls_ca: str | None,
        tls_cert: str | None,
        tls_key: str | None,
        sni: str | None,
        insecure: bool,
        send_proxy: Any,
        json: str | None,
        html: str | None,
        hdr: str | None,
        compare: str | None,
        fail_if: Sequence[Any],
        quiet: bool,
        yes_i_may: bool,
        **rest: Any,
    ) -> int:
        def given(option: str) -> bool:
            return context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT

        for refused, wrong in (
            (texts.cli_tls_both, (tls_cert is None) is not (tls_key is None)),
            (words.two_targets, bool(target and unix)),
            (words.two_texts, message is not None and file is not None),
            (words.sized_text, given("size") and (message is not None or file is not None)),
            (words.slo_alone, given("slo") and rest["ramp"] is None),
            (words.leave_alone, leave is not None and rest["framing"] != "raw"),
        ):
            if wrong:
                raise click.UsageError(refused)
        if unix:
            check_unix_sockets(texts)

        from tcpecho_trio.cli.load_process import LoadOutputs, run_load_command
        from tcpecho_trio.client import ClientTls
        from tcpecho_trio.client.connect import Target
        from tcpecho_trio.errors import LoadFailed
        from tcpecho_trio.load.settings import DISCONNECT, LoadSettings, read_texts

        over = None
        if tls or tls_ca or tls_cert or sni or insecure:
            over = ClientTls(
                ca=tls_ca, certificate=tls_cert, key=tls_key, name=sni, insecure=insecure
            )
        said: tuple[bytes, ...] = ()
        if message is not None:
            said = (message.encode("utf-8", "surrogateescape"),)
        elif file is not None:
            try:
                said = read_texts(file)
            except OSError as error:
                raise LoadFailed("load.cannot_read", path=file, reason=error) from error
        host, port = target or ("localhost", 5000)
        settings = LoadSettings(
            target=Target(host=host, port=port, path=unix, tls=over, proxy=send_proxy),
            rate=None if isinstance(rate, str) else rate,
            texts=said,
            leave=DISCONNECT if leave is None else leave.encode("utf-8", "surrogateescape"),
            anywhere=yes_i_may,
            **rest,
        )
        outputs = LoadOutputs(
            json=json,
            html=html,
            hdr=hdr,
            compare=compare,
            fail_if=tuple(fail_if),
            quiet=quiet,
            arguments=tuple(sys.argv[1:]),
        )
        return run_load_command(settings, outputs, texts, run, inputs=(file,))
