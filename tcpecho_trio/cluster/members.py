"""What is known of the other servers of a cluster, and how old it is. Sans-I/O: no clock, no Redis.

Times are arguments, and all of one clock: this process's own. What another machine's clock says is
never compared; whether a server is alive is decided by the expiry of its record in Redis.

=========== ================================ ==========================================
            what is true                     what leads on
=========== ================================ ==========================================
*in touch*  whoever was in the last reading  ``lost()``
            is a member, nobody else
*stale*     the members of the last reading, ``seen()``, which is a return
            for :data:`KEEP` at most
*returned*  as in touch; but who is missing  :data:`GRACE` has passed: *in touch*
            is a member still, if they were  ``lost()``
            known before
=========== ================================ ==========================================

*Returned* is there because a Redis that was away for a while has let all records expire, or has
come back empty. Everybody registers again within a second; meanwhile nobody shall vanish.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from tcpecho_trio.cluster.records import Record

KEEP = 30.0
"""Seconds for which members are told of while Redis cannot be asked. Until then most of what is
known is still true; later it would be a legend."""

GRACE = 3.0
"""Seconds in which the others have to register again after Redis was away: as long as their
own attempts to reach it may take (:data:`~tcpecho_trio.cluster.membership.DEADLINE`), twice."""

NAMESAKE = 6.0
"""Seconds for which another server has had our name when it is told. A server that was killed and
started again meets its own old record until that has expired."""

MAX_MEMBERS = 1000
"""Servers that are known at a time. Long before, Redis is busy with nothing else (docs/cluster.md).
More records than that are somebody's mischief."""

MAX_OTHERS_LISTED = 20_000
"""Clients of all other servers together that are kept and listed; the rest is only counted. Some
two megabytes of memory, and half a megabyte of one reply."""


@dataclass(slots=True)
class Member:
    """Another server.

    Args:
      record: what it said last.
      since: when it was seen first.
      clients: of them, those whose addresses are known.
      list_version: of that list; None for none yet.
    """

    record: Record
    since: float
    clients: tuple[str, ...] = ()
    list_version: int | None = None


class Members:
    """The other servers, as one server knows them.

    Args:
      own: our instance's id; our own record is nobody else's.
      name: our name, which nobody else should have.
    """

    def __init__(self, own: str, name: str) -> None:
        self._own = own
        self._name = name
        self._members: dict[str, Member] = {}
        self._missing: set[str] = set()  # of these, those that have to register again
        self._read: float | None = None  # when Redis last told who there is
        self._lost: float | None = None  # since when it cannot be asked
        self._grace_ends: float | None = None
        self._namesakes: set[str] = set()

    def seen(self, now: float, records: Collection[Record], *, partial: bool = False) -> None:
        """Take a reading: the records that there are.

        A `partial` one, where there are too many to be read at once, says nothing of the rest.
        """
        self._end_grace(now)
        if self._lost is not None:
            if now - self._lost > KEEP:
                self._members.clear()
            self._grace_ends, self._lost = now + GRACE, None
        self._read = now
        present = {record.instance: record for record in records}
        present.pop(self._own, None)
        for instance, record in present.items():
            member = self._members.get(instance)
            if member is not None:
                member.record = record
            elif len(self._members) < MAX_MEMBERS:
                self._members[instance] = Member(record, now)
        if partial:
            self._missing -= present.keys()
            return
        self._missing = self._members.keys() - present.keys()
        if self._grace_ends is None:
            self._forget_missing()

    def lost(self, now: float) -> None:
        """Redis cannot be asked. Saying so again changes nothing."""
        self._end_grace(now)
        if self._lost is None:
            self._lost, self._grace_ends = now, None

    def known(self, now: float) -> list[Member]:
        """The other servers, by name."""
        self._end_grace(now)
        if self._lost is not None and now - self._lost > KEEP:
            return []
        return sorted(self._members.values(), key=lambda m: (m.record.name, m.record.instance))

    def age(self, now: float) -> float | None:
        """How old what is known is, while it is stale; None while it is not."""
        if self._lost is None:
            return None
        return now - (self._lost if self._read is None else self._read)

    def namesakes(self, now: float) -> Iterator[Record]:
        """Other running servers that have had our name for a while; each of them once."""
        if self._lost is not None:
            return
        for instance, member in self._members.items():
            record = member.record
            settled = now - member.since > NAMESAKE and instance not in self._missing
            same = record.name == self._name and record.phase == "running"
            if same and settled and instance not in self._namesakes:
                self._namesakes.add(instance)
                yield record
        self._namesakes &= self._members.keys()

    def outdated(self, now: float) -> list[str]:
        """The servers whose lists have to be read, as many as may be kept."""
        room, instances = MAX_OTHERS_LISTED, []
        for member in self.known(now):
            record = member.record
            if room <= 0:
                member.clients, member.list_version = (), None
            elif record.list_version != member.list_version:
                instances.append(record.instance)
            room -= record.clients
        return instances

    def listed(self, instance: str, version: int, clients: tuple[str, ...]) -> None:
        """Take a server's list of clients, as far as there is room for it."""
        if (member := self._members.get(instance)) is not None:
            member.clients = ()
            room = MAX_OTHERS_LISTED - sum(len(one.clients) for one in self._members.values())
            member.clients, member.list_version = clients[:room], version

    def __len__(self) -> int:
        """How many other servers are kept, known or stale."""
        return len(self._members)

    def _end_grace(self, now: float) -> None:
        if self._grace_ends is not None and now >= self._grace_ends:
            self._grace_ends = None
            self._forget_missing()

    def _forget_missing(self) -> None:
        for instance in self._missing:
            self._members.pop(instance, None)
        self._missing = set()
