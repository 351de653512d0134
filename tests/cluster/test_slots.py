"""The numbers that workers share: places, whose turn it is, and the numbers of connections."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from tcpecho_trio.cluster.balance import Share
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_parts import WorkerRegistry
from tcpecho_trio.server.accepting import BATCH
from tcpecho_trio.server.close_reason import CloseReason
from tests.support.processes import ROOT

WORKERS, MOST = 3, 7


@pytest.fixture
def slots() -> Iterator[Slots]:
    made = Slots.create(WORKERS)
    yield made
    made.close()


class Workers(RuleBasedStateMachine):
    """Workers that accept, close, die and are replaced; a model of who is there."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.slots = Slots.create(WORKERS)
        self.registries = [WorkerRegistry(self.slots, n, MOST) for n in range(WORKERS)]
        self.there: set[tuple[int, int]] = set()
        self.numbers: list[int] = []

    @rule(target=connections, worker=st.integers(0, WORKERS - 1))
    def accept(self, worker: int) -> tuple[int, int]:
        registry = self.registries[worker]
        assert registry.full(100) is (len(self.there) >= MOST)
        number = registry.accept("here")  # also who is refused has a place until it is closed
        self.there.add((worker, number))
        self.numbers.append(number)
        return worker, number

    @rule(connection=consumes(connections))
    def close(self, connection: tuple[int, int]) -> None:
        if connection in self.there:
            self.there.discard(connection)
            worker, number = connection
            self.registries[worker].close(number, CloseReason.EOF)

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        self.there = {one for one in self.there if one[0] != worker}
        self.slots.clear(worker)
        self.registries[worker] = WorkerRegistry(self.slots, worker, MOST)

    @invariant()
    def places_add_up(self) -> None:
        assert self.slots.all_places() == len(self.there)

    @invariant()
    def numbers_are_unique(self) -> None:
        assert len(set(self.numbers)) == len(self.numbers)

    def teardown(self) -> None:
        self.slots.close()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(stateful_step_count=25)


def test_a_process_that_inherits_the_memory_sees_the_same(slots: Slots) -> None:
    slots.set_places(1, 5, 42)
    code = (
        "from tcpecho_trio.cluster.slots import Slots;"
        f"s = Slots({slots.fd}, {slots.count}); print(s.places(1), s.next_number(1));"
        "s.set_accepting(2, True); s.set_places(2, 2**40)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], pass_fds=[slots.fd], capture_output=True, cwd=ROOT, check=True
    )
    assert done.stdout == b"5 42\n"
    assert slots.accepting() == (1, 2**40)


COUNT_TO = 200_000
"""So many that the processes are at it at the same time: with a few thousand, each was done before
the next one had started."""
CLAIMING = """
import os, sys
from tcpecho_trio.cluster.slots import Slots
fd, index, most = map(int, sys.argv[1:])
slots = Slots(fd, 3)
got = worst = 0
while got < {count}:  # however long the others are interrupted while they have a place
    if slots.claim(index, most):
        got += 1
        slots.set_places(index, slots.places(index) + 1)
        # A sum that was interrupted may have one worker's place from before and another's from
        # after; hardly three in a row.
        worst = max(worst, min(slots.all_places() for _ in range(3)))
        slots.set_places(index, slots.places(index) - 1)
    else:
        slots.set_places(index, slots.places(index))
print(worst)
"""


def test_processes_that_claim_at_once_never_have_one_too_many(slots: Slots) -> None:
    claiming = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING.format(count=COUNT_TO), str(slots.fd), str(n), "2"],
            pass_fds=[slots.fd],
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for n in range(WORKERS)
    ]
    outputs = [process.communicate()[0] for process in claiming]
    worst = [int(output) for output in outputs]
    assert max(worst) <= 2
    assert min(worst) >= 1
    assert slots.all_places() == 0


def test_one_who_is_stopped_in_the_middle_holds_nobody_up(slots: Slots) -> None:
    assert slots.claim(0, 2)  # and then nothing more comes from it
    assert slots.claim(1, 2)
    slots.set_places(1, 1)
    assert not slots.claim(2, 2)
    slots.clear(0)
    assert slots.claim(2, 2)


def test_the_memory_is_not_there_for_anybody_else(slots: Slots) -> None:
    assert not os.get_inheritable(slots.fd)


# Whose turn it is


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8))
def test_somebody_may_always_accept_and_shares_are_kept(places: list[int]) -> None:
    slots = Slots.create(len(places))
    try:
        for index, count in enumerate(places):
            slots.set_accepting(index, True)
            slots.set_places(index, count)
        shares = [Share(slots, index) for index in range(len(places))]
        assert any(share.room() > 0 for share in shares)
        fair = sum(places) / len(places)
        for share, count in zip(shares, places, strict=True):
            if share.room() > 0:
                assert count + 1 + share.batch() <= fair * 1.1 + 1
            assert 0 <= share.batch() <= BATCH
    finally:
        slots.close()


def test_who_does_not_accept_counts_for_nobody_s_share(slots: Slots) -> None:
    slots.set_accepting(0, True)
    slots.set_places(0, 500)
    assert Share(slots, 0).room() == BATCH  # alone
    slots.set_accepting(1, True)
    assert Share(slots, 0).room() <= 0
    slots.set_accepting(1, False)
    assert Share(slots, 0).room() == BATCH
