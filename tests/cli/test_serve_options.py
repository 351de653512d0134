"""What the options of ``serve`` and their variables ask the server for."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import pytest

from tcpecho_trio.cli import main
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault, Kind
from tcpecho_trio.server.tls import TlsFiles
from tcpecho_trio.texts import ENGLISH
from tests.support.certificates import Certificates
from tests.support.processes import CERTIFICATE, PEM, serving


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[Settings, dict[str, Any]]]:
    """What a command line asks for, instead of doing it."""
    asked: list[tuple[Settings, dict[str, Any]]] = []

    async def note(settings: Settings, texts: object, **options: Any) -> None:
        asked.append((settings, options))

    monkeypatch.setattr("tcpecho_trio.cli.server_process.run_server", note)

    def serve(*arguments: str) -> tuple[Settings, dict[str, Any]]:
        assert main(["serve", *arguments]) == 0
        return asked.pop()

    return serve


Served = Callable[..., tuple[Settings, dict[str, Any]]]


def test_without_options_it_is_the_exercises_server(served: Served) -> None:
    settings, options = served()
    assert settings.endpoints == (Endpoint(Scheme.TCP, "localhost", 5000),)
    assert settings.trusted_proxies == Settings().trusted_proxies
    assert (settings.proxy_protocol, settings.faults, settings.banner) == (False, (), False)
    assert settings.pump
    assert options == {
        "tls_files": None,
        "as_json": False,
        "messages": True,
        "probes": False,
        "access_log": None,
        "access_log_probes": False,
        "admin_options": None,
        "cluster_options": None,
        "console": True,
    }


def test_endpoints_that_are_named_replace_the_default(served: Served) -> None:
    settings, _ = served("--listen", "tcp://[::1]:1", "--unix", "a b", "--listen", "unix:///c")
    assert list(map(str, settings.endpoints)) == ["[::1]:1", "unix:///c", "unix://a b"]


@pytest.mark.parametrize("named", [("--port", "7"), ("--host", "h"), ("--port", "5000")])
def test_a_host_or_port_that_is_named_is_listened_at_too(
    served: Served, named: tuple[str, ...]
) -> None:
    settings, _ = served("--unix", "/a", *named)
    first, second = map(str, settings.endpoints)
    assert first == {"7": "localhost:7", "h": "h:5000", "5000": "localhost:5000"}[named[1]]
    assert second == "unix:///a"


def test_with_a_certificate_the_port_speaks_tls(served: Served) -> None:
    settings, options = served(*CERTIFICATE, "--tls-client-ca", PEM)
    assert list(map(str, settings.endpoints)) == ["tls://localhost:5000"]
    assert options["tls_files"] == TlsFiles(PEM, PEM, PEM)


def test_tls_can_be_one_endpoint_of_several(served: Served) -> None:
    settings, _ = served("--listen", "tls://h:1", "--listen", "tcp://h:2", *CERTIFICATE)
    assert list(map(str, settings.endpoints)) == ["tls://h:1", "h:2"]


NEEDED = {
    "--trust-proxy": ("--proxy-protocol", "required"),
    "--banner": ("--dialect", "inspect"),
}
"""Options that mean nothing without another one."""


@pytest.mark.parametrize(
    ("option", "value", "name", "expected"),
    [
        ("--unix-mode", "0660", "unix_mode", 0o660),
        ("--proxy-protocol", "required", "proxy_protocol", True),
        (
            "--trust-proxy",
            "10.0.0.0/8 fd00::1",
            "trusted_proxies",
            (ip_network("10.0.0.0/8"), ip_network("fd00::1")),
        ),
        (
            "--fault",
            "delay:2s@0.5 stall",
            "faults",
            (Fault(Kind.DELAY, 2, 0.5), Fault(Kind.STALL)),
        ),
        ("--fault-seed", "7", "fault_seed", 7),
        ("--banner", "1", "banner", True),
        ("--name", "azul", "name", "azul"),
        (
            "--listen",
            "tcp://h:1 unix:///a",
            "endpoints",
            (Endpoint(Scheme.TCP, "h", 1), Endpoint(Scheme.UNIX, path="/a")),
        ),
        ("--unix", "/a", "endpoints", (Endpoint(Scheme.UNIX, path="/a"),)),
    ],
)
def test_every_option_is_read_from_the_environment_by_its_own_name(
    *,
    served: Served,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    value: str,
    name: str,
    expected: Any,
) -> None:
    variable = f"TCPECHO_SERVE_{option[2:].upper().replace('-', '_')}"
    monkeypatch.setenv(variable, value)
    needed = NEEDED.get(option, ())
    assert getattr(served(*needed)[0], name) == expected
    monkeypatch.delenv(variable)
    if option != "--banner":
        words = [part for one in value.split() for part in (option, one)]
        assert getattr(served(*needed, *words)[0], name) == expected


def test_every_option_has_the_variable_that_its_name_says() -> None:
    for command in build_cli(ENGLISH).commands.values():
        for param in command.params:
            if isinstance(param, click.Argument):
                continue
            assert f"--{str(param.name).replace('_', '-')}" in param.opts, param.opts


def test_certificates_are_read_from_the_environment_too(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable in ("CERT", "KEY", "CLIENT_CA"):
        monkeypatch.setenv(f"TCPECHO_SERVE_TLS_{variable}", PEM)
    assert served()[1]["tls_files"] == TlsFiles(*[PEM] * 3)


def test_where_kubernetes_runs_it_is_part_of_its_identity(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POD_NAME", "echo-0")
    assert served()[0].identity == {"POD_NAME": "echo-0"}


def test_a_certificate_that_is_none_is_code_3_and_one_clear_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--lang", "en", *CERTIFICATE]) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert line == f"Error: cannot use {PEM}, {PEM}: PEM lib. Check the PEM files."


def test_a_key_of_another_certificate_is_said_in_openssls_words(
    certificates: Certificates, capsys: pytest.CaptureFixture[str]
) -> None:
    certificate, key = certificates.files.certificate, certificates.issue("stray").key
    assert main(["serve", "--lang", "en", "--tls-cert", certificate, "--tls-key", key]) == 3
    assert f"{certificate}, {key}: key values mismatch. " in capsys.readouterr().err


def test_a_hang_up_reads_the_certificate_again_and_a_broken_one_changes_nothing(
    certificates: Certificates,
) -> None:
    files = certificates.issue("process")
    with serving("--tls-cert", files.certificate, "--tls-key", files.key) as server:
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("Certificado TLS leído de nuevo")
        Path(files.certificate).write_text("no certificate")
        server.process.send_signal(signal.SIGHUP)
        server.wait_for("no se pudo leer de nuevo; sigue el anterior")
        context = certificates.client()
        with (
            socket.create_connection(("localhost", server.port)) as below,
            context.wrap_socket(below, server_hostname="localhost") as client,
        ):
            client.sendall(b"hola\n")
            assert client.recv(100) == b"HOLA\n"
