"""A server of several processes, as its supervisor tells of it in a cluster."""

from __future__ import annotations

from collections.abc import Sequence

import trio

from tcpecho_trio.cluster.membership import TICK
from tcpecho_trio.cluster.supervisor import Supervisor
from tcpecho_trio.server import Phase


class SupervisedServer:
    """A supervisor's server (:class:`~tcpecho_trio.cluster.membership.LocalServer`).

    Its workers are asked for their clients when the memory that they share says that somebody came
    or left, and once more a little later: whoever has come may talk only by then.

    Args:
      supervisor: the server's.
    """

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._clients: list[str] = []
        self.changes = 0
        """How often the list was another one."""
        self.generation = 0
        """How often all workers have been replaced."""

    @property
    def phase(self) -> str:
        """That of its life cycle."""
        return self._supervisor.lifecycle.phase.value

    @property
    def addresses(self) -> Sequence[str]:
        """Where clients can connect."""
        return self._supervisor.names

    @property
    def count(self) -> int:
        """How many clients all workers have."""
        return len(self._clients)

    def clients(self) -> list[str]:
        """Every client's address, by worker, as of half a second ago at most."""
        return self._clients

    async def watch(self) -> None:
        """Keep the list, until cancelled or until the server has ended."""
        seen: object = None
        again = False
        while self._supervisor.lifecycle.phase is not Phase.STOPPED:
            marks = self._supervisor.marks
            if again or marks != seen:
                again, seen = marks != seen, marks
                clients = await self._supervisor.own_clients()
                if clients != self._clients:
                    self._clients = clients
                    self.changes += 1
            await trio.sleep(TICK)
