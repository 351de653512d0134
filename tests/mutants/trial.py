"""A copy of the project in which one mutant after the other is tried."""

from __future__ import annotations

import enum
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.mutants.modules import ROOT, Module
from tests.mutants.mutations import Mutant

COPIED = ("tcpecho_trio", "tests", "benchmarks", "pyproject.toml", "noxfile.py", "README.md")


class Verdict(enum.Enum):
    """What became of a mutant."""

    KILLED = "killed"
    TIMEOUT = "timeout"
    SURVIVED = "survived"
    EQUIVALENT = "equivalent"


class Copy:
    """A copy of the project; the one mutant in it is taken out again after its trial."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def tests_of(self, module: Module) -> list[str]:
        """Its test files that there are."""
        names = [f"tests/{name}" for name in module.tests]
        return [name for name in names if (self._root / name).exists()]

    def baseline(self, tests: Sequence[str]) -> float:
        """Seconds that the tests take where there is no mistake.

        Raises:
          SystemExit: they fail, so they could not tell a mutant.
        """
        begun = time.monotonic()
        code, output = self._run(tests, None)
        if code:
            raise SystemExit(f"without any mutant the tests fail:\n{output}")
        return time.monotonic() - begun

    def try_out(self, mutant: Mutant, tests: Sequence[str], limit: float) -> tuple[Verdict, str]:
        """Run the tests on a mutant; also say which test failed first."""
        path = self._root / mutant.path
        sound = path.read_text()
        try:
            self._write(path, mutant.code)
            code, output = self._run(tests, limit)
        finally:
            self._write(path, sound)
        if code is None:
            return Verdict.TIMEOUT, ""
        failed = [line for line in output.splitlines() if line.startswith(("FAILED", "ERROR"))]
        return (Verdict.KILLED, failed[0] if failed else "") if code else (Verdict.SURVIVED, "")

    def _write(self, path: Path, code: str) -> None:
        path.write_text(code)
        # A compiled file is known by its source's size and second, which may both be the same.
        for compiled in (path.parent / "__pycache__").glob(f"{path.stem}.*.pyc"):
            compiled.unlink()

    def _run(self, tests: Sequence[str], limit: float | None) -> tuple[int | None, str]:
        """Pytest's exit code, None if it took too long; and what it said."""
        command = [sys.executable, "-bb", "-m", "pytest", "-q", "-x", "--tb=no", "--no-header"]
        command += ["-p", "no:randomly", "-p", "no:cacheprovider", "--hypothesis-profile=mutants"]
        with subprocess.Popen(
            [*command, *tests],
            cwd=self._root,
            env={**os.environ, "PYTHONPATH": str(self._root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                output, _ = process.communicate(timeout=limit)
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                # The programs that a test had started, too.
                with suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
        return process.returncode, output


@contextmanager
def copy_of_project() -> Iterator[Copy]:
    """A copy in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        root = Path(folder)
        for name in COPIED:
            source = ROOT / name
            if source.is_dir():
                shutil.copytree(source, root / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, root / name)
        yield Copy(root)
