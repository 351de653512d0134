"""Events: what happens in a server, as data, and who is told of it.

An event is a frozen dataclass that holds codes and objects, never prose. Whoever wants to know
subscribes; the journal is one subscriber. ``docs/events.md`` lists every event with its fields as
the JSON journal writes them. The list only grows.

A subscriber is called at once, in the task in which the event happened. It must neither block nor
raise. One that raises is removed, and the error is logged.

Messages are many: :class:`MessagesReceived` and :class:`RepliesSent` are made only for those who
asked for them with ``messages=…``.
"""

from __future__ import annotations

import enum
import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import trio

from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.stats import ConnectionStats, Totals

LOGGER = logging.getLogger(__name__)


class DrainReason(enum.Enum):
    """Who asked for the end first."""

    SIGINT = "sigint"
    SIGTERM = "sigterm"
    CONSOLE = "console"
    REMOTE = "remote"
    """A client sent the word that shuts the server down."""
    PROGRAM = "program"
    """The program that runs the server."""


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that happens; `name` is its name in the JSON journal."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Listening(Event):
    """Clients can connect to this endpoint, written with its real port."""

    name: ClassVar[str] = "listening"
    listener: str


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    """A client may talk."""

    name: ClassVar[str] = "connected"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class MessagesReceived(Event):
    """A chunk came in, as the network cut it; `messages` of them began in it."""

    name: ClassVar[str] = "received"
    connection: ConnectionInfo
    data: bytes
    messages: int


@dataclass(frozen=True, slots=True)
class RepliesSent(Event):
    """The socket has taken these bytes; with them `messages` have been answered."""

    name: ClassVar[str] = "replied"
    connection: ConnectionInfo
    data: bytes
    messages: int


@dataclass(frozen=True, slots=True)
class DisconnectRequested(Event):
    """A client sent a word that ends its connection."""

    name: ClassVar[str] = "leaving"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """A conversation is over; its counters are final."""

    name: ClassVar[str] = "closed"
    connection: ConnectionInfo
    reason: CloseReason
    stats: ConnectionStats
    seconds: float


@dataclass(frozen=True, slots=True)
class ConnectionProbed(Event):
    """A client left during its admission without having asked for anything: a health check."""

    name: ClassVar[str] = "probe"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A client came when the server had no place for it."""

    name: ClassVar[str] = "refused"
    connection: ConnectionInfo
    reason: CloseReason


@dataclass(frozen=True, slots=True)
class ProxyHeaderRefused(Event):
    """A connection began with no PROXY header that is believed.

    `fault` names what was wrong: a :class:`~tcpecho_trio.proxy_protocol.Fault` in small letters,
    ``untrusted`` or ``late``. `seen` is what came instead.
    """

    name: ClassVar[str] = "proxy_refused"
    connection: ConnectionInfo
    fault: str
    seen: str


@dataclass(frozen=True, slots=True)
class TlsHandshakeFailed(Event):
    """There was no agreement on TLS; `error` is OpenSSL's word for it."""

    name: ClassVar[str] = "tls_refused"
    connection: ConnectionInfo
    error: str


@dataclass(frozen=True, slots=True)
class FaultsInjected(Event):
    """A connection will suffer the faults that its info names."""

    name: ClassVar[str] = "faulty"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ForeignProtocol(Event):
    """A client spoke ``HTTP`` or ``TLS`` where a word has power over others, and is aborted."""

    name: ClassVar[str] = "foreign"
    connection: ConnectionInfo
    protocol: str


@dataclass(frozen=True, slots=True)
class ShutdownRefused(Event):
    """A client asked for a shutdown that it has no right to."""

    name: ClassVar[str] = "shutdown_refused"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionCrashed(Event):
    """A connection's task failed in a way that is our bug."""

    name: ClassVar[str] = "crashed"
    connection: ConnectionInfo
    exception: BaseException


@dataclass(frozen=True, slots=True)
class AcceptFailed(Event):
    """A connection could not be accepted: out of descriptors, mostly."""

    name: ClassVar[str] = "accept_failed"
    error: str


@dataclass(frozen=True, slots=True)
class Unraisable(Event):
    """An error came up where nobody could catch it (``sys.unraisablehook``)."""

    name: ClassVar[str] = "unraisable"
    error: str


@dataclass(frozen=True, slots=True)
class CertificateReloaded(Event):
    """Newcomers see the certificate that was read just now."""

    name: ClassVar[str] = "tls_reloaded"


@dataclass(frozen=True, slots=True)
class CertificateKept(Event):
    """The certificate could not be read again; the old one stays."""

    name: ClassVar[str] = "tls_kept"
    error: str


@dataclass(frozen=True, slots=True)
class ShutdownDelayed(Event):
    """The end was asked for; the drain begins in so many seconds, or at the next signal."""

    name: ClassVar[str] = "shutdown_delayed"
    reason: DrainReason
    seconds: float


@dataclass(frozen=True, slots=True)
class DrainStarted(Event):
    """Nobody is accepted any more, and `clients` are still connected.

    `client` is the address of the client that asked for it; None if none did.
    """

    name: ClassVar[str] = "draining"
    reason: DrainReason
    clients: int
    client: str | None = None


@dataclass(frozen=True, slots=True)
class DrainAborted(Event):
    """Whoever is still connected is cut off now."""

    name: ClassVar[str] = "cutting"


@dataclass(frozen=True, slots=True)
class ServerStopped(Event):
    """The server has ended: clients that could finish, clients that were cut off, and sums."""

    name: ClassVar[str] = "stopped"
    served: int
    aborted: int
    totals: Totals


Subscriber = Callable[[Event], None]
"""Called with each event, at once; must neither block nor raise."""

MessageFilter = Callable[[ConnectionInfo, bytes, int], bool]
"""Asked about each chunk before an event is made of it: connection, bytes, messages begun."""


class Events:
    """The events of one server, and those who subscribe to them."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self._on_messages: tuple[tuple[Subscriber, MessageFilter | None], ...] = ()
        self.messages = False
        """Whether anybody subscribes to messages; the pump asks before it calls."""
        self.counting = False
        """Whether messages are counted on the connections that are opened from now on."""

    def subscribe(
        self,
        subscriber: Subscriber,
        *,
        messages: MessageFilter | bool = False,
        counting: bool = False,
    ) -> None:
        """Tell the subscriber of every event from now on.

        Args:
          subscriber: called with each event.
          messages: whether it also wants :class:`MessagesReceived` and :class:`RepliesSent`: all
            of them (True), or those for which a filter says so. The filter is asked about what is
            received; the replies follow their messages.
          counting: whether it looks at the counters of messages. They are also counted for
            whoever wants messages.
        """
        self.counting = self.counting or counting or messages is not False
        self._subscribers += (subscriber,)
        if messages is not False:
            wanted = None if messages is True else messages
            self._on_messages += ((subscriber, wanted),)
            self.messages = True

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        self._subscribers = tuple(s for s in self._subscribers if s != subscriber)
        self._on_messages = tuple(pair for pair in self._on_messages if pair[0] != subscriber)
        self.messages = bool(self._on_messages)

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscriber in self._subscribers:
            self._tell(subscriber, event)

    def received(self, connection: ConnectionInfo, data: bytes, messages: int) -> bool:
        """A chunk came in. Return whether anybody wants to be told of the reply, too."""
        event = None
        for subscriber, wanted in self._on_messages:
            if wanted is None or wanted(connection, data, messages):
                event = event or MessagesReceived(connection, data, messages)
                self._tell(subscriber, event)
        return event is not None

    def replied(self, connection: ConnectionInfo, data: bytes, messages: int) -> None:
        """A reply went out."""
        if self._on_messages:
            event = RepliesSent(connection, data, messages)
            for subscriber, _ in self._on_messages:
                self._tell(subscriber, event)

    def _tell(self, subscriber: Subscriber, event: Event) -> None:
        try:
            subscriber(event)
        except Exception:
            LOGGER.exception("a subscriber to events failed, and is told nothing more")
            self.unsubscribe(subscriber)

    @contextmanager
    def subscription(
        self, size: int, *, messages: MessageFilter | bool = False
    ) -> Iterator[Subscription]:
        """Events for a task that takes them one by one, for as long as the block lasts.

        Args:
          size: how many may wait; what comes on top is dropped and counted.
          messages: as for :meth:`subscribe`.
        """
        subscription = Subscription(size)
        self.subscribe(subscription.put, messages=messages)
        try:
            yield subscription
        finally:
            self.unsubscribe(subscription.put)


class Subscription:
    """A bounded queue of events.

    Attributes:
      dropped: how many events did not fit. It only grows.
    """

    def __init__(self, size: int) -> None:
        self.dropped = 0
        self._size = size
        self._waiting: deque[Event] = deque()
        self._filled = trio.Event()

    def put(self, event: Event) -> None:
        """Queue an event, or drop and count it."""
        if len(self._waiting) >= self._size:
            self.dropped += 1
            return
        self._waiting.append(event)
        self._filled.set()

    async def receive(self) -> Event:
        """The next event. Cancelling it loses nothing."""
        await trio.lowlevel.checkpoint()
        while not self._waiting:
            self._filled = trio.Event()
            await self._filled.wait()
        return self._waiting.popleft()
