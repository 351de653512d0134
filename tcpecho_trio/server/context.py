"""What all connections of one server share."""

from __future__ import annotations

from dataclasses import dataclass, field

from tcpecho_trio.server.faults import FaultSampler
from tcpecho_trio.server.lifecycle import Lifecycle
from tcpecho_trio.server.portable import OwnTask
from tcpecho_trio.server.pump import Pump
from tcpecho_trio.server.registry import Registry
from tcpecho_trio.server.roster import Roster
from tcpecho_trio.server.settings import Settings
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.server.turns import Turns


@dataclass(frozen=True, slots=True)
class ServerContext:
    """One server's parts, as its connections need them.

    Args:
      settings: what the server is.
      lifecycle: says when it ends.
      registry: which connections there are.
      roster: which clients there are, at other servers too.
      events: what happens, for those who subscribe to it.
      carrier: moves plain traffic.
      turns: how much time obeying commands may take.
      faults: who suffers what; they may be changed while the server runs.
    """

    settings: Settings
    lifecycle: Lifecycle
    registry: Registry
    roster: Roster
    events: Events
    carrier: Pump | OwnTask
    turns: Turns = field(default_factory=Turns)
    faults: FaultSampler = field(default_factory=FaultSampler)
