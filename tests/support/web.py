"""Programs that talk to the administrator's endpoint: plain HTTP, event streams, WebSockets."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import h11
import wsproto.events
from wsproto import ConnectionType, WSConnection

from tests.support.processes import PATIENCE


@dataclass
class Answer:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """One connection to the endpoint, at a port or at a Unix socket's path."""

    def __init__(self, where: int | str) -> None:
        if isinstance(where, str):
            self.socket = socket.socket(socket.AF_UNIX)
            self.socket.connect(where)
        else:
            self.socket = socket.create_connection(("127.0.0.1", where))
        self.socket.settimeout(PATIENCE)
        self.http = h11.Connection(h11.CLIENT)

    def __enter__(self) -> Web:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> None:
        given = {"host": "localhost", **headers}
        if body:
            given["content-length"] = str(len(body))
        named = [(name.replace("_", "-"), value) for name, value in given.items()]
        data = self.http.send(h11.Request(method=method, target=path, headers=named)) or b""
        data += self.http.send(h11.Data(data=body)) or b"" if body else b""
        self.socket.sendall(data + (self.http.send(h11.EndOfMessage()) or b""))

    def next_event(self) -> Any:
        while (event := self.http.next_event()) is h11.NEED_DATA:
            self.http.receive_data(self.socket.recv(1 << 16))
        return event

    def head(self) -> Answer:
        """The status and the headers of what comes."""
        response = self.next_event()
        assert isinstance(response, (h11.Response, h11.InformationalResponse)), response
        headers = {name.decode(): value.decode() for name, value in response.headers}
        return Answer(response.status_code, headers)

    def answer(self) -> Answer:
        answer = self.head()
        while not isinstance(event := self.next_event(), h11.EndOfMessage):
            answer.body += bytes(event.data)
        if self.http.our_state is h11.DONE and self.http.their_state is h11.DONE:
            self.http.start_next_cycle()
        return answer

    def ask(self, method: str, path: str, body: bytes = b"", /, **headers: str) -> Answer:
        self.send(method, path, body, **headers)
        return self.answer()

    def events(self, text: bytes = b"") -> Iterator[tuple[str, dict[str, Any]]]:
        """What an event stream tells, until it ends; it begins with what is received already."""
        while True:
            *whole, text = text.split(b"\n\n")
            for block in whole:
                fields = dict(line.split(": ", 1) for line in block.decode().split("\n"))
                if "event" in fields:
                    yield fields["event"], json.loads(fields["data"])
            event = self.next_event()
            if isinstance(event, h11.EndOfMessage):
                return
            text += bytes(event.data)


def ask(where: int | str, method: str, path: str, body: bytes = b"", /, **headers: str) -> Answer:
    """One request on a connection of its own."""
    with Web(where) as web:
        return web.ask(method, path, body, **headers)


@contextlib.contextmanager
def events(
    where: int | str, *, query: str = "", **headers: Any
) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """An event stream. It is open: what happens from now on is told."""
    with Web(where) as web:
        web.send("GET", f"/events{query}", **headers)
        head = web.head()
        assert head.status == 200, head
        text = b""
        while b"\n\n" not in text:  # what a stream says first, once it listens
            text += bytes(web.next_event().data)
        yield web.events(text)


class Conversation:
    """A client over a WebSocket."""

    def __init__(self, where: int | str, *, protocol: str = "", **headers: str) -> None:
        self._web = self.open(where)
        self.socket = self._web.socket
        self._frames = WSConnection(ConnectionType.CLIENT)
        more = [(name.encode(), value.encode()) for name, value in headers.items()]
        request = wsproto.events.Request(
            host="localhost",
            target="/ws",
            extra_headers=more,
            subprotocols=[protocol] if protocol else [],
        )
        self.socket.sendall(self._frames.send(request))
        self.text = ""
        self.closed: tuple[int, str | None] | None = None
        self.accepted = isinstance(self._next(), wsproto.events.AcceptConnection)

    def open(self, where: int | str) -> Web:
        """The connection that it goes through."""
        return Web(where)

    def __enter__(self) -> Conversation:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def _next(self) -> Any:
        while True:
            for event in self._frames.events():
                return event
            self._frames.receive_data(self.socket.recv(1 << 16) or None)

    def send(self, event: wsproto.events.Event) -> None:
        self.socket.sendall(self._frames.send(event))

    def say(self, text: str) -> None:
        self.send(wsproto.events.TextMessage(data=text))

    def hear(self, text: str) -> None:
        """Exactly this comes next."""
        while len(self.text) < len(text):
            event = self._next()
            assert isinstance(event, wsproto.events.TextMessage), event
            self.text += event.data
        assert self.text == text
        self.text = ""

    def end(self) -> tuple[int, str | None]:
        """The code and the reason of the close that comes; answered."""
        while not isinstance(event := self._next(), wsproto.events.CloseConnection):
            assert not isinstance(event, wsproto.events.TextMessage), event
        if event.code != 1006:
            with contextlib.suppress(OSError):
                self.send(event.response())
        return event.code, event.reason

    def leave(self) -> tuple[int, str | None]:
        """Close, and hear what is answered to that."""
        self.send(wsproto.events.CloseConnection(code=1000))
        event = self._next()
        assert isinstance(event, wsproto.events.CloseConnection), event
        return event.code, event.reason
