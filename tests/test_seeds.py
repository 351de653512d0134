"""Each of the five exercises, through the real command line, word for word."""

from __future__ import annotations

import socket
import subprocess

import pytest

from tests.support import processes
from tests.support.ports import free_ports
from tests.support.processes import OldClient, at_terminal, exit_code, matched, serving
from tests.support.screens import ENTER, screen

pytestmark = pytest.mark.usefixtures("path")  # on the pump, and without it


def test_seed_000_its_two_manual_tests_on_both_consoles() -> None:
    with at_terminal("serve", "--port", "0", *processes.PATH) as server:
        server.expect(r"Servidor TCP activo en localhost:(\d+) y esperando conexiones\.\.\.")
        port = matched(server)
        with screen([*processes.PROGRAM, "client", "--port", port]) as client:
            # 1. MENSAJE ESTANDAR
            client.see_prompt(after=f"Cliente conectado al servidor en localhost:{port}")
            client.press("hola servidor", ENTER)
            server.expect_exact("Mensaje recibido: hola servidor\r\n")
            server.expect_exact("Respuesta enviada: HOLA SERVIDOR\r\n")
            # 2. DESCONEXION
            client.see_prompt(after="Respuesta del servidor: HOLA SERVIDOR")
            client.press("DESCONEXION", ENTER)
            server.expect_exact("Mensaje recibido: DESCONEXION\r\n")
            server.expect_exact("Cliente solicitó desconexión. Cerrando conexión...\r\n")
            assert client.end() == 0
            assert client.lines == [
                f"Cliente conectado al servidor en localhost:{port}",
                "Ingresa un mensaje: hola servidor",
                "Respuesta del servidor: HOLA SERVIDOR",
                "Ingresa un mensaje: DESCONEXION",
                "Solicitando desconexión del servidor...",
                "Respuesta del servidor: Conexión cerrada",
            ]
        server.sendline("cerrarservidor")
        server.expect_exact("Servidor detenido: ")
        assert exit_code(server) == 0


def test_seed_000_cerrarservidor_closes_every_session() -> None:
    with serving() as server:
        with OldClient(server.port) as old:
            assert old.ask("hola") == "HOLA"
            server.type("cerrarservidor")
            assert old.hear() == ""
        assert server.finish() == 0


def test_seed_000_host_and_port_are_configurable() -> None:
    (port,) = free_ports(1)
    with serving("--host", "127.0.0.2", "--port", str(port)) as server:
        assert server.lines[0].startswith(f"Servidor TCP activo en 127.0.0.2:{port} ")
        with socket.create_connection(("127.0.0.2", port)) as peer:
            peer.send(b"hola")
            assert peer.recv(1024) == b"HOLA"


def test_seed_001_case_1_the_connection_is_established() -> None:
    with serving() as server, OldClient(server.port) as old:
        assert old.ask("hola servidor") == "HOLA SERVIDOR"
        server.wait_for("Mensaje recibido: hola servidor$")


def test_seed_001_case_2_after_a_disconnection_the_server_goes_on() -> None:
    with serving() as server:
        for _ in range(2):
            leaving = OldClient(server.port)
            assert leaving.ask("adiós") == "ADIÓS"
            leaving.send_and_close("DESCONEXION")  # 000, 001 and 003 read nothing more
        server.wait_for("Cliente solicitó desconexión. Cerrando conexión...$")
        with OldClient(server.port) as next_one:
            assert next_one.ask("hola") == "HOLA"


def test_seed_002_its_unmodified_client_waits_for_the_greeting() -> None:
    with serving("--dialect", "admin") as server:
        first, second = OldClient(server.port), OldClient(server.port)
        for old in (first, second):
            assert old.hear() == "Conexión exitosa. Usa 'LISTAR' para ver clientes."
        assert first.ask("hola") == "HOLA"
        assert first.ask("HOLA CLIENTE") == "HOLA CLIENTE"
        addresses = [":".join(map(str, old.socket.getsockname()[:2])) for old in (first, second)]
        assert first.ask("LISTAR") == "\n".join(["Clientes conectados:", *addresses])
        assert first.ask("APAGAR") == "Desconectado del servidor."
        assert first.hear() == ""
        first.socket.close()
        assert second.ask("sigo aquí") == "SIGO AQUÍ"
        second.send_and_close("DESCONEXION")
        assert server.finish() == 0
        assert any("pedido por" in line for line in server.lines)


def test_seed_002_in_our_client() -> None:
    with serving("--dialect", "admin") as server:
        with at_terminal("client", "--dialect", "admin", "--port", str(server.port)) as client:
            client.expect_exact("Ingresa un mensaje: ")
            client.sendline("LISTAR")
            client.expect_exact("Respuesta del servidor: Clientes conectados:\r\n127.0.0.1:")
            client.expect_exact("Ingresa un mensaje: ")
            client.sendline("DESCONEXION")
            client.expect_exact("Respuesta del servidor: SERVIDOR CERRÁNDOSE...\r\n")
            assert exit_code(client) == 0
        assert server.finish() == 0


def test_seed_003_its_two_manual_tests() -> None:
    with serving() as server:
        with at_terminal("client", "--port", str(server.port)) as client:
            client.sendline("un mensaje normal")
            client.expect_exact("UN MENSAJE NORMAL")
            client.sendline("DESCONEXION")
            assert exit_code(client) == 0
        server.wait_for("Cliente solicitó desconexión")
        server.wait_for("Conexión terminada")


def test_seed_003_its_example_of_a_salutation() -> None:
    with serving("--dialect", "salutation") as server:
        old = OldClient(server.port)
        assert old.ask("hola servidor") == "HOLA CLIENTE"
        assert old.ask("otra cosa") == "OTRA COSA"
        old.send_and_close("DESCONEXION")
        server.wait_for("Cliente solicitó desconexión")


def test_seed_004_its_transcript() -> None:
    with serving() as server, OldClient(server.port) as old:
        assert old.ask("hola servidor") == "HOLA SERVIDOR"
        assert old.ask("DESCONEXION") == "Conexión cerrada"
        assert old.hear() == ""


def test_nc_telnet_and_old_clients_on_one_port_at_the_same_time() -> None:
    with serving() as server, OldClient(server.port) as old:
        assert old.ask("hola") == "HOLA"
        for sent, answered in (
            (b"hola servidor\nDESCONEXION\n", "HOLA SERVIDOR\nConexión cerrada\n"),
            (b"hola\r\nDESCONEXION\r\n", "HOLA\r\nConexión cerrada\r\n"),
        ):
            with socket.create_connection(("localhost", server.port)) as peer:
                peer.sendall(sent)
                with peer.makefile("rb") as replies:
                    assert replies.read().decode() == answered
        assert old.ask("sigo aquí") == "SIGO AQUÍ"


def test_the_real_nc(which_nc: str) -> None:
    with serving() as server:
        for sent, answered, options in (
            (b"hola servidor\nDESCONEXION\n", "HOLA SERVIDOR\nConexión cerrada\n", ()),
            (b"hola", "HOLA", ("-N",)),
            (b"DESCONEXION", "", ("-N",)),
        ):
            nc = [which_nc, *options, "localhost", str(server.port)]
            done = subprocess.run(nc, input=sent, capture_output=True, check=True)
            assert done.stdout.decode() == answered
