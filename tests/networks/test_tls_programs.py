"""TLS as other programs speak it, and a certificate that is replaced meanwhile."""

from __future__ import annotations

import re
import shutil
import signal
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.networks.backend import ask, backend, connect, leave, reported
from tests.networks.conftest import Keys
from tests.networks.programs import run_program
from tests.support.processes import run
from tests.support.victim import Victim

TALK = "mañana\nINFORME\nDESCONEXION\n"
REFUSED = frozenset({"tls_refused"})


@pytest.fixture(scope="module")
def server(keys: Keys) -> Iterator[Victim]:
    # The others' faults are journalled; each test looks for those that it is about.
    with backend(
        *("--tls-cert", keys.server, "--tls-key", keys.server_key), expected=REFUSED
    ) as victim:
        yield victim


def s_client(server: Victim, *options: str, fails: bool = False) -> str:
    """OpenSSL's own client; what it wrote."""
    where = ("-connect", f"127.0.0.1:{server.port}", "-quiet", "-verify_return_error")
    done = run_program("openssl", "s_client", *where, *options, stdin=TALK, fails=fails)
    return done.stdout


@pytest.mark.parametrize(("option", "version"), [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")])
def test_openssl_speaks_each_version(server: Victim, keys: Keys, option: str, version: str) -> None:
    names = ("-servername", "backend.example", "-alpn", "h2,tcpecho")
    said = s_client(server, option, *names, "-CAfile", keys.ca)
    assert said.startswith("MAÑANA\n")
    assert said.endswith("Conexión cerrada\n")
    seen = reported(said)["tls"]
    assert (seen["version"], seen["sni"], seen["alpn"]) == (version, "backend.example", "tcpecho")
    assert (seen["cipher"].isprintable(), seen["client"]) == (True, None)


def test_a_client_without_names_is_served_and_reported_so(server: Victim, keys: Keys) -> None:
    seen = reported(s_client(server, "-noservername", "-CAfile", keys.ca))["tls"]
    assert (seen["sni"], seen["alpn"]) == (None, None)


def test_a_client_that_does_not_know_our_authority_leaves_and_the_journal_says_why(
    keys: Keys,
) -> None:
    options = ("--tls-cert", keys.server, "--tls-key", keys.server_key)
    with backend(*options, expected=REFUSED) as server:
        assert s_client(server, "-CAfile", keys.stranger, fails=True) == ""
        assert "unknown_ca" in server.wait_for("tls_refused")["error"].lower()


@pytest.mark.parametrize(
    ("version", "certificate", "reason"),
    [
        ("-tls1_2", "client", None),
        ("-tls1_3", "client", None),
        # In TLS 1.3 the client learns of it only after it thinks that all is well.
        ("-tls1_3", None, "PEER_DID_NOT_RETURN_A_CERTIFICATE"),
        ("-tls1_3", "stranger", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
def test_a_certificate_that_is_demanded(
    keys: Keys, version: str, certificate: str | None, reason: str | None
) -> None:
    options = ("--tls-cert", keys.server, "--tls-key", keys.server_key)
    with backend(*options, "--tls-client-ca", keys.ca, expected=REFUSED) as server:
        shown = ("-cert", getattr(keys, certificate)) if certificate else ()
        said = s_client(server, version, "-CAfile", keys.ca, *shown, fails=bool(reason))
        if reason is None:
            assert reported(said)["tls"]["client"]["commonName"] == "ana"
        else:
            assert said == ""
            assert server.wait_for("tls_refused")["error"] == reason


def test_socat_speaks_tls(server: Victim, keys: Keys) -> None:
    address = f"OPENSSL:127.0.0.1:{server.port},cafile={keys.ca},commonname=backend.example"
    done = run_program("socat", "-t", "20", "-", address, stdin=TALK)
    assert done.stdout.startswith("MAÑANA\n")
    assert reported(done.stdout)["tls"]["sni"] == "backend.example"


def test_ncat_speaks_tls(server: Victim, keys: Keys) -> None:
    verify = ("--ssl-verify", "--ssl-trustfile", keys.ca, "--ssl-servername", "backend.example")
    arguments = ("--ssl", *verify, "127.0.0.1", str(server.port))
    done = run_program("ncat", *arguments, stdin=TALK)
    assert done.stdout.startswith("MAÑANA\n")
    assert reported(done.stdout)["tls"]["sni"] == "backend.example"


def test_curl_gets_its_own_words_in_upper_case(server: Victim) -> None:
    url = f"https://127.0.0.1:{server.port}/hola"
    done = run_program("curl", "-sSk", "--http1.1", "--max-time", "20", url, fails=True)
    assert "HTTP/0.9" in done.stderr  # for what it got is no status line: GET /HOLA HTTP/1.1
    with_zero_nine = ("-sSk", "--http0.9", "--no-keepalive", "--max-time", "0.5")
    done = run_program("curl", *with_zero_nine, "--http1.1", url, fails=True)
    assert done.stdout.startswith("GET /HOLA HTTP/1.1\n")


def test_curl_introduces_itself_with_a_proxy_header() -> None:
    with backend("--proxy-protocol", "required") as server:
        url = f"http://127.0.0.1:{server.port}/hola"
        done = run_program("curl", "-sS", "--haproxy-protocol", "--max-time", "20", url, fails=True)
        assert "HTTP/0.9" in done.stderr
        assert server.wait_for("received")["text"] == "GET /hola HTTP/1.1"


def served_certificate(client: ssl.SSLSocket) -> str:
    """The name in the certificate that the server has shown."""
    (name,) = re.findall("the (?:first|second)", str(client.getpeercert()))
    return str(name)


def test_a_new_certificate_is_for_newcomers_and_a_broken_one_for_nobody(
    keys: Keys, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "server.pem", tmp_path / "server.key"

    def put(new_certificate: str, new_key: str) -> None:
        shutil.copy(new_certificate, certificate)
        shutil.copy(new_key, key)
        server.process.send_signal(signal.SIGHUP)

    def newcomer() -> ssl.SSLSocket:
        return context.wrap_socket(connect(server.port), server_hostname="backend.example")

    context = ssl.create_default_context(cafile=keys.ca)
    shutil.copy(keys.server, certificate)
    shutil.copy(keys.server_key, key)
    with backend("--tls-cert", str(certificate), "--tls-key", str(key)) as server:
        old = newcomer()
        with old:
            assert served_certificate(old) == "the first"
            put(keys.next, keys.next_key)
            server.wait_for("tls_reloaded")
            with newcomer() as new:
                assert served_certificate(new) == "the second"
                leave(new)
            put(keys.server_key, keys.next_key)  # no certificate at all
            assert server.wait_for("tls_kept")["error"]
            with newcomer() as newest:
                assert served_certificate(newest) == "the second"
                leave(newest)
            assert ask(old, "sigues ahí") == "SIGUES AHÍ"
            leave(old)


@pytest.mark.parametrize("what", ["no certificate", "another key"])
def test_files_that_cannot_be_used_are_named_in_one_line(keys: Keys, what: str) -> None:
    certificate = keys.server if what == "another key" else keys.server_key
    done = run("serve", "--port", "0", "--tls-cert", certificate, "--tls-key", keys.next_key)
    assert (done.returncode, done.stdout) == (3, b"")
    (line,) = done.stderr.decode().splitlines()
    assert f"{certificate}, {keys.next_key}" in line
    assert "unknown error" not in line
