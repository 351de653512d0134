"""A server as a process: signals, standard input and output around :func:`serve`.

The server knows nothing of these. Here they are handed to it as arguments.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from functools import partial

import trio

from tcpecho_trio.admin.state import ServerState
from tcpecho_trio.cli.access_log_file import AccessLogFile
from tcpecho_trio.cli.administration import AdminOptions, make_admin, make_local
from tcpecho_trio.cli.clustering import Clustering, ClusterOptions
from tcpecho_trio.cli.orders import STOPPING, obey_console, obey_signals
from tcpecho_trio.cli.restarting import Restart, take_signals
from tcpecho_trio.cli.service_manager import Notifier, inherited_listeners
from tcpecho_trio.cli.surroundings import accept_failures, log_writer, signals, unraisable
from tcpecho_trio.cluster.single_server import SingleServer
from tcpecho_trio.errors import CannotListen, CannotRead, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import DrainReason, Events, Journal, Lifecycle, Registry, Settings, serve
from tcpecho_trio.server.access_log import AccessLog
from tcpecho_trio.server.console import everybody_at
from tcpecho_trio.server.events import (
    AdminListening,
    CertificateKept,
    CertificateReloaded,
)
from tcpecho_trio.server.faults import FaultSampler
from tcpecho_trio.server.renderers import Put, Renderer, console_renderer, json_renderer
from tcpecho_trio.server.tls import Tls, TlsFiles
from tcpecho_trio.texts import Texts

IDENTITY = ("NODE_NAME", "POD_NAME", "POD_NAMESPACE", "POD_IP", "SERVICE_NAME")
"""Environment variables by which Kubernetes tells a container where it runs, as its manifest
passes them on (the downward API)."""

UNLIMITED = 10_240
"""Descriptors to ask for where there is no hard limit: what macOS grants (OPEN_MAX)."""

SPARE_DESCRIPTORS = 64
"""Descriptors for everything that is not a client: standard streams, listening sockets, event
loops, and clients that are being refused."""


def room_for_connections(others: int = 0) -> int:
    """Raise the limit of descriptors as far as allowed; how many clients fit (getrlimit(2)).

    Args:
      others: connections besides the clients'.
    """
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return sys.maxsize
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY:
        hard = UNLIMITED
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft // 2, soft - SPARE_DESCRIPTORS - others)


async def run_server(
    settings: Settings,
    texts: Texts,
    *,
    tls_files: TlsFiles | None,
    as_json: bool,
    messages: bool,
    probes: bool,
    access_log: str | None,
    access_log_probes: bool,
    admin_options: AdminOptions | None,
    cluster_options: ClusterOptions | None = None,
    console: bool,
) -> None:
    """Run a server with its journal, its signals and its console around it.

    Args:
      settings: the server's.
      texts: the language of the console.
      tls_files: its certificate, read again on SIGHUP; None for no TLS.
      as_json: the journal is one JSON object a line.
      messages: each message and reply is told.
      probes: clients are told of that leave without having said anything.
      access_log: the file of the access log, or ``-`` for standard output; None for no log.
      access_log_probes: it has lines for probes, too.
      admin_options: the administrator's endpoint; None for none.
      cluster_options: the cluster that it is a member of; None for none.
      console: words are read from standard input.

    Raises:
      CannotLog: the access log's file cannot be opened.
      AdminError: the administrator's endpoint lacks something.
      ClusterError: the cluster lacks something.
      CannotListen: an endpoint could not be opened, or was not when it was handed to us.
      CannotRead: the certificate cannot be used.
    """
    lifecycle, registry = Lifecycle(settings.shutdown_delay), Registry()
    try:
        tls = Tls(tls_files) if tls_files is not None else None
    except OSError as error:
        raise CannotRead.because(error, str(tls_files)) from error
    try:
        listeners = inherited_listeners(os.environ)
    except OSError as error:
        raise CannotListen.on_inherited(error) from error
    notifier = Notifier(os.environ)
    events = Events()
    clustering = restart = None
    if cluster_options is not None:
        server = SingleServer(lifecycle, registry, events)
        clustering = Clustering(cluster_options, server, registry, lifecycle, events)
        restart = Restart(listeners)

    def renderer(put: Put) -> Renderer:
        return json_renderer(put, settings.name) if as_json else console_renderer(put, texts)

    output = log_writer(1, renderer, "utf-8" if as_json else sys.stdout.encoding)
    errors = log_writer(2, lambda put: console_renderer(put, texts), encoding=sys.stderr.encoding)
    journal = Journal(renderer(output.put), messages=messages, probes=probes)
    journal.listen_to(events)
    log_file = None
    if access_log is not None:
        put = output.put
        if access_log != "-":
            log_file = AccessLogFile(access_log, events)
            put = log_file.put
        AccessLog(put, settings.name, probes=access_log_probes).listen_to(events)
    faults = FaultSampler(settings.faults, settings.fault_seed)
    admin = local = None
    if admin_options is not None:
        state = ServerState(
            *(settings, lifecycle, registry, events, faults),
            lost_lines=lambda: sum(log.dropped for log in (output, errors, log_file) if log),
        )
        local = make_local(state, clustering.membership if clustering is not None else None)
        admin = make_admin(admin_options, local, tls, settings.unix_mode)

    async def obey_reloads(arriving: AsyncIterator[int], tls: Tls) -> None:
        async for _ in arriving:
            try:
                tls.reload()
            except OSError as error:
                events.publish(CertificateKept(str(error)))
            else:
                events.publish(CertificateReloaded())

    async def tell_manager() -> None:
        await lifecycle.wait_end_near()
        if lifecycle.reason is DrainReason.RESTART:
            notifier.reloading()
        else:
            notifier.stopping()

    if hasattr(signal, "SIGUSR1") and log_file is None:
        # Tools that rotate logs send it. The journal goes to standard output, which its reader
        # rotates: there is nothing to reopen, and no reason to die.
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        arriving = stack.enter_context(signals(*STOPPING))
        take_signals()
        stack.enter_context(accept_failures(events))
        stack.enter_context(unraisable(events))
        async with open_nursery(TcpEchoError) as surroundings:
            # Without TLS a hang-up ends the process, as everywhere; Windows has none.
            if tls is not None and hasattr(signal, "SIGHUP"):
                hang_ups = stack.enter_context(signals(signal.SIGHUP))
                surroundings.start_soon(obey_reloads, hang_ups, tls)
            if log_file is not None:
                stack.enter_context(log_file)
                surroundings.start_soon(log_file.run)
                if hasattr(signal, "SIGUSR1"):
                    rotations = stack.enter_context(signals(signal.SIGUSR1))
                    surroundings.start_soon(log_file.reopen_at, rotations)
            surroundings.start_soon(output.run)
            surroundings.start_soon(errors.run)
            surroundings.start_soon(journal.run)
            surroundings.start_soon(obey_signals, arriving, lifecycle)
            try:
                if admin is not None:
                    admin_name = await surroundings.start(admin.run)
                await surroundings.start(
                    partial(
                        serve,
                        settings,
                        lifecycle=lifecycle,
                        registry=registry,
                        roster=clustering.roster if clustering is not None else None,
                        events=events,
                        tls=tls,
                        listeners=listeners,
                        also=local.conversations if local is not None else {},
                        faults=faults,
                    )
                )
                if admin is not None and admin_options is not None:
                    events.publish(AdminListening(admin_name))
                    if admin_options.in_clear:
                        errors.put(texts.admin_in_clear.format(listener=admin_name))
                if clustering is not None:
                    surroundings.start_soon(clustering.run)
                notifier.ready()
                surroundings.start_soon(notifier.run)
                surroundings.start_soon(tell_manager)
                if console:
                    own = partial(everybody_at, registry)
                    # With a JSON journal, answers to a person would be in the way of its reader.
                    answer = errors.put if as_json else output.put
                    listed = own if clustering is None else partial(clustering.everybody, own)
                    surroundings.start_soon(obey_console, answer, texts, lifecycle, listed)
                await lifecycle.wait_stopped()
            finally:
                with trio.CancelScope(shield=True):  # each flush has its own deadline
                    async with trio.open_nursery() as flushing:
                        if admin is not None:
                            flushing.start_soon(admin.finish)
                        if clustering is not None:
                            flushing.start_soon(clustering.finish)
                        if log_file is not None:
                            flushing.start_soon(log_file.flush)
                        flushing.start_soon(output.flush)
                        flushing.start_soon(errors.flush)
            if restart is not None:
                await restart.execute(
                    lambda: lifecycle.reason is DrainReason.RESTART and not lifecycle.signalled
                )
            surroundings.cancel_scope.cancel()
