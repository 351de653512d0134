"""Why a connection was closed, and what the peer then sees.

============= ================================================ ======================
reason        because                                          towards the peer
============= ================================================ ======================
DISCONNECTED  the client sent a disconnecting word             farewell, linger
SHUTDOWN      it sent the shutdown word, and may               farewell, linger
EOF           it closed its sending direction                  everything due, close
DRAINED       the server drains                                everything due, linger
IDLE          nothing passed for the idle timeout              everything due, linger
OPERATOR      an operator closed this one                      everything due, linger
RESET         the connection broke                             –
WRITE_TIMEOUT the client did not take its replies              reset
FOREIGN       it speaks HTTP or TLS where a word has power     reset
FAULT         a fault that was asked for ends it               linger, or reset
ABORTED       cancelled: the drain timeout, or a second signal reset
CRASHED       a bug of ours                                    reset
------------- ------------------------------------------------ ----------------------
PROBE         the client left without a byte                   close
FULL          the server has no place for it                   a line, linger
ADDRESS_LIMIT there are too many clients from its address      a line, linger
PROXY_HEADER  it began with no PROXY header that is believed   reset
TLS_HANDSHAKE there was no agreement on TLS                    alert, linger; or reset
============= ================================================ ======================

The last five come before the conversation: nothing was ever answered. A PROBE can also be a client
that was let in and left without having said anything.
"""

from __future__ import annotations

import enum


class CloseReason(enum.Enum):
    """Why a connection was closed; the module's docstring has the table."""

    DISCONNECTED = "disconnected"
    SHUTDOWN = "shutdown"
    EOF = "eof"
    DRAINED = "drained"
    IDLE = "idle"
    OPERATOR = "operator"
    RESET = "reset"
    WRITE_TIMEOUT = "write_timeout"
    FOREIGN = "foreign"
    FAULT = "fault"
    ABORTED = "aborted"
    CRASHED = "crashed"
    PROBE = "probe"
    FULL = "full"
    ADDRESS_LIMIT = "address_limit"
    PROXY_HEADER = "proxy_header"
    TLS_HANDSHAKE = "tls_handshake"

    @property
    def by_force(self) -> bool:
        """Whether the server closed it without waiting for the client to finish."""
        return self in _BY_FORCE


_BY_FORCE = frozenset(
    {
        CloseReason.WRITE_TIMEOUT,
        CloseReason.FOREIGN,
        CloseReason.ABORTED,
        CloseReason.CRASHED,
    }
)
