"""docs/load.md is true."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

from tcpecho_trio.load.tally import KINDS
from tests.support.processes import ROOT, run
from tests.support.running import running_server

PAGE = (ROOT / "docs" / "load.md").read_text()


EXAMPLE, FOR_PYTEST = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_runs() -> None:
    code = EXAMPLE
    done = subprocess.run([sys.executable, "-bb", "-c", code], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


async def test_the_test_of_yours_passes() -> None:
    async with running_server() as server:
        code = FOR_PYTEST.replace("port=5000", f'host="127.0.0.1", port={server.port}')
        for exact, here in (("2000", "50"), ("duration=5", "duration=0.3"), ("< 0.02", "< 20")):
            assert exact in code
            code = code.replace(exact, here)
        found: dict[str, Any] = {}
        exec(code, found)
        await found["test_the_service_is_fast_enough"]()


def test_every_option_on_the_page_exists_and_each_one_is_there() -> None:
    known = run("load", "--help", "--lang", "en").stdout.decode()
    options = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", known))
    told = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", PAGE))
    assert told <= options | {"--load-generator"}  # of the benchmarks
    assert options - told <= {"--help", "--lang", "--connections", "--message"}


def test_every_kind_of_error_is_explained() -> None:
    for kind in KINDS:
        assert f"\n| `{kind}` |" in PAGE
