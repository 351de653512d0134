"""A release is tried as its users will: installed where nothing else is, and run."""

from __future__ import annotations

import re
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from release.archives import Unfit

PATIENCE = 120.0
"""Seconds after which what should have ended hangs."""


def empty_environment(folder: Path, *requirements: str) -> Path:
    """Make an environment with these alone; return its ``bin``."""
    venv.create(folder, symlinks=True, clear=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python")),
            *("install", "--quiet", *requirements),
        ],
        check=True,
    )
    return folder / "bin"


def try_program(program: Sequence[str], version: str, folder: Path) -> None:
    """Its version, the demo, and a server of two processes with a client.

    Raises:
      Unfit: one of them is not as it has to be.
    """
    said = _run(program, folder, "--version")
    if version not in said:
        raise Unfit(f"it calls itself {said!r}")
    if "HOLA SERVIDOR" not in _run(program, folder, "demo"):
        raise Unfit("the demo does not show the exercise's reply")
    server = subprocess.Popen(
        [*program, "serve", "--port", "0", "--no-console", "--processes", "2"],
        cwd=folder,
        env=_environment(folder),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        said = ""
        while (found := re.search(r"localhost:(\d+)", said)) is None:
            line = server.stdout.readline()
            if not line:
                raise Unfit(f"the server says {said!r}")
            said += line
        reply = _run(program, folder, "client", "--port", found[1], "-m", "hola")
        if "HOLA" not in reply:
            raise Unfit(f"the server's reply is {reply!r}")
        server.terminate()
        if server.wait(PATIENCE):
            raise Unfit(f"the server ends with {server.returncode}")
    finally:
        server.kill()
        server.communicate()


def _run(program: Sequence[str], folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        [*program, *arguments],
        cwd=folder,
        env=_environment(folder),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode or done.stderr:
        raise Unfit(f"{' '.join(arguments)} ends with {done.returncode}: {done.stderr}")
    return done.stdout


def _environment(folder: Path) -> dict[str, str]:
    """Nothing of ours: a checkout that is found by accident would prove nothing."""
    return {"PATH": "/usr/bin:/bin", "HOME": str(folder), "LANG": "C.UTF-8"}
