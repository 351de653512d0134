"""Who is known of a cluster: any order of join, leave, expiry, loss and return, against a model.

The clock is made up. The model is naive: it keeps every reading and every loss with its time, and
works out from these alone who is known now.
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tcpecho_trio.cluster.members import (
    GRACE,
    KEEP,
    MAX_MEMBERS,
    MAX_OTHERS_LISTED,
    NAMESAKE,
    Members,
)
from tcpecho_trio.cluster.records import MAX_LISTED, Record

OWN = "00"
INSTANCES = [OWN, "01", "02", "03", "04"]


def record(instance: str, *, name: str = "", phase: str = "running", clients: int = 0) -> Record:
    return Record(instance, name or f"web{instance}", phase=phase, clients=clients)


class NaiveModel:
    """All that has ever been said, in order; nothing is forgotten, everything is worked out."""

    def __init__(self) -> None:
        self.said: list[tuple[float, list[Record] | None]] = []  # a reading, or None for a loss

    def known(self, now: float) -> dict[str, Record]:
        known: dict[str, Record] = {}
        reading: dict[str, Record] = {}  # the last one
        lost_at: float | None = None
        returned_at: float | None = None
        for time, records in self.said:
            if returned_at is not None and time >= returned_at + GRACE:
                known, returned_at = dict(reading), None
            if records is None:
                if lost_at is None:
                    lost_at, returned_at = time, None
                continue
            reading = {one.instance: one for one in records if one.instance != OWN}
            if lost_at is not None:
                if time - lost_at > KEEP:
                    known = {}
                lost_at, returned_at = None, time
            known = reading if returned_at is None else {**known, **reading}
        if lost_at is not None:
            return known if now - lost_at <= KEEP else {}
        if returned_at is not None and now >= returned_at + GRACE:
            return reading
        return known

    def age(self, now: float) -> float | None:
        if not self.said or self.said[-1][1] is not None:
            return None
        readings = [time for time, records in self.said if records is not None]
        losses = [time for time, records in self.said if records is None]
        return now - (readings[-1] if readings else losses[0])


class AnyOrder(RuleBasedStateMachine):
    """Members and the model are told the same."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 100.0
        self.members = Members(OWN, "web00")
        self.model = NaiveModel()
        self.there: dict[str, Record] = {}  # what stands in Redis

    @rule(seconds=st.sampled_from([0.5, 1, GRACE, GRACE - 1, KEEP, KEEP + 1, NAMESAKE]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule(instance=st.sampled_from(INSTANCES), name=st.sampled_from(["", "web00"]))
    def joins(self, instance: str, name: str) -> None:
        self.there[instance] = record(instance, name=name)

    @rule(instance=st.sampled_from(INSTANCES), clients=st.integers(0, 9))
    def says_something_else(self, instance: str, clients: int) -> None:
        if instance in self.there:
            self.there[instance] = replace(self.there[instance], clients=clients)

    @rule(instance=st.sampled_from(INSTANCES))
    def leaves_or_expires(self, instance: str) -> None:
        self.there.pop(instance, None)

    @rule()
    def redis_is_restarted_and_empty(self) -> None:
        self.there.clear()

    @rule()
    def is_read(self) -> None:
        records = list(self.there.values())
        self.members.seen(self.now, records)
        self.model.said.append((self.now, records))

    @rule()
    def redis_is_lost(self) -> None:
        self.members.lost(self.now)
        self.model.said.append((self.now, None))

    @invariant()
    def the_same_are_known(self) -> None:
        known = [member.record for member in self.members.known(self.now)]
        expected = self.model.known(self.now)
        assert known == sorted(expected.values(), key=lambda one: (one.name, one.instance))

    @invariant()
    def it_is_as_old(self) -> None:
        assert self.members.age(self.now) == self.model.age(self.now)


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(stateful_step_count=40)


def names(members: Members, now: float) -> list[str]:
    return [member.record.name for member in members.known(now)]


def test_our_own_record_is_nobody_else() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record(OWN), record("01")])
    assert names(members, 0) == ["web01"]


def test_whoever_is_missing_in_a_reading_is_gone_at_once() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record("01"), record("02")])
    members.seen(1, [record("02")])
    assert names(members, 1) == ["web02"]


def test_what_was_known_is_told_for_a_while_and_then_no_more() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record("01")])
    members.lost(1)
    assert (names(members, 1 + KEEP), members.age(1 + KEEP)) == (["web01"], 1 + KEEP)
    assert names(members, 1.1 + KEEP) == []


def test_nobody_vanishes_while_everybody_registers_again() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record("01"), record("02")])
    members.lost(1)
    members.seen(5, [])
    assert names(members, 5) == ["web01", "web02"]
    members.seen(6, [record("01")])
    assert names(members, 5 + GRACE - 0.1) == ["web01", "web02"]
    assert names(members, 5 + GRACE) == ["web01"]


def test_a_reading_that_is_not_whole_takes_nobody_away_and_is_bounded() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record("01")])
    members.seen(1, [record(f"x{number}") for number in range(2 * MAX_MEMBERS)], partial=True)
    assert "web01" in names(members, 1)
    assert len(members) == MAX_MEMBERS


def test_a_server_of_our_name_is_told_once_when_it_has_been_there_for_a_while() -> None:
    members = Members(OWN, "web00")
    same = record("01", name="web00")
    for now in (0.0, NAMESAKE, NAMESAKE + 1, NAMESAKE + 2):
        members.seen(now, [same, record("02")])
        told = list(members.namesakes(now))
        assert told == ([same] if now == NAMESAKE + 1 else [])


def test_our_own_record_of_before_a_crash_is_no_other_server() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [record("01", name="web00")])
    members.seen(4, [])
    members.seen(NAMESAKE + 1, [record("01", name="web00")])
    assert list(members.namesakes(NAMESAKE + 1)) == []


def test_whoever_has_our_name_and_is_ending_is_not_told() -> None:
    members = Members(OWN, "web00")
    for now in (0.0, NAMESAKE + 1):
        members.seen(now, [record("01", name="web00", phase="draining")])
    assert list(members.namesakes(NAMESAKE + 1)) == []


def test_only_lists_that_have_changed_are_read_again() -> None:
    members = Members(OWN, "web00")
    members.seen(0, [replace(record("01"), list_version=1), replace(record("02"), list_version=1)])
    assert members.outdated(0) == ["01", "02"]
    members.listed("01", 1, ("a:1",))
    assert members.outdated(0) == ["02"]
    members.listed("02", 1, ())
    members.listed("03", 1, ("nobody knows it",))
    assert members.outdated(0) == []
    members.seen(1, [replace(record("01"), list_version=2)])
    assert members.outdated(1) == ["01"]


@given(st.lists(st.tuples(st.integers(0, MAX_LISTED), st.integers(0, MAX_LISTED)), max_size=8))
def test_the_lists_of_all_are_bounded_whatever_they_claim(sizes: list[tuple[int, int]]) -> None:
    members = Members(OWN, "web00")
    said = [
        replace(record(f"{number:02}x"), clients=claimed, list_version=1)
        for number, (claimed, _) in enumerate(sizes)
    ]
    members.seen(0, said)
    clients = dict(zip((one.instance for one in said), (real for _, real in sizes), strict=True))
    for instance in members.outdated(0):
        members.listed(instance, 1, ("10.0.0.1:1",) * clients[instance])
    kept = sum(len(member.clients) for member in members.known(0))
    assert kept <= MAX_OTHERS_LISTED
    if all(claimed == real for claimed, real in sizes) and kept < MAX_OTHERS_LISTED:
        assert kept == sum(real for _, real in sizes)
