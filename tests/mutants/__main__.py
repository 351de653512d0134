"""The command: choose mutants, try them until the time is over, report."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass, field

from tests.mutants import equivalents
from tests.mutants.modules import MODULES, ROOT, Module
from tests.mutants.mutations import Mutant, mutants_of
from tests.mutants.trial import Copy, Verdict, copy_of_project

SECONDS = 600
"""How long to try mutants when nothing else is said: some hundred of them."""

NOTICED = 0.95
"""The share of mutants that has to be noticed, of those that are not equivalent."""


@dataclass
class Report:
    """What became of the mutants of one module.

    Args:
      total: how many there are.
      begun: how many have been tried, or are being tried.
      seconds: that it took.
    """

    total: int
    begun: int = 0
    seconds: float = 0.0
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    survivors: list[Mutant] = field(default_factory=list)

    @property
    def noticed(self) -> float:
        """The share that was noticed, of those that are not equivalent."""
        killed = self.verdicts[Verdict.KILLED] + self.verdicts[Verdict.TIMEOUT]
        tried = killed + self.verdicts[Verdict.SURVIVED]
        return killed / tried if tried else 0.0  # nothing was shown

    def __str__(self) -> str:
        counts = ", ".join(f"{self.verdicts[verdict]} {verdict.value}" for verdict in Verdict)
        tried = self.verdicts.total()
        share = f"{self.noticed:.1%} noticed"
        return f"{tried} of {self.total} mutants: {counts}; {share}; {self.seconds:.0f} s"


def main() -> None:
    """Do what the command line asks for; the exit code is 1 if too many mutants survive."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seconds", type=float, default=SECONDS, help=f"how long ({SECONDS})")
    parser.add_argument("--sample", type=int, default=sys.maxsize, help="how many of a module")
    parser.add_argument("--all", action="store_true", help="every mutant, however long it takes")
    parser.add_argument(
        "--module", action="append", choices=MODULES, help="which module; again for more (all)"
    )
    parser.add_argument("--seed", type=int, default=None, help="choose the same mutants again")
    parser.add_argument("--workers", type=int, default=2, help="mutants tried at a time (2)")
    parser.add_argument("--find", default="", help="only where this stands in a changed line")
    parser.add_argument("--verbose", action="store_true", help="tell of each mutant")
    options = parser.parse_args()
    seed = random.randrange(10_000) if options.seed is None else options.seed
    print(f"seed {seed}", flush=True)
    names = options.module or list(MODULES)
    seconds = float("inf") if options.all else options.seconds
    deadline = time.monotonic() + seconds
    reports: dict[str, Report] = {}
    with ExitStack() as stack:
        copies = [stack.enter_context(copy_of_project()) for _ in range(options.workers)]
        for place, name in enumerate(names):
            # Each module has its share of the time that is left.
            share = (deadline - time.monotonic()) / (len(names) - place)
            reports[name] = _try_module(
                MODULES[name], copies, time.monotonic() + share, random.Random(seed), options
            )
            print(f"{name}: {reports[name]}", flush=True)
    for name, report in reports.items():
        for mutant in report.survivors:
            print(f"\nsurvived in {name}:\n{mutant.diff}")
    print()
    for name, report in reports.items():
        print(f"{name}: {report}")
    sys.exit(any(report.noticed < NOTICED for report in reports.values()))


def _try_module(
    module: Module,
    copies: list[Copy],
    deadline: float,
    chance: random.Random,
    options: argparse.Namespace,
) -> Report:
    """Try the mutants of a module in random order until the time is over."""
    known, begun = equivalents.read(), time.monotonic()
    mutants = [
        mutant
        for path in module.files()
        for mutant in mutants_of(str(path), (ROOT / path).read_text())
    ]
    _tell_stale(module, mutants, known)
    mutants = [mutant for mutant in mutants if options.find in f"{mutant.was}\n{mutant.becomes}"]
    chance.shuffle(mutants)
    report = Report(len(mutants))
    knowledge = copies[0].study(module)
    waiting, idle = iter(mutants), list(copies)
    running: dict[Future[tuple[Verdict, str]], tuple[Mutant, Copy]] = {}
    with ThreadPoolExecutor(len(copies)) as pool:
        while True:
            while idle and time.monotonic() < deadline and report.begun < options.sample:
                mutant = _next_to_try(waiting, known, report)
                if mutant is None:
                    break
                copy = idle.pop()
                report.begun += 1
                running[pool.submit(copy.try_out, mutant, knowledge)] = mutant, copy
            if not running:
                report.seconds = time.monotonic() - begun
                return report
            done, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                mutant, copy = running.pop(future)
                verdict, by = future.result()
                idle.append(copy)
                report.verdicts[verdict] += 1
                if verdict is Verdict.SURVIVED:
                    report.survivors.append(mutant)
                if options.verbose or verdict is Verdict.SURVIVED:
                    change = f"{mutant.was} → {mutant.becomes}"
                    print(f"{verdict.value}: {mutant.place}: {change} {by}", flush=True)


def _next_to_try(
    waiting: Iterator[Mutant], known: list[equivalents.Equivalent], report: Report
) -> Mutant | None:
    """The next mutant that is not known to be equivalent."""
    for mutant in waiting:
        if equivalents.reason_for(mutant, known) is None:
            return mutant
        report.verdicts[Verdict.EQUIVALENT] += 1
    return None


def _tell_stale(module: Module, mutants: list[Mutant], known: list[equivalents.Equivalent]) -> None:
    """Name the entries that fit no mutant any more."""
    paths = {str(path) for path in module.files()}
    for entry in known:
        if entry.path in paths and not any(entry.fits(mutant) for mutant in mutants):
            print(f"fits nothing any more, remove it: {entry}", flush=True)


if __name__ == "__main__":
    main()
