"""The servers of a cluster, as a table for a person or as one JSON object."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from tcpecho_trio.cluster.records import Record
from tcpecho_trio.texts import Texts

if TYPE_CHECKING:
    from tcpecho_trio.cluster.store import Reading

LONGEST_LIFE = 10 * 365 * 86400.0
"""Seconds that a server may have run; more is a mistake, or a joke."""

DAY = 86400.0

ID_SHOWN = 6
"""Characters of an instance's id that tell servers of one name apart."""


def as_json(reading: Reading, cluster: str) -> str:
    """One line: the cluster, and each server with its fields."""
    servers = [_fields(record, reading.now) for record in reading.records]
    return json.dumps({"cluster": cluster, "servers": servers}, ensure_ascii=False)


def as_table(reading: Reading, cluster: str, texts: Texts, width: int) -> list[str]:
    """The lines of a table that is no wider than so many characters, if possible at all.

    Where there is room for all columns, a server is a line. Otherwise its addresses stand below it,
    and its version and the time are left out.
    """
    words, records = texts.cluster, reading.records
    if not records:
        return [words.no_servers.format(cluster=cluster)]
    heads = (
        *(words.column_name, words.column_clients, words.column_phase),
        *(words.column_version, words.column_since, words.column_addresses),
    )
    named = Counter(record.name for record in records)
    rows = [_cells(record, reading.now, texts, named[record.name] > 1) for record in records]
    lines = _aligned([heads, *rows])
    if max(map(len, lines)) > width:
        short = _aligned([heads[:3], *(row[:3] for row in rows)])
        lines = [short[0]]
        for line, record in zip(short[1:], records, strict=True):
            lines.append(line)
            lines += [_cut(f"  {address}", width) for address in record.addresses]
    clients = texts.number(sum(record.clients for record in records))
    count = texts.number(len(records))
    return [*lines, words.summary.format(cluster=cluster, servers=count, clients=clients)]


def _cells(record: Record, now: float, texts: Texts, namesake: bool) -> tuple[str, ...]:
    phase = texts.cluster.phases.get(record.phase, record.phase)
    began = time.time() - _uptime(record, now)
    written = "%H:%M:%S" if _uptime(record, now) < DAY else "%Y-%m-%d"
    return (
        f"{record.name} #{record.instance[:ID_SHOWN]}" if namesake else record.name,
        texts.number(record.clients),
        phase,
        record.version,
        time.strftime(written, time.localtime(began)),
        " ".join(record.addresses),
    )


def _uptime(record: Record, now: float) -> float:
    """Seconds that it has run; both times are of one clock, that of Redis."""
    return min(max(0.0, now - record.since), LONGEST_LIFE)


def _fields(record: Record, now: float) -> dict[str, Any]:
    uptime = _uptime(record, now)
    since = datetime.fromtimestamp(now - uptime, UTC).isoformat(timespec="milliseconds")
    return {
        "name": record.name,
        "instance": record.instance,
        "version": record.version,
        "phase": record.phase,
        "clients": record.clients,
        "since": since.replace("+00:00", "Z"),
        "uptime": round(uptime, 3),
        "addresses": list(record.addresses),
        "generation": record.generation,
    }


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Columns as wide as their widest cell; numbers, the second one, to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.ljust(width) for cell, width in zip(row, widths, strict=True)]
        cells[1] = row[1].rjust(widths[1])
        lines.append("  ".join(cells).rstrip())
    return lines


def _cut(line: str, width: int) -> str:
    return line if len(line) <= width else line[: max(1, width - 1)] + "…"
