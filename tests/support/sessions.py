"""The console blocks of a page, run as a reader would: each server in its own terminal.

Nothing but the ports differs. A server gets free ones, and whoever connects to it gets the same.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from tests.support.certificates import Certificates
from tests.support.pages import Command
from tests.support.processes import PATIENCE
from tests.support.screens import CTRL_D, screen

PORT = re.compile(r"(?<=--port )\d+|(?<=[a-z1]:)\d{4,5}\b|(?<=nc localhost )\d+")
READY = re.compile(
    r"(?:activo en|listening on|Administra\w+ (?:en|at)) (?:\w+://)?[^ ]*?:(\d+)(?!\S*\.sock)"
)
BUILT = re.compile(r"^(source|pip|nox|\S*python3? -m venv)\b|\.venv/")
"""Commands that install things: they have been obeyed, or there would be no test."""


SERVER = Command("python -m tcpecho_trio serve --quiet")


class Session:
    """The commands of a page, one after the other, in a folder of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports: dict[str, str] = {}
        self._servers = ExitStack()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *_: object) -> None:
        self._servers.close()

    def run(self, command: Command) -> None:
        """Run it as a reader would; see it do and print what is shown."""
        if BUILT.search(command.line):
            return
        if not command.ours and not shutil.which(command.line.split()[0]):
            return
        arguments = command.arguments if command.ours else []
        if {"client", "load"} & set(arguments) and not self.ports:
            self._serve(SERVER)  # the page takes it for granted
        if "serve" in arguments:
            self._serve(command)
        elif "client" in arguments and not re.search(r" -m .* -m | [|<] ", command.line):
            self._talk(command)
        else:
            self._run(command)

    def _serve(self, command: Command) -> None:
        line = re.sub(r"\s+#.*", "", command.line)
        if not {"--port", "--listen", "--unix"} & set(command.arguments):
            line += " --port 5000"
        self._make_files(command.arguments)
        # In the order in which they are told: the port, the endpoints, the administrator's.
        wanted = [
            port
            for option in ("--port", "--listen", "--admin")
            for told in re.findall(rf"{option} (\S+)", line)
            for port in PORT.findall(f"{option} {told}")
        ]
        process = subprocess.Popen(
            ["bash", "-c", "exec " + self._ours(PORT.sub("0", line))],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._servers.callback(_end, process)
        assert process.stdout is not None
        printed = process.stdout.readline()
        while len(given := READY.findall(printed)) < len(wanted):
            told = process.stdout.readline()
            assert told, f"{command.line}: {printed!r}, and exit code {process.wait()}"
            printed += told
        for port, now in zip(wanted, given, strict=True):
            self.ports[port] = now
            printed = printed.replace(f":{now}", f":{port}")
        assert command.shown in (None, printed), printed

    def _make_files(self, arguments: list[str]) -> None:
        """Have the certificates that a page takes for granted."""
        named = [self.folder / word for word in arguments if word.endswith((".pem", ".key"))]
        if all(file.exists() for file in named):
            return
        certificates = Certificates(self.folder)
        for name, origin in (
            ("cert.pem", certificates.files.certificate),
            ("key.pem", certificates.files.key),
        ):
            shutil.copy(origin, self.folder / name)

    def _talk(self, command: Command) -> None:
        """A person at a terminal, who looks at what comes and leaves."""
        with screen(["bash", "-c", self._ours(self._line(command))]) as terminal:
            shown = (command.shown or "").splitlines() or ["Ingresa un mensaje:"]
            for line in shown:
                terminal.see_text(self._now(line))
            terminal.press(CTRL_D)
            assert terminal.end() == 0

    def _run(self, command: Command) -> None:
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", self._ours(self._line(command))],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        # Whether a load met errors is the machine's business here.
        fine = (0, 1) if " load " in command.line else (0,)
        assert done.returncode in fine, (command.line, done)
        assert command.shown in (None, done.stdout), done

    def _line(self, command: Command) -> str:
        """It with the ports of now, and a load that does not last."""
        line = command.line
        if command.ours and not re.search(r" (--port|--unix|\w+:\d+) ?", line):
            line = re.sub(r"( client)\b", rf"\1 --port {self.ports.get('5000', '5000')}", line)
        return re.sub(r"\b\d+s\b", "1s", self._now(line)) if " load " in line else self._now(line)

    def _now(self, text: str) -> str:
        return PORT.sub(lambda port: self.ports.get(port[0], port[0]), text)

    def _ours(self, line: str) -> str:
        """It with this very Python, and files in a folder of its own."""
        line = line.replace("/tmp/", f"{self.folder}{os.sep}")  # first: Python may be there, too
        return re.sub(r"(?<![\w/-])python (?=-m tcpecho_trio)", f"{sys.executable} -bb ", line)


def _end(process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        told, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 0, told
