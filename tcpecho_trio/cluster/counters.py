"""A server's counters as plain data: workers tell them, and the supervisor adds them up."""

from __future__ import annotations

import time
from typing import Any

import trio

from tcpecho_trio.server.event_fields import COUNTERS
from tcpecho_trio.server.registry import Conversation, Registry
from tcpecho_trio.server.stats import Totals

Counters = dict[str, Any]
"""Numbers by their names, and such again; None where nobody counts."""


def counters_of(registry: Registry, *, everybody: bool = True) -> Counters:
    """All counters of a server.

    Args:
      registry: which connections there are, and were.
      everybody: the totals include those who are connected. To add these up takes a microsecond
        for each.
    """
    totals = registry.totals() if everybody else registry.closed_totals
    return {
        "clients": len(registry),
        "places": registry.places,
        "accepted_at": dict(registry.accepted_at),
        "commands": {action.value: n for action, n in registry.commands.items()},
        "close_reasons": {reason.value: n for reason, n in registry.close_reasons.items()},
        "served": registry.served,
        "aborted": registry.aborted,
        "totals": {name: getattr(totals, name) for name in COUNTERS},
    }


def added(one: Counters, other: Counters) -> Counters:
    """The sums of two servers' counters. What one of them does not count, both together do not."""
    total: Counters = dict(one)
    for name, value in other.items():
        known = total.get(name, {} if isinstance(value, dict) else 0)
        if isinstance(value, dict):
            total[name] = added(known, value)
        elif name in total and (value is None or known is None):
            total[name] = None
        else:
            total[name] = value if value is None else known + value
    return total


def totals_of(counters: Counters) -> Totals:
    """What has passed on all connections."""
    return Totals(**{name: counters.get("totals", {}).get(name, 0) for name in COUNTERS})


def described(connection: Conversation) -> dict[str, Any]:
    """One connection, for a list of them.

    ``since`` is in seconds since 1970 (time(2)): the clocks of two runs have nothing in common.
    """
    info, stats = connection.info, connection.stats
    return {
        "number": info.number,
        "client": info.client,
        "peer": info.peer,
        "listener": info.listener,
        "since": time.time() - (trio.current_time() - stats.opened_at),
        "bytes_in": stats.bytes_in,
        "bytes_out": stats.bytes_out,
        "messages_in": stats.messages_in,
        "messages_out": stats.messages_out,
    }
