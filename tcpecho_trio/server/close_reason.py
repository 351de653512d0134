"""How a connection can end, and what the peer then sees.

=========== ================================================ ======================
ending      because                                          towards the peer
=========== ================================================ ======================
LEFT        it sent a disconnecting word                     farewell, linger
SHUTDOWN    it sent the shutdown word, and may               farewell, linger
EOF         it closed its sending direction                  everything due, close
DRAINED     the server drains                                everything due, linger
IDLE        nothing passed for the idle timeout              everything due, linger
RESET       the connection broke                             –
SLOW        it did not take its replies                      reset
FOREIGN     it speaks HTTP or TLS where a word has power     reset
FAULT       a fault that was asked for ends it               linger, or reset
CUT         cancelled: out of time, or nobody waits any more reset
CRASHED     a bug of ours                                    reset
=========== ================================================ ======================
"""

from __future__ import annotations

import enum


class Ending(enum.Enum):
    """Why a connection ended; the module's docstring has the table."""

    LEFT = "left"
    SHUTDOWN = "shutdown"
    EOF = "eof"
    DRAINED = "drained"
    IDLE = "idle"
    RESET = "reset"
    SLOW = "slow"
    FOREIGN = "foreign"
    FAULT = "fault"
    CUT = "cut"
    CRASHED = "crashed"

    @property
    def by_force(self) -> bool:
        """Whether the server ended it without waiting for the client to be done."""
        return self in (Ending.SLOW, Ending.FOREIGN, Ending.CUT, Ending.CRASHED)
