"""A certificate authority of our own, and connections over TLS that trust it."""

from __future__ import annotations

import ssl
from pathlib import Path

import trio
import trustme

from tcpecho_trio.server.tls import TlsFiles
from tcpecho_trio.tls.context import PROTOCOLS

HOST = "localhost"
"""What the server's certificate is for."""


class Certificates:
    """An authority, a server's files, and contexts for its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca = trustme.CA()
        self.ca_file = str(folder / "ca.pem")
        self.ca.cert_pem.write_to_path(self.ca_file)
        self.files = self.issue("server")
        self.mutual = TlsFiles(self.files.certificate, self.files.key, self.ca_file)

    def issue(self, name: str) -> TlsFiles:
        """A new key and its certificate, in files of that name; replaces older ones."""
        issued = self.ca.issue_cert(HOST, common_name=name)
        certificate, key = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        issued.cert_chain_pems[0].write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        return TlsFiles(str(certificate), str(key))

    def client(self, *, shows: str = "") -> ssl.SSLContext:
        """What a client shakes hands with; it may show a certificate with that common name."""
        context = ssl.create_default_context()
        self.ca.configure_trust(context)
        context.set_alpn_protocols(PROTOCOLS)
        if shows:
            self.ca.issue_cert("client@example.org", common_name=shows).configure_cert(context)
        return context

    def secured(
        self, stream: trio.SocketStream, context: ssl.SSLContext | None = None, name: str = HOST
    ) -> trio.SSLStream[trio.SocketStream]:
        """The connection with TLS on it; an end without close_notify is an error there."""
        return trio.SSLStream(stream, context or self.client(), server_hostname=name)
