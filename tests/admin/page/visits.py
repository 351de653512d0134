"""What a test does with the page, and with the server behind it."""

from __future__ import annotations

import contextlib
import re
import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tests.support.processes import PATIENCE, ServerProcess

if TYPE_CHECKING:
    from playwright.sync_api import ConsoleMessage, Locator, Page, Request

DEADLINE = 40_000
"""Milliseconds that anything may take in a browser: for what hangs. A page that was told nothing
waits in silence; whoever runs the tests should not have to."""

PAGE = Path(__file__).parents[3] / "tcpecho_trio" / "admin" / "page"
"""The folder with the page's files."""

NETWORK = re.compile(r"Failed to load resource|WebSocket connection to .* failed")
"""What a browser's console says of a server that refuses or is gone, which tests bring about."""


class Served:
    """A server process with an administrator's endpoint; a second one may take its place."""

    def __init__(self, *options: str, admin: str = "http://127.0.0.1:0") -> None:
        self.options = options
        self.process = ServerProcess("--admin", admin, *options)
        self.url = self.process.wait_for(r"(http://[a-z0-9.:\[\]]+:\d+)")[1] + "/"

    def __enter__(self) -> Served:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            if self.process.process.poll() is None:
                assert self.process.stop() == 0
        finally:
            self.process.process.kill()
            self.process.process.communicate()

    @property
    def port(self) -> int:
        return self.process.port

    def kill(self) -> None:
        """End it as a crash would."""
        self.process.process.send_signal(signal.SIGKILL)
        self.process.process.communicate()

    def again(self) -> Served:
        """A new server whose page has the same address."""
        return Served(*self.options, admin=self.url.rstrip("/"))

    def client(self) -> Client:
        """A client over TCP, as nc would be one."""
        return Client(self.port)


class Client:
    """A connection to the server that is no browser's."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)
        self.reader = self.socket.makefile("rb")

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.reader.close()
        self.socket.close()

    @property
    def address(self) -> str:
        host, port = self.socket.getsockname()
        return f"{host}:{port}"

    def say(self, data: bytes) -> None:
        self.socket.sendall(data)

    def say_without_reading(self) -> None:
        """Say so much that nobody takes any more of it: the server waits for us to read."""
        self.socket.settimeout(1)
        with contextlib.suppress(TimeoutError):
            while True:
                self.socket.sendall(b"a" * 65_536)

    def ask(self, line: str) -> str:
        self.say(f"{line}\n".encode())
        return self.hear()

    def hear(self) -> str:
        """The next line; empty when the server has closed."""
        return self.reader.readline().decode("utf-8", "surrogateescape").rstrip("\n")


def exactly(text: str) -> re.Pattern[str]:
    """A pattern for this text: Playwright takes a plain one in any case of its letters, and a
    reply differs from its message in nothing else."""
    return re.compile(re.escape(text).replace('"', r"\x22"))


class Visit:
    """One reader's tab. What a person sees and does, by the names that a screen reader says."""

    def __init__(self, page: Page, url: str) -> None:
        self.page = page
        self.url = url
        self.errors: list[str] = []
        self.elsewhere: list[str] = []
        page.on("pageerror", lambda error: self.errors.append(str(error)))
        page.on("console", self._console)
        page.on("request", self._request)
        page.on("dialog", lambda dialog: self.errors.append(f"a script spoke: {dialog.message}"))

    def begin(self, *, ready: bool = True) -> Visit:
        """Load the page, and wait until it is in contact with the server."""
        self.page.goto(self.url)
        return self.wait_phase("running") if ready else self

    def check(self) -> None:
        """Nothing went wrong, and nothing came from anywhere else."""
        assert self.errors == []
        assert self.elsewhere == []

    def _console(self, message: ConsoleMessage) -> None:
        # Among these are all violations of the Content-Security-Policy.
        if message.type in ("error", "warning") and not NETWORK.search(message.text):
            self.errors.append(message.text)

    def _request(self, request: Request) -> None:
        if urlsplit(request.url).netloc != urlsplit(self.url).netloc:
            self.elsewhere.append(request.url)

    def wait_phase(self, phase: str) -> Visit:
        self.page.locator(f'#phase[data-phase="{phase}"]').wait_for()
        return self

    # The conversation

    def connect(self) -> Visit:
        self.page.locator("#connect").click()
        self.page.locator("#message").wait_for()
        return self

    def say(self, text: str) -> Visit:
        self.page.locator("#message").fill(text)
        self.page.locator("#message").press("Enter")
        return self

    def replied(self, text: str) -> Visit:
        said = self.page.locator("#conversation-rows .server bdi")
        said.filter(has_text=exactly(text)).last.wait_for()
        return self

    def told(self, text: str | re.Pattern[str]) -> Visit:
        """Wait for what the page itself says in the conversation."""
        self.page.locator("#conversation-rows .note", has_text=text).last.wait_for()
        return self

    def replies(self) -> list[str]:
        return self.page.locator("#conversation-rows .server bdi").all_text_contents()

    # What the server does

    def row(self, client: str) -> Locator:
        """The row of a client in the table."""
        return self.page.locator("#clients-rows tr", has_text=client)

    def passes(self, text: str | re.Pattern[str]) -> Visit:
        """Wait until something is told among the messages."""
        if isinstance(text, str):
            text = exactly(text)
        self.page.locator("#traffic-rows > div", has_text=text).last.wait_for()
        return self

    def passed(self) -> list[str]:
        return self.page.locator("#traffic-rows bdi.text").all_text_contents()

    def traffic_texts(self) -> list[str]:
        return self.page.locator("#traffic-rows .what").all_inner_texts()

    def announced(self, text: str) -> Visit:
        """Wait until a screen reader is told."""
        self.page.locator("#announcer", has_text=text).wait_for(state="attached")
        return self

    def elements(self) -> int:
        return int(self.evaluate("document.querySelectorAll('*').length"))

    def evaluate(self, script: str, argument: Any = None) -> Any:
        return self.page.evaluate(script, argument)

    def beyond_the_edge(self) -> int:
        """Pixels by which one has to scroll sideways."""
        return int(self.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
