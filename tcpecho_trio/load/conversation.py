"""What is said on one connection of a load: what is sent next, and whether a reply is right.

No input or output, and no clock: the engine hands over what it has received and what time it is,
and gets back what is to be sent. One conversation outlives its connection: after a connection has
ended, the next one goes on with what is due.

In the usual case one message is under way, and what comes is exactly its reply.
:meth:`Conversation.receive` deals with that in one comparison. For everything else the bytes are
matched against the replies that are due, in their order. Without lines nobody knows where the next
reply begins once one was wrong, so such a connection is replaced.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from tcpecho_trio.client.opening import REFUSAL
from tcpecho_trio.load.histogram import SHIFT, index_of
from tcpecho_trio.load.messages import Framing, Make, Numbered
from tcpecho_trio.load.opening import past_opening, refusal
from tcpecho_trio.load.schedule import Schedule
from tcpecho_trio.load.tally import Tally


@dataclass(slots=True)
class Terms:
    """What all conversations of a load share.

    Args:
      tally: what has been seen.
      make: makes the messages.
      schedule: when messages are due; None in a closed loop.
      count: how many conversations there are.
      depth: messages that one may have under way.
      framing: where a reply ends.
      churn: whether each message gets a connection of its own.
      think: nanoseconds between a reply and the next message.
      start: when the load began, in nanoseconds.
      issued: how many messages are due (open loop).
      wake_by: is told when somebody who thinks must be woken.
      thinking: who may speak again when, the earliest first.
      holding: those that hold back what may be a refusal.
    """

    tally: Tally
    make: Make
    schedule: Schedule | None
    count: int
    depth: int
    framing: Framing
    churn: bool
    think: int
    wake_by: Callable[[int], None]
    start: int = 0
    issued: int = 0
    thinking: deque[tuple[int, Conversation]] = field(default_factory=deque)
    holding: set[Conversation] = field(default_factory=set)


class Conversation:
    """One connection's part of a load.

    Args:
      number: which it is, from 0.
      terms: what all of them share.

    Attributes:
      open: whether there is a connection.
      finished: whether the connection has done its work, and is to be closed.
      broken: whether it cannot go on, and is to be replaced.
      outstanding: messages whose replies have not come yet.
      next_number: the next message that this conversation sends (open loop).
      refusal: what the server said instead of serving us.
    """

    __slots__ = (
        *("_counts", "_due", "_fast", "_held", "_held_since", "_matched", "_number"),
        *("_reply", "_rest", "_sent", "_skipped", "_skipping", "_tail", "_tally", "_terms"),
        *("broken", "finished", "next_number", "open", "outstanding", "refusal"),
    )

    def __init__(self, number: int, terms: Terms) -> None:
        tally = terms.tally
        self._number, self._terms, self._tally = number, terms, tally
        self._counts = tally.since_sent
        plain = terms.schedule is None and not (terms.churn or terms.think) and terms.depth == 1
        make = terms.make
        self._tail = make.tail if plain and isinstance(make, Numbered) else None
        self._fast: bytes | None = None  # the one reply that is due, if the next bytes may be it
        self._reply: bytes | None = None  # the first reply that is due; None for any
        self._due = self._sent = 0  # of its message
        self._rest: deque[tuple[bytes | None, int, int]] = deque()  # the same of those behind it
        self._matched = 0  # bytes of the first reply that have come, and were right
        self._skipping = 0  # bytes of a wrong reply that are still to come; -1: up to a line feed
        self._skipped = b""  # how that wrong reply begins
        self._held: bytes | None = None  # what may be a greeting or a refusal; None: no more
        self._held_since = 0
        self.open = self.finished = self.broken = False
        self.outstanding = 0
        self.next_number = number
        self.refusal = ""

    # What the engine calls.

    def opened(self, now: int, began: int) -> bytes:
        """There is a connection, which was begun at `began`; return what to send."""
        self.open, self.finished, self.broken = True, False, False
        self._held, self._matched, self._skipping = b"", 0, 0
        self._tally.connections += 1
        return self._fill(now, began if self._terms.churn else now)

    def receive(self, data: bytes, now: int) -> bytes:
        """Look at what has come; return what to send."""
        if data == self._fast:
            latency = now - self._sent
            shift = SHIFT[latency.bit_length()]
            self._counts[(shift << 9) + (latency >> shift)] += 1
            tally = self._tally
            if self._tail is None or tally.sent >= tally.limit:
                return self._proceed(now)
            message = b"%012x%b" % (tally.sent, self._tail)
            tally.sent += 1
            self._fast = message.upper()
            self._sent = now
            return message
        return self._match(data, now)

    def send_due(self, now: int) -> bytes:
        """Send what is due, as far as it may be under way; what to send."""
        return self._fill(now, now)

    def closed(self, *, by_us: bool = False) -> str:
        """The connection has ended; return what kind of error that is, if any.

        Args:
          by_us: we have closed it ourselves.
        """
        self._restore()
        kind = "" if by_us or self.finished else "closed"
        if self._held and not by_us:
            if told := refusal(self._held):
                self.refusal, kind = told, "full"
            elif not self.outstanding:
                self._tally.errors["unexpected"] += 1
        self._give_up("missing")
        if self.open:
            self._tally.connections -= 1
        self.open = False
        self._hold_no_more()
        return kind

    def release(self, now: int, after: int) -> bytes:
        """What was held back for so long is no refusal; what to send."""
        if not self._held or now - self._held_since < after:
            return b""
        held = self._held
        self._hold_no_more()
        return self._match(held, now)

    def abandon(self, now: int, timeout: int) -> None:
        """The load is over: whatever has not come will not be waited for."""
        self._restore()
        self.broken = self.broken or self.outstanding > 0
        self._give_up("missing" if now - self._sent >= timeout else "cut")

    # What happens then.

    def _restore(self) -> None:
        if self._fast is not None:
            self._reply, self._fast = self._fast, None

    def _proceed(self, now: int) -> bytes:
        """The one message that was under way has got its reply, which has been counted."""
        tally = self._tally
        tally.last_reply = now
        if tally.since_due is not self._counts:
            tally.since_due[index_of(now - self._due)] += 1
        self._fast = None
        self.outstanding = 0
        return self._go_on(now)

    def _go_on(self, now: int) -> bytes:
        """Replies have come: send more, or think, or end."""
        terms = self._terms
        if terms.churn:
            self.finished = not self.outstanding
            return b""
        if terms.think and not self.outstanding:
            if not terms.thinking:
                terms.wake_by(now + terms.think)
            terms.thinking.append((now + terms.think, self))
            return b""
        return self._fill(now, now)

    def _fill(self, now: int, due: int) -> bytes:
        """Send as much as may be under way; `due` is when, in a closed loop."""
        if not self.open or self.broken or self.finished:
            return b""
        terms, tally = self._terms, self._tally
        schedule = terms.schedule
        messages: list[bytes] = []
        while self.outstanding < terms.depth and tally.sent < tally.limit:
            if schedule is not None:
                if self.next_number >= terms.issued:
                    break
                due = terms.start + schedule.due(self.next_number)
                self.next_number += terms.count
            message, reply = terms.make(tally.sent)
            tally.sent += 1
            messages.append(message)
            if self.outstanding:
                self._rest.append((reply, due, now))
            else:
                self._reply, self._due, self._sent = reply, due, now
            self.outstanding += 1
        if messages and terms.depth == 1 and self._held is None:
            self._fast = self._reply
        return messages[0] if len(messages) == 1 else b"".join(messages)

    def _match(self, data: bytes, now: int) -> bytes:
        """Match bytes against the replies that are due."""
        if not data:
            return b""
        self._restore()
        if self._held is not None:
            data = self._past_opening(data, now)
        before, place = self.outstanding, 0
        while place < len(data):
            if self._skipping:
                place = self._skip(data, place)
            elif not self.outstanding:
                self._tally.errors["unexpected"] += 1
                self.broken = self._terms.framing == "raw"
                break
            elif self._reply is None:
                end = len(data) if self._terms.framing == "raw" else data.find(b"\n", place) + 1
                if not end:
                    break
                place = end
                self._answered(now)
            else:
                place = self._compare(data, place, now)
        if self.outstanding == before:
            return b""
        return self._go_on(now)

    def _compare(self, data: bytes, place: int, now: int) -> int:
        """Compare with the first reply that is due; how far the data has been looked at."""
        reply = self._reply or b""
        piece = data[place : place + len(reply) - self._matched]
        if reply.startswith(piece, self._matched):
            self._matched += len(piece)
            if self._matched == len(reply):
                self._answered(now)
            return place + len(piece)
        self._skipped = reply[: self._matched] + data[place : place + 256]
        if self._terms.framing == "line":
            self._skipping = -1
        else:
            self._skipping = len(reply) - self._matched
        return place

    def _skip(self, data: bytes, place: int) -> int:
        """Pass over a wrong reply; how far the data has been looked at."""
        if self._skipping < 0:
            end = data.find(b"\n", place) + 1
            if not end:
                return len(data)
        else:
            end = min(len(data), place + self._skipping)
            self._skipping -= end - place
            if self._skipping:
                return end
            self.broken = True
        self._was_wrong()
        return end

    def _was_wrong(self) -> None:
        reply, received = self._reply or b"", self._skipped
        if self._terms.framing == "line":
            line, end, _ = received.partition(b"\n")
            received = line + end
        else:
            received = received[: len(reply)]
        self._tally.wrong(self._number, reply, received)
        self._skipping, self._skipped = 0, b""
        self._next_reply()

    def _answered(self, now: int) -> None:
        """The first reply that was due has come, and is right."""
        tally = self._tally
        self._counts[index_of(now - self._sent)] += 1
        if tally.since_due is not self._counts:
            tally.since_due[index_of(now - self._due)] += 1
        tally.last_reply = now
        self._next_reply()

    def _next_reply(self) -> None:
        self._matched = 0
        self.outstanding -= 1
        if self._rest:
            self._reply, self._due, self._sent = self._rest.popleft()

    def _give_up(self, kind: str) -> None:
        """No more replies will come."""
        if self.outstanding and (self._skipping or self._held):
            self._skipped = self._skipped or self._held or b""
            if not (self._held or b"").startswith(REFUSAL) or kind == "cut":
                self._was_wrong()
        if kind == "cut":
            self._tally.cut += self.outstanding
        else:
            self._tally.errors[kind] += self.outstanding
        self.outstanding = self._matched = self._skipping = 0
        self._rest.clear()

    def _past_opening(self, data: bytes, now: int) -> bytes:
        """What is certain to be no greeting and no refusal; the rest is held back."""
        if not self._held:
            self._held_since = now
        held = (self._held or b"") + data
        reply = self._reply if self.outstanding else None
        anything = self.outstanding > 0 and reply is None
        rest = past_opening(held, reply, anything=anything)
        if rest is None:
            self._held = held
            self._terms.holding.add(self)
            return b""
        self._hold_no_more()
        return rest

    def _hold_no_more(self) -> None:
        self._held = None
        self._terms.holding.discard(self)
