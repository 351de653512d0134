"""A server's certificate for the attacks over TLS."""

from __future__ import annotations

import ssl
from pathlib import Path

import trustme


class Lab:
    """A server's certificate, and whom to trust for it."""

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        issued = authority.issue_cert("localhost")
        certificate, key = str(folder / "server.pem"), str(folder / "server.key")
        issued.private_key_and_cert_chain_pem.write_to_path(certificate)
        issued.private_key_pem.write_to_path(key)
        self.server = ("--tls-cert", certificate, "--tls-key", key)
        self.context = ssl.create_default_context()
        authority.configure_trust(self.context)
