"""What one process has counted, as plain data: to be added to others', and to be sent elsewhere."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from dataclasses import dataclass, field, fields
from typing import Any

from tcpecho_trio.admin.state import ServerState
from tcpecho_trio.server.events import ConnectionClosed, Event, FaultsInjected

SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3600, 36000)
"""How long conversations last: from a health check to a connection pool's."""

DELAYS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)
"""How late an event loop is: a millisecond is usual, a second is a fault."""


@dataclass(slots=True)
class Histogram:
    """Observations, counted by their size.

    Args:
      bounds: the largest value of each bucket but the last.
      counts: observations in each bucket; one bucket more than there are bounds.
      sum: of all observations.
    """

    bounds: tuple[float, ...]
    counts: list[int] = field(default_factory=list)
    sum: float = 0.0

    def __post_init__(self) -> None:
        self.counts = self.counts or [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: Histogram) -> None:
        """Add another one's observations; it has the same bounds."""
        self.counts = [one + more for one, more in zip(self.counts, other.counts, strict=True)]
        self.sum += other.sum


@dataclass(slots=True)
class Figures:
    """The counters of one process, or the sum of several.

    Args:
      clients: clients that may talk now.
      active: connections that there are now, those that are being let in included.
      accepted: connections by endpoint.
      reasons: connections that have ended, by the value of their CloseReason.
      bytes_in, bytes_out: of messages and of replies.
      messages_in, messages_out: messages and replies; None where nobody counts them.
      commands: by the value of their Action.
      faults: connections that suffered one, by the value of its Kind.
      lost_lines: of journal and access log.
      durations: of conversations.
      delays: of the event loop.
    """

    clients: int = 0
    active: int = 0
    accepted: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    bytes_in: int = 0
    bytes_out: int = 0
    messages_in: int | None = 0
    messages_out: int | None = 0
    commands: Counter[str] = field(default_factory=Counter)
    faults: Counter[str] = field(default_factory=Counter)
    lost_lines: int = 0
    durations: Histogram = field(default_factory=lambda: Histogram(SECONDS))
    delays: Histogram = field(default_factory=lambda: Histogram(DELAYS))

    def add(self, other: Figures) -> None:
        """Add those of another process."""
        for each in fields(self):
            mine, more = getattr(self, each.name), getattr(other, each.name)
            if isinstance(mine, Histogram):
                mine.add(more)
            elif isinstance(mine, Counter):
                mine.update(more)  # not `+`: that drops what is zero
            else:
                known = mine is not None and more is not None
                setattr(self, each.name, mine + more if known else None)


class Counted:
    """Counts what the server itself does not. Subscribe it to the server's events.

    A subscriber that wants messages counted: subscribe it with ``counting=True``.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._durations = Histogram(SECONDS)
        self._delays = Histogram(DELAYS)
        self._faults: Counter[str] = Counter()

    def observe_delay(self, seconds: float) -> None:
        """The event loop was so late."""
        self._delays.observe(seconds)

    def __call__(self, event: Event) -> None:
        """Count an event."""
        if isinstance(event, ConnectionClosed):
            self._durations.observe(event.seconds)
        elif isinstance(event, FaultsInjected):
            self._faults.update(fault.partition(":")[0] for fault in event.connection.faults)

    def figures(self) -> Figures:
        """All that is counted, at this moment. Read only: some of it goes on."""
        state, registry = self._state, self._state.registry
        totals = registry.totals()
        endpoints = dict.fromkeys(state.listeners, 0)
        words = dict.fromkeys((c.action.value for c in state.settings.dialect.words.values()), 0)
        obeyed = {action.value: count for action, count in registry.commands.items()}
        return Figures(
            clients=len(registry),
            active=registry.places,
            accepted=Counter({**endpoints, **registry.accepted_at}),
            reasons=Counter({r.value: count for r, count in registry.close_reasons.items()}),
            bytes_in=totals.bytes_in,
            bytes_out=totals.bytes_out,
            messages_in=totals.messages_in,
            messages_out=totals.messages_out,
            commands=Counter({**words, **obeyed}),
            faults=self._faults,
            lost_lines=state.lost_lines(),
            durations=self._durations,
            delays=self._delays,
        )


def as_plain(figures: Figures) -> dict[str, Any]:
    """Figures as JSON has them."""
    plain: dict[str, Any] = {}
    for each in fields(figures):
        value = getattr(figures, each.name)
        if isinstance(value, Histogram):
            plain[each.name] = {"counts": value.counts, "sum": value.sum}
        else:
            plain[each.name] = value
    return plain


def from_plain(plain: dict[str, Any]) -> Figures:
    """Figures that were sent as JSON by a process of ours.

    It may be of another version (docs/processes.md, upgrading): what only it knows is ignored, and
    what it does not know is zero.
    """
    bounds = {"durations": SECONDS, "delays": DELAYS}
    values: dict[str, Any] = {}
    for name in (each.name for each in fields(Figures) if each.name in plain):
        value = plain[name]
        if name in bounds:
            values[name] = Histogram(bounds[name], value["counts"], value["sum"])
        else:
            values[name] = Counter(value) if isinstance(value, dict) else value
    return Figures(**values)
