"""The access log: one JSON object for each connection that has closed.

A subscriber to the server's events (:mod:`~tcpecho_trio.server.subscriptions`). Nothing is sampled,
and every line has the same fields (:data:`FIELDS`, ``docs/access-log.md``). Whoever left without a
byte is a probe, and left out unless asked for.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.event_fields import proxy_fields
from tcpecho_trio.server.events import (
    AdmissionAborted,
    ConnectionClosed,
    ConnectionCrashed,
    ConnectionOpened,
    ConnectionProbed,
    ConnectionRefused,
    Event,
    ProxyHeaderRefused,
    TlsHandshakeFailed,
)
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.subscriptions import Events

FIELDS = (
    *("time", "connection", "client", "peer", "listener", "proxy", "tls"),
    *("bytes_in", "bytes_out", "messages_in", "messages_out", "seconds", "reason", "faults"),
    "server",
)
"""The fields of every line, in this order. Their meaning never changes; there may come more."""

NOTHING = ConnectionStats(0.0)
"""The counters of a client that was never let in."""


class AccessLog:
    """Writes a line for each connection that has closed. Subscribe it with :meth:`listen_to`.

    Args:
      put: takes a line; must neither block nor fail.
      server: what this server calls itself.
      probes: whether there are lines for clients that left without a byte.
      worker: which one this is of a server's processes; None for a server that is one process.
    """

    def __init__(
        self,
        put: Callable[[str], None],
        server: str,
        *,
        probes: bool = False,
        worker: int | None = None,
    ) -> None:
        self._put = put
        self._worker = {} if worker is None else {"worker": worker}
        self._server = server
        self._probes = probes
        self._open: set[int] = set()  # connections that will have a ConnectionClosed

    def listen_to(self, events: Events) -> None:
        """Subscribe to a server's events; have it count messages."""
        events.subscribe(self, counting=True)

    def __call__(self, event: Event) -> None:
        """Write the line that an event brings about, if it brings one about."""
        match event:
            case ConnectionOpened(connection=info):
                self._open.add(info.number)
            case ConnectionClosed(connection=info):
                self._open.discard(info.number)
                self._write(info, event.reason, event.stats, event.seconds)
            case ConnectionProbed(connection=info):
                self._write(info, CloseReason.PROBE)
            case ConnectionRefused(connection=info):
                self._write(info, event.reason)
            case ProxyHeaderRefused(connection=info):
                self._write(info, CloseReason.PROXY_HEADER)
            case TlsHandshakeFailed(connection=info):
                self._write(info, CloseReason.TLS_HANDSHAKE)
            case AdmissionAborted(connection=info):
                self._write(info, CloseReason.ABORTED)
            case ConnectionCrashed(connection=info) if info.number not in self._open:
                self._write(info, CloseReason.CRASHED)

    def _write(
        self,
        info: ConnectionInfo,
        reason: CloseReason,
        stats: ConnectionStats = NOTHING,
        seconds: float = 0.0,
    ) -> None:
        if reason is CloseReason.PROBE and not self._probes:
            return
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        fields: dict[str, Any] = {
            "time": now,
            "connection": info.number,
            "client": info.client,
            "peer": info.peer,
            "listener": info.listener,
            "proxy": proxy_fields(info.header),
            "tls": info.tls,
            "bytes_in": stats.bytes_in,
            "bytes_out": stats.bytes_out,
            "messages_in": stats.messages_in,
            "messages_out": stats.messages_out,
            "seconds": round(seconds, 6),
            "reason": reason.value,
            "faults": list(info.faults),
            "server": self._server,
            **self._worker,
        }
        # ASCII only: whatever a client has brought about in it, no terminal obeys it.
        self._put(json.dumps(fields))
