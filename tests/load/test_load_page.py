"""docs/load.md is true."""

from __future__ import annotations

import re
import subprocess
import sys

from tcpecho_trio.load.tally import KINDS
from tests.support.processes import ROOT, run

PAGE = (ROOT / "docs" / "load.md").read_text()


def test_the_example_runs() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    done = subprocess.run([sys.executable, "-bb", "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_every_option_on_the_page_exists_and_each_one_is_there() -> None:
    known = run("load", "--help", "--lang", "en").stdout.decode()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", known))
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert told <= options
    assert options - told <= {"--help", "--lang", "--connections", "--message"}


def test_every_kind_of_error_is_explained() -> None:
    for kind in KINDS:
        assert f"\n| `{kind}` |" in PAGE
