"""Who is connected: to this process, to the other processes of this server, to other servers.

The registry is the roster of a server that is alone. Where a server is one of several, a roster of
another kind is handed to it: it keeps a snapshot of what the others last said, and asks them again
when that has become old.
"""

from __future__ import annotations

from typing import Protocol


class Roster(Protocol):
    """The clients that a client's word lists."""

    @property
    def fresh(self) -> bool:
        """Whether :meth:`clients` is new enough to be shown without asking anybody."""

    async def refresh(self) -> None:
        """Ask the others, for a moment at most: one that does not answer is shown as last known."""

    def clients(self) -> list[str]:
        """Every client's address as it is written: first our own, in the order of arrival."""
