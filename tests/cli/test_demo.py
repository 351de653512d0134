"""The demo's transcript, in both languages."""

from __future__ import annotations

import re

import pytest

from tcpecho_trio import server
from tcpecho_trio.cli.demo import demo
from tcpecho_trio.texts import ENGLISH, SPANISH

TRANSCRIPT = """\
  servidor │ Servidor TCP activo en localhost:PORT y esperando conexiones...
  cliente  │ Cliente conectado al servidor en localhost:PORT

1. MENSAJE ESTÁNDAR
  cliente  │ Ingresa un mensaje: hola servidor
  servidor │ [PEER] Cliente conectado
  servidor │ [PEER] Mensaje recibido: hola servidor
  servidor │ [PEER] Respuesta enviada: HOLA SERVIDOR
  cliente  │ Respuesta del servidor: HOLA SERVIDOR

2. DESCONEXIÓN
  cliente  │ Ingresa un mensaje: DESCONEXION
  servidor │ [PEER] Mensaje recibido: DESCONEXION
  servidor │ [PEER] Cliente solicitó desconexión. Cerrando conexión...
  servidor │ [PEER] Respuesta enviada: Conexión cerrada
  servidor │ [PEER] Conexión terminada: el cliente se despidió
  cliente  │ Solicitando desconexión del servidor...
  cliente  │ Respuesta del servidor: Conexión cerrada

Las dos pruebas del ejercicio pasaron.
"""


async def test_the_transcript_of_both_consoles() -> None:
    lines: list[str] = []
    assert await demo(lines.append, SPANISH)
    told = re.sub(r"localhost:\d+", "localhost:PORT", "\n".join(lines) + "\n")
    assert re.sub(r"\[[^]]*\d+\]", "[PEER]", told) == TRANSCRIPT


async def test_the_transcript_in_english() -> None:
    lines: list[str] = []
    assert await demo(lines.append, ENGLISH)
    assert lines[-1] == "\nBoth tests of the exercise passed."


async def test_the_demo_fails_when_the_server_does_not_do_the_exercise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def settings(**options: object) -> server.Settings:
        from tcpecho_trio.dialects import STANDARD, Dialect

        return server.Settings(port=0, dialect=Dialect("lower", STANDARD.words, upper=False))

    monkeypatch.setattr("tcpecho_trio.cli.demo.Settings", settings)
    lines: list[str] = []
    assert not await demo(lines.append, SPANISH)
    assert SPANISH.demo_end not in "\n".join(lines)
