"""The command ``serve``: its options, and what they become."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import click

from tcpecho_trio.cli.cluster_options import MemberName, cluster_options, take_cluster_options
from tcpecho_trio.cli.option_types import (
    AdminUrl,
    EndpointUrl,
    FaultSpec,
    File,
    Host,
    Network,
    Octal,
    OneOf,
    Processes,
    Seconds,
    SocketPath,
    Whole,
    Within,
    check_processes,
    check_unix_sockets,
    dialect_option,
)
from tcpecho_trio.cli.running import run
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.texts import LANGUAGES, Texts


def add_serve_command(cli: click.Group, texts: Texts, lang: Callable[[Any], Any]) -> None:
    """Add it to the program.

    Args:
      cli: the program's command line.
      texts: its language.
      lang: the option that chooses it.
    """

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
    @dialect_option(texts.cli_dialect)
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
    @click.option("--processes", type=Processes(), metavar="N", help=texts.processes.cli_processes)
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
        processes: int | None,
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
        cluster = take_cluster_options(texts, rest)
        if processes is not None:
            check_processes(texts)
        endpoints = [*listen, *unix]
        if any(endpoint.scheme is Scheme.UNIX for endpoint in endpoints) or (admin and admin.path):
            check_unix_sockets(texts)
        if not endpoints or _given(context, "host") or _given(context, "port"):
            scheme = Scheme.TLS if tls_files else Scheme.TCP
            endpoints.insert(0, Endpoint(scheme, host, port))
        room = room_for_connections(ADMIN_CONNECTIONS if admin else 0)
        settings = Settings(
            host=host,
            port=port,
            listen=tuple(endpoints),
            dialect=DIALECTS[dialect],
            max_connections=max_connections if processes else min(max_connections, room),
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
        admin_options = AdminOptions(admin, admin_token_file) if admin else None
        if processes is not None:
            from tcpecho_trio.cli.processes import Logging, ProcessOptions, run_processes

            options = ProcessOptions(
                processes=processes,
                arguments=context.find_root().obj,
                as_json=log_format == "json",
                access_log=access_log or None,
                console=not no_console,
                room=room,
                cluster=cluster,
                admin=admin_options,
            )
            logging = Logging(not quiet, log_probes, bool(access_log), access_log_probes)
            run(run_processes(settings, texts, tls_files, options, logging))
            return
        run(
            run_server(
                settings,
                texts,
                tls_files=tls_files,
                as_json=log_format == "json",
                messages=not quiet,
                probes=log_probes,
                access_log=access_log or None,
                access_log_probes=access_log_probes,
                admin_options=admin_options,
                cluster_options=cluster,
                console=not no_console,
            )
        )


def _given(context: click.Context, option: str) -> bool:
    """Whether the user said so, on the command line or in the environment."""
    return context.get_parameter_source(option) is not click.core.ParameterSource.DEFAULT
