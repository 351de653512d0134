"""What is said in numbers, tables and transcripts is so. What is run stands in test_pages.py."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tcpecho_trio.cli.server_process import SPARE_DESCRIPTORS
from tcpecho_trio.server import Settings
from tcpecho_trio.server.accepting import KEEPALIVE
from tcpecho_trio.server.closing import LINGER_BYTES, LINGER_TIME
from tcpecho_trio.server.console import CLOSE_WORDS, HELP_WORDS, LIST_WORDS
from tcpecho_trio.server.conversation import QUIET_PERIOD
from tcpecho_trio.server.journal import EVENTS_A_SECOND
from tcpecho_trio.texts import LANGUAGES, SPANISH
from tests.support.pages import page
from tests.support.processes import ROOT, run, serving
from tests.support.screens import HINT, PROMPT

README = (ROOT / "README.md").read_text()
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


def test_the_nc_example(which_nc: str) -> None:
    (example,) = [block for block in CONSOLE if "| nc" in block]
    command, _, expected = example.removeprefix("$ ").partition("\n")
    with serving() as server:
        command = command.replace("| nc localhost 5000", f"| {which_nc} localhost {server.port}")
        done = subprocess.run(["bash", "-c", command], capture_output=True, check=True)
    assert done.stdout.decode() == expected


def test_every_file_is_in_the_map() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text()
    (house,) = re.findall(r"```text\n(tcpecho_trio/.*?)```", page, re.DOTALL)
    named = set(re.findall(r"\b([a-z_]+)\.py\b", house))
    for part in re.split(r"\n| · ", re.sub(r"^  \w+/ +", "", house, flags=re.MULTILINE)):
        # "name", "name: what it does", or several names with commas between them.
        named |= {name.strip() for name in part.partition(":")[0].split(",")}
    files = [f for f in (ROOT / "tcpecho_trio").rglob("*.py") if not f.name.startswith("__")]
    assert {f.stem for f in files} <= named, "add it to the map in docs/architecture.md"


def cells(row: str) -> list[str]:
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_the_speed_table_is_the_one_that_was_measured() -> None:
    measured = (ROOT / "benchmarks" / "results" / "table.md").read_text()
    assert measured in page("docs/performance.md").text
    header, _, *rows = (cells(row) for row in measured.splitlines())
    figures = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
    section = page("README.md").section("## Speed")
    columns, _, *shown = re.findall(r"^\|.*\|$", section, re.MULTILINE)
    assert "tcpecho_trio" in [cells(row)[0] for row in shown]
    for row in shown:
        name = cells(row)[0]
        as_measured = [figures[name][column] for column in cells(columns)]
        assert cells(row) == as_measured, f"| {' | '.join(as_measured)} |"


def test_the_table_of_growth_is_the_one_that_was_measured() -> None:
    results = json.loads((ROOT / "benchmarks" / "results" / "results.json").read_text())["results"]
    section = page("docs/performance.md").section("## How it grows")
    columns, _, *shown = (cells(row) for row in re.findall(r"^\|.*\|$", section, re.MULTILINE))
    assert len(shown) > 3
    for load, *figures in shown:
        measured = [results[load].get(server) for server in columns[1:]]
        assert figures == [f"{one['cpu_us_per_message']:.2f}" if one else "–" for one in measured]


def test_the_spanish_guide_shows_the_clients_prompt_as_it_is() -> None:
    assert f"{PROMPT}\n{HINT}\n" in page("README.es.md").text


def test_the_spanish_guide_quotes_what_the_program_says() -> None:
    lines = [SPANISH.error.format(message=line) for line in vars(SPANISH).values()]
    section = page("README.es.md").section("## Si algo falla")
    told = re.findall(r"^\| `(.*)…` \|", section, re.MULTILINE)
    assert told
    for said in told:
        for value, name in (
            ("localhost:5000", "{address}"),
            ("localhost", "{host}"),
            ("5000", "{port}"),
            ("10 s", "{seconds:g} s"),
        ):
            said = said.replace(value, name)
        assert any(line.startswith(said) for line in lines), said


NUMBERS = {
    "docs/wire.md": (
        f"at most {LINGER_TIME:g} s and {LINGER_BYTES // 1024} KiB",
        f"after {QUIET_PERIOD * 1000:g} ms of quiet",
    ),
    "docs/security.md": (
        f"asked after {KEEPALIVE['TCP_KEEPIDLE']} s, four times, {KEEPALIVE['TCP_KEEPINTVL']} s",
        f"descriptor limit less {SPARE_DESCRIPTORS}",
        f"at most {EVENTS_A_SECOND} times a second, troubles once in ten seconds",
        f"`--max-connections` ({Settings().max_connections:,})".replace(",", " "),
        f"`--idle-timeout` ({Settings().idle_timeout:g} s",
        f"`--write-timeout` ({Settings().write_timeout:g} s",
        f"`--drain-timeout` ({Settings().drain_timeout:g} s)",
    ),
    "docs/server.md": (
        f"at most {EVENTS_A_SECOND} a second",
        f"`--max-connections` | {Settings().max_connections:,} |".replace(",", " "),
        f"`--idle-timeout` | {Settings().idle_timeout:g} s |",
        f"`--write-timeout` | {Settings().write_timeout:g} s |",
        f"`--drain-timeout` | {Settings().drain_timeout:g} s |",
        f"`--drain-timeout` ({Settings().drain_timeout:g} s)",
    ),
}


@pytest.mark.parametrize("words", [CLOSE_WORDS, LIST_WORDS, HELP_WORDS], ids=min)
def test_each_word_of_the_console_is_in_its_help_and_on_the_pages(words: frozenset[str]) -> None:
    for texts in LANGUAGES.values():
        assert words & {line.split("  ")[0] for line in texts.console_help.splitlines()}
    for name in ("docs/server.md", "README.es.md"):
        assert any(f"| `{word}`" in page(name).text for word in words), name


@pytest.mark.parametrize("name", NUMBERS)
def test_the_numbers_of_a_page_are_those_of_the_code(name: str) -> None:
    text = page(name).text.replace("\n", " ")
    for said in NUMBERS[name]:
        assert said in text, said


def test_the_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200
