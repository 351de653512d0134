"""Where a server listens, as one writes it: ``tcp://host:port``, ``tls://…``, ``unix:///path``.

``?dialect=NAME`` and ``?proxy=required`` or ``?proxy=off`` may follow: they hold for this endpoint,
whatever holds for the others.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from tcpecho_trio.addresses import format_address
from tcpecho_trio.dialects import DIALECTS, Dialect

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

    Args:
      dialect: which words are commands there; None for the server's own.
      proxy: whether connections begin with a PROXY header there; None for what the server does.

    Raises:
      ValueError: it is impossible to listen there.
    """

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""
    dialect: Dialect | None = None
    proxy: bool | None = None

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
        if parts.fragment:
            raise ValueError(f"nothing like #{parts.fragment} may follow the address: {url}")
        dialect, proxy = _options(parts.query)
        if scheme is Scheme.UNIX:
            if parts.netloc:
                raise ValueError(f"three slashes, unix:///path: {url}")
            return cls(scheme, path=unquote(parts.path), dialect=dialect, proxy=proxy)
        if parts.port is None or parts.path not in ("", "/") or parts.username is not None:
            raise ValueError(f"{scheme.value}://host:port is needed: {url}")
        host = parts.hostname or ""
        return cls(scheme, host=host, port=parts.port, dialect=dialect, proxy=proxy)

    def __str__(self) -> str:
        """As it is said to people: plain TCP is what the exercise says, ``host:port``."""
        if self.scheme is Scheme.UNIX:
            return f"unix://{self.path}"
        address = format_address((self.host, self.port))
        return f"tls://{address}" if self.scheme is Scheme.TLS else address


def _options(query: str) -> tuple[Dialect | None, bool | None]:
    """What stands behind the question mark.

    Raises:
      ValueError: it is none of ours, or stands there twice.
    """
    options = parse_qsl(query, keep_blank_values=True, strict_parsing=True) if query else []
    given = dict(options)
    if len(given) < len(options) or not given.keys() <= {"dialect", "proxy"}:
        raise ValueError(f"?dialect=NAME and ?proxy=required|off are known: {query}")
    try:
        dialect = DIALECTS[given["dialect"]] if "dialect" in given else None
        proxy = {"required": True, "off": False}[given["proxy"]] if "proxy" in given else None
    except KeyError as error:
        raise ValueError(f"no such dialect, or neither required nor off: {query}") from error
    return dialect, proxy
