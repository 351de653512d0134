"""What stands in Redis of a cluster: read and written in whole scripts, decoded, bounded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tcpecho_trio.cluster import scripts
from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.members import MAX_MEMBERS
from tcpecho_trio.cluster.records import (
    MAX_COMMAND,
    MAX_INSTANCE,
    MAX_LIST,
    MAX_RECORD,
    Command,
    Record,
)
from tcpecho_trio.cluster.resp import Connection, StoreError

LIFE = 3500
"""Milliseconds until the record of a server expires that says nothing more: three heartbeats may
get lost, and whoever vanishes is gone in five seconds."""

COMMAND_LIFE = 10_000
"""Milliseconds until a command expires that nobody takes. A server looks for one every second."""

LISTS_AT_A_TIME = 4
"""Lists of clients in one answer: two megabytes at most."""

LIMITS = (MAX_MEMBERS, MAX_INSTANCE, MAX_RECORD - 1, LIFE)
"""What the scripts are told first. GETRANGE takes the place of the last byte."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What Redis says of the members.

    Args:
      now: the time on its clock, in seconds.
      records: those of whoever is there.
      partial: there are more than were read.
      unread: nothing could be read, for the trouble that is told.
      trouble: an error in spite of which the rest is true; empty for none.
      kept: whether what we had written before was still there.
      command: what somebody asks of us.
    """

    now: float
    records: list[Record]
    partial: bool
    unread: bool
    trouble: str = ""
    kept: bool = True
    command: Command | None = None


class Store:
    """The keys of one cluster.

    Its methods raise :class:`~tcpecho_trio.cluster.resp.StoreError`.

    Args:
      location: the cluster. A connection is made when it is first used.
    """

    def __init__(self, location: ClusterLocation) -> None:
        self._connection = Connection(location)
        self._prefix = location.prefix

    async def aclose(self) -> None:
        """Close the connection at once."""
        await self._connection.aclose()

    async def read(self) -> Reading:
        """Who there is."""
        return _reading(await self._run(scripts.READ, *LIMITS))

    async def beat(self, instance: str, record: bytes, clients: bytes, *, read: bool) -> Reading:
        """A heartbeat; texts that have not changed are empty.

        Args:
          instance: ours.
          record: what is new with us, encoded.
          clients: our list of them, encoded.
          read: whether to read the others' records, too.
        """
        ours = (instance, LIFE, record, clients, MAX_COMMAND - 1, int(read))
        return _reading(await self._run(scripts.BEAT, *LIMITS, *ours))

    async def lists(self, instances: Sequence[str]) -> list[bytes]:
        """The lists of clients of some servers, :data:`LISTS_AT_A_TIME` at most."""
        lists: list[bytes] = await self._run(scripts.LISTS, MAX_LIST - 1, *instances)
        return lists

    async def leave(self, instance: str) -> None:
        """We are there no longer."""
        await self._run(scripts.LEAVE, instance)

    async def order(self, instance: str, command: Command) -> bool:
        """Ask something of a server; whether it is there."""
        return bool(await self._run(scripts.ORDER, instance, command.encode(), COMMAND_LIFE))

    async def _run(self, script: scripts.Script, *arguments: str | bytes | int) -> Any:
        """Run a script; Redis knows it by its digest, unless it has been restarted."""
        with_prefix = (0, self._prefix, *arguments)
        try:
            return await self._connection.call("EVALSHA", script.digest, *with_prefix)
        except StoreError as error:
            if not error.reason.startswith("NOSCRIPT"):
                raise
        return await self._connection.call("EVAL", script.text, *with_prefix)


def _reading(answer: list[Any]) -> Reading:
    (seconds, microseconds), trouble, partial, found = answer[:4]
    records = (
        Record.decode(instance.decode(errors="replace"), told)
        for instance, told in zip(found[::2], found[1::2], strict=True)
    )
    return Reading(
        int(seconds) + int(microseconds) / 1e6,
        [record for record in records if record is not None],
        partial == 1,
        partial == 2,
        trouble.decode(errors="replace"),
        *([bool(answer[4]), Command.decode(answer[5])] if len(answer) > 4 else ()),
    )
