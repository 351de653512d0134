"""Where the administrator's endpoint is, as one writes it: ``http://host:port``, ``unix:///path``.

``https://…`` is HTTP over TLS, with the server's own certificate. ``?host=NAME`` may follow, any
number of times: further names by which browsers may call it (:mod:`~tcpecho_trio.admin.security`).
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tcpecho_trio.addresses import format_address, is_loopback
from tcpecho_trio.server.endpoints import MAX_PATH

CONNECTIONS = 256
"""Connections at a time. One more takes the place of the one whose last request is the oldest."""

WRITTEN = "http://HOST:PORT, https://HOST:PORT or unix:///PATH"


@dataclass(frozen=True, slots=True)
class AdminEndpoint:
    """One place for HTTP: host and port, or the path of a Unix socket.

    Args:
      host, port: where to listen; empty and 0 for a Unix socket.
      path: of the Unix socket.
      tls: whether HTTP is spoken over TLS.
      names: further names of this host, in small letters.
    """

    host: str = ""
    port: int = 0
    path: str = ""
    tls: bool = False
    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, url: str) -> AdminEndpoint:
        """Read a URL; an IPv6 host stands in brackets, the port is always named.

        Raises:
          ValueError: it is none of ours, or nobody can listen there.
        """
        parts = urlsplit(url)
        options = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        names = tuple(value.lower() for name, value in options if name == "host" and value)
        if len(names) != len(options) or parts.fragment:
            raise ValueError(f"nothing but ?host=NAME may follow the address: {url}")
        if parts.scheme == "unix":
            path = unquote(parts.path)
            if parts.netloc or not path or "\0" in path or len(path.encode()) > MAX_PATH:
                raise ValueError(f"unix:///path of at most {MAX_PATH} bytes: {url}")
            return cls(path=path, names=names)
        if parts.scheme not in ("http", "https"):
            raise ValueError(f"{WRITTEN} is needed: {url}")
        bare = parts.path in ("", "/") and parts.username is None
        if parts.port is None or not parts.hostname or not bare:
            raise ValueError(f"{parts.scheme}://host:port is needed: {url}")
        tls = parts.scheme == "https"
        return cls(host=parts.hostname, port=parts.port, tls=tls, names=names)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        return bool(self.path) or self.host == "localhost" or is_loopback((self.host,))

    def named(self, port: int) -> str:
        """As it is written, with its real port."""
        if self.path:
            return f"unix://{self.path}"
        scheme = "https" if self.tls else "http"
        return f"{scheme}://{format_address((self.host, port))}"

    def __str__(self) -> str:
        return self.named(self.port)
