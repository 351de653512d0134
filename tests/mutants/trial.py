"""A copy of the project in which one mutant after the other is tried."""

from __future__ import annotations

import enum
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from coverage import CoverageData

from tests.mutants.modules import ROOT, Module
from tests.mutants.mutations import Mutant
from tests.mutants.runner import Order, Result

COPIED = (
    "tcpecho_trio",
    "tests",
    "benchmarks",
    "docs",
    "pyproject.toml",
    "noxfile.py",
    "README.md",
)

SLOWNESS = 4
"""How many times as much of the processor as without a mistake a test may take, besides a second;
and how many times as long all may do nothing, besides three seconds."""


class Verdict(enum.Enum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


@dataclass
class Knowledge:
    """What is known of a module's tests.

    Args:
      files: with the tests.
      durations: seconds that each takes, in the order in which they run.
      used: those in which it uses the processor.
      quiet: the longest time in seconds in which they all wait.
      starts_processes: those that do. No coverage shows which lines they run.
      tests_of_line: by file and line, the tests that run it. Those of a line that runs at the
        import have the empty name among them.
      killers: how often which test has noticed a mistake in which file and function.
    """

    files: list[str]
    durations: dict[str, float]
    used: dict[str, float]
    quiet: float
    starts_processes: set[str]
    tests_of_line: dict[str, dict[int, list[str]]]
    killers: Counter[tuple[str, str, str]] = field(default_factory=Counter)

    def tests_for(self, mutant: Mutant) -> list[str]:
        """Those that can notice it: the ones that did beside it first, then the quickest."""
        lines = self.tests_of_line.get(mutant.path, {})
        found = {test for number in mutant.lines for test in lines.get(number, ())}
        likely = found
        if "" in found or not found:
            likely = {test for number in mutant.uses for test in lines.get(number, ())}
            found = set(self.durations)
        found |= self.starts_processes
        return sorted(
            found & self.durations.keys(),
            key=lambda test: (
                -self.killers[mutant.path, mutant.place, test],
                test not in likely,
                self.durations[test],
            ),
        )


class Copy:
    """A copy of the project; the one mutant in it is taken out again after its trial."""

    def __init__(self, root: Path, runner: subprocess.Popen[str]) -> None:
        self._root = root
        self._runner = runner

    def study(self, module: Module) -> Knowledge:
        """Run the tests where there is no mistake.

        Raises:
          SystemExit: they fail, so they could not tell a mutant.
        """
        names = [f"tests/{name}" for name in module.tests]
        files = [name for name in names if (self._root / name).exists()]
        data = self._root / "coverage.sqlite"
        data.unlink(missing_ok=True)
        result = self._run(Order(files, [], 3600, {}, 60.0, str(data)))
        if result.code != 0:
            raise SystemExit(f"without any mutant the tests fail:\n{result.output}")
        measured = CoverageData(str(data))
        measured.read()
        return Knowledge(
            files,
            result.durations,
            result.used,
            result.quiet,
            set(result.starts_processes),
            {
                str(path): measured.contexts_by_lineno(str(self._root / path))
                for path in module.files()
            },
        )

    def try_out(self, mutant: Mutant, known: Knowledge) -> tuple[Verdict, str]:
        """Run the tests on a mutant; also say which test failed first."""
        tests = known.tests_for(mutant)
        budgets = {test: 1 + SLOWNESS * known.used[test] for test in tests}
        order = Order(
            [name for name in known.files if any(test.startswith(name) for test in tests)],
            tests,
            10 + int(sum(budgets.values())),
            budgets,
            3 + SLOWNESS * known.quiet,
        )
        path = self._root / mutant.path
        sound = path.read_text()
        try:
            self._write(path, mutant.code)
            result = self._run(order)
        finally:
            self._write(path, sound)
        if result.code is None:
            return Verdict.TIMEOUT, ""
        if result.code == 0:
            return Verdict.SURVIVED, ""
        known.killers[mutant.path, mutant.place, result.failed] += 1
        return Verdict.KILLED, result.failed or result.output.strip().rpartition("\n")[2]

    def _write(self, path: Path, code: str) -> None:
        path.write_text(code)
        # A compiled file is known by its source's size and second, which may both be the same.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def _run(self, order: Order) -> Result:
        ways = self._runner.stdin, self._runner.stdout
        assert ways[0] is not None
        assert ways[1] is not None
        ways[0].write(json.dumps(asdict(order)) + "\n")
        ways[0].flush()
        return Result(**json.loads(ways[1].readline()))


@contextmanager
def copy_of_project() -> Iterator[Copy]:
    """A copy in a temporary folder."""
    with ExitStack() as stack:
        root = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mutants-")))
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, root / name)
        runner = stack.enter_context(
            subprocess.Popen(
                [sys.executable, "-bb", "-m", "tests.mutants.runner"],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        yield Copy(root, runner)  # it ends as its input does
