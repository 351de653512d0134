"""The manual pages and completions that a wheel installs: one source with ``--help``."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from release.completion import completion_files
from release.manual import manual_pages
from tests.networks.programs import program, run_program
from tests.support.processes import PROGRAM, run

DATE = "2026-11-20"
PAGES = manual_pages(DATE)
FILES = completion_files()


def plain(page: str) -> str:
    """A page's text in one line, without what is roff."""
    text = re.sub(r"^\.[A-Z]+ ?|\\f[BR]|\\&", "", page, flags=re.MULTILINE)
    return " ".join(text.replace(r"\-", "-").replace(r"\e", "\\").split())


@pytest.mark.parametrize("place", PAGES)
def test_a_page_says_what_help_says(place: str) -> None:
    language = "es" if place.startswith("es/") else "en"
    command = re.findall(r"tcpecho-trio-?(.*)\.1$", place)
    helped = run(*filter(None, command), "--help", "--lang", language).stdout.decode()
    page = plain(PAGES[place]).replace(" ", "")
    _, *paragraphs = re.split(r"\n\s*\n", helped)
    for line in re.split(r"\n(?=  \S)|\n\n", "\n\n".join(paragraphs)):
        for piece in re.split(r"\s{2,}(?=\S)", line.strip()):
            if piece not in ("Options:", "Opciones:", "Commands:", "Órdenes:"):
                said = "".join(piece.removesuffix("...").split())  # help cuts long sentences
                assert said in page or piece.endswith(":"), piece


def test_there_is_a_page_for_each_command_in_each_language() -> None:
    listed = run("--help", "--lang", "en").stdout.decode().partition("Commands:")[2]
    names = {f"-{name}" for name in re.findall(r"^  ([a-z-]+) ", listed, re.MULTILINE)} | {""}
    assert {"-serve", "-client"} <= names
    for folder in ("man1", "es/man1"):
        assert {f"{folder}/tcpecho-trio{name}.1" for name in names} <= set(PAGES)


def test_an_option_has_its_variable_and_help_has_none() -> None:
    page = plain(PAGES["man1/tcpecho-trio-serve.1"])
    assert "TCPECHO_SERVE_DRAIN_TIMEOUT" in page
    assert "HELP" not in page.partition("ENVIRONMENT")[2]


def test_mandoc_has_nothing_to_say(tmp_path: Path) -> None:
    files = []
    for number, page in enumerate(PAGES.values()):
        files.append(tmp_path / f"{number}.1")
        files[-1].write_text(page)
    done = run_program("mandoc", "-T", "lint", "-W", "warning", *map(str, files))
    assert done.stdout + done.stderr == ""


def test_a_word_that_begins_as_a_request_of_roff_is_none() -> None:
    for page in PAGES.values():
        for line in page.splitlines():
            if line.startswith((".", "'")):
                assert re.match(r"\.(TH|SH|TP|PP|BR|br)\b", line), line


@pytest.fixture
def programs(tmp_path: Path) -> Path:
    """A folder with the program as it is installed."""
    script = tmp_path / "tcpecho-trio"
    script.write_text(f'#!/bin/sh\nexec {" ".join(PROGRAM)} "$@"\n')
    script.chmod(0o755)
    return tmp_path


def shell(name: str, script: str, programs: Path) -> str:
    """What a script says in a shell that finds the program."""
    done = subprocess.run(
        [program(name), "-c", script],
        env={"PATH": f"{programs}:/usr/bin:/bin", "LANG": "C.UTF-8", "HOME": str(programs)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def written(folder: Path, place: str) -> Path:
    file = folder / Path(place).name
    if place.startswith("bash"):
        file = folder / "for-bash"  # its name is the program's, which is there, too
    file.write_text(FILES[place])
    return file


def test_bash_completes_an_option(programs: Path) -> None:
    file = written(programs, "bash-completion/completions/tcpecho-trio")
    said = shell(
        "bash",
        f"source {file}; COMP_WORDS=(tcpecho-trio serve --drain); COMP_CWORD=2;"
        "_tcpecho_trio_completion tcpecho-trio; echo ${COMPREPLY[@]}; complete -p tcpecho-trio",
        programs,
    )
    assert said.startswith("--drain-timeout\n")
    assert "-F _tcpecho_trio_completion tcpecho-trio" in said


def test_fish_completes_a_command(programs: Path) -> None:
    file = written(programs, "fish/vendor_completions.d/tcpecho-trio.fish")
    said = shell("fish", f"source {file}; complete -C 'tcpecho-trio clie'", programs)
    assert said.startswith("client")


def test_zsh_loads_the_function_under_its_own_name(programs: Path) -> None:
    file = written(programs, "zsh/site-functions/_tcpecho-trio")
    said = shell(
        "zsh",
        f"fpath=({file.parent} $fpath); autoload -Uz compinit; compinit -u -D;"
        "echo $_comps[tcpecho-trio]; autoload +X -Uz _tcpecho-trio && echo loaded",
        programs,
    )
    assert said.split() == ["_tcpecho-trio", "loaded"]
