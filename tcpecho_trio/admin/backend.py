"""What the endpoint asks of the server, wherever that is: in this process, or in several others.

The endpoint itself (:mod:`~tcpecho_trio.admin.service` and what it uses) knows nothing else of the
server. :class:`~tcpecho_trio.admin.local.Local` is the server of this process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, Protocol

import trio

if TYPE_CHECKING:
    from tcpecho_trio.admin.feed import Feed
    from tcpecho_trio.admin.metrics import Exposition


Client = dict[str, Any]
"""A client as ``GET /api/clients`` tells of it."""


Take = Callable[[list[Client]], Awaitable[None]]
"""Takes some clients of a list."""


class Backend(Protocol):
    """A server, for those who watch it. What is awaited takes a moment at most."""

    feed: Feed
    """What happens; it is told for as long as :meth:`run` runs."""

    async def run(self) -> None:
        """Watch the server. Until cancelled."""

    async def status(self) -> dict[str, Any]:
        """The answer to ``GET /api/status``."""

    @property
    def not_ready(self) -> str | None:
        """Why a load balancer should send nobody here; None if it may."""

    async def list_clients(self, contains: str, limit: int | None, take: Take) -> None:
        """List the clients that match, in the order of arrival, some at a time.

        Args:
          contains: what is looked for (:func:`~tcpecho_trio.admin.state.matches`).
          limit: at most so many; None for all.
          take: is handed some, never none.
        """

    async def count_clients(self, contains: str) -> int:
        """How many clients match."""

    async def dismiss(self, number: int) -> bool:
        """Close one client's connection in an orderly way; False if there is no such client."""

    async def drain(self) -> None:
        """End the server in an orderly way."""

    async def faults(self) -> list[str]:
        """The faults that new connections suffer, as ``--fault`` takes them."""

    async def change_faults(self, specs: list[str]) -> None:
        """Have new connections suffer these.

        Raises:
          ValueError: one of them is no fault; nothing has changed.
        """

    async def exposition(self) -> Exposition:
        """What Prometheus is told."""

    @property
    def silent(self) -> str | None:
        """Why nobody can begin a conversation over a WebSocket; None if one can."""

    async def converse(
        self, below: trio.abc.Stream, bare: trio.SocketStream, begun: bytes, *, introduced: bool
    ) -> None:
        """Have the server talk to whoever is at the other end of a WebSocket, until that is over.

        Args:
          below: what frames are read from and written to.
          bare: the socket at its bottom.
          begun: what has been received of the first frames.
          introduced: whether the client wants to be told which connection it is.

        Raises:
          trio.BrokenResourceError: it has gone.
          WriteTimeout: it does not read.
        """

    def report(self, error: Exception) -> None:
        """Tell of a bug of ours."""
