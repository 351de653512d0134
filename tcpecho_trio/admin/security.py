"""Who may talk to the administrator's endpoint.

Nobody but this machine can reach a loopback address or a Unix socket; but a browser on this
machine does what any page tells it to. So each request is checked for three things:

- **Host**: a page of another name that has been made to resolve to our address (DNS rebinding)
  asks for that name. Names that are not ours are refused. An IP address cannot be rebound.
- **Origin** and **Sec-Fetch-Site**: what a page of another origin sends is refused, whatever it
  asks for; browsers tell the origin for WebSockets and for everything that changes something
  (RFC 6455 §10.2, Fetch standard). Programs that are no browsers send neither.
- **The token**, where there is one: in the header ``Authorization: Bearer …`` (RFC 6750), or in a
  cookie that a browser got for it. Browsers can send no such header with event streams and
  WebSockets, and an address with a secret in it would end up in logs.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import socket
from collections.abc import Iterable
from ipaddress import ip_address

from tcpecho_trio.admin.http import Headers, Request, Response, problem

HEADERS: Headers = (
    (
        "Content-Security-Policy",
        "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
"""Of every response: nothing is loaded from elsewhere or run inline, nobody frames the page."""

LOCAL_NAMES = ("localhost", "localhost.localdomain", "ip6-localhost")
"""What this machine calls itself in /etc/hosts, with us or anywhere else."""

HOST = re.compile(r"(\[(?P<literal>[0-9a-f:.]+)\]|(?P<name>[a-z0-9._-]+))(:[0-9]*)?", re.ASCII)
"""The header of that name: a name or an address, and perhaps a port (RFC 9110 §7.2)."""

OPEN = frozenset({"/healthz", "/readyz", "/api/session"})
"""What needs no token, beside the page: whoever restarts or routes has none."""


class Guard:
    """Refuses requests.

    Args:
      names: by which this host may be called, beside its IP addresses.
      token: what every caller has to show; None where only this machine can call.
      tls: whether cookies may travel over TLS only.
    """

    def __init__(self, names: Iterable[str], token: str | None, *, tls: bool = False) -> None:
        self._names = {*LOCAL_NAMES, socket.gethostname().lower(), *names}
        self._token = token.encode() if token is not None else None
        # Cookies of all ports of a host share their names; each server has one of its own.
        self._cookie = f"tcpecho-{secrets.token_hex(4)}"
        self._session = secrets.token_urlsafe(32)
        self._secure = "; Secure" if tls else ""

    def check(self, request: Request, *, public: bool) -> Response | None:
        """The refusal; None if there is none.

        Args:
          request: who asks.
          public: whether what is asked for is for everybody who gets so far.
        """
        host = request.headers.get("host")
        if host is not None and not self._is_ours(host):
            return problem(421, "this server has no such name: see --admin …?host=NAME")
        if not self._same_origin(request, host):
            return problem(403, "a page from elsewhere asked for this")
        if public or self._token is None or self.knows(request):
            return None
        return problem(
            401,
            "the token of --admin-token-file is needed: Authorization: Bearer TOKEN",
            headers=[("WWW-Authenticate", 'Bearer realm="tcpecho_trio"')],
        )

    def knows(self, request: Request) -> bool:
        """Whether a request shows the token, or a cookie that was given for it."""
        if self.has_token(request):
            return True
        for cookie in request.headers.get("cookie", "").split(";"):
            name, _, value = cookie.strip().partition("=")
            if name == self._cookie and _equal(value.encode(), self._session.encode()):
                return True
        return False

    def has_token(self, request: Request) -> bool:
        """Whether a request shows the token."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        shown = token.strip().encode("utf-8", "surrogateescape")
        known = self._token if self._token is not None else b""
        return _equal(shown, known) and scheme.lower() == "bearer" and self._token is not None

    @property
    def cookie(self) -> tuple[str, str]:
        """The header that lets a browser in until the server ends."""
        attributes = f"; Path=/; HttpOnly; SameSite=Strict{self._secure}"
        return "Set-Cookie", f"{self._cookie}={self._session}{attributes}"

    def _is_ours(self, host: str) -> bool:
        found = HOST.fullmatch(host.lower())
        if found is None:
            return False
        name = (found["name"] or "").removesuffix(".")
        if name in self._names or name.endswith(".localhost"):
            return True
        try:
            ip_address(found["literal"] or name)
        except ValueError:
            return False
        return True

    @staticmethod
    def _same_origin(request: Request, host: str | None) -> bool:
        origin = request.headers.get("origin")
        if origin is not None:
            scheme, _, named = origin.partition("://")
            return scheme in ("http", "https") and named.lower() == (host or "").lower()
        site = request.headers.get("sec-fetch-site", "none")
        followed = request.headers.get("sec-fetch-mode") == "navigate" and request.method == "GET"
        return site in ("same-origin", "none") or followed


def _equal(one: bytes, other: bytes) -> bool:
    """Whether both are the same, in a time that tells nothing, not even their lengths."""
    digests = (hashlib.sha256(text).digest() for text in (one, other))
    return hmac.compare_digest(*digests)
