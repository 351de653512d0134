"""Who is told of a server's events, and how.

A subscriber is called at once, in the task in which the event happened. It must neither block nor
raise. One that raises is removed, and the error is logged. A task that would rather take events
one by one opens a bounded subscription.

Messages are many: :class:`~tcpecho_trio.server.events.MessagesReceived` and
:class:`~tcpecho_trio.server.events.RepliesSent` are made only for those who asked for them with
``messages=…``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import trio

from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import Event, MessagesReceived, RepliesSent

LOGGER = logging.getLogger(__name__)

Subscriber = Callable[[Event], None]
"""Called with each event, at once; must neither block nor raise."""

MessageFilter = Callable[[ConnectionInfo, bytes, int], bool]
"""Asked about each chunk before an event is made of it: connection, bytes, messages begun."""


class Events:
    """The events of one server, and those who subscribe to them."""

    def __init__(self) -> None:
        self._subscribers: tuple[Subscriber, ...] = ()
        self._on_messages: tuple[tuple[Subscriber, MessageFilter | None], ...] = ()
        # Those of them who have not said that they want no more for now.
        self._asked: tuple[tuple[Subscriber, MessageFilter | None], ...] = ()
        self.messages = False
        """Whether anybody subscribes to messages; the pump asks before it calls."""
        self.lost = 0
        """How many times a subscriber could not be told, because no memory was left."""
        self.counting = False
        """Whether messages are counted on the connections that are opened from now on."""
        self.begun = 0
        """How many messages have begun on all connections on which they are counted."""

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
            self.ask_again(subscriber)

    def unsubscribe(self, subscriber: Subscriber) -> None:
        """Tell it nothing more."""
        self._subscribers = tuple(s for s in self._subscribers if s != subscriber)
        self._on_messages = tuple(pair for pair in self._on_messages if pair[0] != subscriber)
        self.stop_asking(subscriber)

    def stop_asking(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of no messages until it wants to be asked again: it has heard enough.

        It is still told of the replies to messages that it has been told of.
        """
        self._asked = tuple(pair for pair in self._asked if pair[0] != subscriber)
        self.messages = bool(self._asked)

    def ask_again(self, subscriber: Subscriber) -> None:
        """Tell a subscriber of messages again, as far as its filter says so."""
        self._asked = tuple(
            pair for pair in self._on_messages if pair in self._asked or pair[0] == subscriber
        )
        self.messages = bool(self._asked)

    def publish(self, event: Event) -> None:
        """Tell every subscriber."""
        for subscriber in self._subscribers:
            self._tell(subscriber, event)

    def received(self, connection: ConnectionInfo, data: bytes, messages: int) -> bool:
        """A chunk came in. Return whether anybody wants to be told of the reply, too."""
        event = None
        self.begun += messages
        for subscriber, wanted in self._asked:
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
        except MemoryError:
            self.lost += 1  # it may hear the next one; to log this would take memory, too
        except Exception:  # a bug of the subscriber's: it may cost neither a client nor the server
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
