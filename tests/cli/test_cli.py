"""The command line as real processes: options, signals, descriptors, errors, exit codes."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
from collections.abc import Callable
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import click
import pexpect
import pytest

from tcpecho_trio import __version__
from tcpecho_trio.cli import main
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.server import Settings
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault, Kind
from tcpecho_trio.server.tls import TlsFiles
from tcpecho_trio.texts import ENGLISH
from tests.support.certificates import Certificates
from tests.support.ports import free_ports
from tests.support.processes import (
    PROGRAM,
    ROOT,
    at_terminal,
    exit_code,
    run,
    serving,
)


def test_version() -> None:
    done = run("--version")
    assert (done.returncode, done.stdout.decode()) == (0, f"tcpecho_trio, version {__version__}\n")


@pytest.mark.parametrize("command", [(), ("serve",), ("client",), ("demo",)])
def test_help_reads_well_in_both_languages(command: tuple[str, ...]) -> None:
    spanish = run(*command, "--help")
    assert spanish.returncode == 0
    assert spanish.stdout.decode().startswith("Uso: python -m tcpecho_trio")
    assert "Muestra esta ayuda" in spanish.stdout.decode()
    assert not re.search(r"\b(Usage|Options|default|Show)\b", spanish.stdout.decode())
    assert not re.search(
        r"\b(TEXT|INTEGER|RANGE|FILE|PATH|NAME|SECONDS)\b", spanish.stdout.decode()
    )
    english = run(*command, "--help", env={"TCPECHO_LANG": "en"})
    assert english.stdout.decode().startswith("Usage: python -m tcpecho_trio")
    assert not re.search(r"[áéíóúñ¿]", english.stdout.decode())
    assert max(map(len, spanish.stdout.decode().splitlines())) <= 80


def test_the_language_comes_from_the_option_or_the_environment() -> None:
    assert b"Usage: " in run("serve", "--lang", "en", "--help").stdout
    assert b"Usage: " in run("serve", "--lang=en", "--help").stdout
    assert b"Usage: " in run("--lang", "en", "serve", "--help").stdout
    assert b"DIR is missing" in run("lab-certs", env={"TCPECHO_LAB_CERTS_LANG": "en"}).stderr
    assert b"Usage: " in run("serve", "--help", env={"TCPECHO_SERVE_LANG": "en"}).stdout
    assert b"Uso: " in run("client", "--help", env={"TCPECHO_SERVE_LANG": "en"}).stdout
    assert run("serve", "--lang", "fr").returncode == 2


WRONG = [
    (
        "serve --port 70000",
        "--port: «70000» no vale; se espera un número entero de 0 a 65535.",
        "--port: “70000” will not do; expected: a whole number from 0 to 65535.",
    ),
    (
        "serve --port x",
        "--port: «x» no vale; se espera un número entero de 0 a 65535.",
        "--port: “x” will not do; expected: a whole number from 0 to 65535.",
    ),
    (
        "serve --max-connections 0",
        "--max-connections: «0» no vale; se espera un número entero, 1 o más.",
        "--max-connections: “0” will not do; expected: a whole number, 1 or more.",
    ),
    (
        "client --dialect \x1b[2J",
        "--dialect: «\\x1b[2J» no vale; se espera una de estas palabras: {dialects}.",
        "--dialect: “\\x1b[2J” will not do; expected: one of {dialects}.",
    ),
    (
        "serve --drain-timeout -1",
        "--drain-timeout: «-1» no vale; se espera un número de segundos, 0 o más.",
        "--drain-timeout: “-1” will not do; expected: a number of seconds, 0 or more.",
    ),
    (
        "client --timeout 0",
        "--timeout: «0» no vale; se espera un número de segundos mayor que 0.",
        "--timeout: “0” will not do; expected: a number of seconds above 0.",
    ),
    (
        "client -m hola\nadios",
        "-m / --message: «hola\\x0aadios» no vale; se espera una sola línea por cada -m.",
        "-m / --message: “hola\\x0aadios” will not do; expected: one line for each -m.",
    ),
    (
        "serve --xyzzy",
        "no existe la opción --xyzzy.",
        "there is no option --xyzzy.",
    ),
    (
        "serve --prt 5000",
        "no existe la opción --prt. ¿Querías decir --port, --portable?",
        "there is no option --prt. Did you mean --port, --portable?",
    ),
    (
        "servir",
        "no existe la orden servir; las que hay: serve, client, load, cluster, lab-certs, demo.",
        (
            "there is no command servir; those that there are:"
            " serve, client, load, cluster, lab-certs, demo."
        ),
    ),
    (
        "client --sni a..b",
        "--sni: «a..b» no vale; se espera un nombre o una dirección.",
        "--sni: “a..b” will not do; expected: a name or an address.",
    ),
    ("serve 5000 6000", "sobra: 5000 6000", "too much: 5000 6000"),
    ("serve --port", "--port necesita un valor.", "--port needs a value."),
    ("serve --help=x", "--help no lleva ningún valor.", "--help takes no value."),
    ("client --tls=yes", "--tls no lleva ningún valor.", "--tls takes no value."),
    ("lab-certs", "falta DIR.", "DIR is missing."),
]
"""What is wrong, and what is said about it in Spanish and in English."""


@pytest.mark.parametrize(("wrong", "spanish", "english"), WRONG)
def test_wrong_usage_is_told_in_the_users_language(
    wrong: str, spanish: str, english: str, capsys: pytest.CaptureFixture[str]
) -> None:
    dialects = ", ".join(DIALECTS)
    command, *rest = wrong.split(" ")
    for variable, told, hint in (("es", spanish, "Prueba"), ("en", english, "Try")):
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("TCPECHO_LANG", variable)
            assert main([command, *rest]) == 2
        out, err = capsys.readouterr()
        error, help_line = err.splitlines()
        assert error == f"Error: {told.format(dialects=dialects)}"
        assert help_line.startswith(f"{hint}: python -m tcpecho_trio")
        assert out == ""


def test_a_wrong_value_in_the_environment_is_told_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TCPECHO_SERVE_TRUST_PROXY", "10.0.0.0/8 10.0.0.1/8")
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("Error: TCPECHO_SERVE_TRUST_PROXY: «10.0.0.1/8» no")
    monkeypatch.setenv("TCPECHO_SERVE_BANNER", "quizá")
    monkeypatch.delenv("TCPECHO_SERVE_TRUST_PROXY")
    assert main(["serve"]) == 2
    assert capsys.readouterr().err.startswith("Error: TCPECHO_SERVE_BANNER: se espera 1 o 0.\n")


def test_wrong_usage_is_code_2_of_the_process() -> None:
    done = run("serve", "--port", "70000")
    assert (done.returncode, done.stdout) == (2, b"")


PEM = str(ROOT / "pyproject.toml")
FILES = ("--tls-cert", PEM, "--tls-key", PEM)
"""Files that there are; what is in them is not looked at before the options are right."""


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--listen", "localhost:5000"), "tcp://host:port, tls://"),
        (("--listen", "tcp://localhost"), "tcp://host:port"),
        (("--listen", "tcp://localhost:70000"), "--listen"),
        (("--listen", "unix://run/echo.sock"), "unix:///path"),
        (("--host", ""), "a name or an address"),
        (("--listen", "tls://localhost:5001"), "--tls-cert"),
        (("--unix", "x" * 100), "99 bytes"),
        (("--unix", ""), "99 bytes"),
        (("--unix-mode", "999"), "660"),
        (("--unix-mode", "rw-rw----"), "660"),
        (("--tls-cert", "no-such-file.pem"), "no-such-file.pem"),
        (("--tls-cert", str(ROOT)), str(ROOT)),
        (FILES[:2], "--tls-key"),
        (FILES[2:], "--tls-cert"),
        (("--tls-client-ca", PEM), "--tls-client-ca"),
        (("--proxy-protocol", "sometimes"), "required"),
        (("--trust-proxy", "10.0.0.0/8"), "--proxy-protocol required"),
        (("--banner",), "--dialect inspect"),
        (("--trust-proxy", "localhost"), "localhost"),
        (("--trust-proxy", "10.0.0.1/8"), "10.0.0.1/8"),
        (("--trust-proxy", "10.0.0.0/33"), "10.0.0.0/33"),
        (("--fault", "explode"), "explode"),
        (("--fault", "delay:200"), "delay:200"),
        (("--fault", "reset:1@2"), "reset:1@2"),
        (("--fault-seed", "x"), "a whole number"),
        (("--idle-timeout", "nan"), "nan"),
        (("--max-connections", "0"), "--max-connections"),
    ],
)
def test_each_wrong_value_is_code_2_and_one_clear_line(
    arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["serve", "--lang", "en", *arguments]) == 2
    out, err = capsys.readouterr()
    error, hint = err.splitlines()
    assert error.startswith("Error: ")
    assert told in error
    assert hint == "Try: python -m tcpecho_trio serve --help"
    assert out == ""


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
    settings, options = served(*FILES, "--tls-client-ca", PEM)
    assert list(map(str, settings.endpoints)) == ["tls://localhost:5000"]
    assert options["tls_files"] == TlsFiles(PEM, PEM, PEM)


def test_tls_can_be_one_endpoint_of_several(served: Served) -> None:
    settings, _ = served("--listen", "tls://h:1", "--listen", "tcp://h:2", *FILES)
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
    assert main(["serve", "--lang", "en", *FILES]) == 3
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


def test_no_command_shows_the_help() -> None:
    done = run()
    assert done.returncode == 2
    assert "Órdenes:" in done.stdout.decode()


def test_options_are_read_from_the_environment() -> None:
    with serving("--dialect", "echo") as server:
        done = run("client", "-m", "hola", env={"TCPECHO_CLIENT_PORT": str(server.port)})
        assert done.stdout == b"hola\n"


def test_nobody_listening_is_one_clear_line_and_code_3() -> None:
    (port,) = free_ports(1)
    done = run("client", "--port", str(port), "-m", "hola")
    assert done.returncode == 3
    (line,) = done.stderr.decode().splitlines()
    assert line == (
        f"Error: nadie escucha en localhost:{port}. ¿Está encendido el servidor?"
        f" python -m tcpecho_trio serve --port {port}"
    )


def test_one_shot_messages_print_their_replies_and_nothing_else() -> None:
    with serving("--dialect", "admin") as server:
        port = str(server.port)
        done = run("client", "--port", port, "--dialect", "admin", "-m", "hola", "-m", "LISTAR")
        assert re.fullmatch(
            rb"HOLA\nClientes conectados:\n127\.0\.0\.1:\d+\n", done.stdout.replace(b"[::1]", b"")
        )
        assert (done.returncode, done.stderr) == (0, b"")


def test_a_pipe_is_answered_to_its_last_byte() -> None:
    with serving() as server:
        text = ("ñandú €\n" * 50_000 + "DESCO").encode()
        done = run("client", "--port", str(server.port), stdin=text)
        assert done.stdout == text.decode().upper().encode()
        assert (done.returncode, done.stderr) == (0, b"")
        done = run("client", "--port", str(server.port), stdin=b"hola servidor\nDESCONEXION\n")
        assert done.stdout.decode() == "HOLA SERVIDOR\nConexión cerrada\n"
        assert done.returncode == 0


def test_a_file_and_nothing_at_all_as_input(tmp_path: Path) -> None:
    file = tmp_path / "text"
    file.write_text("hola\n" * 1000)
    with serving() as server, file.open() as text:
        client = [*PROGRAM, "client", "--port", str(server.port)]
        done = subprocess.run(client, stdin=text, capture_output=True, cwd=ROOT, check=True)
        assert done.stdout == b"HOLA\n" * 1000
        done = subprocess.run(
            client, stdin=subprocess.DEVNULL, capture_output=True, cwd=ROOT, check=True
        )
        assert done.stdout == b""


def test_a_reader_that_leaves_ends_the_client_in_silence() -> None:
    with serving() as server:
        script = f"yes | head -c 10000000 | {' '.join(PROGRAM)} client --port {server.port}"
        done = subprocess.run(
            ["bash", "-c", f"({script}; echo rc=$? >&2) | head -1"],
            capture_output=True,
            cwd=ROOT,
            check=True,
        )
        assert done.stdout == b"Y\n"
        assert done.stderr == b"rc=1\n"


@pytest.mark.usefixtures("terminal")
def test_a_server_that_leaves_is_said_at_once_at_the_prompt() -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        server.type("cerrarservidor")
        client.expect_exact("Error: el servidor cerró la conexión. ")
        assert exit_code(client) == 1
        assert server.finish() == 0


@pytest.mark.usefixtures("terminal")
@pytest.mark.parametrize("how", ["Ctrl-C", "Ctrl-D"])
def test_ctrl_c_and_ctrl_d_leave_cleanly(how: str) -> None:
    with serving() as server, at_terminal("client", "--port", str(server.port)) as client:
        client.expect_exact("Ingresa un mensaje: ")
        client.sendintr() if how == "Ctrl-C" else client.sendeof()
        client.expect_exact("Solicitando desconexión del servidor...\r\n")
        client.expect_exact("Respuesta del servidor: Conexión cerrada\r\n")
        assert exit_code(client) == 0
        server.wait_for("Cliente solicitó desconexión")


@pytest.mark.usefixtures("terminal")
def test_a_second_ctrl_c_waits_for_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        with at_terminal("client", "--host", "127.0.0.1", "--port", port) as client:
            client.expect_exact("Ingresa un mensaje: ")
            client.sendintr()
            client.expect_exact("Solicitando desconexión")
            client.sendintr()
            client.expect(pexpect.EOF)


def test_ctrl_c_in_a_pipe_is_one_line_and_code_1() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = str(silent.getsockname()[1])
        client = subprocess.Popen(
            [*PROGRAM, "client", "--host", "127.0.0.1", "--port", port],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
        )
        connection, _ = silent.accept()
        with connection:
            client.send_signal(signal.SIGINT)
            _, err = client.communicate()
        assert (client.returncode, err.decode()) == (1, "Error: Interrumpido.\n")


def test_the_demo_passes() -> None:
    done = run("demo")
    assert done.returncode == 0
    assert "Las dos pruebas del ejercicio pasaron." in done.stdout.decode()
