"""TLS as stunnel, Go and Java speak it, and new keys in the middle of a conversation."""

from __future__ import annotations

import contextlib
import os
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks.backend import ask, backend, connect, leave, name_of, report
from tests.networks.conftest import Keys
from tests.networks.programs import (
    PORT_ATTEMPTS,
    comes_to_listen,
    program,
    run_program,
)
from tests.support.ports import free_ports
from tests.support.victim import Victim

CLIENTS = Path(__file__).parent / "clients"
COMPILING = 300.0
"""Seconds for a compiler that has compiled nothing yet, on a busy machine."""


@pytest.fixture(scope="module")
def server(keys: Keys) -> Iterator[Victim]:
    # Who looks whether stunnel listens makes it connect, and leaves.
    with backend(
        *("--tls-cert", keys.server, "--tls-key", keys.server_key),
        expected=frozenset({"tls_refused"}),
    ) as victim:
        yield victim


@contextlib.contextmanager
def stunnel(folder: Path, service: str) -> Iterator[int]:
    """stunnel in the foreground with one service; the port where it listens.

    Args:
      folder: for its configuration.
      service: the service's lines but for ``accept``.
    """
    path = program("stunnel")
    for _ in range(PORT_ATTEMPTS):
        (port,) = free_ports(1)
        configuration = folder / "stunnel.conf"
        configuration.write_text(
            f"foreground = yes\npid =\n[echo]\naccept = 127.0.0.1:{port}\n{service}\n"
        )
        process = subprocess.Popen(
            [path, str(configuration)], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        try:
            if comes_to_listen(port, process):
                yield port
                return
        finally:
            process.kill()
            _, said = process.communicate()
        assert b"Address already in use" in said, said.decode()
    raise AssertionError("no port stays free")


@pytest.mark.parametrize("version", ["TLSv1.2", "TLSv1.3"])
def test_stunnel_makes_a_plain_client_speak_tls(
    server: Victim, keys: Keys, tmp_path: Path, version: str
) -> None:
    service = (
        f"client = yes\nconnect = 127.0.0.1:{server.port}\nCAfile = {keys.ca}\nverifyChain = yes\n"
        f"checkHost = backend.example\nsni = backend.example\nsslVersion = {version}"
    )
    with stunnel(tmp_path, service) as port, connect(port) as client:
        assert ask(client, "mañana") == "MAÑANA"
        assert ask(client, "x" * 100_000) == "X" * 100_000
        assert report(client)["tls"]["version"] == version
        leave(client)


def test_stunnel_terminates_tls_and_says_for_whom(keys: Keys, tmp_path: Path) -> None:
    with backend("--proxy-protocol", "required") as plain:
        service = f"connect = 127.0.0.1:{plain.port}\ncert = {keys.server_both}\nprotocol = proxy"
        with stunnel(tmp_path, service) as port, connect(port) as below:
            context = ssl.create_default_context(cafile=keys.ca)
            with context.wrap_socket(below, server_hostname="backend.example") as client:
                assert ask(client, "mañana") == "MAÑANA"
                assert report(client)["client"] == name_of(client)


def test_go_is_answered_after_its_half_close_and_resumes_its_session(
    server: Victim, keys: Keys, tmp_path: Path
) -> None:
    built = tmp_path / "client"
    command = [program("go"), "build", "-o", str(built), str(CLIENTS / "client.go")]
    subprocess.run(command, check=True, capture_output=True, timeout=COMPILING, cwd=tmp_path)
    done = run_program(str(built), str(server.port), keys.ca)
    assert done.stdout == "MAÑANA\nHALF A LINE false\nMAÑANA\nHALF A LINE true\n"


def test_java_is_answered_after_its_half_close(server: Victim, keys: Keys) -> None:
    program("javac")  # without it java runs no source
    source = [str(CLIENTS / "Client.java"), str(server.port), keys.ca]
    # A JVM that is told something by this variable says so.
    environment = {name: value for name, value in os.environ.items() if "JAVA" not in name}
    done = subprocess.run(
        [program("java"), "-Dfile.encoding=UTF-8", *source],
        capture_output=True,
        check=False,
        timeout=COMPILING,
        env={**environment, "LC_ALL": "C.UTF-8"},
    )
    assert done.stdout.decode() == "MAÑANA\nHALF A LINE TLSv1.3\n", done.stderr.decode()


def test_openssl_changes_its_keys_in_the_middle(server: Victim, keys: Keys) -> None:
    where = ("-connect", f"127.0.0.1:{server.port}", "-CAfile", keys.ca, "-tls1_3")
    with subprocess.Popen(
        [program("openssl"), "s_client", *where],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as client:
        assert client.stdin is not None
        assert client.stdout is not None
        # k: new keys of its own; K: it asks for ours, too (s_client(1ssl), CONNECTED COMMANDS).
        for typed, expected in (
            *(("uno", "UNO"), ("k", "KEYUPDATE"), ("dos", "DOS"), ("K", "KEYUPDATE")),
            *(("tres", "TRES"), ("DESCONEXION", "Conexión cerrada")),
        ):
            client.stdin.write(f"{typed}\n")
            client.stdin.flush()
            assert any(line.rstrip("\n") == expected for line in client.stdout), typed
        client.communicate()
    assert client.returncode == 0
