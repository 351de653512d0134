"""The README tells the truth: its commands and its examples are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tcpecho_trio.cli.server_process import SPARE_DESCRIPTORS
from tcpecho_trio.server import Settings
from tcpecho_trio.server.accepting import KEEPALIVE
from tcpecho_trio.server.closing import LINGER_BYTES, LINGER_TIME
from tcpecho_trio.server.journal import EVENTS_A_SECOND
from tests.support.processes import ROOT, run, serving
from tests.support.screens import HINT, PROMPT

README = (ROOT / "README.md").read_text()
CODE = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
CONSOLE = re.findall(r"```console\n(.*?)```", README, re.DOTALL)


def test_ci_runs_the_readmes_own_test_command() -> None:
    command = CONSOLE[1].strip()
    assert command.endswith("nox")
    assert command in map(str.strip, (ROOT / ".ci" / "run").read_text().splitlines())


def test_ci_runs_it_in_an_environment_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".ci").mkdir()
    shutil.copy(ROOT / ".ci" / "run", tmp_path / ".ci")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, script in (("python3", f"env >{tmp_path}/seen; exit 9"), ("apt-get", "exit 0")):
        (programs / name).write_text(f"#!/bin/sh\n{script}\n")
        (programs / name).chmod(0o755)
    given = {
        "HOME": str(tmp_path),
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PYTHONUNBUFFERED": "1",
        "LC_ALL": "C",
        "CI": "1",
        "PIP_CERT": "/a b",
    }
    done = subprocess.run([tmp_path / ".ci" / "run"], env=given, capture_output=True, check=False)
    assert done.returncode == 9, done.stderr
    seen = (tmp_path / "seen").read_text().splitlines()
    assert {f"HOME={tmp_path}", "LANG=C.UTF-8", "PIP_CERT=/a b"} <= set(seen)
    assert not [line for line in seen if line.startswith(("PYTHON", "LC_", "CI="))]


def test_the_demo_prints_the_readmes_transcript() -> None:
    def without_ports(text: str) -> str:
        return re.sub(r":\d+", ":PORT", text)

    (transcript,) = re.findall(r"```text\n(  servidor.*?)```", README, re.DOTALL)
    printed = run("demo").stdout.decode().replace("[[::1]", "[127.0.0.1")
    assert without_ports(printed) == without_ports(transcript)


@pytest.mark.parametrize("code", CODE)
def test_every_python_example_runs(code: str) -> None:
    with serving() as server:
        code = code.replace('"localhost", 5000', f'"localhost", {server.port}')
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, cwd=ROOT, check=False
        )
    assert done.returncode == 0, done.stderr.decode()
    assert b"HOLA" in done.stdout


def test_the_nc_example(which_nc: str) -> None:
    (example,) = [block for block in CONSOLE if "| nc" in block]
    command, _, expected = example.removeprefix("$ ").partition("\n")
    with serving() as server:
        command = command.replace("| nc localhost 5000", f"| {which_nc} localhost {server.port}")
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == expected


def without_other_programs(text: str) -> str:
    """Leave out what is said to others: of a fenced block, only commands to this program stay."""

    def ours(block: re.Match[str]) -> str:
        commands = block[0].replace("\\\n", " ").splitlines()
        return "\n".join(line for line in commands if "tcpecho_trio" in line)

    return re.sub(r"^```.*?^```$", ours, text, flags=re.DOTALL | re.MULTILINE)


def test_only_what_is_said_to_other_programs_is_left_out() -> None:
    text = (
        "prose --one\n```console\nopenssl --two\n python -m tcpecho_trio \\\n --three\n```\n--four"
    )
    assert re.findall("--[a-z]+", without_other_programs(text)) == ["--one", "--three", "--four"]


def test_every_option_in_the_readme_exists() -> None:
    known = "".join(
        run(*c, "--help").stdout.decode() for c in ((), ("serve",), ("client",), ("load",))
    )
    ours = re.sub(
        r"`nox [^`]*`", "", without_other_programs(README)
    )  # nox and the benchmarks have their own
    for option in set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", ours)) - {"--help"}:
        assert option in known, option


def test_every_file_in_the_map_exists() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (house,) = re.findall(r"```text\n(tcpecho_trio/.*?)```", page, re.DOTALL)
    named = set(re.findall(r"\b([a-z_]+)\.py\b", house))
    for part in re.split(r"\n| · ", re.sub(r"^  \w+/ +", "", house, flags=re.MULTILINE)):
        # "name", "name: what it does", or several names with commas between them.
        named |= {name.strip() for name in part.partition(":")[0].split(",")}
    files = [f for f in (ROOT / "tcpecho_trio").rglob("*.py") if not f.name.startswith("__")]
    assert {f.stem for f in files} <= named


def test_the_speed_table_is_the_one_that_was_measured() -> None:
    assert (ROOT / "benchmarks" / "results" / "table.md").read_text() in README


def test_the_spanish_guide_shows_the_clients_prompt_as_it_is() -> None:
    assert f"{PROMPT}\n{HINT}\n" in README


def test_the_readmes_numbers_are_those_of_the_code() -> None:
    for said in (
        f"at most {LINGER_TIME:g} s and {LINGER_BYTES // 1024} KiB",
        f"asked after {KEEPALIVE['TCP_KEEPIDLE']} s, four times, {KEEPALIVE['TCP_KEEPINTVL']} s",
        f"descriptor limit less {SPARE_DESCRIPTORS}",
        f"at most {EVENTS_A_SECOND} times a second, troubles once in ten seconds",
        f"`--max-connections` ({Settings().max_connections:,})".replace(",", " "),
        f"`--idle-timeout` ({Settings().idle_timeout:g} s",
        f"`--write-timeout` ({Settings().write_timeout:g} s",
        f"`--drain-timeout` ({Settings().drain_timeout:g} s)",
    ):
        assert said in README.replace("\n", " "), said
