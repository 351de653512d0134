"""Where a cluster's Redis is, and which cluster in it: one URL.

``redis://[user[:password]@]host[:port][/database][?prefix=NAME]``; ``rediss://`` is the same over
TLS, and ``unix:///path[?db=N&prefix=NAME]`` a Unix socket. The prefix begins every key, so several
clusters can share one database. The first form is the one that IANA lists for Redis.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from tcpecho_trio.addresses import format_address

PORT = 6379
"""Redis's own (IANA)."""

PREFIX = "tcpecho"
"""What the keys begin with, unless the URL says otherwise."""

NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62})")
"""A server's name, and a prefix: as long as a label of DNS (RFC 1035 §2.3.4), without blanks, so
that it can stand behind an address in a line of words."""

SECRET = re.compile(r"(?<=//).*@", re.DOTALL)
"""The part of a URL that may hold a password; one with a slash in it spoils the URL, and is a
password all the same."""

SECRET_BYTES = 4096
"""Bytes of a password's file that are read: whoever names a device by mistake is told at once."""


@dataclass(frozen=True, slots=True)
class ClusterLocation:
    """A Redis, a database in it, and a prefix of keys.

    Args:
      host: a name or an address; empty for a Unix socket.
      port: its TCP port.
      path: the Unix socket.
      database: its number.
      prefix: what every key begins with.
      tls: whether TLS is spoken.
      username, password: whom to log in as; never shown.
      ca, certificate, key: files (PEM) for TLS: whom to trust instead of the system's, and who
        we are.
    """

    host: str = ""
    port: int = PORT
    path: str = ""
    database: int = 0
    prefix: str = PREFIX
    tls: bool = False
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    ca: str | None = None
    certificate: str | None = None
    key: str | None = None

    @classmethod
    def parse(cls, url: str) -> ClusterLocation:
        """Read a URL.

        Raises:
          ValueError: it is none, or names no Redis.
        """
        parts = urlsplit(url)
        asked = parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query))
        query = dict(asked)
        if len(query) < len(asked) or query.keys() - {"db", "prefix"} or parts.fragment:
            raise ValueError(url)
        prefix = query.get("prefix", PREFIX)
        if not NAME.fullmatch(prefix):
            raise ValueError(prefix)
        if parts.scheme == "unix":
            path, database = unquote(parts.path), query.get("db", "0")
            if parts.netloc or len(path) < 2:
                raise ValueError(url)
            return cls(path=path, port=0, database=_database(database), prefix=prefix)
        if parts.scheme not in ("redis", "rediss") or not parts.hostname or "db" in query:
            raise ValueError(url)
        return cls(
            host=parts.hostname,
            port=PORT if parts.port is None else parts.port or _refuse(url),
            database=_database(parts.path.removeprefix("/") or "0"),
            prefix=prefix,
            tls=parts.scheme == "rediss",
            username=unquote(parts.username) if parts.username else None,
            password=unquote(parts.password) if parts.password else None,
        )

    def __str__(self) -> str:
        """The URL without a password, for journals and screens."""
        user = f"{self.username}@" if self.username else ""
        query = [] if self.prefix == PREFIX else [f"prefix={self.prefix}"]
        if self.path:
            query[:0] = [f"db={self.database}"] if self.database else []
            place = f"unix://{self.path}"
        else:
            scheme = "rediss" if self.tls else "redis"
            place = f"{scheme}://{user}{format_address((self.host, self.port))}/{self.database}"
        return place + ("?" + "&".join(query) if query else "")

    def with_password_of(self, file: str) -> ClusterLocation:
        """The same with the password that stands in the first line of a file.

        Raises:
          OSError: the file cannot be read.
          ValueError: there is none in it, or it is no text; its message does not show it.
        """
        with Path(file).open("rb") as opened:
            lines = opened.read(SECRET_BYTES).decode().splitlines()
        if not lines or not lines[0]:
            raise ValueError("nothing is in it")
        return replace(self, password=lines[0])


def without_password(url: str) -> str:
    """A text that may be a URL, without what may be a password."""
    return SECRET.sub("…@", url)


def _database(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) <= 4):
        raise ValueError(text)
    return int(text)


def _refuse(url: str) -> int:
    raise ValueError(url)
