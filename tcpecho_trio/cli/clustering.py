"""What `--cluster` needs around a server: its Redis, its name, and the commands that it obeys."""

from __future__ import annotations

import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio

from tcpecho_trio.cluster.location import NAME, ClusterLocation
from tcpecho_trio.errors import ClusterError
from tcpecho_trio.server import DrainReason, Events, Lifecycle
from tcpecho_trio.server.console import Listed, ListedElsewhere
from tcpecho_trio.server.roster import Roster

if TYPE_CHECKING:
    from tcpecho_trio.cluster.membership import ClusterRoster, LocalServer, Membership


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """What the command line says about a cluster.

    Args:
      location: its Redis.
      name: this server's name.
    """

    location: ClusterLocation
    name: str


class Clustering:
    """A server's membership, put together: tasks around it, and the roster for it.

    Args:
      options: the cluster.
      server: we ourselves.
      roster: our own clients; None where the roster is asked for the others only.
      lifecycle: ends when somebody asks for it.
      events: told of the cluster.
      restart: replaces the workers, if there are any. Without, the life cycle ends for
        ``DrainReason.RESTART``, and whoever runs the process sees to the rest.

    Raises:
      ClusterError: the extra is missing, or a file cannot be used.
    """

    def __init__(
        self,
        options: ClusterOptions,
        server: LocalServer,
        roster: Roster | None,
        lifecycle: Lifecycle,
        events: Events,
        restart: Callable[[], None] | None = None,
    ) -> None:
        try:
            from tcpecho_trio.cluster.membership import ClusterRoster, Membership
            from tcpecho_trio.cluster.resp import tls_context
        except ImportError as error:
            raise ClusterError("cluster.needs_extra") from error
        check_tls(options.location, tls_context)
        self._lifecycle = lifecycle
        self.membership: Membership = Membership(
            options.location,
            options.name,
            server,
            events,
            drain=lambda: lifecycle.shut_down(DrainReason.CLUSTER),
            restart=restart or (lambda: lifecycle.shut_down(DrainReason.RESTART)),
        )
        self.roster: ClusterRoster = ClusterRoster(roster, self.membership)

    async def run(self) -> None:
        """Be a member, from when clients can connect until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.membership.run)
            await self._lifecycle.wait_end_near()
            self.membership.wake()
            await self._lifecycle.wait_draining()
            self.membership.wake()

    async def everybody(
        self, own: Callable[[], Awaitable[list[Listed]]]
    ) -> list[Listed | ListedElsewhere]:
        """Who is connected to any server, for the console: our own first, then the others'.

        Args:
          own: lists our own.
        """
        if not self.roster.fresh:
            await self.roster.refresh()
        return [*await own(), *(ListedElsewhere(*line) for line in self.roster.counted())]

    async def finish(self) -> None:
        """Leave the cluster, in a bounded time."""
        await self.membership.leave()


def with_password_of(location: ClusterLocation, file: str) -> ClusterLocation:
    """A location with the password that stands in a file.

    Raises:
      ClusterError: it cannot be read.
    """
    try:
        return location.with_password_of(file)
    except (OSError, UnicodeError) as error:
        raise ClusterError("cluster.cannot_read", file=file, reason=error) from error
    except ValueError as error:
        raise ClusterError("cluster.cannot_read", file=file, reason=str(error)) from error


def check_tls(location: ClusterLocation, load: Callable[[ClusterLocation], object]) -> None:
    """See whether the files for TLS can be used.

    Raises:
      ClusterError: they cannot.
    """
    files = [file for file in (location.ca, location.certificate, location.key) if file]
    if not location.tls or not files:
        return
    try:
        load(location)
    except OSError as error:
        told = error.strerror or str(error)
        raise ClusterError("cluster.cannot_read", file=" ".join(files), reason=told) from error


def host_name() -> str:
    """This machine's name, as far as it can be one in a cluster."""
    told = re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname()).lstrip("._-")[:63]
    return told if NAME.fullmatch(told) else "server"
