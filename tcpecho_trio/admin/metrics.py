"""Figures in the formats of Prometheus: made when somebody asks.

``docs/metrics.md`` lists them. The only labels are those with a few values known beforehand.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

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
from tcpecho_trio.admin.figures import Figures, Histogram
from tcpecho_trio.admin.state import REFUSED
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.faults import Kind

REFUSALS = [reason.value for reason in REFUSED]
ENDS = [reason.value for reason in CloseReason if reason not in REFUSED]


@dataclass(frozen=True, slots=True)
class Exposition:
    """What is told to Prometheus.

    Args:
      figures: of the whole server.
      draining: whether it ends.
      workers: connections that there are at each process; empty for a server of one.
      processes: the processes' numbers by what they are called; one without a name for a server of
        one.
      more: what only some servers have.
    """

    figures: Figures
    draining: bool
    workers: Mapping[str, int] = field(default_factory=dict)
    processes: Mapping[str, int | None] = field(default_factory=lambda: {"": None})
    more: tuple[Metric, ...] = ()


class Metrics:
    """Writes figures down."""

    def __init__(self) -> None:
        self._processes: dict[tuple[str, int | None], ProcessCollector] = {}

    def written(self, exposition: Exposition, accept: str) -> tuple[bytes, str]:
        """All figures in the format that the scraper prefers, and that format's media type."""
        encode, media = choose_encoder(accept)
        registry = CollectorRegistry(auto_describe=False)
        families = [*_families(exposition), *self._process_families(exposition.processes)]
        registry.register(_Given(families))
        return encode(registry), media

    def _process_families(self, processes: Mapping[str, int | None]) -> list[Metric]:
        """What the system knows of processes, told apart by the label `worker` if need be."""
        self._processes = {
            named: self._processes.get(named) or _collector(named[1]) for named in processes.items()
        }
        merged: dict[str, Metric] = {}
        for (name, _), collector in self._processes.items():
            for family in collector.collect():
                known = merged.setdefault(
                    family.name, Metric(family.name, family.documentation, family.type)
                )
                for sample in family.samples:
                    labels = {"worker": name} if name else {}
                    known.add_sample(sample.name, labels, sample.value)
        return list(merged.values())


class _Given(Collector):
    """Hands over what was collected already."""

    def __init__(self, families: list[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """The families."""
        yield from self._families


def _collector(pid: int | None) -> ProcessCollector:
    if pid is None:
        return ProcessCollector(registry=None)
    return ProcessCollector(pid=lambda: pid, registry=None)


def _families(exposition: Exposition) -> Iterator[Metric]:
    figures = exposition.figures
    yield _labelled(
        "tcpecho_connections_accepted",
        "Connections accepted, by endpoint.",
        "listener",
        figures.accepted,
    )
    active = "Connections that there are now."
    if exposition.workers:
        family = GaugeMetricFamily("tcpecho_connections_active", active, labels=("worker",))
        for worker, count in exposition.workers.items():
            family.add_metric((worker,), count)
        yield family
    else:
        yield _gauge("tcpecho_connections_active", active, figures.active)
    others = [reason for reason in figures.reasons if reason not in (*ENDS, *REFUSALS)]
    yield _labelled(
        "tcpecho_connections_closed",
        "Connections that have ended, by reason.",
        "reason",
        {reason: figures.reasons[reason] for reason in (*ENDS, *others)},
    )
    yield _labelled(
        "tcpecho_connections_refused",
        "Connections whose client was not let in, by reason.",
        "reason",
        {reason: figures.reasons[reason] for reason in REFUSALS},
    )
    yield _counter(
        "tcpecho_probes",
        "Connections whose client left without a byte, as health checks do.",
        figures.reasons[CloseReason.PROBE.value],
    )
    yield _counter("tcpecho_received_bytes", "Bytes of clients' messages.", figures.bytes_in)
    yield _counter("tcpecho_sent_bytes", "Bytes of replies.", figures.bytes_out)
    if figures.messages_in is not None and figures.messages_out is not None:
        yield _counter("tcpecho_received_messages", "Messages.", figures.messages_in)
        yield _counter("tcpecho_sent_messages", "Replies.", figures.messages_out)
    yield _labelled(
        "tcpecho_commands",
        "Commands that were obeyed or refused.",
        "command",
        figures.commands,
    )
    yield _labelled(
        "tcpecho_faults_injected",
        "Connections that were made to suffer a fault on purpose.",
        "fault",
        {kind.value: figures.faults[kind.value] for kind in Kind},
    )
    yield _counter(
        "tcpecho_tls_handshake_failures",
        "Connections without an agreement on TLS.",
        figures.reasons[CloseReason.TLS_HANDSHAKE.value],
    )
    yield _counter(
        "tcpecho_log_lines_dropped",
        "Lines of the journal and the access log that could not be written.",
        figures.lost_lines,
    )
    yield _gauge("tcpecho_draining", "1 while the server drains, else 0.", exposition.draining)
    info = GaugeMetricFamily(
        "tcpecho_build_info",
        "Always 1; the labels tell what runs.",
        labels=("version", "python", "trio"),
    )
    info.add_metric((__version__, platform.python_version(), trio.__version__), 1)
    yield info
    yield _histogram(
        "tcpecho_connection_duration_seconds", "How long conversations lasted.", figures.durations
    )
    yield _histogram(
        "tcpecho_event_loop_delay_seconds",
        "How late the event loop was, looked at ten times a second.",
        figures.delays,
    )
    yield from exposition.more


def _histogram(name: str, text: str, histogram: Histogram) -> Metric:
    """As Prometheus wants it: each bucket holds the smaller ones, too."""
    buckets, total = [], 0
    bounds = (*histogram.bounds, float("inf"))
    for bound, count in zip(bounds, histogram.counts, strict=True):
        total += count
        buckets.append(("+Inf" if bound == float("inf") else str(float(bound)), float(total)))
    return HistogramMetricFamily(name, text, buckets=buckets, sum_value=histogram.sum)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)


def _gauge(name: str, text: str, value: float) -> Metric:
    return GaugeMetricFamily(name, text, value=value)


def _labelled(name: str, text: str, label: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, text, labels=(label,))
    for value, count in counts.items():
        family.add_metric((value,), count)
    return family
