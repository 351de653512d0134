"""The page about the library tells the truth: its examples are run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tcpecho_trio import DIALECTS, Fault
from tests.support.certificates import Certificates
from tests.support.processes import ROOT

PAGE = (ROOT / "docs" / "library.md").read_text()
PROGRAMS = [
    code
    for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    if code.rstrip().endswith("trio.run(main)")
]
(FIXTURE,) = set(re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)) - set(PROGRAMS)
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        capture_output=True,
        check=False,
    )


@pytest.mark.parametrize("code", PROGRAMS)
def test_every_program_runs_and_prints_what_it_says(code: str, certificates: Certificates) -> None:
    done = run(certificates.folder, "-W", "error", "-c", code)
    assert (done.returncode, done.stderr) == (0, b"")
    printed = done.stdout.decode().splitlines()
    assert "HOLA" in printed
    said = re.findall(r"print\(await .*\)  # (.*)", code)
    assert [line for line in said if line not in printed] == []


def test_the_fixture_serves_a_test(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(FIXTURE)
    done = run(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", ".")
    assert b"1 passed" in done.stdout, done.stdout.decode()


def test_what_else_it_names_exists() -> None:
    assert DIALECTS["admin"].greeting
    assert str(Fault.parse("reset:10")) == "reset:10"
