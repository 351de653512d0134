"""Keys and certificates for a test run, made by an authority of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
import trustme


@dataclass(frozen=True)
class Keys:
    """PEM files, by their paths.

    Args:
      ca: whom clients trust.
      server: the server's certificate, for ``backend.example`` and 127.0.0.1.
      server_key: its key.
      server_both: the two in one file, as haproxy wants them.
      client: a client's certificate and key in one file.
      stranger: the same from an authority that nobody trusts.
      next: another certificate of the server's, from the same authority.
      next_key: its key.
    """

    ca: str
    server: str
    server_key: str
    server_both: str
    client: str
    stranger: str
    next: str
    next_key: str


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    folder = tmp_path_factory.mktemp("keys")
    authority, other = trustme.CA(), trustme.CA()
    hosts = ("backend.example", "127.0.0.1")
    server = authority.issue_cert(*hosts, common_name="the first")
    following = authority.issue_cert(*hosts, common_name="the second")
    client = authority.issue_cert("ana@example.org", common_name="ana")
    stranger = other.issue_cert("eva@example.org", common_name="eva")

    def written(name: str, *blobs: trustme.Blob) -> str:
        path: Path = folder / name
        path.write_bytes(b"".join(blob.bytes() for blob in blobs))
        return str(path)

    return Keys(
        ca=written("ca.pem", authority.cert_pem),
        server=written("server.pem", *server.cert_chain_pems),
        server_key=written("server.key", server.private_key_pem),
        server_both=written("both.pem", server.private_key_and_cert_chain_pem),
        client=written("client.pem", client.private_key_and_cert_chain_pem),
        stranger=written("stranger.pem", stranger.private_key_and_cert_chain_pem),
        next=written("next.pem", *following.cert_chain_pems),
        next_key=written("next.key", following.private_key_pem),
    )
