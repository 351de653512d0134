"""The stage of the admission that makes a connection suffer the faults drawn for it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tcpecho_trio.server.accepted import AcceptedConnection, Outcome
from tcpecho_trio.server.events import FaultsInjected
from tcpecho_trio.server.faults import FaultyStream
from tcpecho_trio.server.subscriptions import Events


@dataclass(frozen=True, slots=True)
class FaultStage:
    """Puts a stream that misbehaves around the connection, if faults were drawn for it.

    Args:
      events: who is told of it.
      write_period: seconds in which a client has to take some of what is sent to it.
    """

    events: Events
    write_period: float

    async def __call__(self, accepted: AcceptedConnection) -> Outcome:
        """Decide nothing: the faults were drawn when the connection was accepted."""
        if not accepted.faults:
            return accepted
        self.events.publish(FaultsInjected(accepted.info))
        return replace(
            accepted, stream=FaultyStream(accepted.stream, accepted.faults, self.write_period)
        )
