"""One server's membership in a cluster: heartbeats, the others' records, commands, the end.

One task talks to Redis, one command at a time, so nothing can pile up. Nobody else waits for it:
a client's word that lists everybody (:class:`ClusterRoster`) waits a moment for a reading, and
shows what is known if none comes. While Redis is away the server goes on as before.

The list of our clients is written when it has changed, twice a second at most. The others' lists
are read when somebody wants to see them, and besides now and then, as far as
:data:`BACKGROUND_RATE` goes, so that there is something to be shown when Redis is lost.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass
from typing import Protocol

import trio

from tcpecho_trio import __version__
from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.members import Member, Members
from tcpecho_trio.cluster.records import Record, decode_clients, encode_clients
from tcpecho_trio.cluster.resp import StoreError, Trouble
from tcpecho_trio.cluster.store import LISTS_AT_A_TIME, Reading, Store
from tcpecho_trio.server.events import ClusterJoined, ClusterLost, ClusterNameTaken
from tcpecho_trio.server.roster import Roster
from tcpecho_trio.server.subscriptions import Events

HEARTBEAT = 1.0
"""Seconds between two heartbeats."""

TICK = 0.5
"""Seconds between two looks at whether our list of clients has changed; with what is
:data:`FRESH`, a reader in need gets one that is less than a second old."""

FRESH = 0.3
"""Seconds for which a reading of the others' lists is shown without another one: whoever asks in a
loop does not ask Redis in a loop."""

PATIENCE = 0.5
"""Seconds that a client's word waits for a reading."""

BACKGROUND_RATE = 64 * 1024
"""Bytes a second of others' lists that are read while nobody asks for them."""

RETRY = 0.3
"""Seconds between the beginnings of two attempts to reach Redis, at least."""

RETRY_REFUSED = 1.0
"""The same where Redis answers and will not: each attempt is a line in its log."""

LEAVING = 0.5
"""Seconds for telling Redis that we are gone. If that fails, our record expires."""


class LocalServer(Protocol):
    """What a server tells a cluster of itself."""

    @property
    def phase(self) -> str:
        """That of its life cycle; ``running`` if newcomers are welcome."""

    @property
    def addresses(self) -> Sequence[str]:
        """Where clients can connect."""

    @property
    def count(self) -> int:
        """How many clients it has."""

    @property
    def generation(self) -> int:
        """How often it has replaced all its workers."""

    @property
    def changes(self) -> object:
        """Equal to what it was before as long as :meth:`clients` would say the same."""

    def clients(self) -> list[str]:
        """Every client's address as it is written."""


@dataclass(slots=True)
class ClusterState:
    """What can be measured of a membership.

    Args:
      joined: whether Redis knows us, and we what Redis knows.
      losses: how often it has been lost.
      commands: how many commands we have taken.
      members: how many other servers are known.
    """

    joined: bool = False
    losses: int = 0
    commands: int = 0
    members: int = 0


class Membership:
    """A server's membership. It joins when :meth:`run` begins, and leaves with :meth:`leave`.

    Args:
      location: the cluster.
      name: our name in it.
      server: we ourselves.
      events: told when Redis is reached, and when it is lost.
      drain: called when somebody asks for our end.
      restart: called when somebody asks for a new one of us.
    """

    def __init__(
        self,
        location: ClusterLocation,
        name: str,
        server: LocalServer,
        events: Events,
        *,
        drain: Callable[[], None],
        restart: Callable[[], None],
    ) -> None:
        self.name = name
        self.instance = secrets.token_hex(8)
        self.state = ClusterState()
        self._location = location
        self._server = server
        self._events = events
        self._commands = {"drain": drain, "restart": restart}
        self._members = Members(self.instance, name)
        self._began = trio.current_time()
        self._since: float | None = None  # when we began, on the clock of Redis
        self._taken = ""  # the last command
        self._told = b""  # our record, as Redis has it
        self._list_version = 0
        self._listed: object = None  # the changes that our list in Redis is of
        self._lists_read = 0.0  # when the others' lists were
        self._next_lists = 0.0  # when they are due without being asked for
        self._lost_before = False  # whether that has been told
        self._wanted: trio.Event | None = (
            None  # set once the lists have been read for whoever waits
        )
        self._wake = trio.Event()
        self._scope = trio.CancelScope()

    @property
    def fresh(self) -> bool:
        """Whether nobody has to be asked: what is known is new, or cannot be had."""
        return not self.state.joined or trio.current_time() - self._lists_read < FRESH

    async def refresh(self) -> None:
        """Have the others' lists read, and wait for it a moment. A checkpoint."""
        if self._wanted is None:
            self._wanted = trio.Event()
        self.wake()
        with trio.move_on_after(PATIENCE):
            await self._wanted.wait()

    def wake(self) -> None:
        """Something is new with us: tell the others now."""
        self._wake.set()

    def others(self) -> list[Member]:
        """The other servers with their clients, as far as they are known."""
        return self._members.known(trio.current_time())

    @property
    def age(self) -> float | None:
        """How many seconds old all that is while Redis is away; None while it is not."""
        return self._members.age(trio.current_time())

    async def run(self) -> None:
        """Be a member until cancelled, or until :meth:`leave`. What fails is tried again."""
        with self._scope:
            while True:
                began, pause = trio.current_time(), RETRY
                try:
                    async with aclosing(Store(self._location)) as store:
                        while True:
                            await self._turn(store)
                except StoreError as error:
                    if error.trouble is Trouble.REFUSED:
                        pause = RETRY_REFUSED
                    self._lose(error)
                await trio.sleep_until(began + pause)

    async def leave(self) -> None:
        """End :meth:`run`, and take our record away; in a bounded time, whatever Redis does."""
        self._scope.cancel()
        if self.state.joined:
            with trio.move_on_after(LEAVING), suppress(StoreError):
                async with aclosing(Store(self._location)) as store:
                    await store.leave(self.instance)

    async def _turn(self, store: Store) -> None:
        """One heartbeat, and what comes up until the next one is due."""
        due = trio.current_time() + HEARTBEAT
        await self._beat(store, read=True)
        while (now := trio.current_time()) < due:
            self._wake = trio.Event()
            if self._told != self._record().encode() or self._server.changes != self._listed:
                await self._beat(store, read=False)
            if self._wanted is not None or now >= self._next_lists:
                await self._read_lists(store)
            with trio.move_on_after(min(TICK, due - now)):
                await self._wake.wait()

    async def _beat(self, store: Store, *, read: bool) -> None:
        """Tell Redis of us; perhaps learn of the others."""
        if self._since is None:
            first = await store.read()
            self._since = first.now - (trio.current_time() - self._began)
        kept = False
        while not kept:  # Redis may have been restarted since; then it is told everything
            changes = self._server.changes
            clients = b""
            if changes != self._listed:
                self._list_version += 1
                clients = encode_clients(self._list_version, self._server.clients())
            told = self._record().encode()
            record = told if told != self._told else b""
            self._told, self._listed = b"", None  # until it is known that it has arrived
            reading = await store.beat(self.instance, record, clients, read=read)
            kept = reading.kept
            if kept and not reading.trouble:
                self._told, self._listed = told, changes
            self._take(reading, read=read)

    def _take(self, reading: Reading, *, read: bool) -> None:
        """Believe what Redis says."""
        now = trio.current_time()
        if read and not reading.unread:
            self._members.seen(now, reading.records, partial=reading.partial)
            self.state.members = len(self._members)
        if (command := reading.command) is not None and command.id != self._taken:
            self._taken = command.id
            self.state.commands += 1
            self._commands[command.verb]()
        if reading.trouble:
            raise StoreError(Trouble.REFUSED, reading.trouble)
        if reading.kept and not self.state.joined:
            self.state.joined, self._lost_before = True, False
            known = len(self._members)
            self._events.publish(ClusterJoined(str(self._location), self.name, known))
        for record in self._members.namesakes(now):
            addresses = " ".join(record.addresses)
            self._events.publish(ClusterNameTaken(self.name, record.instance, addresses))

    async def _read_lists(self, store: Store) -> None:
        """Read the lists of clients that have changed."""
        wanted, self._wanted = self._wanted, None
        size = 0
        try:
            if wanted is not None:  # the records that we have are a second old
                self._take(await store.read(), read=True)
            outdated = self._members.outdated(trio.current_time())
            for start in range(0, len(outdated), LISTS_AT_A_TIME):
                some = outdated[start : start + LISTS_AT_A_TIME]
                for instance, told in zip(some, await store.lists(some), strict=True):
                    size += len(told)
                    if (clients := decode_clients(told)) is not None:
                        self._members.listed(instance, *clients)
        finally:
            self._lists_read = trio.current_time()
            self._next_lists = self._lists_read + max(HEARTBEAT, size / BACKGROUND_RATE)
            if wanted is not None:
                wanted.set()

    def _record(self) -> Record:
        server = self._server
        return Record(
            self.instance,
            self.name,
            __version__,
            tuple(server.addresses),
            self._since or 0.0,
            server.phase,
            server.count,
            self._list_version,
            server.generation,
            self._taken,
        )

    def _lose(self, error: StoreError) -> None:
        """Redis is of no use now; what is known grows old from here on."""
        self._members.lost(trio.current_time())
        self._told, self._listed = b"", None
        self.state.joined = False
        if self._wanted is not None:
            self._wanted.set()
            self._wanted = None
        if not self._lost_before:
            self._lost_before = True
            self.state.losses += 1
            lost = ClusterLost(str(self._location), error.trouble.value, error.reason)
            self._events.publish(lost)


class ClusterRoster:
    """Who is connected to any server of the cluster: a roster for one of them.

    Others' clients stand behind our own, with their server's name behind the address; while Redis
    is away, with the age of that knowledge in seconds, too.

    Args:
      local: our own clients; None for the others only.
      membership: what is known of the others.
    """

    def __init__(self, local: Roster | None, membership: Membership) -> None:
        self._local = local
        self._membership = membership

    @property
    def fresh(self) -> bool:
        """Whether nobody has to be asked."""
        own = self._local is None or self._local.fresh
        return own and self._membership.fresh

    async def refresh(self) -> None:
        """Ask whoever has to be asked. A checkpoint."""
        if self._local is not None and not self._local.fresh:
            await self._local.refresh()
        if self._membership.fresh:
            await trio.lowlevel.checkpoint()
        else:
            await self._membership.refresh()

    def clients(self) -> list[str]:
        """Every client's address, ours first."""
        own = [] if self._local is None else self._local.clients()
        return [*own, *self.others()]

    def others(self) -> list[str]:
        """The others' clients; those who are only counted as ``… +12 name``."""
        return [line for line, _ in self.counted()]

    def counted(self) -> Iterator[tuple[str, int]]:
        """The same lines, each with how many clients it stands for."""
        age = self._membership.age
        old = "" if age is None else f" ({age:.0f} s)"
        for member in self._membership.others():
            behind = f" {member.record.name}{old}"
            for client in member.clients:
                yield client + behind, 1
            more = member.record.clients - len(member.clients)
            if more > 0:
                yield f"… +{more}{behind}", more
