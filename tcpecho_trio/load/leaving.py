"""Leaving without lines, as the exercise's servers want to be left.

A reset kills some of them, and a bare end of input makes others spin. So the leaving word is sent
alone, what comes is read to its end, and only then the connection is closed
(:mod:`tcpecho_trio.client.raw`).
"""

from __future__ import annotations

from collections.abc import Callable

from tcpecho_trio.client.client import LEAVE_TIME
from tcpecho_trio.load.links import Link, Links
from tcpecho_trio.load.schedule import NEVER

READ_SIZE = 4096
"""Bytes of a farewell that are read at a time."""


class Leaving:
    """The connections that are being left.

    Args:
      links: where they are.
      word: what is said; empty for nothing, and nobody waits then.
      left: is told of each connection that can be closed now.

    Attributes:
      wake_at: when :meth:`act` is to be called next.
    """

    def __init__(self, links: Links, word: bytes, left: Callable[[Link], None]) -> None:
        self._links, self._word, self._left = links, word, left
        self._until: dict[Link, int] = {}  # in the order in which they began
        self.wake_at = NEVER

    def __bool__(self) -> bool:
        return bool(self._until)

    def begin(self, link: Link, now: int) -> None:
        """Leave; `left` may be called at once."""
        if not self._word:
            self._left(link)
            return
        link.stage = "leaving"
        self._until[link] = now + int(LEAVE_TIME * 1e9)
        self._plan_wake()
        self._links.watch(link)
        self._links.say(link, self._word)

    def receive(self, link: Link) -> None:
        """Something has come, or the end.

        Raises:
          OSError: the connection is broken.
        """
        if not self._links.read(link.sock.fileno(), READ_SIZE):
            self.end(link)

    def end(self, link: Link) -> None:
        """There is nothing more to wait for."""
        if self._until.pop(link, None) is not None:
            self._plan_wake()
            self._left(link)

    def act(self, now: int) -> None:
        """Wait no longer for those that take too long."""
        for link in [link for link, until in self._until.items() if until <= now]:
            self.end(link)

    def _plan_wake(self) -> None:
        self.wake_at = next(iter(self._until.values()), NEVER)
