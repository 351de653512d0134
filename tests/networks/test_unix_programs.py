"""Unix sockets as other programs use them, and the life of their file."""

from __future__ import annotations

import signal
import socket
import stat
from pathlib import Path

import pytest

from tests.networks.backend import ask, backend, reported
from tests.networks.programs import program, run_program
from tests.support.processes import run
from tests.support.victim import PATIENCE, fill

TALK = "mañana\nINFORME\nDESCONEXION\n"


def connect_unix(path: Path) -> socket.socket:
    """A client of the socket at this path."""
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(PATIENCE)
    client.connect(str(path))
    return client


def stale(path: Path) -> None:
    """What a server leaves behind that was killed."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))


def test_nc_socat_and_ncat_talk_there_beside_tcp(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with backend("--unix", str(path), "--unix-mode", "660") as server:
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        for name, arguments in (
            ("nc", ("-U", str(path))),
            ("socat", ("-t", "20", "-", f"UNIX-CONNECT:{path}")),
            ("ncat", ("-U", str(path))),
        ):
            program(name)
            said = run_program(name, *arguments, stdin=TALK).stdout
            assert said.startswith("MAÑANA\n")
            assert said.endswith("Conexión cerrada\n")
            seen = reported(said)
            assert seen["local"] == f"unix:{path}"
            assert seen["client"] == seen["peer"] != seen["local"]
            assert seen["peer"].startswith("unix:")
        for name, arguments in (
            ("socat", ("-t", "20", "-", f"TCP:127.0.0.1:{server.port}")),
            ("ncat", ("127.0.0.1", str(server.port))),
        ):
            said = run_program(name, *arguments, stdin=TALK).stdout
            assert reported(said)["local"] == f"127.0.0.1:{server.port}"
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


def test_a_stale_socket_is_replaced_and_a_live_one_is_not(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    stale(path)
    with backend("--unix", str(path)):
        second = run("serve", "--unix", str(path))
        assert (second.returncode, second.stdout) == (3, b"")
        (line,) = second.stderr.decode().splitlines()
        assert str(path) in line
        assert "--unix" in line
        with connect_unix(path) as client:
            assert ask(client, "sigues ahí") == "SIGUES AHÍ"


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, what: str) -> None:
    path = tmp_path / "precious"
    if what == "a file":
        path.write_text("precious")
    else:
        path.mkdir()
    done = run("serve", "--unix", str(path))
    assert (done.returncode, done.stdout) == (3, b"")
    (line,) = done.stderr.decode().splitlines()
    assert str(path) in line
    assert path.is_dir() or path.read_text() == "precious"


def test_the_next_server_listens_there_while_the_last_one_drains(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with backend("--unix", str(path), "--dialect", "standard") as old:
        stuck = connect_unix(path)
        with stuck:
            fill(stuck)
            old.process.send_signal(signal.SIGTERM)
            old.wait_for("draining")
            with backend("--unix", str(path)), connect_unix(path) as client:
                assert ask(client, "hola") == "HOLA"
                old.process.send_signal(signal.SIGTERM)  # wait for nobody
                assert old.finish() == 0
                with connect_unix(path) as later:
                    assert ask(later, "hola") == "HOLA"
    assert not path.exists()


def test_a_file_that_is_somebody_elses_by_now_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "echo.sock"
    with backend("--unix", str(path)) as old:
        path.unlink()  # by hand, so that the next server can have it
        with backend("--unix", str(path)):
            assert old.stop() == 0
            with connect_unix(path) as client:
                assert ask(client, "hola") == "HOLA"
    assert not path.exists()
