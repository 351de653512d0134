"""Which fields of a header go together."""

from __future__ import annotations

from typing import Any

import pytest

from tcpecho_trio.proxy_protocol import Command, Header, Transport

HERE, THERE = ("192.0.2.1", 40000), ("192.0.2.2", 5000)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("command", "transport", "source", "destination"),
    [
        (Command.PROXY, Transport.TCP4, None, None),
        (Command.PROXY, Transport.TCP4, HERE, None),
        (Command.PROXY, Transport.TCP4, b"/a", b"/b"),
        (Command.PROXY, Transport.UNSPEC, HERE, THERE),
        (Command.PROXY, Transport.UNIX_STREAM, HERE, THERE),
        (Command.LOCAL, Transport.TCP4, HERE, THERE),
    ],
)
def test_addresses_have_to_fit_their_transport_in_either_version(
    version: int, command: Command, transport: Transport, source: Any, destination: Any
) -> None:
    with pytest.raises(ValueError, match="do not go together"):
        Header(version, command, transport, source, destination)
