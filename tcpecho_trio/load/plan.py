"""The plan of a load: what happens when, without any input or output.

::

    warm-up ──► measured ──► drain ──► over
                   │ the duration ends, or the last message is sent, or somebody stops it

In the drain what was due before is still sent, and replies are waited for, for as long as the
timeout allows. The engine calls :meth:`Plan.advance` when it is :attr:`Plan.wake_at`, and sends
what that returns. All times are nanoseconds of a clock that never goes back.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from tcpecho_trio.load.conversation import Conversation, Terms
from tcpecho_trio.load.histogram import index_of
from tcpecho_trio.load.record import Record
from tcpecho_trio.load.schedule import NEVER, Schedule
from tcpecho_trio.load.settings import LoadSettings
from tcpecho_trio.load.tally import KINDS, Tally

BATCH = 64
"""Messages that one call lets go: replies must be read in between, or they would look late."""

LOOK = 20_000_000
"""Nanoseconds between two looks at what no clock tells: whether everything has been answered."""

HOLD = 250_000_000
"""Nanoseconds that what may be a refusal is waited with: until its connection closes."""

CUT_SHORT = 1_000_000_000
"""Nanoseconds at most that replies are waited for after somebody has ended the load early."""


class Stage(enum.Enum):
    """Where a load is."""

    WARMUP = "warmup"
    MEASURED = "measured"
    DRAIN = "drain"
    OVER = "over"


Action = tuple[Conversation, bytes]
"""What is to be sent on a conversation's connection; it needs one first if it has none."""


class Plan:
    """What a load does, and what it has seen.

    Args:
      settings: what it is to be.
      processor: seconds of processor time that the generator has used so far; none by default.

    Attributes:
      tally: what has been counted.
      record: what has been written down of it.
      conversations: one for each connection.
      wake_at: when :meth:`advance` is to be called next.
      stage: where the load is.
      interrupted: whether somebody ended it early.
      started, stopped: when it began, and when nothing was due any more.
      processor_seconds: how much of it the measured part took.
      warmup: what is known of the warm-up.
    """

    def __init__(self, settings: LoadSettings, processor: Callable[[], float] = float) -> None:
        self.settings = settings
        self._processor = processor
        self.tally = tally = Tally(settings.open_loop or settings.churn)
        tally.limit = float("inf")
        if settings.messages is not None and not settings.warmup:
            tally.limit = settings.messages
        self._terms = Terms(
            tally=tally,
            make=settings.make(),
            schedule=settings.schedule(),
            count=settings.connections,
            depth=settings.pipeline,
            framing=settings.framing,
            churn=settings.churn,
            think=int(settings.think * 1e9),
            wake_by=self._wake_by,
        )
        self.conversations = [
            Conversation(number, self._terms) for number in range(settings.connections)
        ]
        self.record = Record(tally, self._terms.schedule, settings.limit)
        self.stage = Stage.WARMUP
        self.interrupted = False
        self.wake_at = NEVER
        self.started = self.stopped = 0
        self.processor_seconds = self._processor_before = 0.0
        self.warmup: dict[str, object] = {}
        self._next_due = self._phase_at = self._look_at = NEVER
        self._due_until = NEVER  # what is due from then on is not sent
        self._not_counted = 0  # messages of the warm-up that are not counted

    # What the engine calls.

    def start(self, now: int) -> None:
        """The load begins now; its conversations may begin before, or later."""
        settings, terms = self.settings, self._terms
        self.started = terms.start = now
        self.record.start(now)
        self.stage = Stage.WARMUP if settings.warmup else Stage.MEASURED
        self._look_at = now + LOOK
        if settings.warmup:
            self._phase_at = now + int(settings.warmup * 1e9)
        else:
            self._begin_measuring(now)
        if terms.schedule is not None:
            self._next_due = now + terms.schedule.due(0)
        self._plan_wake()

    def advance(self, now: int) -> list[Action]:
        """Do what is due by now; what is to be sent."""
        actions: list[Action] = []
        if now >= self._phase_at or now >= self._look_at or now >= self.record.row_at:
            self._change_stage(now, actions)
        schedule = self._terms.schedule
        if schedule is not None and now >= self._next_due:
            self._issue(schedule, now, actions)
        thinking = self._terms.thinking
        while thinking and thinking[0][0] <= now and len(actions) < BATCH:
            due, conversation = thinking.popleft()
            if message := conversation.send_due(now):
                self.tally.lateness[index_of(now - due)] += 1
                actions.append((conversation, message))
        self._plan_wake()
        return actions

    def interrupt(self, now: int) -> None:
        """End it early: nothing more is sent, and replies are waited for a moment only."""
        if not self.started:
            self.finish(now)
        elif self.stage in (Stage.WARMUP, Stage.MEASURED):
            self.interrupted = True
            self._stop(now)
            self._phase_at = now + min(CUT_SHORT, int(self.settings.timeout * 1e9))
            self.tally.limit = 0
            self._next_due = NEVER
            self._terms.issued = 0
            self._plan_wake()

    def finish(self, now: int) -> None:
        """It is over: count what has not come."""
        if self.stage is Stage.OVER:
            return
        if self.stage in (Stage.WARMUP, Stage.MEASURED):
            self.interrupted = True
            self._stop(now)
        for conversation in self.conversations:
            conversation.abandon(now, int(self.settings.timeout * 1e9))
        if not self.interrupted:
            self.tally.errors["unsent"] += self._unsent
        self._end_row(now)
        self.processor_seconds = self._processor() - self._processor_before
        self.stage = Stage.OVER
        self.wake_at = NEVER

    @property
    def over(self) -> bool:
        """Whether nothing is left to be done."""
        return self.stage is Stage.OVER

    @property
    def completed(self) -> int:
        """Messages about which everything is known."""
        tally = self.tally
        gone = tally.errors["wrong"] + tally.errors["missing"] + tally.cut
        return tally.replied + sum(tally.since_sent.values()) + gone

    @property
    def has_replies(self) -> bool:
        """Whether anything has ever been answered."""
        return bool(self.record.total_sent.total or self.tally.replied or self.tally.since_sent)

    def wants_connection(self, conversation: Conversation) -> bool:
        """Whether a conversation without a connection needs one now."""
        tally, terms = self.tally, self._terms
        if self.stage is Stage.OVER or tally.sent >= tally.limit:
            return False
        if terms.schedule is None or conversation.next_number < terms.issued:
            return True
        return self.stage is not Stage.DRAIN and not terms.churn

    # The stages.

    def _plan_wake(self) -> None:
        thinking = self._terms.thinking
        first = thinking[0][0] if thinking else NEVER
        row_at = self.record.row_at
        self.wake_at = min(self._next_due, self._phase_at, self._look_at, row_at, first)

    def _wake_by(self, moment: int) -> None:
        self.wake_at = min(self.wake_at, moment)

    def _begin_measuring(self, now: int) -> None:
        tally, settings = self.tally, self.settings
        done = self.completed
        if self.stage is Stage.WARMUP:
            errors = {kind: count for kind, count in tally.errors.items() if count}
            self.warmup = {"sent": tally.sent, "errors": errors}
            tally.take()
            tally.replied = 0
            tally.lateness.clear()
            tally.errors.update(dict.fromkeys(KINDS, 0))
            tally.samples.clear()
        self._not_counted = done
        self.stage = Stage.MEASURED
        if settings.messages is not None:
            tally.limit = tally.sent + settings.messages
        self.record.start_measuring(now)
        self._processor_before = self._processor()
        limit = settings.limit
        self._phase_at = NEVER if limit is None else now + int(limit * 1e9)

    def _stop(self, now: int) -> None:
        """Nothing more is due; what was due before is still sent."""
        if self.stage is Stage.WARMUP:
            self._begin_measuring(now)
        self.stage, self.stopped = Stage.DRAIN, now
        self._due_until = min(self._due_until, now)
        if self._terms.thinking:
            self._terms.thinking.clear()
        if self._terms.schedule is None:
            self.tally.limit = self.tally.sent
        self._phase_at = now + int(self.settings.timeout * 1e9)

    def _change_stage(self, now: int, actions: list[Action]) -> None:
        if now >= self.record.row_at:
            self._end_row(now)
        if now >= self._phase_at:
            if self.stage is Stage.WARMUP:
                self._begin_measuring(now)
            elif self.stage is Stage.MEASURED:
                self._due_until = self._phase_at
                self._stop(now)
            elif self.stage is Stage.DRAIN:
                self.finish(now)
        if now >= self._look_at:
            self._look_at_held(now, actions)
            if self.stage is Stage.MEASURED and self.tally.sent >= self.tally.limit:
                self._stop(now)
            if self.stage is Stage.DRAIN and not self._busy:
                self.finish(now)
            self._look_at = now + LOOK

    @property
    def _busy(self) -> bool:
        """Whether anything is still to be sent, or to come."""
        due = self._next_due is not NEVER or self._unsent
        return bool(due) or self.counted > self.completed

    @property
    def _unsent(self) -> int:
        """Messages that are due, and that have not been sent."""
        return 0 if self._terms.schedule is None else max(0, self._terms.issued - self.tally.sent)

    # What is due.

    def _issue(self, schedule: Schedule, now: int, actions: list[Action]) -> None:
        """Let go what is due."""
        terms, conversations, tally = self._terms, self.conversations, self.tally
        start, count = terms.start, terms.count
        due = self._next_due
        last = self._due_until
        while due <= now and len(actions) < BATCH:
            if due >= last or terms.issued >= tally.limit:
                due = NEVER
                break
            conversation = conversations[terms.issued % count]
            terms.issued += 1
            # Whether or not it can be sent now: that it is due is noticed now, and that is ours.
            tally.lateness[index_of(now - due)] += 1
            if conversation.outstanding < terms.depth:
                if conversation.open:
                    if message := conversation.send_due(now):
                        actions.append((conversation, message))
                elif terms.churn:
                    actions.append((conversation, b""))
            due = start + schedule.due(terms.issued)
        self._next_due = due

    def _look_at_held(self, now: int, actions: list[Action]) -> None:
        for conversation in list(self._terms.holding):
            if message := conversation.release(now, HOLD):
                actions.append((conversation, message))  # noqa: PERF401  release() sends

    # What is written down.

    def _end_row(self, now: int) -> None:
        counted, stepped = self.stage is not Stage.WARMUP, self.stage is Stage.MEASURED
        self.record.end_row(now, counted=counted, stepped=stepped)

    @property
    def counted(self) -> int:
        """Messages sent that belong to the measured part."""
        return self.tally.sent - self._not_counted
