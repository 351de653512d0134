"""A server of several processes: which of them this one is.

All of them are the same command line. A supervisor starts its workers with a variable in their
environment that names the line between the two.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace

from tcpecho_trio.cli.administration import AdminOptions
from tcpecho_trio.cli.clustering import ClusterOptions
from tcpecho_trio.cluster.config import CHANNEL
from tcpecho_trio.cluster.worker import Logging
from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import TlsFiles
from tcpecho_trio.texts import Texts

__all__ = ["Logging", "ProcessOptions", "run_processes"]


@dataclass(frozen=True, slots=True)
class ProcessOptions:
    """What the command line says about the processes and what surrounds them.

    Args:
      processes: how many.
      arguments: the whole command line, for the workers.
      as_json: the journal is one JSON object a line.
      access_log: the file of the access log, or ``-`` for standard output; None for no log.
      room: connections that one process has descriptors for.
      console: words are read from standard input.
      cluster: the cluster that the server is a member of; None for none.
      admin: the administrator's endpoint; None for none.
    """

    processes: int
    arguments: tuple[str, ...]
    as_json: bool
    access_log: str | None
    console: bool
    room: int
    cluster: ClusterOptions | None = None
    admin: AdminOptions | None = None


async def run_processes(
    settings: Settings,
    texts: Texts,
    tls_files: TlsFiles | None,
    options: ProcessOptions,
    logging: Logging,
) -> None:
    """Be the supervisor, or the worker that one has started.

    Args:
      settings: the server's; `max_connections` is for all processes together.
      texts: the language of the console.
      tls_files: its certificate.
      options: what the supervisor has to know besides.
      logging: what a worker has to know besides.

    Raises:
      TcpEchoError: the server cannot be.
    """
    if CHANNEL in os.environ:
        from tcpecho_trio.cli.worker_process import run_worker_process

        most = min(settings.max_connections, options.room)
        own = replace(settings, max_connections=most)
        await run_worker_process(own, tls_files, logging, administered=options.admin is not None)
    else:
        from tcpecho_trio.cli.supervisor_process import run_supervisor

        await run_supervisor(settings, texts, tls_files, options)
