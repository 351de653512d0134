"""Help, languages, and wrong usage: one clear line, and code 2."""

from __future__ import annotations

import re

import pytest

from tcpecho_trio import __version__
from tcpecho_trio.cli import main
from tcpecho_trio.dialects import DIALECTS
from tests.support.processes import CERTIFICATE, PEM, ROOT, run


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
        (CERTIFICATE[:2], "--tls-key"),
        (CERTIFICATE[2:], "--tls-cert"),
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
