"""What can be asked of the servers of a cluster, and how it is seen that it has been done.

A command lies in Redis until its server takes it, and expires if nobody does. That it was obeyed is
seen in the records, as everybody else sees it: one is gone, or there is a new one of that name.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from contextlib import aclosing

import trio

from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.records import Command, Record
from tcpecho_trio.cluster.resp import StoreError, Trouble
from tcpecho_trio.cluster.store import Reading, Store
from tcpecho_trio.errors import ClusterError, NoSuchServer, TooSlow

LOOK = 0.2
"""Seconds between two looks at the records while something is waited for."""

TAKEN = 5.0
"""Seconds for a server to take a command; it looks for one every second."""

GONE = 1.5
"""Seconds for which a record has to be missing. In a Redis that has just been restarted nobody's is
there, until everybody has registered again."""

AWAY = 10.0
"""Seconds for which Redis may be away while something is waited for."""


class Control:
    """The servers of a cluster, for somebody who is none of them.

    Args:
      location: the cluster.
    """

    def __init__(self, location: ClusterLocation) -> None:
        self._location = location

    async def read(self) -> Reading:
        """Who there is, by name.

        Raises:
          ClusterError: Redis is of no use.
        """
        try:
            async with aclosing(Store(self._location)) as store:
                reading = await store.read()
        except StoreError as error:
            raise translated(error, self._location) from error
        if reading.trouble:
            raise translated(StoreError(Trouble.REFUSED, reading.trouble), self._location)
        reading.records.sort(key=lambda record: (record.name, record.instance))
        return reading

    async def choose(self, names: Sequence[str]) -> list[Record]:
        """The servers of these names, or of these instance ids; all that run, if there are none.

        Raises:
          NoSuchServer: one of them is not there, or there are several of that name.
          ClusterError: Redis is of no use.
        """
        records = (await self.read()).records
        if not records:
            raise NoSuchServer("cluster.nobody", cluster=self._location)
        if not names:
            return records
        chosen = []
        for name in dict.fromkeys(names):
            found = [one for one in records if name in (one.name, one.instance)]
            running = [one for one in found if one.phase == "running"]
            if not found:
                known = " ".join(dict.fromkeys(one.name for one in records))
                raise NoSuchServer(
                    "cluster.unknown_name", name=name, cluster=self._location, known=known
                )
            if len(running or found) > 1:
                known = " ".join(one.instance for one in running or found)
                raise NoSuchServer("cluster.same_name", name=name, known=known)
            chosen += running or found
        return chosen

    async def order(self, record: Record, verb: str) -> None:
        """Ask a server for something, and wait until it has taken that.

        Raises:
          TooSlow: it did not.
          ClusterError: Redis is of no use.
        """
        command = Command(secrets.token_hex(8), verb)
        try:
            async with aclosing(Store(self._location)) as store:
                there = await store.order(record.instance, command)
        except StoreError as error:
            raise translated(error, self._location) from error
        if not there:
            return  # it has ended by itself
        with trio.move_on_after(TAKEN):
            while True:
                now = await self._find(record.instance)
                if now is None or now.taken == command.id:
                    return
                await trio.sleep(LOOK)
        raise TooSlow("cluster.not_taken", name=record.name, seconds=TAKEN)

    async def wait_gone(self, record: Record, allowed: float) -> None:
        """Wait until a server is there no longer, for so many seconds.

        Raises:
          TooSlow: it still is.
          ClusterError: Redis is of no use.
        """
        missing = None  # since when
        with trio.move_on_after(allowed):
            while True:
                if await self._find(record.instance) is not None:
                    missing = None
                elif missing is None:
                    missing = trio.current_time()
                elif trio.current_time() - missing >= GONE:
                    return
                await trio.sleep(LOOK)
        raise TooSlow("cluster.not_gone", name=record.name, seconds=allowed)

    async def wait_ready(
        self, before: Record, known: Sequence[Record], left: Sequence[Record], allowed: float
    ) -> None:
        """Wait until a server is ready again: a new one of its name, or with new workers.

        Args:
          before: as it was.
          known: those that were there; none of them is the new one.
          left: those whose turn would be next.
          allowed: seconds.

        Raises:
          TooSlow: it is not.
          ClusterError: Redis is of no use.
        """
        old = {one.instance for one in known}
        with trio.move_on_after(allowed):
            while True:
                for now in await self._look():
                    anew = now.instance not in old and now.name == before.name
                    renewed = now.instance == before.instance
                    renewed = renewed and now.generation > before.generation
                    if (anew or renewed) and now.phase == "running":
                        return
                await trio.sleep(LOOK)
        names = " ".join(one.name for one in left) or "–"
        raise TooSlow("cluster.not_ready", name=before.name, seconds=allowed, left=names)

    async def _find(self, instance: str) -> Record | None:
        found = (one for one in await self._look() if one.instance == instance)
        return next(found, None)

    async def _look(self) -> list[Record]:
        """Who there is; a Redis that is away for a moment is waited for."""
        until = trio.current_time() + AWAY
        while True:
            try:
                return (await self.read()).records
            except (ClusterError, TooSlow):
                if trio.current_time() > until:
                    raise
                await trio.sleep(LOOK)


def translated(error: StoreError, location: ClusterLocation) -> ClusterError | TooSlow:
    """What is told to whoever gave a command."""
    if error.trouble is Trouble.TIMEOUT:
        return TooSlow("cluster.no_answer", cluster=location)
    kind = "refused" if error.trouble is Trouble.REFUSED else "unreachable"
    return ClusterError(f"cluster.{kind}", cluster=location, reason=error.reason)
