"""A server that is one process, as it tells of itself in a cluster."""

from __future__ import annotations

from tcpecho_trio.server import Events, Lifecycle, Phase, Registry
from tcpecho_trio.server.events import Event, Listening


class SingleServer:
    """One process's server (:class:`~tcpecho_trio.cluster.membership.LocalServer`).

    Args:
      lifecycle, registry, events: the server's own.
    """

    generation = 0
    """It has no workers to replace."""

    def __init__(self, lifecycle: Lifecycle, registry: Registry, events: Events) -> None:
        self._lifecycle = lifecycle
        self._registry = registry
        self.addresses: list[str] = []
        events.subscribe(self)

    def __call__(self, event: Event) -> None:
        """Take note of where clients can connect."""
        if isinstance(event, Listening):
            self.addresses.append(event.listener)

    @property
    def phase(self) -> str:
        """``starting`` until clients can connect; then that of the life cycle."""
        phase = self._lifecycle.phase
        return "starting" if phase is Phase.RUNNING and not self.addresses else phase.value

    @property
    def count(self) -> int:
        """How many clients may talk."""
        return len(self._registry)

    @property
    def changes(self) -> object:
        """Who comes makes the list longer, who goes counts as closed."""
        return len(self._registry), self._registry.closed

    def clients(self) -> list[str]:
        """Every client's address, in the order of arrival."""
        return self._registry.clients()
