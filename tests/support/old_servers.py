"""Doubles of the exercise's old servers, one behaviour each: threads, blocking sockets, recv(1024).

Written after how those programs behave on the wire: one client at a time, no framing, a reply to
each ``recv``. What a client did to them is remembered: whether it reset the connection, and
everything it sent, chunk by chunk, as they would have seen it.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.support.processes import PATIENCE

DISCONNECT = "DESCONEXION"


def upper(text: str) -> str:
    return text.upper()


class OldServer:
    """A server of the exercise, serving one client after the other in a thread.

    Args:
      reply: what a message is answered with; an empty answer is none.
      leaving: the words that end a connection, and the farewell to each; empty for a silent close.
      greeting: sent on accept.
      glued: the greeting waits for the first reply and goes out together with it.
      may_greet: nobody is greeted, or listened to, before this.
    """

    def __init__(
        self,
        *,
        reply: Callable[[str], str] = upper,
        leaving: dict[str, str] | None = None,
        greeting: str = "",
        glued: bool = False,
        may_greet: threading.Event | None = None,
    ) -> None:
        self.reply = reply
        self.leaving = {DISCONNECT: ""} if leaving is None else leaving
        self.greeting, self.glued = greeting, glued
        self.may_greet = may_greet
        self.chunks: list[bytes] = []  # what each recv returned
        self.endings: list[str] = []  # how each client ended: left, end of input, reset
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        self._thread = threading.Thread(target=self._serve)

    def __enter__(self) -> OldServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join(timeout=PATIENCE)
        assert not self._thread.is_alive()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            with client:
                client.settimeout(PATIENCE)
                try:
                    self.endings.append(self._converse(client))
                except ConnectionError:
                    self.endings.append("reset")

    def _converse(self, client: socket.socket) -> str:
        if self.may_greet is not None:
            self.may_greet.wait(PATIENCE)
        greeting = self.greeting.encode()
        if greeting and not self.glued:
            client.sendall(greeting)
            greeting = b""
        while chunk := client.recv(1024):
            self.chunks.append(chunk)
            text = chunk.decode()  # a character that is cut kills it
            if text in self.leaving:
                if self.leaving[text]:
                    client.sendall(self.leaving[text].encode())
                return "left"
            if answer := self.reply(text):
                client.sendall(greeting + answer.encode())
                greeting = b""
        return "end of input"


@contextmanager
def occupied(server: OldServer) -> Iterator[socket.socket]:
    """The server is busy with somebody else, who leaves when the block ends."""
    with socket.create_connection(("127.0.0.1", server.port)) as other:
        other.sendall(b"primero")
        assert other.recv(1024) == b"PRIMERO"
        yield other
        other.sendall(DISCONNECT.encode())


@contextmanager
def double(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A server that does the same with each of its clients, in a thread each; yields its port.

    A client that closes, or resets the connection, ends that thread. So does the end of the block.
    """
    accepted: list[socket.socket] = []
    threads: list[threading.Thread] = []

    def talk(peer: socket.socket) -> None:
        with peer, suppress(OSError):
            serve(peer)

    def accept() -> None:
        with suppress(OSError):
            while True:
                peer, _ = listening.accept()
                accepted.append(peer)
                threads.append(threading.Thread(target=talk, args=(peer,)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listening:
        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield int(listening.getsockname()[1])
        finally:
            with suppress(OSError):
                listening.shutdown(socket.SHUT_RDWR)
            accepting.join(timeout=20)
            for peer in accepted:
                with suppress(OSError):
                    peer.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join(timeout=20)
                assert not thread.is_alive()


def wait_for_end(peer: socket.socket) -> None:
    """Read and forget, until the client has closed."""
    while peer.recv(65536):
        pass
