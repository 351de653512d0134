"""Our client with each of the five exercises' servers: its texts, and the server's own replies.

The servers are doubles that answer as the originals do, see ``old_servers.py``; the words on the
screen are those of the exercises' READMEs.
"""

from __future__ import annotations

import pexpect
import pytest

from tests.support.old_servers import OldServer
from tests.support.processes import at_terminal, exit_code, run


@pytest.fixture(autouse=True)
def plain_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """These tests are about words, not about how a screen is drawn: that is test_editor's."""
    monkeypatch.setenv("TERM", "dumb")


GREETING = "Conexión exitosa. Usa 'LISTAR' para ver clientes."


def start(server: OldServer, *options: str) -> list[str]:
    host = ("--host", "127.0.0.1", "--port", str(server.port))
    return ["client", *host, "--framing", "raw", *options]


def talk(
    server: OldServer, *typed: tuple[str, str], options: tuple[str, ...] = (), farewell: str = ""
) -> None:
    """A person types each line and reads its reply; the last line is how they leave."""
    *messages, (word, _) = typed
    with at_terminal(*start(server, *options)) as screen:
        screen.expect_exact(f"Cliente conectado al servidor en 127.0.0.1:{server.port}\r\n")
        for message, reply in messages:
            screen.expect_exact("Ingresa un mensaje: ")
            screen.sendline(message)
            screen.expect_exact(f"{message}\r\n")
            screen.expect_exact(f"Respuesta del servidor: {reply}\r\n")
        screen.expect_exact("Ingresa un mensaje: ")
        screen.sendline(word)
        screen.expect_exact("Solicitando desconexión del servidor...\r\n")
        if farewell:
            screen.expect_exact(f"Respuesta del servidor: {farewell}\r\n")
        assert exit_code(screen) == 0
    assert server.chunks[-1] == word.encode()  # the word alone
    assert server.endings == ["left"]  # and neither a reset nor a bare end of input


@pytest.mark.parametrize("seed", ["000", "001"])
def test_seeds_000_and_001_close_in_silence(seed: str) -> None:
    with OldServer() as server:
        talk(server, ("hola servidor", "HOLA SERVIDOR"), ("DESCONEXION", ""))
    assert server.chunks == [b"hola servidor", b"DESCONEXION"]


def test_seed_002_greets_lists_and_is_left_by_apagar() -> None:
    leaving = {"APAGAR": "Desconectado del servidor.", "DESCONEXION": "SERVIDOR CERRÁNDOSE..."}

    def reply(text: str) -> str:
        listing = "Clientes conectados:\n127.0.0.1:50000"
        return listing if text == "LISTAR" else f"Eco: {text.upper()}"

    with OldServer(reply=reply, leaving=leaving, greeting=GREETING) as server:
        talk(
            server,
            ("hola", "Eco: HOLA"),
            ("APAGAR", ""),
            options=("--dialect", "admin"),
            farewell="Desconectado del servidor.",
        )
        listed = run(*start(server, "--dialect", "admin", "-m", "LISTAR"))
        assert listed.stdout.decode() == "Clientes conectados:\n127.0.0.1:50000\n"
    assert server.endings == ["left", "left"]
    assert server.chunks[-1] == b"APAGAR"  # DESCONEXION would stop the whole server


def test_seed_003_answers_its_salutation_and_nothing_to_a_blank_message() -> None:
    def reply(text: str) -> str:
        return "HOLA CLIENTE" if text == "hola servidor" else text.strip().upper()

    with OldServer(reply=reply) as server, at_terminal(*start(server)) as screen:
        screen.expect_exact("Ingresa un mensaje: ")
        screen.sendline("   ")
        screen.expect_exact("un mensaje en blanco no recibe respuesta")
        screen.expect_exact("Ingresa un mensaje: ")
        screen.sendline("hola servidor")
        screen.expect_exact("Respuesta del servidor: HOLA CLIENTE\r\n")
        screen.sendline("DESCONEXION")
        assert exit_code(screen) == 0
    assert server.chunks == [b"hola servidor", b"DESCONEXION"]


def test_seed_004_says_a_farewell() -> None:
    with OldServer(leaving={"DESCONEXION": "Conexión cerrada"}) as server:
        talk(
            server,
            ("hola servidor", "HOLA SERVIDOR"),
            ("DESCONEXION", ""),
            farewell="Conexión cerrada",
        )


def test_a_person_is_told_that_they_wait_for_their_turn_and_ctrl_c_leaves() -> None:
    with OldServer() as server, at_terminal(*start(server)) as first:
        first.expect_exact("Ingresa un mensaje: ")
        first.sendline("hola")
        first.expect_exact("HOLA\r\n")
        with at_terminal(*start(server)) as second:
            second.expect_exact("Ingresa un mensaje: ")
            second.sendline("segundo")
            second.expect_exact("Esperando turno")
            first.sendline("DESCONEXION")
            assert exit_code(first) == 0
            second.expect_exact("Respuesta del servidor: SEGUNDO\r\n")
            second.sendintr()
            second.expect_exact("Solicitando desconexión")
            second.expect(pexpect.EOF)
    assert server.endings == ["left", "left"]
