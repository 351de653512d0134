"""The commands and their options: options → settings → ``trio.run``.

The server and the client are imported by the command that runs them: a one-shot client should not
pay for a server.
"""

from __future__ import annotations

import errno
import gc
import os
import warnings
from collections.abc import Callable, Coroutine
from typing import Any

import click

from tcpecho_trio import __version__
from tcpecho_trio.cli.cluster_command import add_cluster_command
from tcpecho_trio.cli.cluster_options import MemberName, cluster_options, take_cluster_options
from tcpecho_trio.cli.load_command import add_load_command
from tcpecho_trio.cli.option_types import (
    AdminUrl,
    EndpointUrl,
    FaultSpec,
    File,
    Folder,
    Host,
    Message,
    Network,
    Octal,
    OneOf,
    Seconds,
    ServerName,
    SocketPath,
    Whole,
    Within,
)
from tcpecho_trio.cli.translations import translated_group
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.errors import CannotStart, LocalFailure, TcpEchoError
from tcpecho_trio.texts import LANGUAGES, Texts

NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says when the system starts no more threads."""

MESSAGE_TIMEOUT = 10.0
"""Seconds that ``client -m`` waits for a connection, and for each reply, unless it is told
otherwise: what asks once, in a script or a health check, has to end."""


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

    def dialect(help_text: str) -> Callable[[Any], Any]:
        return click.option("--dialect", type=OneOf(*DIALECTS), default="standard", help=help_text)

    @cli.command(help=texts.cli_about_serve)
    @click.option("--host", type=Host(), default="localhost", help=texts.cli_host)
    @click.option("--port", type=Within(0, 65535), default=5000, help=texts.cli_port)
    @click.option(
        "--listen", type=EndpointUrl(), multiple=True, metavar="URL", help=texts.cli_listen
    )
    @click.option("--unix", type=SocketPath(), multiple=True, metavar="PATH", help=texts.cli_unix)
    @click.option("--unix-mode", type=Octal(), help=texts.cli_unix_mode)
    @click.option("--tls-cert", type=File(), help=texts.cli_tls_cert)
    @click.option("--tls-key", type=File(), help=texts.cli_tls_key)
    @click.option("--tls-client-ca", type=File(), help=texts.cli_tls_client_ca)
    @click.option(
        "--proxy-protocol",
        type=OneOf("off", "required"),
        default="off",
        help=texts.cli_proxy_protocol,
    )
    @click.option(
        "--trust-proxy",
        type=Network(),
        multiple=True,
        metavar="CIDR",
        help=texts.cli_trust_proxy,
    )
    @click.option(
        "--proxy-mixed-families",
        is_flag=True,
        help=texts.cli_proxy_mixed_families,
    )
    @dialect(texts.cli_dialect)
    @lang
    @click.option(
        "--max-connections", type=Within(1), default=10_000, help=texts.cli_max_connections
    )
    @click.option(
        "--max-connections-per-address",
        type=Within(0),
        default=0,
        help=texts.cli_max_connections_per_address,
    )
    @click.option("--idle-timeout", type=Seconds(), default=3600.0, help=texts.cli_idle_timeout)
    @click.option("--write-timeout", type=Seconds(), default=30.0, help=texts.cli_write_timeout)
    @click.option("--shutdown-delay", type=Seconds(), default=0.0, help=texts.cli_shutdown_delay)
    @click.option("--drain-timeout", type=Seconds(), default=10.0, help=texts.cli_drain_timeout)
    @click.option(
        "--remote-shutdown",
        type=OneOf("loopback", "anywhere", "never"),
        default="loopback",
        help=texts.cli_remote_shutdown,
    )
    @click.option(
        "--fault",
        type=FaultSpec(),
        multiple=True,
        metavar="SPEC",
        help=texts.cli_fault,
    )
    @click.option("--fault-seed", type=Whole(), help=texts.cli_fault_seed)
    @click.option("--banner", is_flag=True, help=texts.cli_banner)
    @click.option("--name", default="tcpecho_trio", help=texts.cli_name)
    @click.option(
        "--log-format",
        type=OneOf("console", "json"),
        default="console",
        help=texts.cli_log_format,
    )
    @click.option("--quiet", is_flag=True, help=texts.cli_quiet)
    @click.option("--log-probes", is_flag=True, help=texts.cli_log_probes)
    @click.option("--access-log", type=click.Path(), metavar="PATH", help=texts.cli_access_log)
    @click.option("--access-log-probes", is_flag=True, help=texts.cli_access_log_probes)
    @click.option("--admin", type=AdminUrl(), metavar="URL", help=texts.cli_admin)
    @click.option("--admin-token-file", type=File(), help=texts.cli_admin_token_file)
    @cluster_options(texts, "TCPECHO_SERVE")
    @click.option("--cluster-name", type=MemberName(), help=texts.cluster.name)
    @click.option("--no-console", is_flag=True, help=texts.cli_no_console)
    @click.option("--portable", is_flag=True, help=texts.cli_portable)
    @click.pass_context
    def serve(
        context: click.Context,
        /,
        host: str,
        port: int,
        listen: tuple[Any, ...],
        unix: tuple[Any, ...],
        tls_cert: str | None,
        tls_key: str | None,
        tls_client_ca: str | None,
        proxy_protocol: str,
        proxy_mixed_families: bool,
        trust_proxy: tuple[Any, ...],
        fault: tuple[Any, ...],
        banner: bool,
        dialect: str,
        max_connections: int,
        remote_shutdown: str,
        log_format: str,
        quiet: bool,
        log_probes: bool,
        access_log: str | None,
        access_log_probes: bool,
        admin: Any,
        admin_token_file: str | None,
        no_console: bool,
        portable: bool,
        **rest: Any,
    ) -> None:
        from tcpecho_trio.admin.endpoint import CONNECTIONS as ADMIN_CONNECTIONS
        from tcpecho_trio.cli.administration import AdminOptions
        from tcpecho_trio.cli.server_process import IDENTITY, room_for_connections, run_server
        from tcpecho_trio.server import RemoteShutdown, Settings
        from tcpecho_trio.server.endpoints import Endpoint, Scheme
        from tcpecho_trio.server.settings import LOOPBACK
        from tcpecho_trio.server.tls import TlsFiles

        if (tls_cert is None) is not (tls_key is None):
            raise click.UsageError(texts.cli_tls_both)
        if tls_client_ca is not None and tls_cert is None:
            raise click.UsageError(texts.cli_tls_ca_alone)
        proxied = proxy_protocol == "required" or any(endpoint.proxy for endpoint in listen)
        if trust_proxy and not proxied:
            raise click.UsageError(texts.cli_trust_alone)
        dialects = (DIALECTS[dialect], *(endpoint.dialect for endpoint in listen))
        if banner and not any(one is not None and one.reports for one in dialects):
            raise click.UsageError(texts.cli_banner_alone)
        tls_files = None
        if tls_cert is not None and tls_key is not None:
            tls_files = TlsFiles(tls_cert, tls_key, tls_client_ca)
        elif any(endpoint.scheme is Scheme.TLS for endpoint in listen):
            raise click.UsageError(texts.cli_tls_needed)
        if access_log_probes and not access_log:
            raise click.UsageError(texts.cli_access_log_alone)
        if admin is None and admin_token_file is not None:
            raise click.UsageError(texts.cli_admin_token_alone)
        if admin is not None and not admin.local and admin_token_file is None:
            raise click.UsageError(texts.cli_admin_needs_token)
        if admin is not None and admin.tls and tls_files is None:
            raise click.UsageError(texts.cli_admin_needs_tls)
        cluster = take_cluster_options(texts, rest, _check_unix_sockets)
        endpoints = [*listen, *unix]
        if any(endpoint.scheme is Scheme.UNIX for endpoint in endpoints) or (admin and admin.path):
            _check_unix_sockets(texts)
        if not endpoints or _given(context, "host") or _given(context, "port"):
            scheme = Scheme.TLS if tls_files else Scheme.TCP
            endpoints.insert(0, Endpoint(scheme, host, port))
        settings = Settings(
            host=host,
            port=port,
            listen=tuple(endpoints),
            dialect=DIALECTS[dialect],
            max_connections=min(
                max_connections, room_for_connections(ADMIN_CONNECTIONS if admin else 0)
            ),
            proxy_protocol=proxy_protocol == "required",
            mixed_families=proxy_mixed_families,
            trusted_proxies=trust_proxy or LOOPBACK,
            faults=fault,
            banner=banner,
            remote_shutdown=RemoteShutdown(remote_shutdown),
            language=next(name for name, known in LANGUAGES.items() if known is texts),
            identity={name: os.environ[name] for name in IDENTITY if name in os.environ},
            pump=not portable,
            **rest,
        )
        _run(
            run_server(
                settings,
                texts,
                tls_files=tls_files,
                as_json=log_format == "json",
                messages=not quiet,
                probes=log_probes,
                access_log=access_log or None,
                access_log_probes=access_log_probes,
                admin_options=AdminOptions(admin, admin_token_file) if admin else None,
                cluster_options=cluster,
                console=not no_console,
            )
        )

    timeout_help = texts.cli_timeout.format(seconds=MESSAGE_TIMEOUT)

    @cli.command(help=texts.cli_about_client)
    @click.option("--host", type=Host(), default="localhost", help=texts.cli_host_client)
    @click.option("--port", type=Within(0, 65535), default=5000, help=texts.cli_port_client)
    @dialect(texts.cli_dialect_client)
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
            _check_unix_sockets(texts)

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
        _run(run_client(options, texts))

    add_load_command(cli, texts, lang, _check_unix_sockets, _run)
    add_cluster_command(cli, texts, lang, _check_unix_sockets, _run)

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

        return 0 if _run(player.demo(_say, texts)) else 1

    return cli


def _check_unix_sockets(texts: Texts) -> None:
    """Refuse Unix sockets where there are none."""
    import socket

    if not hasattr(socket, "AF_UNIX"):
        raise click.UsageError(texts.cli_no_unix)


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


def _given(context: click.Context, option: str) -> bool:
    """Whether the user said so, on the command line or in the environment."""
    return context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT


def _run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; unwrap the group that nurseries put around what has one cause."""
    import trio  # as late as the rest: completing a word in a shell has to be quick

    begun = False

    async def body() -> Any:
        nonlocal begun
        begun = True
        return await main

    gc.freeze()
    gc.enable()
    try:
        return trio.run(body)
    except OSError as error:
        if begun:
            raise
        main.close()
        raise CannotStart("cannot_start", reason=error) from error
    except (KeyboardInterrupt, RuntimeError, BaseExceptionGroup) as error:
        causes = _leaves(error)
        if all(isinstance(cause, RuntimeError) and str(cause) == NO_THREAD for cause in causes):
            # What pthread_create(3) said; to look up a name takes a thread.
            raise CannotStart("cannot_start", reason=OSError(errno.EAGAIN, NO_THREAD)) from error
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            # It may have come as Trio was starting a task, whose coroutine then never ran.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
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
