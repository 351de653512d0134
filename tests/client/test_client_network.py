"""The client over TLS, Unix sockets and with PROXY headers, against the real server."""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import trio
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from tcpecho_trio.client import ClientTls, open_client
from tcpecho_trio.errors import CannotConnect, CannotRead
from tests.support.processes import ROOT, ServerProcess, at_terminal, exit_code, run, serving

MESSAGES = ("-m", "hola", "-m", "INFORME")


class Lab:
    """A CA, a server and a client with their files."""

    def __init__(self, folder: Path) -> None:
        done = run("lab-certs", str(folder))
        assert done.returncode == 0, done.stderr.decode()
        assert done.stdout.decode().split() == [str(folder / name) for name in self.NAMES]
        self.folder = folder

    NAMES = ("ca.pem", "server.pem", "server.key", "client.pem", "client.key")

    def __getitem__(self, name: str) -> str:
        return str(self.folder / name)

    @property
    def server(self) -> tuple[str, ...]:
        return ("--tls-cert", self["server.pem"], "--tls-key", self["server.key"])

    @property
    def client(self) -> tuple[str, ...]:
        return ("--tls-cert", self["client.pem"], "--tls-key", self["client.key"])

    @property
    def trust(self) -> tuple[str, ...]:
        return ("--tls-ca", self["ca.pem"])


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("lab") / "new" / "folder")


def inspecting(*options: str) -> ServerProcess:
    return ServerProcess("--dialect", "inspect", *options)


def asked(server: ServerProcess, *options: str) -> dict[str, object]:
    """The client says hola and asks for the report."""
    done = run("client", "--port", str(server.port), "--dialect", "inspect", *options, *MESSAGES)
    assert done.returncode == 0, done.stderr.decode()
    hola, report = done.stdout.decode().splitlines()
    assert hola == "HOLA"
    told: dict[str, object] = json.loads(report)
    return told


def one_line(done: subprocess.CompletedProcess[bytes], code: int = 3) -> str:
    """The one line of an error."""
    assert (done.returncode, done.stdout) == (code, b"")
    (line,) = done.stderr.decode().splitlines()
    return line


def test_keys_of_a_lab_are_for_their_owner_and_never_overwritten(lab: Lab) -> None:
    for name in lab.NAMES:
        private = name.endswith(".key")
        assert (os.stat(lab[name]).st_mode & 0o777 == 0o600) == private  # noqa: PTH116
    before = Path(lab["server.key"]).read_bytes()
    again = one_line(run("lab-certs", str(lab.folder)), 1)
    assert again.endswith("ya existe, y ninguna clave se sobrescribe. Elige otra carpeta.")
    assert Path(lab["server.key"]).read_bytes() == before
    assert "no se puede escribir en" in one_line(run("lab-certs", "/proc/nowhere"), 1)


def test_without_its_extra_the_lab_says_what_to_install(tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['trustme'] = None\n"
        "from tcpecho_trio.cli import main\n"
        f"sys.exit(main(['lab-certs', {str(tmp_path)!r}]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, cwd=ROOT, check=False
    )
    assert one_line(done, 1) == (
        "Error: falta el extra tls-lab: pip install '.[tls-lab]' en la carpeta del proyecto."
    )


def test_tls_and_a_lot_through_it(lab: Lab) -> None:
    big = "una línea de texto\n" * 100_000
    with serving(*lab.server) as server:
        command = ("client", "--port", str(server.port), *lab.trust)
        assert run(*command, stdin=big.encode()).stdout == big.upper().encode()
        assert run(*command, "-m", "DESCONEXION").stdout.decode() == "Conexión cerrada\n"


def test_both_sides_know_each_other_over_mutual_tls(lab: Lab) -> None:
    server = inspecting(*lab.server, "--tls-client-ca", lab["ca.pem"])
    told = asked(server, *lab.trust, *lab.client)
    tls = told["tls"]
    assert isinstance(tls, dict)
    assert (tls["version"], tls["sni"], tls["alpn"]) == ("TLSv1.3", "localhost", "tcpecho")
    assert tls["client"]["commonName"] == "cliente"
    refused = run("client", "--port", str(server.port), *lab.trust, "-m", "hola")
    told_why = one_line(refused, 1)
    assert "pide un certificado de cliente" in told_why
    assert told_why.endswith("¿Pide --tls-cert?")
    assert server.stop() == 0


def test_a_full_server_says_over_tls_that_it_cannot_take_more(lab: Lab) -> None:
    with (
        serving(*lab.server, "--max-connections", "1") as server,
        socket.create_connection(("localhost", server.port)),
    ):
        refused = run("client", "--port", str(server.port), *lab.trust, "-m", "hola")
    assert "quizá está lleno" in one_line(refused)


def test_a_certificate_that_nobody_vouches_for_is_refused_unless_insecure(lab: Lab) -> None:
    with serving(*lab.server) as server:
        command = ("client", "--port", str(server.port), "-m", "hola")
        line = one_line(run(*command, "--tls"))
        assert "no se puede confiar en el certificado de localhost" in line
        assert "--tls-ca" in line
        wrong_name = one_line(run(*command, *lab.trust, "--sni", "other.example"))
        assert "other.example" in wrong_name
        assert run(*command, "--insecure").stdout == b"HOLA\n"


def test_tls_to_a_port_that_speaks_none_is_one_clear_line() -> None:
    with serving() as server:
        line = one_line(run("client", "--port", str(server.port), "--tls", "-m", "hola"))
    assert line.startswith(f"Error: localhost:{server.port} no aceptó TLS: ")


def test_a_key_that_cannot_be_read_is_one_clear_line(lab: Lab, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    wrong = ("--tls-cert", lab["client.pem"], "--tls-key", str(tmp_path / "empty"))
    line = one_line(run("client", "--tls", *wrong, "-m", "hola"))
    assert line.startswith("Error: no se puede usar ")
    line = one_line(run("serve", "--port", "0", *wrong))
    assert line.startswith("Error: no se puede usar ")


@pytest.mark.parametrize("command", ["serve", "client"])
def test_a_key_with_a_passphrase_is_an_error_and_not_a_question(
    lab: Lab, tmp_path: Path, command: str
) -> None:
    key = load_pem_private_key(Path(lab["server.key"]).read_bytes(), None)
    locked = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))
    (tmp_path / "locked.key").write_bytes(locked)
    files = ("--tls-cert", lab["server.pem"], "--tls-key", str(tmp_path / "locked.key"))
    with at_terminal(command, "--port", "0", *files) as terminal:
        terminal.expect("Error: no se puede usar ")
        assert exit_code(terminal) == 3


@pytest.mark.parametrize("command", ["serve", "client"])
def test_a_certificate_without_its_key_is_wrong_usage(lab: Lab, command: str) -> None:
    done = run(command, "--tls-cert", lab["client.pem"])
    assert done.returncode == 2
    assert "--tls-cert y --tls-key van juntos." in done.stderr.decode()


@pytest.mark.parametrize("version", ["v1", "v2"])
@pytest.mark.parametrize("secure", [False, True], ids=["plain", "over TLS"])
def test_a_proxy_header_before_everything_else(lab: Lab, version: str, secure: bool) -> None:
    server = inspecting("--proxy-protocol", "required", *(lab.server if secure else ()))
    told = asked(server, "--send-proxy", version, *(lab.trust if secure else ()))
    header = told["proxy"]
    assert isinstance(header, dict)
    assert f"v{header['version']}" == version
    assert header["source"] == told["peer"] == told["client"]
    assert server.stop() == 0


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_unix_socket_with_and_without_a_proxy_header(tmp_path: Path, version: str) -> None:
    path = str(tmp_path / "echo.sock")
    with_header = str(tmp_path / "proxied.sock")
    for at, options in ((path, ()), (with_header, ("--proxy-protocol", "required"))):
        server = subprocess.Popen(
            [sys.executable, "-m", "tcpecho_trio", "serve", "--unix", at, *options],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            cwd=ROOT,
        )
        assert server.stdout is not None
        with server.stdout:
            assert f"unix://{at}" in server.stdout.readline().decode()
            more = ("--send-proxy", version) if options else ()
            assert run("client", "--unix", at, *more, "-m", "hola").stdout == b"HOLA\n"
            server.terminate()
            assert server.wait() == 0
        assert not Path(at).exists()


def test_a_unix_socket_where_nobody_listens_is_one_clear_line(tmp_path: Path) -> None:
    line = one_line(run("client", "--unix", str(tmp_path / "nobody"), "-m", "hola"))
    assert line.startswith(f"Error: no se puede conectar a {tmp_path}/nobody: ")


async def test_the_library_speaks_tls_and_says_what_went_wrong(lab: Lab) -> None:
    with serving(*lab.server) as server:
        trusting = ClientTls(ca=lab["ca.pem"])
        async with open_client(port=server.port, tls=trusting) as client:
            assert await client.ask("hola") == "HOLA"
            assert await client.leave() == "Conexión cerrada"
        with pytest.raises(CannotConnect, match="cannot be trusted"):
            async with open_client(port=server.port, tls=ClientTls()):
                pass
        with pytest.raises(CannotRead):
            async with open_client(port=server.port, tls=ClientTls(ca="/nowhere")):
                pass


def test_a_server_that_stops_answering_in_the_handshake_is_not_waited_for() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        there = ("--host", "127.0.0.1", "--port", str(silent.getsockname()[1]))
        line = one_line(run("client", *there, "--insecure", "--timeout", "0.2", "-m", "hola"), 4)
    assert "0.2" in line


def test_a_server_that_ends_without_a_word_of_tls_has_ended(lab: Lab) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(lab["server.pem"], lab["server.key"])

    def serve_one() -> None:
        accepted, _ = listener.accept()
        with context.wrap_socket(accepted, server_side=True) as connection:
            while (message := connection.recv(100)) and not message.endswith(b"\n"):
                pass
            connection.sendall(b"HOLA\n")
            while connection.recv(100):
                pass

    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving_one = threading.Thread(target=serve_one)
        serving_one.start()
        port = listener.getsockname()[1]
        done = run("client", "--host", "127.0.0.1", "--port", str(port), *lab.trust, "-m", "hola")
        serving_one.join()
    assert (done.returncode, done.stdout, done.stderr) == (0, b"HOLA\n", b"")


class OldTls(ClientTls):
    """No newer than TLS 1.2, where a half-close is OpenSSL's own doing."""

    def context(self) -> ssl.SSLContext:
        context = super().context()
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        return context


@pytest.mark.parametrize("kind", [ClientTls, OldTls])
async def test_everything_comes_back_after_a_half_close(lab: Lab, kind: type[ClientTls]) -> None:
    text = "una línea de texto\n".encode() * 100_000
    with serving("--quiet", *lab.server) as server:
        async with (
            open_client(port=server.port, tls=kind(ca=lab["ca.pem"])) as client,
            trio.open_nursery() as nursery,
        ):

            async def send() -> None:
                await client.send(text)
                await client.end_input()

            nursery.start_soon(send)
            received = bytearray()
            while data := await client.receive():
                received += data
    assert received.decode() == text.decode().upper()
