"""The other servers of a cluster, for the endpoint of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tcpecho_trio.admin.backend import Client
from tcpecho_trio.admin.state import matches

UNKNOWN = (
    *("number", "peer", "listener", "since", "bytes_in", "bytes_out"),
    *("messages_in", "messages_out", "tls", "proxy"),
)
"""What is not known of another server's client."""


class ClusterRecord(Protocol):
    """What another server says of itself (:class:`~tcpecho_trio.cluster.records.Record`)."""

    @property
    def name(self) -> str:
        """In the cluster."""

    @property
    def version(self) -> str:
        """Of its program."""

    @property
    def addresses(self) -> tuple[str, ...]:
        """Where clients can connect."""

    @property
    def phase(self) -> str:
        """Of its life cycle."""

    @property
    def clients(self) -> int:
        """How many it has."""


class ClusterMember(Protocol):
    """Another server (:class:`~tcpecho_trio.cluster.members.Member`)."""

    @property
    def record(self) -> ClusterRecord:
        """What it said last."""

    @property
    def clients(self) -> tuple[str, ...]:
        """Those of its clients whose addresses are known."""


class ClusterCounts(Protocol):
    """What is measured (:class:`~tcpecho_trio.cluster.membership.ClusterState`)."""

    joined: bool
    losses: int
    commands: int


class Neighbours(Protocol):
    """A server's membership (:class:`~tcpecho_trio.cluster.membership.Membership`)."""

    name: str

    @property
    def state(self) -> ClusterCounts:
        """What is measured of it."""

    @property
    def age(self) -> float | None:
        """How many seconds old all that is while Redis is away; None while it is not."""

    def others(self) -> Sequence[ClusterMember]:
        """The other servers, as far as they are known."""


def described(neighbours: Neighbours) -> dict[str, Any]:
    """The cluster as the status tells of it."""
    age = neighbours.age
    return {
        "server": neighbours.name,
        "joined": neighbours.state.joined,
        "age": None if age is None else round(age, 3),
        "servers": [
            {
                "server": member.record.name,
                "version": member.record.version,
                "phase": member.record.phase,
                "listeners": list(member.record.addresses),
                "clients": member.record.clients,
            }
            for member in neighbours.others()
        ],
    }


def clients_elsewhere(neighbours: Neighbours, contains: str) -> Iterator[Client]:
    """The clients of the other servers that match, by server, as far as they are known."""
    nothing = dict.fromkeys(UNKNOWN)
    for member in neighbours.others():
        name = member.record.name
        for client in member.clients:
            if matches(contains, 0, client, name):
                yield {**nothing, "client": client, "faults": [], "server": name}


def families(neighbours: Neighbours) -> tuple[Metric, ...]:
    """What Prometheus is told of a membership."""
    state, age = neighbours.state, neighbours.age
    told: list[Metric] = []
    for name, text, value in (
        ("up", "1 while Redis knows this server, and it what Redis knows; else 0.", state.joined),
        ("members", "Other servers of the cluster that are known.", len(neighbours.others())),
        ("age_seconds", "How old what is known of them is, while Redis is away.", age or 0.0),
    ):
        gauge = GaugeMetricFamily(f"tcpecho_cluster_{name}", text)
        gauge.add_metric((), value)
        told.append(gauge)
    for name, text, count in (
        ("losses", "How often the contact with Redis was lost.", state.losses),
        ("commands", "Commands of the cluster that were taken.", state.commands),
    ):
        counter = CounterMetricFamily(f"tcpecho_cluster_{name}", text)
        counter.add_metric((), count)
        told.append(counter)
    return tuple(told)
