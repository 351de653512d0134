"""The recipes of docs/proxies.md, as the programs that they are for read them, and two tables."""

from __future__ import annotations

import re
import shlex
import subprocess
from pathlib import Path

from tcpecho_trio.server.faults import Kind
from tests.networks.backend import ask, backend, connect, report
from tests.networks.programs import program, run_program
from tests.support.pages import page

PROXIES = page("docs/proxies.md").text


def test_haproxy_accepts_its_recipe(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"```haproxy\n(.*?)```", PROXIES, re.DOTALL)
    configuration = tmp_path / "haproxy.cfg"
    configuration.write_text(recipe)
    run_program("haproxy", "-c", "-q", "-f", str(configuration))


def test_the_tls_recipe_works(tmp_path: Path) -> None:
    (recipe,) = re.findall(r"^openssl req.*", PROXIES, re.MULTILINE)
    program("openssl")
    subprocess.run(shlex.split(recipe), cwd=tmp_path, capture_output=True, check=True)
    files = ("--tls-cert", str(tmp_path / "cert.pem"), "--tls-key", str(tmp_path / "key.pem"))
    with backend("--host", "localhost", *files) as server:
        (client,) = re.findall(r"^printf '.*openssl s_client.*", PROXIES, re.MULTILINE)
        client = client.replace("5443", str(server.port))
        done = subprocess.run(
            ["bash", "-c", client], cwd=tmp_path, capture_output=True, text=True, check=True
        )
    assert done.stdout.startswith("HOLA\n")
    assert done.stdout.endswith("Conexión cerrada\n")


def test_the_report_has_the_keys_that_are_explained() -> None:
    table = page("docs/inspect.md").text
    explained = re.findall(r"`(\w+)`", " ".join(re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)))
    with backend() as server, connect(server.port) as client:
        assert list(report(client)) == explained


def test_the_faults_that_are_explained_exist() -> None:
    rows = re.findall(r"^\| (`.*?) \|", page("docs/faults.md").text, re.MULTILINE)
    specs = re.findall(r"`([a-z]+(?::[0-9a-z]+)?)`", " ".join(rows))
    assert {spec.partition(":")[0] for spec in specs} == {kind.value for kind in Kind}
    options = [option for spec in specs for option in ("--fault", f"{spec}@0")]
    with backend(*options) as server, connect(server.port) as client:
        assert ask(client, "hola") == "HOLA"
