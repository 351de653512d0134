"""The plan of a load, driven by a clock and a server that are both made up."""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.load.histogram import Histogram
from tcpecho_trio.load.plan import Plan
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.schedule import NEVER
from tcpecho_trio.load.settings import LoadSettings, Ramp

MS = 1_000_000


@dataclass
class MadeUp:
    """A server that answers after a time, and a clock that jumps to what happens next.

    Args:
      plan: what is to be run.
      delay: nanoseconds that a reply takes, by when its message was sent; None for never.
    """

    plan: Plan
    delay: list[int | None]
    now: int = 1_000_000_000
    coming: list[tuple[int, int, int, bytes]] = field(default_factory=list)
    free_at: dict[int, int] = field(default_factory=dict)
    sent: int = 0

    def send(self, place: int, message: bytes) -> None:
        for line in message.splitlines(keepends=True):
            delay = self.delay[self.sent % len(self.delay)]
            self.sent += 1
            if delay is not None:  # replies of a connection keep their order
                at = max(self.now + delay, self.free_at.get(place, 0))
                self.free_at[place] = at
                heapq.heappush(self.coming, (at, self.sent, place, line.upper()))
            else:
                self.free_at[place] = NEVER

    def run(self) -> Report:
        plan, begun = self.plan, self.now
        places = {id(talk): place for place, talk in enumerate(plan.conversations)}
        plan.start(self.now)
        for place, talk in enumerate(plan.conversations):
            self.send(place, talk.opened(self.now, self.now))
        while not plan.over:
            at = min(plan.wake_at, self.coming[0][0] if self.coming else NEVER)
            assert at < NEVER, "it waits for nothing"
            self.now = max(self.now, at)
            if self.coming and self.coming[0][0] <= self.now:
                _, _, place, reply = heapq.heappop(self.coming)
                if self.free_at[place] < NEVER:
                    self.send(place, plan.conversations[place].receive(reply, self.now))
            else:
                for talk, message in plan.advance(self.now):
                    self.send(places[id(talk)], message)
            assert self.now - begun < 10**12
        return Report.of(plan, "made up", began=0)


def adds_up(report: Report) -> bool:
    gone = report.errors["wrong"] + report.errors["missing"] + report.cut
    return report.sent == report.replies + gone


LOADS = st.builds(
    LoadSettings,
    connections=st.integers(1, 7),
    rate=st.one_of(st.none(), st.floats(5, 500)),
    pipeline=st.integers(1, 3),
    duration=st.floats(0.05, 0.3),
    warmup=st.sampled_from([0.0, 0.1]),
    timeout=st.floats(0.01, 0.5),
)
DELAYS = st.lists(st.one_of(st.none(), st.integers(1 * MS, 300 * MS)), min_size=1, max_size=9)


@given(LOADS, DELAYS)
def test_whatever_the_server_does_the_load_ends_and_adds_up(
    settings: LoadSettings, delays: list[int | None]
) -> None:
    made_up = MadeUp(Plan(settings), delays)
    begun = made_up.now
    report = made_up.run()
    assert adds_up(report)
    limit = settings.warmup + (settings.limit or 0) + settings.timeout
    assert made_up.now - begun <= (limit + 0.03) * 1e9
    assert sum(row.sent for row in report.rows) <= made_up.sent
    assert sum(row.latencies.total for row in report.rows) == report.replies


@given(st.integers(1, 9), st.floats(10, 500), st.floats(0.1, 0.3))
def test_at_a_rate_that_the_server_bears_each_message_is_sent_when_it_is_due(
    connections: int, rate: float, duration: float
) -> None:
    settings = LoadSettings(connections=connections, rate=rate, duration=duration)
    report = MadeUp(Plan(settings), [10_000]).run()
    assert abs(report.sent - rate * duration) <= 1
    assert report.ok
    assert report.lateness.maximum == 0


def test_messages_that_wait_for_a_stalled_server_are_as_late_as_they_are() -> None:
    """The coordinated omission of a closed loop, and its absence in an open one."""
    stall: list[int | None] = [*[100_000] * 300, 200 * MS, *[100_000] * 100_000]
    closed = MadeUp(Plan(LoadSettings(duration=1.0)), stall).run()
    opened = MadeUp(Plan(LoadSettings(duration=1.0, rate=1000)), stall).run()
    assert closed.p99 < 0.001
    assert closed.max == pytest.approx(0.2, rel=0.01)
    assert 0.18 < opened.p99 < 0.2
    assert opened.max == pytest.approx(0.2, rel=0.01)
    assert opened.service.quantile(0.99) < 0.001
    assert opened.sent == 1000


def test_what_may_be_a_refusal_is_held_back_for_a_moment_only() -> None:
    plan = Plan(LoadSettings(duration=4.0))
    plan.start(0)
    talk = plan.conversations[0]
    talk.opened(0, 0)
    assert talk.receive(b"ERROR: ", 1 * MS) == b""
    assert talk.receive(b"no\n", 2 * MS) == b""
    assert plan.advance(200 * MS) == []
    assert plan.tally.errors["wrong"] == 0
    ((who, message),) = plan.advance(300 * MS)
    assert who is talk
    assert message
    assert plan.tally.errors["wrong"] == 1


def test_a_generator_that_was_stopped_says_so() -> None:
    """What waited for it was late for its sake, though its connections were busy, too."""
    plan = Plan(LoadSettings(rate=100, duration=4.0))
    plan.start(0)
    talk = plan.conversations[0]
    talk.opened(0, 0)
    assert plan.advance(0)
    plan.advance(2_000 * MS)
    lateness = Histogram(plan.tally.lateness)
    assert lateness.maximum == pytest.approx(1.99, rel=0.01)


def test_what_was_due_is_still_sent_after_the_end() -> None:
    report = MadeUp(Plan(LoadSettings(duration=1.0, rate=100, timeout=5)), [30 * MS]).run()
    assert (report.sent, report.replies, report.error_count) == (100, 100, 0)
    assert report.seconds == pytest.approx(3.0, rel=0.02)


def test_what_could_not_be_sent_in_time_is_counted() -> None:
    report = MadeUp(Plan(LoadSettings(duration=1.0, rate=100, timeout=1)), [40 * MS]).run()
    assert report.sent + report.errors["unsent"] == 100
    assert report.errors["unsent"] == pytest.approx(50, abs=2)


def test_nothing_is_counted_in_the_warm_up() -> None:
    delays: list[int | None] = [*[50 * MS] * 10, *[1 * MS] * 10_000]
    plan = Plan(LoadSettings(duration=0.5, warmup=0.5))
    report = MadeUp(plan, delays).run()
    assert report.max == pytest.approx(0.001, rel=0.01)
    assert report.sent == report.replies == pytest.approx(500, abs=1)
    assert report.warmup["sent"] == 11
    assert report.seconds == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("rate", [None, 500.0])
@pytest.mark.parametrize("warmup", [0.0, 0.05])
def test_a_number_of_messages_is_kept_exactly(rate: float | None, warmup: float) -> None:
    settings = LoadSettings(connections=3, messages=100, rate=rate, warmup=warmup)
    report = MadeUp(Plan(settings), [1 * MS]).run()
    assert report.sent - report.replies == 0
    assert report.replies == 100 if not warmup else abs(report.replies - 100) <= 3


def test_a_load_that_ends_before_its_messages_is_as_long_as_its_duration() -> None:
    settings = LoadSettings(messages=50, rate=2, duration=1.0)
    report = MadeUp(Plan(settings), [1 * MS]).run()
    assert report.sent == 2
    assert report.seconds == pytest.approx(1.0, abs=0.01)
    assert report.rate == pytest.approx(2, rel=0.01)


def test_pauses_are_kept() -> None:
    report = MadeUp(Plan(LoadSettings(think=0.1, duration=1.0)), [10 * MS]).run()
    assert report.sent == 10
    assert report.ok


def test_a_short_pause_is_as_short_as_it_is() -> None:
    settings = LoadSettings(think=0.001, duration=1.0, connections=3)
    report = MadeUp(Plan(settings), [1 * MS]).run()
    assert report.sent == pytest.approx(3 * 500, abs=3)
    assert report.lateness.maximum == 0


def test_the_time_of_the_processor_is_that_of_the_measured_part() -> None:
    made_up = MadeUp(Plan(LoadSettings(duration=1.0, warmup=2.0), lambda: made_up.now / 1e9), [MS])
    assert made_up.run().cpu_seconds == pytest.approx(1.0, abs=0.1)


def test_an_interrupted_load_waits_a_moment_for_its_replies() -> None:
    plan = Plan(LoadSettings(connections=4, duration=100.0))
    made_up = MadeUp(plan, [*[1 * MS] * 50, None])
    plan.record.on_row = lambda row: plan.interrupt(made_up.now) if row.start > 7 else None
    report = made_up.run()
    assert report.interrupted
    assert adds_up(report)
    assert (report.cut, report.errors["missing"]) == (0, 4)  # nothing has come for the timeout
    assert made_up.now / 1e9 < 12


def test_what_is_under_way_at_an_early_end_is_not_missing() -> None:
    plan = Plan(LoadSettings(connections=4, duration=100.0, timeout=60))
    plan.start(0)
    for talk in plan.conversations:
        talk.opened(0, 0)
    plan.advance(2_000_000_000)
    plan.interrupt(2_000_000_000)
    plan.advance(4_000_000_000)
    assert plan.over
    report = Report.of(plan, "", began=0)
    assert (report.cut, report.error_count) == (4, 0)


def test_a_load_may_be_ended_before_it_has_begun() -> None:
    plan = Plan(LoadSettings())
    plan.interrupt(5)
    assert plan.over
    assert plan.interrupted


def test_late_replies_are_counted_as_such() -> None:
    report = MadeUp(Plan(LoadSettings(timeout=0.05, duration=1.0)), [10 * MS, 70 * MS]).run()
    assert report.errors["late"] == pytest.approx(report.replies / 2, abs=1)
    assert report.errors["late"] > 5


def test_the_knee_of_a_ramp_is_the_last_rate_that_was_good() -> None:
    """A server that answers 500 messages a second on one connection, and no more."""
    settings = LoadSettings(ramp=Ramp(100, 1000, 10), slo=0.05)
    report = MadeUp(Plan(settings), [2 * MS]).run()
    assert len(report.steps) == 10
    assert [step.rate for step in report.steps] == [100 * n for n in range(1, 11)]
    assert report.knee == 500
    assert [step.good for step in report.steps] == [True] * 5 + [False] * 5


def test_a_ramp_may_have_no_knee() -> None:
    report = MadeUp(Plan(LoadSettings(ramp=Ramp(100, 200, 4), slo=0.001)), [2 * MS]).run()
    assert report.knee is None


def test_the_same_seed_sends_the_same_messages() -> None:
    def said(seed: int) -> list[bytes]:
        plan = Plan(LoadSettings(seed=seed, size=(20, 400), messages=50))
        made_up, lines = MadeUp(plan, [1 * MS]), []
        send = made_up.send
        made_up.send = lambda place, message: (lines.append(message), send(place, message))[1]  # type: ignore[method-assign,func-returns-value]
        made_up.run()
        return lines

    assert said(1) == said(1) != said(2)


def test_a_long_load_keeps_few_rows() -> None:
    plan = Plan(LoadSettings(rate=3, duration=50_000.0))
    plan.start(0)
    plan.conversations[0].opened(0, 0)
    now = 0
    for _ in range(2000):
        now += 1_000_000_000
        plan.advance(now)
    assert len(plan.record.timeline.rows) <= 241
    rows = plan.record.timeline.rows
    assert rows[0].start == 0
    for row, following in pairwise(rows):
        assert row.start + row.seconds == pytest.approx(following.start)
    assert rows[-1].start + rows[-1].seconds == pytest.approx(2000, abs=20)
