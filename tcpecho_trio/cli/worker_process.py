"""A worker as a process: the signals that it obeys, and the line to its supervisor."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
from collections.abc import MutableMapping

from tcpecho_trio.cli.administration import watch_of
from tcpecho_trio.cli.surroundings import accept_failures, ignore, signals, unraisable
from tcpecho_trio.cluster.config import CHANNEL
from tcpecho_trio.cluster.supervision import run_worker
from tcpecho_trio.cluster.worker import Logging
from tcpecho_trio.cluster.worker_process import QUIET_SIGNALS
from tcpecho_trio.errors import CannotStart
from tcpecho_trio.server import Events, Settings
from tcpecho_trio.server.tls import TlsFiles


def channel_to_supervisor(environ: MutableMapping[str, str]) -> socket.socket:
    """Our end of the line to the supervisor that has started us.

    The variable is removed, so that no child takes itself for a worker.

    Raises:
      CannotStart: the variable is there, but no supervisor is.
    """
    try:
        end = socket.socket(fileno=int(environ.pop(CHANNEL)))
    except (OSError, ValueError) as error:
        raise CannotStart("processes.no_supervisor") from error
    end.set_inheritable(False)
    return end


async def run_worker_process(
    settings: Settings, tls_files: TlsFiles | None, logging: Logging, *, administered: bool
) -> None:
    """Serve as one of several processes.

    Args:
      settings: the server's.
      tls_files: its certificate.
      logging: what the supervisor is told for its logs.
      administered: whether the supervisor has an endpoint for the administrator.

    Raises:
      TcpEchoError: as :func:`~tcpecho_trio.cluster.supervision.run_worker`.
    """
    end = channel_to_supervisor(os.environ)
    events = Events()
    with contextlib.ExitStack() as stack:
        # A terminal sends these to every process that it knows; they are the supervisor's.
        ignore(QUIET_SIGNALS - {signal.SIGTERM})
        terminations = stack.enter_context(signals(signal.SIGTERM))
        signal.pthread_sigmask(signal.SIG_UNBLOCK, QUIET_SIGNALS)
        stack.enter_context(accept_failures(events))
        stack.enter_context(unraisable(events))
        attach = watch_of if administered else None
        await run_worker(end, settings, tls_files, events, logging, terminations, attach)
