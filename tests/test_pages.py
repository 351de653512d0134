"""The documentation tells the truth: its commands and its examples are run, its links lead on."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import ENGLISH
from tests.support.certificates import Certificates
from tests.support.pages import LINK, PAGES, Page, all_commands, anchor, commands, page
from tests.support.processes import ROOT, serving
from tests.support.sessions import Session

NOT_RUN = {
    "demo": "tests/test_readme.py runs it, and compares what it prints",
    "access.log": "a line of a client that is not there; the log has tests of its own",
    "10.0.0.": "machines that are not there; tests/cluster runs it",
    "tcpecho_trio cluster": "it needs Redis; tests/cluster runs it",
}
"""What stands in commands that are read and not run, and why."""

CLI = build_cli(ENGLISH)
OPTIONS = {
    option
    for command in all_commands(CLI).values()
    for parameter in command.params
    for option in parameter.opts
} | {"--help"}
OF_OTHERS = {"--quick", "--load-generator"}
"""Options of `nox -s bench`."""

WITH_COMMANDS = [each for each in PAGES if each.blocks("console")]
PROGRAMS = [
    pytest.param(code, id=f"{each.name}-{number}")
    for each in PAGES
    for number, code in enumerate(each.blocks("python"))
    if "@pytest" not in code
]
FIXTURES = [
    pytest.param(code, id=f"{each.name}-{number}")
    for each in PAGES
    for number, code in enumerate(each.blocks("python"))
    if "@pytest" in code
]


def names(each: Page) -> str:
    return each.name


@pytest.mark.parametrize("each", PAGES, ids=names)
def test_every_link_leads_somewhere(each: Page) -> None:
    for link in each.links:
        where, _, place = link.partition("#")
        if "://" in where:
            continue
        there = (each.path.parent / where).resolve() if where else each.path
        assert there.exists(), link
        assert there.is_relative_to(ROOT), link
        if place:
            assert place in Page(there).anchors, link


@pytest.mark.parametrize("each", PAGES, ids=names)
def test_no_two_headings_of_a_page_have_one_name(each: Page) -> None:
    if each.name == "CHANGELOG.md":  # every version has an "Added"
        return
    headings = [anchor(heading) for heading in re.findall(r"^#+ (.*)$", each.prose, re.MULTILINE)]
    assert sorted(set(headings)) == sorted(headings)


def test_every_page_can_be_reached_from_the_readme() -> None:
    reached, todo = set(), [ROOT / "README.md"]
    while todo:
        here = todo.pop()
        if here in reached or here.suffix != ".md":
            continue
        reached.add(here)
        todo += [(here.parent / link.partition("#")[0]).resolve() for link in Page(here).links]
    assert {each.path for each in PAGES} <= reached


@pytest.mark.parametrize("each", WITH_COMMANDS, ids=names)
def test_the_program_takes_each_command(each: Page, tmp_path: Path) -> None:
    for block in each.blocks("console"):
        for command in commands(block):
            if command.ours:
                parse(command.arguments, tmp_path)


def parse(arguments: list[str], folder: Path) -> None:
    """Have click read them, with all files there that they name."""
    given = []
    for argument in arguments:
        if re.fullmatch(r"[\w./-]+\.(pem|key|json|txt|token)|/etc/\S+", argument):
            file = folder / Path(argument).name
            file.write_text("{}")
            argument = str(file)
        given.append(argument)
    command: click.Command = CLI
    context = CLI.make_context("tcpecho_trio", given)
    while isinstance(command, click.Group) and (given := context._protected_args + context.args):
        name, *rest = given
        command = command.commands[name]
        context = command.make_context(name, rest, parent=context)


def test_a_wrong_option_in_a_command_would_be_seen(tmp_path: Path) -> None:
    (command,) = commands("python -m tcpecho_trio serve --prot 5000\n")
    with pytest.raises(click.UsageError):
        parse(command.arguments, tmp_path)


@pytest.mark.parametrize("each", WITH_COMMANDS, ids=names)
def test_the_commands_of_a_page_do_what_it_says(each: Page, tmp_path: Path) -> None:
    with Session(tmp_path) as session:
        for block in each.blocks("console"):
            for command in commands(block):
                if not any(word in command.line for word in NOT_RUN):
                    session.run(command)


def without_other_programs(text: str) -> str:
    """Leave out what is said to others: of a fenced block, only commands to this program stay."""

    def ours(block: re.Match[str]) -> str:
        lines = block[0].replace("\\\n", " ").splitlines()
        return "\n".join(line for line in lines if "tcpecho_trio" in line)

    text = re.sub(r"^```.*?^```$", ours, text, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"`(?:[\w/.]*nox|pip|openssl|curl|systemd-analyze) [^`]*`", "", text)


def test_only_what_is_said_to_other_programs_is_left_out() -> None:
    text = (
        "prose --one\n```console\nopenssl --two\n python -m tcpecho_trio \\\n --three\n```\n--four"
        " `nox -- --five` `serve --six`"
    )
    found = re.findall("--[a-z]+", without_other_programs(text))
    assert found == ["--one", "--three", "--four", "--six"]


@pytest.mark.parametrize("each", PAGES, ids=names)
def test_every_option_that_is_named_exists(each: Page) -> None:
    if each.name == "CONTRIBUTING.md":  # about nox, mypy and others
        return
    named = re.findall(r"(?<![\w-])--[a-z][a-z-]*\b", without_other_programs(each.text))
    assert set(named) <= OPTIONS | OF_OTHERS


@pytest.mark.parametrize("code", PROGRAMS)
def test_a_python_example_runs_and_prints_what_it_says(
    code: str, certificates: Certificates
) -> None:
    with serving() as server:
        code = code.replace('"localhost", 5000', f'"localhost", {server.port}')
        done = python(certificates.folder, "-W", "error", "-c", code)
    assert (done.returncode, done.stderr) == (0, "")
    for said in re.findall(r"^\s*print\(.*\)  # (.*)$", code, re.MULTILINE):
        if said.startswith(("what ", "listening, ")):
            continue  # says what it is about, not what is printed
        assert said.removesuffix("Request(...))") in done.stdout


@pytest.mark.parametrize("code", FIXTURES)
def test_a_fixture_serves_a_test(code: str, tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(code)
    done = python(tmp_path, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", ".")
    assert "1 passed" in done.stdout, done.stdout


def python(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-bb", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_links_are_found() -> None:
    assert LINK.findall("[a](b.md) ![c](d.png#e) `[`") == ["b.md", "d.png#e"]
    assert page("README.md").links
