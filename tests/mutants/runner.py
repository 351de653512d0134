"""A process that runs tests again and again, each time in a child of its own.

``python -m tests.mutants.runner`` in a copy of the project. It has imported pytest, Hypothesis,
Trio and what else the tests need, but nothing of the product: so a child begins with all of it, and
imports the product with the mistake that is in it now. That saves a second a mutant.

It reads an :class:`Order` a line and answers with a :class:`Result` a line, as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import select
import signal
import sys
import time
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import coverage
import pytest

IMPORTED = (
    *("hypothesis.stateful", "pytest_trio", "pytest_timeout", "trio.testing"),
    *("click.testing", "trustme", "cryptography.x509", "proxy_protocol"),
    *("pexpect", "pyte", "prompt_toolkit", "outcome", "ssl", "unittest.mock"),
)
"""What tests import; the product has no part in any of it."""

LOOK = 0.2
"""Seconds between two looks at whether the tests still do something."""

BUDGET = 600.0
"""Seconds of the processor for a test of which nothing is known."""

RESULT, OUTPUT = Path("result.json"), Path("output.txt")

AUTOGROUP = Path("/proc/self/autogroup")
"""The priority of the session as a whole, where Linux groups processes by it."""

NOT_REWRITTEN = "ignore::pytest.PytestAssertRewriteWarning"
"""Plugins that are imported before pytest begins keep their assertions as they are."""

MEMORY = 4 << 30
"""Bytes that a run may have: some mistakes are loops that collect."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be run.

    Args:
      files: with the tests.
      tests: which of them, in this order, until one fails; empty for all.
      seconds: of the processor that it may take.
      budgets: the same for each test. Others have :data:`BUDGET`.
      quiet: seconds after which a run counts as hanging, if none of its processes does anything.
      coverage: where to keep which test runs which line; empty for nowhere.
    """

    files: list[str]
    tests: list[str]
    seconds: int
    budgets: dict[str, float]
    quiet: float
    coverage: str = ""


@dataclass(slots=True)
class Result:
    """What came out.

    Args:
      code: pytest's exit code; None if it took too long.
      failed: the first test that failed.
      durations: seconds that each test took.
      used: those of them in which this process used the processor.
      quiet: the longest time in seconds in which none of its processes did anything.
      starts_processes: tests that do, and so may run lines that no coverage shows.
      output: what pytest said, if something failed.
    """

    code: int | None = None
    failed: str = ""
    durations: dict[str, float] = field(default_factory=dict)
    used: dict[str, float] = field(default_factory=dict)
    quiet: float = 0.0
    starts_processes: list[str] = field(default_factory=list)
    output: str = ""


class Plugin:
    """Tells pytest what is ordered, and remembers what happens.

    Args:
      order: what to run.
    """

    def __init__(self, order: Order) -> None:
        self.order = order
        self.result = Result()
        self._coverage: Any = None
        self._test = ""
        self._begun = 0.0

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Remember which test runs which line, and which starts processes, if that is wanted."""
        if not self.order.coverage:
            yield
            return
        self._coverage = coverage.Coverage(
            data_file=self.order.coverage, source=["tcpecho_trio"], config_file=False
        )
        sys.addaudithook(self._hear)
        self._coverage.start()
        yield
        self._coverage.stop()
        self._coverage.save()

    def _hear(self, event: str, _: object) -> None:
        if event in ("subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "pty.spawn"):
            known = self.result.starts_processes
            if self._test not in known:
                known.append(self._test)

    def pytest_collection_modifyitems(self, items: list[Any]) -> None:
        """Leave the tests that are wanted, in the order that is wanted."""
        if self.order.tests:
            place = {name: number for number, name in enumerate(self.order.tests)}
            items[:] = sorted(
                (item for item in items if item.nodeid in place),
                key=lambda item: place[item.nodeid],
            )

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        """What comes now belongs to this test."""
        self._test = nodeid
        self._begun = time.process_time()
        # What spins for ever is killed by SIGPROF (setitimer(2)).
        signal.setitimer(signal.ITIMER_PROF, self.order.budgets.get(nodeid, BUDGET))
        if self._coverage is not None:
            self._coverage.switch_context(nodeid)

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Remember how a test went."""
        durations = self.result.durations
        durations[report.nodeid] = durations.get(report.nodeid, 0.0) + report.duration
        self.result.used[report.nodeid] = time.process_time() - self._begun
        if report.failed and not self.result.failed:
            self.result.failed = report.nodeid


def run(order: Order) -> Result:
    """Run tests in a child.

    Returns:
      its result; without a code if it was cut because it hung, or took too much.
    """
    RESULT.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        _child(order)
    ended, quiet = _wait(child, order.quiet)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)  # programs that a test had started, too
    if not ended:
        os.waitpid(child, 0)
    if not (ended and RESULT.exists()):
        return Result()
    result = Result(**json.loads(RESULT.read_text()))
    result.quiet = quiet
    if result.code:
        result.output = OUTPUT.read_text(errors="replace")[-5000:]
    return result


def _child(order: Order) -> NoReturn:
    try:
        _begin_session()
        resource.setrlimit(resource.RLIMIT_CPU, (order.seconds, order.seconds + 5))
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        nothing = os.open(os.devnull, os.O_RDONLY)
        output = os.open(OUTPUT, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for descriptor, place in ((nothing, 0), (output, 1), (output, 2)):
            os.dup2(descriptor, place)
        plugin = Plugin(order)
        with plugin.watching():
            code = pytest.main(
                [
                    *("-q", "-x", "--tb=short", "--no-header", "-W", NOT_REWRITTEN),
                    *(f"-pno:{name}" for name in ("randomly", "cacheprovider", "cov", "xdist")),
                    *("--hypothesis-profile=mutants", *order.files),
                ],
                plugins=[plugin],
            )
        plugin.result.code = int(code)
        half = RESULT.with_suffix(".half")
        half.write_text(json.dumps(asdict(plugin.result)))
        half.rename(RESULT)
    except BaseException:  # told where pytest's own words are
        traceback.print_exc()
        raise
    finally:
        os._exit(0)


def _begin_session() -> None:
    """Begin one, so that all of it can be killed; with as low a priority as the one before has.

    Linux shares the processors among sessions, and each has a priority of its own
    (*The autogroup feature*, sched(7)).
    """
    priority = b""
    with suppress(OSError):
        priority = AUTOGROUP.read_bytes().split()[-1]
    os.setsid()
    if priority:
        with suppress(OSError):
            AUTOGROUP.write_bytes(priority)


def _wait(child: int, quiet: float) -> tuple[bool, float]:
    """Wait until the child ends, or hangs: whether it ended, and its longest time of quiet.

    How long it takes says nothing on a machine that has others to serve. But whoever neither
    uses the processor nor stands in the queue for it is waiting for something.
    """
    seen, since, longest = -1, time.monotonic(), 0.0
    pidfd = os.pidfd_open(child)
    try:
        while True:
            if select.select([pidfd], [], [], LOOK)[0]:
                os.waitpid(child, 0)
                return True, longest
            runnable, used = _doing(child)
            now = time.monotonic()
            if runnable or used != seen:
                seen, since = used, now
            longest = max(longest, now - since)
            if longest > quiet:
                return False, longest
    finally:
        os.close(pidfd)


def _doing(root: int) -> tuple[bool, int]:
    """Whether a process or one below it could run, and the processor ticks that they have used."""
    processes = dict(_processes())
    below, runnable, used = {root}, False, 0
    for pid in sorted(processes):
        parent, state, ticks = processes[pid]
        if pid in below or parent in below:
            below.add(pid)
            runnable = runnable or state in "RD"
            used += ticks
    return runnable, used


def _processes() -> Iterable[tuple[int, tuple[int, str, int]]]:
    """All of the machine's: parent, state and ticks of each (proc_pid_stat(5))."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                yield (
                    int(folder.name),
                    (int(fields[1]), fields[0], int(fields[11]) + int(fields[12])),
                )


def main() -> None:
    """Run what comes, until nothing comes any more."""
    for name in IMPORTED:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        print(json.dumps(asdict(run(Order(**json.loads(line))))), flush=True)


if __name__ == "__main__":
    main()
