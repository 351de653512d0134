"""The files of deploy/, moved to free ports; and the programs that read them."""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.networks.programs import PORT_ATTEMPTS, comes_to_listen
from tests.support.ports import free_ports
from tests.support.processes import ROOT
from tests.support.victim import PATIENCE

DEPLOY = ROOT / "deploy"

PLACES = f"{Path(sys.executable).parent}:/usr/sbin:/usr/local/sbin"
"""Where programs are beside the PATH: some come as Python packages, some are for root."""


def tool(name: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path=PLACES)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def check(*command: str | Path) -> str:
    """Run a checker that has to be content; what it said."""
    name, *arguments = map(str, command)
    done = subprocess.run(
        [tool(name), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def moved(text: str, ports: Mapping[int, int]) -> str:
    """A configuration with other ports; each that is named has to be there."""
    for old in ports:
        assert re.search(rf"\b{old}\b", text), old
    return re.sub(
        r"(?<![\d.])(" + "|".join(map(str, ports)) + r")\b",
        lambda found: str(ports[int(found[0])]),
        text,
    )


@contextlib.contextmanager
def running(
    folder: Path,
    file: str,
    *command: str,
    ports: Mapping[int, int],
    free: tuple[int, ...],
    edits: Mapping[str, str] | None = None,
) -> Iterator[dict[int, int]]:
    """A program with one of the files in the foreground; where it listens, by the file's ports.

    Args:
      folder: for the moved file.
      file: below deploy/.
      command: with ``FILE`` for the moved file, and ``LISTEN`` for the first of its own ports.
      ports: the servers' ports in the file, and those that they have here.
      free: ports in the file at which it listens itself; each gets another one.
      edits: what else is different here.
    """
    path = tool(command[0])
    said = b""
    for _ in range(PORT_ATTEMPTS):
        own = dict(zip(free, free_ports(len(free)), strict=True))
        text = (DEPLOY / file).read_text()
        for old, new in (edits or {}).items():
            assert old in text, old
            text = text.replace(old, new)
        text = moved(text, {**ports, **own})
        written = folder / Path(file).name
        written.write_text(text)
        log = folder / "log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [path, *(moved_word(word, written, own) for word in command[1:])],
                stdout=output,
                stderr=output,
            )
            try:
                if all(comes_to_listen(port, process) for port in own.values()):
                    yield own
                    assert process.poll() is None, log.read_text()
                    return
            finally:
                process.kill()
                process.wait()
        said = log.read_bytes()
        assert b"in use" in said, said.decode()
    raise AssertionError(f"no port stays free: {said.decode()}")


def moved_word(word: str, file: Path, own: Mapping[int, int]) -> str:
    """A word of the command, with what is only known now."""
    return word.replace("FILE", str(file)).replace("LISTEN", str(next(iter(own.values()))))
