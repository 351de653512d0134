"""A picture of the live page, for the README: ``nox -s screenshot``.

A real server, a class of clients that come, talk and go, and a person who talks to it on the page.
The plots show five minutes, so it takes as long; ``--seconds 20`` is enough for a first look.
"""

from __future__ import annotations

import argparse
import math
import random
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Literal

import trio
from playwright.sync_api import sync_playwright

from tests.admin.page.visits import Served, Visit

Theme = Literal["light", "dark"]

SAYINGS = (
    *("hola servidor", "buenos días", "¿qué tal?", "uno, dos, tres", "la prueba número siete"),
    *("mañana será otro día", "straße", "¿hay alguien?", "esto es una prueba", "<b>negrita</b>"),
)
CLIENTS = 18
"""In the middle; there are more and less of them, in waves."""


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[trio.SocketStream]:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        yield stream


async def student(port: int, chance: random.Random) -> None:
    """Come, say some things in one's own time, and leave politely."""
    async with connected(port) as stream:
        for _ in range(chance.randrange(4, 40)):
            await stream.send_all(f"{chance.choice(SAYINGS)}\n".encode())
            await stream.receive_some()
            await trio.sleep(chance.expovariate(1.2))  # a student thinks
        await stream.send_all(b"DESCONEXION\n")
        while await stream.receive_some():
            pass


async def lesson(port: int, seconds: float) -> None:
    """Keep so many clients talking, in waves."""
    chance = random.Random(7)
    present = 0

    async def attend() -> None:
        nonlocal present
        present += 1
        await student(port, chance)
        present -= 1

    async with trio.open_nursery() as nursery:
        began = trio.current_time()
        while (now := trio.current_time() - began) < seconds:
            if present < CLIENTS * (1 + 0.5 * math.sin(now / 20)):
                nursery.start_soon(attend)
            await trio.sleep(chance.uniform(0.1, 0.6))  # they come one by one
        nursery.cancel_scope.cancel()


def photograph(served: Served, path: Path, seconds: float, theme: Theme) -> None:
    """Talk to the server on its page while the lesson goes on, and take the picture."""
    chromium = shutil.which("chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium)
        page = browser.new_page(
            viewport={"width": 1280, "height": 800}, locale="es-ES", color_scheme=theme
        )
        tab = Visit(page, served.url).begin()
        page.wait_for_timeout(max(0.0, seconds - 12) * 1000)
        tab.connect()
        for text, reply in (
            ("hola servidor", "HOLA SERVIDOR"),
            ("¿Qué has visto hoy?", "¿QUÉ HAS VISTO HOY?"),
            ("straße", "STRASSE"),
        ):
            tab.say(text).replied(reply)
            page.wait_for_timeout(500)
        page.wait_for_timeout(3000)
        page.screenshot(path=path)
        browser.close()


async def main(path: Path, seconds: float, theme: Theme) -> None:
    with Served("--name", "aula-3") as served:
        port = served.port
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lesson, port, seconds + 60)
            await trio.to_thread.run_sync(photograph, served, path, seconds, theme)
            nursery.cancel_scope.cancel()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", nargs="?", type=Path, default=Path("docs/page.png"))
    parser.add_argument("--seconds", type=float, default=310)
    parser.add_argument("--theme", choices=("light", "dark"), default="light")
    arguments = parser.parse_args()
    trio.run(main, arguments.path, arguments.seconds, arguments.theme)
