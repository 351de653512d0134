"""A supervisor as a process: signals, standard streams, logs and service manager around it.

It is to several processes what :mod:`~tcpecho_trio.cli.server_process` is to one.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import zipfile
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import trio

from tcpecho_trio.cli.access_log_file import AccessLogFile
from tcpecho_trio.cli.administration import make_admin, supervised_server
from tcpecho_trio.cli.clustering import Clustering
from tcpecho_trio.cli.orders import STOPPING, obey_console, obey_signals
from tcpecho_trio.cli.processes import ProcessOptions
from tcpecho_trio.cli.service_manager import Notifier, inherited_listeners
from tcpecho_trio.cli.surroundings import accept_failures, log_writer, signals, unraisable
from tcpecho_trio.cluster.supervisor import Supervisor
from tcpecho_trio.errors import CannotListen, CannotRead, CannotStart, TcpEchoError
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.server import Events, Journal, Lifecycle, Phase, Settings
from tcpecho_trio.server.console import Listed
from tcpecho_trio.server.events import AdminListening
from tcpecho_trio.server.renderers import Put, Renderer, console_renderer, json_renderer
from tcpecho_trio.server.tls import Tls, TlsFiles
from tcpecho_trio.texts import Texts

PACKAGE = "tcpecho_trio"


async def run_supervisor(
    settings: Settings, texts: Texts, tls_files: TlsFiles | None, options: ProcessOptions
) -> None:
    """Run a server of several processes, with everything around it.

    Args:
      settings: the server's.
      texts: the language of the console.
      tls_files: its certificate. Each worker reads it as it starts.
      options: the rest.

    Raises:
      CannotLog: the access log's file cannot be opened.
      CannotListen: an endpoint could not be opened, or was not when it was handed to us.
      CannotRead: the certificate cannot be used.
      CannotStart: no worker came about.
    """
    if tls_files is not None:
        try:
            Tls(tls_files)  # better said now, and once
        except OSError as error:
            raise CannotRead.because(error, str(tls_files)) from error
    try:
        inherited = inherited_listeners(os.environ)
    except OSError as error:
        raise CannotListen.on_inherited(error) from error
    notifier = Notifier(os.environ)
    lifecycle, events = Lifecycle(settings.shutdown_delay), Events()

    def renderer(put: Put) -> Renderer:
        return (
            json_renderer(put, settings.name) if options.as_json else console_renderer(put, texts)
        )

    output = log_writer(1, renderer, "utf-8" if options.as_json else sys.stdout.encoding)
    errors = log_writer(2, lambda put: console_renderer(put, texts), encoding=sys.stderr.encoding)
    journal = Journal(renderer(output.put))
    journal.listen_to(events)
    log_file = None
    access = output.put
    if options.access_log not in (None, "-"):
        log_file = AccessLogFile(str(options.access_log), events)
        access = log_file.put
    try:
        supervisor = Supervisor(
            settings,
            lifecycle,
            events,
            processes=options.processes,
            command=worker_command(options.arguments),
            environ=worker_environment(os.environ),
            journal=renderer(output.put),
            access=access,
        )
    except OSError as error:
        raise CannotStart("cannot_start", reason=error) from error
    clustering = None
    restart_wanted = trio.Event()
    if options.cluster is not None:
        from tcpecho_trio.cluster.supervised_server import SupervisedServer

        member = SupervisedServer(supervisor)
        clustering = Clustering(
            *(options.cluster, member, None, lifecycle, events),
            restart=lambda: restart_wanted.set(),
        )
        supervisor.others = clustering.roster.others
        supervisor.refresh_others = clustering.roster.refresh

    async def obey_restarts() -> None:
        nonlocal restart_wanted
        while True:
            await restart_wanted.wait()
            restart_wanted = trio.Event()
            if await replaced():
                member.generation += 1

    async def replaced() -> bool:
        notifier.reloading()
        if tls is not None:
            with contextlib.suppress(OSError):  # the workers say so
                tls.reload()
        done = await supervisor.replace_workers()
        notifier.ready()
        return done

    tls = None
    admin = None
    if options.admin is not None:
        server = supervised_server(
            supervisor,
            lambda: sum(log.dropped for log in (output, errors, log_file) if log),
            clustering.membership if clustering is not None else None,
        )
        tls = Tls(tls_files) if tls_files is not None else None
        admin = make_admin(options.admin, server.backend, tls, settings.unix_mode)

    async def obey_reloads(arriving: AsyncIterator[int]) -> None:
        async for _ in arriving:
            await replaced()

    async def tell_manager() -> None:
        await lifecycle.wait_end_near()
        notifier.stopping()

    async def own() -> list[Listed]:
        answers = await supervisor.ask("connections")
        return [
            Listed(*(one[n] for n in ("number", "client", "since", "messages_in", "bytes_in")))
            for connections in answers.values()
            for one in connections
        ]

    if log_file is None:  # as in a server that is one process
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    with contextlib.ExitStack() as stack:
        arriving = stack.enter_context(signals(*STOPPING))
        reloads = stack.enter_context(signals(signal.SIGHUP))
        stack.enter_context(accept_failures(events))  # at the administrator's endpoint
        stack.enter_context(unraisable(events))
        async with open_nursery(TcpEchoError) as surroundings:
            if log_file is not None:
                stack.enter_context(log_file)
                surroundings.start_soon(log_file.run)
                rotations = stack.enter_context(signals(signal.SIGUSR1))
                surroundings.start_soon(log_file.reopen_at, rotations)
            surroundings.start_soon(output.run)
            surroundings.start_soon(errors.run)
            surroundings.start_soon(journal.run)
            surroundings.start_soon(obey_signals, arriving, lifecycle)
            try:
                if admin is not None:
                    admin_name = await surroundings.start(admin.run)
                surroundings.start_soon(tell_manager)
                over_tls = tls_files is not None
                await surroundings.start(partial(supervisor.run, inherited, tls=over_tls))
                if lifecycle.phase is not Phase.STOPPED:  # else it has ended before it was ready
                    if admin is not None and options.admin is not None:
                        events.publish(AdminListening(admin_name))
                        if options.admin.in_clear:
                            errors.put(texts.admin_in_clear.format(listener=admin_name))
                    notifier.ready()
                    surroundings.start_soon(notifier.run)
                    surroundings.start_soon(obey_reloads, reloads)
                    if clustering is not None:
                        surroundings.start_soon(member.watch)
                        surroundings.start_soon(clustering.run)
                        surroundings.start_soon(obey_restarts)
                    if options.console:
                        # A JSON journal's reader has no use for answers to a person.
                        answer = errors.put if options.as_json else output.put
                        listed = own if clustering is None else partial(clustering.everybody, own)
                        surroundings.start_soon(obey_console, answer, texts, lifecycle, listed)
                await lifecycle.wait_stopped()
            finally:
                with trio.CancelScope(shield=True):  # each flush has its own deadline
                    async with trio.open_nursery() as flushing:
                        if clustering is not None:
                            flushing.start_soon(clustering.finish)
                        if admin is not None:
                            flushing.start_soon(admin.finish)
                        if log_file is not None:
                            flushing.start_soon(log_file.flush)
                        flushing.start_soon(output.flush)
                        flushing.start_soon(errors.flush)
            surroundings.cancel_scope.cancel()


def worker_command(arguments: Sequence[str]) -> list[str]:
    """How this program is started once more, as it is installed by then.

    In the way in which it was started itself, with the interpreter's options, if that was a module,
    a console script or a zip file of ours. Any other program (a test, an application) has called
    us with arguments of its own, and must not be started.
    """
    own = list(sys.orig_argv)
    prefix = own[1 : len(own) - len(arguments)]
    same = bool(prefix) and own[len(own) - len(arguments) :] == list(arguments)
    if same and (prefix[-2:] == ["-m", PACKAGE] or _is_ours(prefix[-1])):
        return [sys.executable, *prefix, *arguments]
    return [sys.executable, "-m", PACKAGE, *arguments]


def _is_ours(script: str) -> bool:
    name = Path(script).name
    return name.partition(".")[0].replace("-", "_") == PACKAGE or zipfile.is_zipfile(script)


def worker_environment(environ: os._Environ[str]) -> dict[str, str]:
    """A worker's environment: without what is said to the supervisor only (systemd's protocols)."""
    told = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")
    return {name: value for name, value in environ.items() if name not in told}
