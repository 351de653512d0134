"""What a worker is told first: who it is, and what it listens at.

Everything else it reads from the command line, which is the supervisor's own.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from tcpecho_trio.cluster.address_counts import Sketch
from tcpecho_trio.cluster.channel import Message
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.server.endpoints import Endpoint, Scheme

CHANNEL = "TCPECHO_TRIO_WORKER"
"""The environment variable that makes a process a worker: the descriptor of its line to the
supervisor."""

VERSION = 1
"""Of this format. A worker of another one would misunderstand, and says so instead."""


@dataclass(frozen=True, slots=True)
class InheritedListener:
    """A listening socket that workers inherit.

    Args:
      fd: its descriptor, in the supervisor and in the worker.
      name: of its endpoint, as it is written, with the real port.
      scheme: what clients speak there.
      dialect: the name of its own dialect; None for the server's.
      proxy: whether connections begin with a PROXY header; None for what the server does.
      backlog: whether a drain accepts whoever waits; otherwise they are the next server's.
    """

    fd: int
    name: str
    scheme: str
    dialect: str | None = None
    proxy: bool | None = None
    backlog: bool = True

    @classmethod
    def of(cls, fd: int, name: str, endpoint: Endpoint) -> InheritedListener:
        """A socket of an endpoint that the supervisor has opened."""
        dialect = None if endpoint.dialect is None else endpoint.dialect.name
        return cls(fd, name, endpoint.scheme.value, dialect, endpoint.proxy)

    def endpoint(self) -> Endpoint:
        """Where that is, for the worker; only what may differ from the settings counts."""
        dialect = None if self.dialect is None else DIALECTS[self.dialect]
        return Endpoint(Scheme(self.scheme), host="-", path="-", dialect=dialect, proxy=self.proxy)


@dataclass(frozen=True, slots=True)
class WorkerConfig:
    """The first message to a worker.

    Args:
      worker: its number, from 1: that of its slot. No two workers that live have the same.
      slots_fd: the descriptor of the shared memory.
      slots: how many slots that has.
      most: connections that all workers may have together.
      listeners: what it inherits.
      faults: the faults that there are now, as they are written; None for those of the command
        line.
      sketch: how the connections of an address are counted at all workers together. None if each
        worker counts its own: their number is not limited, or the supervisor is an older program.
    """

    worker: int
    slots_fd: int
    slots: int
    most: int
    listeners: tuple[InheritedListener, ...] = field(default=())
    faults: tuple[str, ...] | None = None
    sketch: Sketch | None = None

    def message(self) -> Message:
        """As it is sent."""
        return {
            "kind": "config",
            "format": VERSION,
            "worker": self.worker,
            "slots": {"fd": self.slots_fd, "count": self.slots},
            "most": self.most,
            "listeners": [
                {name: getattr(listener, name) for name in InheritedListener.__slots__}
                for listener in self.listeners
            ],
            "faults": self.faults,
            "sketch": None if self.sketch is None else asdict(self.sketch),
        }

    @classmethod
    def parse(cls, message: dict[str, Any]) -> WorkerConfig:
        """Read it.

        Raises:
          ValueError: it is of another version.
        """
        if message.get("format") != VERSION:
            raise ValueError(f"a configuration of format {message.get('format')}")
        faults, sketch = message.get("faults"), message.get("sketch")
        return cls(
            message["worker"],
            message["slots"]["fd"],
            message["slots"]["count"],
            message["most"],
            tuple(InheritedListener(**listener) for listener in message["listeners"]),
            None if faults is None else tuple(faults),
            None if sketch is None else Sketch(**sketch),
        )
