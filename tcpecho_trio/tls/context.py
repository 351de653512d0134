"""What the contexts of a server and of a client have in common."""

from __future__ import annotations

import ssl

PROTOCOLS = ("tcpecho",)
"""What is offered for ALPN (RFC 7301): a proxy in between may route by it. A client that asks for
something else is served too."""

HALF_CLOSE: int = getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)
"""An end without close_notify is an end, and our own direction goes on, as without TLS.

Without this option OpenSSL 3 takes it for an attack (RFC 8446 §6.1), and sends nothing more.
OpenSSL 1.1.1 knows no such option, and takes it for an end anyway."""


def prepare(context: ssl.SSLContext) -> None:
    """Set what both sides need: ALPN, half-closing, and keys that are agreed on only once.

    TLS 1.2 can agree on keys anew at any time (renegotiation), which costs the server much and the
    client little. It is not needed here.
    """
    context.set_alpn_protocols(PROTOCOLS)
    context.options |= HALF_CLOSE | ssl.OP_NO_RENEGOTIATION
