"""Figures for Prometheus: read from the server's own counters when somebody asks.

``docs/metrics.md`` lists them. The only labels are those with a few values known beforehand. The
two histograms are filled as things happen; everything else costs nothing between two scrapes.
"""

from __future__ import annotations

import platform
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator

import trio
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from tcpecho_trio import __version__
from tcpecho_trio.admin.state import REFUSED, ServerState
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.events import ConnectionClosed, Event, FaultsInjected
from tcpecho_trio.server.faults import Kind

SECONDS = (0.01, 0.1, 1, 10, 60, 600, 3600, 36000)
"""How long conversations last: from a health check to a connection pool's."""

DELAYS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5)
"""How late an event loop is: a millisecond is usual, a second is a fault."""


class Histogram:
    """Observations, counted by their size."""

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self, name: str, text: str) -> Metric:
        """As Prometheus wants it: each bucket holds the smaller ones, too."""
        buckets, total = [], 0
        for bound, count in zip((*self._bounds, float("inf")), self._counts, strict=True):
            total += count
            buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(total)))
        return HistogramMetricFamily(name, text, buckets=buckets, sum_value=self._sum)


class Metrics(Collector):
    """One server's figures. Subscribe it to the server's events.

    A subscriber that wants messages counted: subscribe it with ``counting=True``.
    """

    def __init__(self, state: ServerState) -> None:
        self._state = state
        self._durations = Histogram(SECONDS)
        self._delays = Histogram(DELAYS)
        self._faults: Counter[str] = Counter()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)

    def observe_delay(self, seconds: float) -> None:
        """The event loop was so late."""
        self._delays.observe(seconds)

    def __call__(self, event: Event) -> None:
        """Count what the server itself does not."""
        if isinstance(event, ConnectionClosed):
            self._durations.observe(event.seconds)
        elif isinstance(event, FaultsInjected):
            self._faults.update(fault.partition(":")[0] for fault in event.connection.faults)

    def written(self, accept: str) -> tuple[bytes, str]:
        """All figures in the format that the scraper prefers, and that format's media type."""
        encode, media = choose_encoder(accept)
        return encode(self._registry), media

    def collect(self) -> Iterator[Metric]:
        """The figures; called by prometheus_client."""
        state, registry = self._state, self._state.registry
        yield _labelled(
            "tcpecho_connections_accepted",
            "Connections accepted, by endpoint.",
            "listener",
            {**dict.fromkeys(state.listeners, 0), **registry.accepted_at},
        )
        yield _gauge(
            "tcpecho_connections_active", "Connections that there are now.", registry.places
        )
        reasons = {reason: registry.close_reasons[reason] for reason in CloseReason}
        yield _labelled(
            "tcpecho_connections_closed",
            "Connections that have ended, by reason.",
            "reason",
            {r.value: n for r, n in reasons.items() if r not in REFUSED},
        )
        yield _labelled(
            "tcpecho_connections_refused",
            "Connections whose client was not let in, by reason.",
            "reason",
            {r.value: n for r, n in reasons.items() if r in REFUSED},
        )
        yield _counter(
            "tcpecho_probes",
            "Connections whose client left without a byte, as health checks do.",
            reasons[CloseReason.PROBE],
        )
        totals = registry.totals()
        yield _counter("tcpecho_received_bytes", "Bytes of clients' messages.", totals.bytes_in)
        yield _counter("tcpecho_sent_bytes", "Bytes of replies.", totals.bytes_out)
        if totals.messages_in is not None and totals.messages_out is not None:
            yield _counter("tcpecho_received_messages", "Messages.", totals.messages_in)
            yield _counter("tcpecho_sent_messages", "Replies.", totals.messages_out)
        commands = {c.action for c in state.settings.dialect.words.values()} | {*registry.commands}
        yield _labelled(
            "tcpecho_commands",
            "Commands that were obeyed or refused.",
            "command",
            {action.value: registry.commands[action] for action in commands},
        )
        yield _labelled(
            "tcpecho_faults_injected",
            "Connections that were made to suffer a fault on purpose.",
            "fault",
            {kind.value: self._faults[kind.value] for kind in Kind},
        )
        yield _counter(
            "tcpecho_tls_handshake_failures",
            "Connections without an agreement on TLS.",
            reasons[CloseReason.TLS_HANDSHAKE],
        )
        yield _counter(
            "tcpecho_log_lines_dropped",
            "Lines of the journal and the access log that could not be written.",
            state.lost_lines(),
        )
        yield _gauge(
            "tcpecho_draining", "1 while the server drains, else 0.", state.lifecycle.draining
        )
        info = GaugeMetricFamily(
            "tcpecho_build_info",
            "Always 1; the labels tell what runs.",
            labels=("version", "python", "trio"),
        )
        info.add_metric((__version__, platform.python_version(), trio.__version__), 1)
        yield info
        yield self._durations.family(
            "tcpecho_connection_duration_seconds", "How long conversations lasted."
        )
        yield self._delays.family(
            "tcpecho_event_loop_delay_seconds",
            "How late the event loop was, looked at ten times a second.",
        )


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, counts: dict[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family
