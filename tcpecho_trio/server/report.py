"""What the backend saw of one connection: the report of the ``inspect`` dialect.

Engineers put a server behind a proxy and ask it who came, over what, and in which pieces.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from tcpecho_trio import __version__
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.stats import ConnectionStats


@dataclass(frozen=True, slots=True)
class ConnectionReport:
    """A connection as its server sees it.

    Args:
      info: who is connected.
      local: our own address on it.
      stats: what has passed.
    """

    info: ConnectionInfo
    local: str
    stats: ConnectionStats

    def as_json(self, name: str, identity: Mapping[str, str], worker: int | None = None) -> str:
        """One line of JSON. The keys never change their meaning; there may come more.

        What is not printable is escaped: a terminal may be reading, and a byte that is not
        UTF-8, in a name from the environment, could not be sent at all.

        Args:
          name: what this server calls itself.
          identity: where it runs, as its orchestrator told it.
          worker: which one this is of the server's processes; None if there is only one.
        """
        info, stats = self.info, self.stats
        reads = stats.read_sizes
        report: dict[str, Any] = {
            "connection": info.number,
            "client": info.client,
            "peer": info.peer,
            "local": self.local,
            "listener": info.listener,
            "proxy": info.header.described() if info.header else None,
            "tls": info.tls,
            "age_seconds": round(trio.current_time() - stats.opened_at, 6),
            "bytes": {"in": stats.bytes_in, "out": stats.bytes_out},
            "messages": {"in": stats.messages_in, "out": stats.messages_out},
            "reads": {"count": reads.count, "sizes": list(reads.latest)} if reads else None,
            "faults": list(info.faults),
            "server": {
                "name": name,
                "version": __version__,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                **({} if worker is None else {"worker": worker}),
                "kubernetes": dict(identity) or None,
            },
        }
        line = json.dumps(report, ensure_ascii=False)
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in line)
