"""What the administrator's endpoint knows of the server: its parts, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import trio

from tcpecho_trio import __version__
from tcpecho_trio.dialects import Dialect
from tcpecho_trio.server import Events, Lifecycle, Phase, Registry, Settings
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.event_fields import proxy_fields
from tcpecho_trio.server.events import Event, Listening
from tcpecho_trio.server.faults import Fault, FaultSampler
from tcpecho_trio.server.registry import Conversation

REFUSED = (
    CloseReason.FULL,
    CloseReason.ADDRESS_LIMIT,
    CloseReason.PROXY_HEADER,
    CloseReason.TLS_HANDSHAKE,
)
"""Why a connection ends before its client may talk; the other reasons are those of `closed`."""

LOOKS = 5
"""How often two clocks are looked at; one of these looks is not interrupted."""


@dataclass(eq=False)
class ServerState:
    """One server, for those who watch it.

    Args:
      settings, lifecycle, registry, events, faults: the server's own.
      lost_lines: how many lines of its logs are lost by now.
    """

    settings: Settings
    lifecycle: Lifecycle
    registry: Registry
    events: Events
    faults: FaultSampler
    lost_lines: Callable[[], int] = lambda: 0
    listeners: list[str] = field(default_factory=list)
    """Where clients can connect; empty until they can."""
    loop_delay: float = 0.0
    """How late the event loop was, at most, in the last second."""

    def __post_init__(self) -> None:
        self.started, self._began = _one_moment()

    def __call__(self, event: Event) -> None:
        """Take note of where clients can connect."""
        if isinstance(event, Listening):
            self.listeners.append(event.listener)

    @property
    def phase(self) -> str:
        """Where the server is between start and end."""
        phase = self.lifecycle.phase
        return "starting" if phase is Phase.RUNNING and not self.listeners else phase.value

    @property
    def not_ready(self) -> str | None:
        """Why a load balancer should send nobody here; None if it may."""
        phase = self.phase
        if phase != "running":
            return phase
        full = self.registry.places >= self.settings.max_connections
        return "full" if full else None

    def status(self) -> dict[str, Any]:
        """The answer to ``GET /api/status``."""
        registry, settings = self.registry, self.settings
        totals = registry.totals()
        reasons = registry.close_reasons
        return {
            "server": settings.name,
            "version": __version__,
            "phase": self.phase,
            "ready": self.not_ready is None,
            "reason": self.not_ready,
            "started": written(self.started),
            "uptime": round(trio.current_time() - self._began, 3),
            "listeners": self.listeners,
            "dialect": described(settings.dialect),
            "clients": len(registry),
            "max_connections": settings.max_connections,
            "totals": {
                "accepted": registry.accepted,
                "probes": reasons[CloseReason.PROBE],
                "closed": {r.value: n for r, n in reasons.items() if r not in REFUSED},
                "refused": {r.value: n for r, n in reasons.items() if r in REFUSED},
                "bytes_in": totals.bytes_in,
                "bytes_out": totals.bytes_out,
                "messages_in": totals.messages_in,
                "messages_out": totals.messages_out,
            },
            "faults": self.written_faults(),
            "loop_delay": round(self.loop_delay, 6),
        }

    def written_faults(self) -> list[str]:
        """The faults that new connections suffer, as ``--fault`` takes them."""
        return written_faults(self.faults.faults)

    def client(self, connection: Conversation) -> dict[str, Any]:
        """One client of ``GET /api/clients``."""
        info, stats = connection.info, connection.stats
        since = self.started + timedelta(seconds=stats.opened_at - self._began)
        return {
            "number": info.number,
            "client": info.client,
            "peer": info.peer,
            "listener": info.listener,
            "since": written(since),
            "bytes_in": stats.bytes_in,
            "bytes_out": stats.bytes_out,
            "messages_in": stats.messages_in,
            "messages_out": stats.messages_out,
            "tls": info.tls,
            "proxy": proxy_fields(info.header),
            "faults": list(info.faults),
        }


def _one_moment() -> tuple[datetime, float]:
    """The same moment on the wall's clock and on that of the run.

    Several processes compare what they derive from it, so it is looked at until nothing else has
    run in between.
    """
    looks = []
    for _ in range(LOOKS):
        before, wall, after = trio.current_time(), datetime.now(UTC), trio.current_time()
        looks.append((after - before, wall, (before + after) / 2))
    _, wall, ours = min(looks)
    return wall, ours


def described(dialect: Dialect) -> dict[str, Any]:
    """A dialect as the status tells of it."""
    return {
        "name": dialect.name,
        "greeting": dialect.greeting or None,
        "words": [
            {"word": word.decode(), "command": command.action.value}
            for word, command in dialect.words.items()
        ],
    }


def matches(contains: str, number: int, *texts: str) -> bool:
    """Whether a client is meant: by a part of one of its addresses in any case, or its number."""
    wanted = contains.lower()
    return not wanted or str(number) == wanted or any(wanted in text.lower() for text in texts)


def now() -> str:
    """This moment, as RFC 3339 writes it."""
    return written(datetime.now(UTC))


def written(when: datetime) -> str:
    """A moment as RFC 3339 writes it, in UTC."""
    return when.isoformat(timespec="microseconds").replace("+00:00", "Z")


def written_faults(faults: Iterable[Fault]) -> list[str]:
    """Faults as ``--fault`` takes them."""
    return [_with_share(fault) for fault in faults]


def _with_share(fault: Fault) -> str:
    if fault.share == 1:
        return str(fault)
    share = f"{fault.share:.9f}".rstrip("0").rstrip(".")
    return f"{fault}@{share}"
