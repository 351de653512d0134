"""What the backend saw of one connection: the report of the ``inspect`` dialect.

Engineers put a server behind a proxy and ask it who came, over what, and in which pieces. Counting
costs a little for every chunk, so a connection has a witness only in a dialect that reports.
"""

from __future__ import annotations

import json
import os
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import trio

from tcpecho_trio import __version__
from tcpecho_trio.proxy_protocol import Header

READ_SIZES = 64
"""Read sizes that are kept, the latest: enough to see how a message was cut on its way."""


@dataclass(frozen=True, slots=True)
class Introduction:
    """What is known of a connection before its first message.

    Args:
      number: which one it is since the server started, from 1.
      client: who is really there: what a trusted proxy said, else the peer.
      peer: whose socket it is.
      local: our own address on it.
      header: what a proxy said of it.
      tls: what was agreed on; None without TLS.
      faults: what it is made to suffer.
    """

    number: int
    client: str
    peer: str
    local: str
    header: Header | None = None
    tls: Mapping[str, object] | None = None
    faults: tuple[str, ...] = ()


class Witness:
    """Sees what passes, and tells it when asked.

    Args:
      introduction: what was known at the start.
      name: what this server calls itself.
      identity: where it runs, as its orchestrator told it.
    """

    def __init__(self, introduction: Introduction, name: str, identity: Mapping[str, str]) -> None:
        self._introduction = introduction
        self._name = name
        self._identity = identity
        self._since = trio.current_time()
        self._read_sizes: deque[int] = deque(maxlen=READ_SIZES)
        self._reads = 0
        self._bytes_in = self._bytes_out = 0
        self._messages_in = self._messages_out = 0

    def received(self, data: bytes) -> None:
        """A chunk came in."""
        self._reads += 1
        self._read_sizes.append(len(data))
        self._bytes_in += len(data)
        self._messages_in += data.count(b"\n") or 1

    def replied(self, data: bytes) -> None:
        """A reply went out."""
        self._bytes_out += len(data)
        self._messages_out += data.count(b"\n") or 1

    def report(self) -> str:
        """One line of JSON; the keys never change their meaning, there may come more.

        What is not printable is escaped: a terminal may be reading, and a byte that is not
        UTF-8, in a name from the environment, could not be sent at all.
        """
        seen = self._introduction
        said: dict[str, Any] = {
            "connection": seen.number,
            "client": seen.client,
            "peer": seen.peer,
            "local": seen.local,
            "proxy": seen.header.described() if seen.header else None,
            "tls": seen.tls,
            "age_seconds": round(trio.current_time() - self._since, 6),
            "bytes": {"in": self._bytes_in, "out": self._bytes_out},
            "messages": {"in": self._messages_in, "out": self._messages_out},
            "reads": {"count": self._reads, "sizes": list(self._read_sizes)},
            "faults": list(seen.faults),
            "server": {
                "name": self._name,
                "version": __version__,
                "host": socket.gethostname(),
                "pid": os.getpid(),
                "kubernetes": dict(self._identity) or None,
            },
        }
        report = json.dumps(said, ensure_ascii=False)
        return "".join(c if c.isprintable() else json.dumps(c)[1:-1] for c in report)
