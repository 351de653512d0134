"""The administrator's endpoint of a server process: its token, its extra, its warning."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tcpecho_trio.admin.endpoint import AdminEndpoint
from tcpecho_trio.admin.state import ServerState
from tcpecho_trio.errors import AdminError
from tcpecho_trio.server.tls import Tls

if TYPE_CHECKING:
    from tcpecho_trio.admin.backend import Backend
    from tcpecho_trio.admin.local import Local
    from tcpecho_trio.admin.neighbours import Neighbours
    from tcpecho_trio.admin.service import Admin
    from tcpecho_trio.admin.worker import WorkerWatch
    from tcpecho_trio.cli.supervised_admin import SupervisedServer
    from tcpecho_trio.cluster.supervisor import Supervisor
    from tcpecho_trio.cluster.worker import Worker

TOKEN_BYTES = 4096
"""Bytes of a token's file that are read: whoever names a device by mistake is told so at once."""


@dataclass(frozen=True, slots=True)
class AdminOptions:
    """What the command line says about the endpoint.

    Args:
      endpoint: where it is.
      token_file: whose first line callers have to show; None for no token.
    """

    endpoint: AdminEndpoint
    token_file: str | None = None

    @property
    def in_clear(self) -> bool:
        """Whether a token travels over a network that others can read."""
        return not (self.endpoint.local or self.endpoint.tls)


def make_local(state: ServerState, neighbours: Neighbours | None) -> Local:
    """The server of this process, for the endpoint.

    Args:
      state: the server.
      neighbours: the other servers of its cluster; None where there is none.

    Raises:
      AdminError: the extra is missing.
    """
    try:
        from tcpecho_trio.admin.local import Local
    except ImportError as error:
        raise AdminError("admin_needs_extra") from error
    return Local(state, neighbours)


def supervised_server(
    supervisor: Supervisor, lost_lines: Callable[[], int], neighbours: Neighbours | None
) -> SupervisedServer:
    """A server of several processes, for the endpoint.

    Args:
      supervisor: before its workers are started.
      lost_lines: how many lines of its logs are lost by now.
      neighbours: the other servers of its cluster; None where there is none.

    Raises:
      AdminError: the extra is missing.
    """
    try:
        from tcpecho_trio.cli.supervised_admin import SupervisedServer
    except ImportError as error:
        raise AdminError("admin_needs_extra") from error
    return SupervisedServer(supervisor, lost_lines, neighbours)


def watch_of(worker: Worker) -> WorkerWatch:
    """What a worker does for the endpoint of its supervisor.

    Raises:
      AdminError: the extra is missing.
    """
    try:
        from tcpecho_trio.admin.worker import WorkerWatch
    except ImportError as error:
        raise AdminError("admin_needs_extra") from error
    channel = worker.channel
    state = ServerState(
        *(worker.settings, worker.lifecycle, worker.registry, worker.events, worker.faults),
        lost_lines=lambda: channel.lost,
    )
    return WorkerWatch(state, channel)


def make_admin(
    options: AdminOptions, backend: Backend, tls: Tls | None, unix_mode: int | None
) -> Admin:
    """The endpoint, not yet listening.

    Raises:
      AdminError: the extra is missing, or there is no token in the file.
    """
    try:
        from tcpecho_trio.admin.service import Admin
    except ImportError as error:
        raise AdminError("admin_needs_extra") from error
    token = None if options.token_file is None else _read_token(options.token_file)
    return Admin(options.endpoint, backend, token=token, tls=tls, unix_mode=unix_mode)


def _read_token(file: str) -> str:
    try:
        with Path(file).open("rb") as opened:
            token = opened.read(TOKEN_BYTES).decode().strip()
    except (OSError, UnicodeError) as error:
        raise AdminError("cannot_read_token", file=file, reason=error) from error
    if not token.isprintable() or not token.isascii() or " " in token:
        raise AdminError("cannot_read_token", file=file, reason="more than one word of ASCII")
    if not token:
        raise AdminError("cannot_read_token", file=file, reason="nothing is in it")
    return token
