"""Where a server listens, as one writes it: ``tcp://host:port``, ``tls://…``, ``unix:///path``."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from tcpecho_trio.addresses import format_address

MAX_PATH = 99
"""Bytes of a Unix socket's path: ``sun_path`` has 108 with its NUL (unix(7)), and eight are for
the process number in the name that it has before somebody listens there."""


class Scheme(enum.Enum):
    """What clients speak there below the messages."""

    TCP = "tcp"
    TLS = "tls"
    UNIX = "unix"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to listen: host and port for ``tcp`` and ``tls``, a path for ``unix``.

    Raises:
      ValueError: nobody can listen there.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    def __post_init__(self) -> None:
        if self.scheme is Scheme.UNIX:
            if not self.path or "\0" in self.path or len(self.path.encode()) > MAX_PATH:
                raise ValueError(f"a socket's path has 1 to {MAX_PATH} bytes: {self.path!r}")
        elif not self.host or not 0 <= self.port <= 65535:
            raise ValueError(f"host {self.host!r}, port {self.port}")

    @classmethod
    def parse(cls, url: str) -> Endpoint:
        """Read a URL; an IPv6 host stands in brackets, the port is always named.

        Raises:
          ValueError: it is none of ours, or nobody can listen there.
        """
        parts = urlsplit(url)
        try:
            scheme = Scheme(parts.scheme)
        except ValueError as error:
            raise ValueError(f"tcp://, tls:// or unix:// is needed: {url}") from error
        if parts.query or parts.fragment:
            raise ValueError(f"nothing may follow the address: {url}")
        if scheme is Scheme.UNIX:
            if parts.netloc:
                raise ValueError(f"three slashes, unix:///path: {url}")
            return cls(scheme, path=unquote(parts.path))
        if parts.port is None or parts.path not in ("", "/") or parts.username is not None:
            raise ValueError(f"{scheme.value}://host:port is needed: {url}")
        return cls(scheme, host=parts.hostname or "", port=parts.port)

    def __str__(self) -> str:
        """As it is said to people: plain TCP is what the exercise says, ``host:port``."""
        if self.scheme is Scheme.UNIX:
            return f"unix://{self.path}"
        address = format_address((self.host, self.port))
        return f"tls://{address}" if self.scheme is Scheme.TLS else address
