"""The programs of other people, run as their users run them."""

from __future__ import annotations

import contextlib
import csv
import shutil
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.ports import free_ports
from tests.support.victim import PATIENCE, read_all

PORT_ATTEMPTS = 5
"""How often a free port is chosen for a program that cannot be handed a socket: another
process may take it before the program listens there."""

NGINX_STREAM = ("/usr/lib/nginx/modules", "/usr/lib64/nginx/modules", "/usr/share/nginx/modules")
"""Where distributions put nginx's stream module, which is no command of its own."""


def program(name: str) -> str:
    """The path of a program; the test is skipped where it is not installed."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path


def run_program(
    name: str, *arguments: str, stdin: str = "", fails: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run a program to its end, and see it succeed, or fail if that is expected.

    Its input ends behind `stdin`, as in a pipe.
    """
    done = subprocess.run(
        [program(name), *arguments], input=stdin, capture_output=True, text=True, timeout=PATIENCE
    )
    assert bool(done.returncode) is fails, done
    return done


@contextlib.contextmanager
def haproxy(
    folder: Path, listeners: Mapping[str, str], *, settings: str = ""
) -> Iterator[dict[str, int]]:
    """haproxy in the foreground; the port of each listener, by its name.

    It is handed sockets that listen already (``bind fd@``), so nobody can take its ports and
    nobody has to wait for it.

    Args:
      folder: for its configuration.
      listeners: each section's lines; a first line that begins with ``bind`` is what follows
        the socket there, such as ``ssl crt FILE``.
      settings: lines of ``defaults``.
    """
    path = program("haproxy")
    with contextlib.ExitStack() as stack:
        status = stack.enter_context(socket.socket(socket.AF_UNIX))
        status.bind(str(folder / "status"))
        status.listen()
        lines = ["global", f"stats socket fd@{status.fileno()} level admin", "defaults", "mode tcp"]
        lines += [f"timeout {time} 20s" for time in ("connect", "client", "server", "check")]
        lines += ["unique-id-format %ci:%cp", settings]
        ports, descriptors = {}, [status.fileno()]
        for name, section in listeners.items():
            listening = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            ports[name] = listening.getsockname()[1]
            descriptors.append(listening.fileno())
            extra, _, rest = section.partition("\n") if section.startswith("bind") else ("", "", "")
            lines += [
                f"listen {name}",
                f"bind fd@{listening.fileno()} {extra.removeprefix('bind')}",
            ]
            lines.append(rest or section)
        configuration = folder / "haproxy.cfg"
        configuration.write_text("\n".join(lines) + "\n")
        process = subprocess.Popen(
            [path, "-db", "-q", "-f", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=descriptors,
        )
        try:
            yield ports
            assert process.poll() is None, "haproxy has ended"
        finally:
            process.kill()
            _, said = process.communicate()
            assert b"[ALERT]" not in said, said.decode()


def haproxy_says(folder: Path, listener: str, server: str = "a") -> dict[str, str]:
    """What haproxy thinks of a server: its row of the statistics."""
    with socket.socket(socket.AF_UNIX) as admin:
        admin.connect(str(folder / "status"))
        admin.sendall(b"show stat\n")
        table = read_all(admin).decode().removeprefix("# ").splitlines()
    rows = csv.DictReader(line for line in table if line)
    return next(row for row in rows if (row["pxname"], row["svname"]) == (listener, server))


def nginx_stream() -> Path:
    """The file of nginx's stream module; the test is skipped where it is not installed."""
    module = next((m for f in NGINX_STREAM for m in Path(f).glob("ngx_stream_module.so")), None)
    if module is None:
        pytest.skip("nginx's stream module is not installed")
    return module


@contextlib.contextmanager
def nginx(folder: Path, servers: Mapping[str, str]) -> Iterator[dict[str, int]]:
    """nginx in the foreground with its stream module; the port of each server, by its name.

    Args:
      folder: for everything that it writes.
      servers: each server's lines; ``LISTEN`` in them stands for its address.
    """
    path, module = program("nginx"), nginx_stream()
    for _ in range(PORT_ATTEMPTS):
        ports = dict(zip(servers, free_ports(len(servers)), strict=True))
        sections = [
            "server {\n" + lines.replace("LISTEN", f"127.0.0.1:{ports[name]}") + "\n}"
            for name, lines in servers.items()
        ]
        configuration = folder / "nginx.conf"
        configuration.write_text(
            f"load_module {module};\ndaemon off;\nmaster_process off;\npid {folder}/nginx.pid;\n"
            "error_log stderr;\nevents {}\nstream {\n" + "\n".join(sections) + "\n}\n"
        )
        process = subprocess.Popen(
            [path, "-p", str(folder), "-e", "stderr", "-c", str(configuration)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        try:
            if all(comes_to_listen(port, process) for port in ports.values()):
                yield ports
                return
        finally:
            process.kill()
            _, said = process.communicate()
        assert b"Address already in use" in said, said.decode()
    raise AssertionError("no port stays free")


def comes_to_listen(port: int, process: subprocess.Popen[bytes]) -> bool:
    """Wait until somebody listens; False if the program that should has ended."""
    while process.poll() is None:
        with contextlib.suppress(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port)).close()
            return True
    return False
