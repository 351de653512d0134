"""A limit of connections per address holds for all processes of a server together."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, rule

from tcpecho_trio.cluster.address_counts import AddressCounts, Sketch
from tcpecho_trio.cluster.config import WorkerConfig
from tcpecho_trio.cluster.slots import Slots
from tcpecho_trio.cluster.worker_parts import WorkerRegistry
from tcpecho_trio.dialects import WIRE_ERRORS
from tcpecho_trio.server.close_reason import CloseReason
from tests.cluster.fleet import Fleet, fleet
from tests.support.processes import ROOT
from tests.support.victim import PATIENCE, read_exactly

REFUSAL = WIRE_ERRORS["es"].address_limit.encode()
WORKERS, MOST = 3, 2


class Workers(RuleBasedStateMachine):
    """Workers whose clients come and go, and that die; a model of who is there."""

    connections = Bundle("connections")

    def __init__(self) -> None:
        super().__init__()
        self.sketch = Sketch.create(1000)
        self.slots = Slots.create(WORKERS, self.sketch.cells)
        self.registries = [self.registry(n) for n in range(WORKERS)]
        self.there: dict[tuple[int, int], str] = {}

    def registry(self, n: int) -> WorkerRegistry:
        return WorkerRegistry(self.slots, n, 1000, AddressCounts(self.slots, n, self.sketch))

    @rule(target=connections, worker=st.integers(0, WORKERS - 1), address=st.sampled_from("abc"))
    def come(self, worker: int, address: str) -> tuple[int, int]:
        registry = self.registries[worker]
        assert not registry.full(1000)
        number = registry.accept("here")
        room = list(self.there.values()).count(address) < MOST
        assert registry.take_address(number, address, MOST) is room
        if room:
            self.there[worker, number] = address
        else:
            registry.close(number, CloseReason.ADDRESS_LIMIT)
        return worker, number

    @rule(connection=consumes(connections))
    def leave(self, connection: tuple[int, int]) -> None:
        if connection in self.there:
            del self.there[connection]
            worker, number = connection
            self.registries[worker].close(number, CloseReason.EOF)

    @rule(worker=st.integers(0, WORKERS - 1))
    def die(self, worker: int) -> None:
        self.there = {who: where for who, where in self.there.items() if who[0] != worker}
        self.slots.clear(worker)
        self.registries[worker] = self.registry(worker)

    def teardown(self) -> None:
        if not self.there:
            assert not any(self.slots.cells)
        self.slots.close()


TestWorkers = Workers.TestCase
TestWorkers.settings = settings(stateful_step_count=30)


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 9)), max_size=60))
def test_where_addresses_share_cells_there_is_rather_one_too_few(
    coming: list[tuple[int, int]],
) -> None:
    sketch = Sketch(2, "a key")  # a row of two cells: nearly all addresses share them
    slots = Slots.create(WORKERS, sketch.cells)
    counts = [AddressCounts(slots, n, sketch) for n in range(WORKERS)]
    try:
        there: list[tuple[int, str]] = []
        for worker, number in coming:
            slots.set_places(worker, 1)
            address = f"address {number}"
            if counts[worker].claim(address, MOST):
                there.append((worker, address))
            assert [one for _, one in there].count(address) <= MOST
        for worker, address in there:
            counts[worker].release(address)
        assert not any(slots.cells)
    finally:
        slots.close()


def test_whoever_does_not_know_the_key_cannot_choose_addresses_that_share_cells() -> None:
    sketches = [Sketch.create(1000) for _ in range(2)]
    assert sketches[0].key != sketches[1].key
    slots = Slots.create(1, sketches[0].cells)
    one, other = (AddressCounts(slots, 0, sketch) for sketch in sketches)
    slots.set_places(0, 1)
    assert one.claim("203.0.113.7", 1)
    assert not one.claim("203.0.113.7", 1)
    assert other.claim("203.0.113.7", 1)
    slots.close()


def test_a_worker_of_a_supervisor_that_knows_nothing_of_it_counts_its_own() -> None:
    """After an upgrade the supervisor is the old program, and the workers are the new one."""
    message = WorkerConfig(1, 2, 3, 4).message()
    del message["sketch"]
    assert WorkerConfig.parse(message).sketch is None
    known = WorkerConfig(1, 2, 3, 4, sketch=Sketch.create(5))
    assert WorkerConfig.parse(known.message()) == known


CLAIMING = """
import sys
from tcpecho_trio.cluster.address_counts import AddressCounts, Sketch
from tcpecho_trio.cluster.slots import Slots
fd, index = map(int, sys.argv[1:])
sketch = Sketch(400, "a key")
slots = Slots(fd, 3, sketch.cells)
slots.set_places(index, 1)
counts = AddressCounts(slots, index, sketch)
got = worst = 0
print("ready", flush=True)
sys.stdin.readline()
while got < 1000:  # however long the others are interrupted while they have it
    if counts.claim("203.0.113.7", 1):
        got += 1
        # The slot counts those who are really there.
        slots.set_places(index, 2)
        worst = max(worst, slots.all_places() - 3)
        slots.set_places(index, 1)
        counts.release("203.0.113.7")
print(worst)
"""


def test_processes_that_claim_at_once_never_have_one_too_many() -> None:
    slots = Slots.create(WORKERS, Sketch(400, "a key").cells)
    for index in range(WORKERS):
        slots.set_places(index, 1)
    claiming = [
        subprocess.Popen(
            [sys.executable, "-c", CLAIMING, str(slots.fd), str(n)],
            pass_fds=[slots.fd],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        for n in range(WORKERS)
    ]
    for process in claiming:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
    for process in claiming:
        assert process.stdin is not None
        process.stdin.write(b"go\n")
        process.stdin.flush()
    worst = [int(process.communicate()[0]) for process in claiming]
    assert worst == [1] * WORKERS
    assert not any(slots.cells)
    slots.close()


# Real processes


def reply(client: socket.socket) -> bytes:
    """What a client is answered: its word in upper case, or a refusal."""
    client.settimeout(PATIENCE)
    client.sendall(b"hola\n")
    first = read_exactly(client, 5)
    return first if first == b"HOLA\n" else first + read_exactly(client, len(REFUSAL) - 5)


def served(server: Fleet, count: int, stack: ExitStack, header: bytes = b"") -> int:
    """How many of so many new clients are served; they stay."""
    replies = []
    for _ in range(count):
        client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port)))
        client.sendall(header)
        replies.append(reply(client))
    assert set(replies) <= {b"HOLA\n", REFUSAL}
    return replies.count(b"HOLA\n")


def held_by(server: Fleet) -> dict[int, int]:
    """How many clients each worker was told of."""
    held = dict.fromkeys(server.pids(), 0)
    for event in server.events("connected"):
        held[event["worker"]] += 1
    return held


def test_an_address_has_as_many_places_at_three_processes_as_at_one() -> None:
    options = ("--max-connections-per-address", "4", "--dialect", "inspect")
    with fleet(*options, processes=3) as server:
        with ExitStack() as stack:
            assert served(server, 20, stack) == 4
            assert server.wait_for("refused")["reason"] == "address_limit"
        with ExitStack() as stack:  # they have left, and their places are free
            while served(server, 1, stack) == 0:
                pass
            assert server.stop() == 0


def test_an_ipv6_site_is_one_address_at_all_processes_together() -> None:
    options = ("--max-connections-per-address", "3", "--proxy-protocol", "required")
    with fleet(*options, processes=3) as server, ExitStack() as stack:
        assert [
            served(server, 1, stack, b"PROXY TCP6 2001:db8:1::%x 2001:db8::1 1 2\r\n" % host)
            for host in range(8)
        ] == [1, 1, 1, 0, 0, 0, 0, 0]
        assert served(server, 5, stack, b"PROXY TCP6 2001:db8:1:1::1 2001:db8::1 1 2\r\n") == 3
        assert served(server, 5, stack, b"PROXY TCP4 203.0.113.7 203.0.113.1 1 2\r\n") == 3
        assert server.stop() == 0


def test_places_at_a_process_that_died_are_free_and_those_at_a_replaced_one_are_not() -> None:
    options = ("--max-connections-per-address", "6", "--dialect", "inspect")
    with fleet(*options) as server, ExitStack() as stack:
        assert served(server, 8, stack) == 6
        server.wait_for_count("connected", 6)
        held = held_by(server)
        assert min(held.values()) >= 1, "one process has them all"
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("workers_replaced")
        assert served(server, 3, stack) == 0  # all six are still talking to the old processes
        pids = {event["worker"]: event["pid"] for event in server.events("worker_ready")}
        victim = min(held, key=lambda worker: held[worker])
        os.kill(pids[victim], signal.SIGKILL)
        server.wait_for("worker_died")
        assert served(server, 8, stack) == held[victim]
        assert server.stop() == 0


@pytest.mark.parametrize("limit", ["0", "5"])
def test_the_memory_for_counting_is_there_only_where_addresses_are_limited(limit: str) -> None:
    with fleet("--quiet", "--max-connections-per-address", limit) as server:
        descriptors = Path(f"/proc/{server.process.pid}/fd").iterdir()
        (size,) = {fd.stat().st_size for fd in descriptors if "memfd:" in str(fd.readlink())}
        assert (size > 4096) is (limit == "5")
