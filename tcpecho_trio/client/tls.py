"""TLS on the client's side: which servers to trust, and which certificate to show.

The stream itself is the same on both sides: :mod:`tcpecho_trio.tls.stream`.
"""

from __future__ import annotations

import ssl
from dataclasses import dataclass

from tcpecho_trio.tls.context import prepare


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How to speak TLS with a server.

    Args:
      ca: PEM file of the authorities to trust; None for those that the system trusts.
      certificate: our own certificate (PEM), for a server that asks for one.
      key: its private key.
      name: the server's name to ask for and to check; None for the host that we connect to.
      insecure: check nothing: the server may be anybody.
    """

    ca: str | None = None
    certificate: str | None = None
    key: str | None = None
    name: str | None = None
    insecure: bool = False

    def context(self) -> ssl.SSLContext:
        """The context to shake hands with.

        Raises:
          OSError: a file cannot be read; :class:`ssl.SSLError` is one of them.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.certificate is not None:
            # A key with a passphrase is an error, not a question in the middle of a pipe.
            context.load_cert_chain(self.certificate, self.key, password=lambda: "")
        if self.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        prepare(context)
        return context

    def files(self) -> str:
        """The files that were named, for a message about them."""
        return ", ".join(filter(None, (self.ca, self.certificate, self.key)))
