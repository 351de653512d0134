"""Throw-away certificates for a lab: a CA, a server, a client.

For trying TLS on a table top, and for tests. They are good for nothing else: whoever has the folder
has the keys.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from tcpecho_trio.errors import LabError

CLIENT = "cliente@tcpecho.lab"
"""Whom the client's certificate names."""


def make_lab_certificates(folder: str, names: Sequence[str]) -> list[str]:
    """Write ``ca.pem``, ``server.pem``, ``server.key``, ``client.pem`` and ``client.key``.

    Args:
      folder: where to; made if it is not there.
      names: the server's names and addresses.

    Returns:
      The files.

    Raises:
      LabError: the extra ``tls-lab`` is not installed, no server can be called so, a file is
        there already (no key is ever overwritten), or cannot be written.
    """
    try:
        import trustme
    except ModuleNotFoundError as error:
        raise LabError("lab_needs_extra") from error
    authority = trustme.CA()
    try:
        server = authority.issue_cert(*names)
    except ValueError as error:
        raise LabError("lab_bad_name", names=", ".join(names), reason=error) from error
    client = authority.issue_cert(CLIENT, common_name=CLIENT.partition("@")[0])
    contents = {
        "ca.pem": authority.cert_pem.bytes(),
        "server.pem": b"".join(blob.bytes() for blob in server.cert_chain_pems),
        "server.key": server.private_key_pem.bytes(),
        "client.pem": b"".join(blob.bytes() for blob in client.cert_chain_pems),
        "client.key": client.private_key_pem.bytes(),
    }
    files = [Path(folder) / name for name in contents]
    for file in files:
        if file.exists():
            raise LabError("lab_file_exists", file=file)
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for file, content in zip(files, contents.values(), strict=True):
            _write_new(file, content, 0o600 if file.suffix == ".key" else 0o644)
    except OSError as error:
        raise LabError.because(error, folder) from error
    return [str(file) for file in files]


def _write_new(file: Path, content: bytes, mode: int) -> None:
    """Write a file that must not be there yet; nobody ever sees it with another mode."""
    fd = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with open(fd, "wb") as out:  # noqa: PTH123  a descriptor
        out.write(content)
