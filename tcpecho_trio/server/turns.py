"""How much of the event loop's time obeying commands may take.

Answering text is cheap and bounded by what a read returns. Obeying is not: 64 KiB hold nine
thousand commands, and a reply may list every client. So commands are obeyed in slices, and a token
bucket bounds the sum of all slices to half of the time. A client whose turn comes while the bucket
is empty waits in a queue, and the others are served meanwhile.
"""

from __future__ import annotations

from time import perf_counter

import trio

SLICE = 0.001
"""Seconds that one client may obey commands before it lets others go on."""

BURST = 0.002
"""Seconds of obeying that need not be waited for: as much as one slice of the pump's."""

SHARE = 0.5
"""Share of the time that obeying may take in the long run."""


class Turns:
    """A token bucket of processor time, and a fair queue for those who find it empty."""

    def __init__(self) -> None:
        self._queue = trio.Lock()  # first come, first served
        self._debt = 0.0  # seconds spent and not yet made good
        self._updated = perf_counter()

    def spent(self, seconds: float) -> None:
        """A client's commands have been obeyed for so long."""
        self._pay()
        self._debt += seconds

    async def wait(self) -> None:
        """Wait until commands may be obeyed again. A checkpoint only where there is a queue."""
        self._pay()
        if self._debt < BURST and not self._queue.locked():
            return
        async with self._queue:
            while self._debt >= BURST:
                await trio.sleep((self._debt - BURST) / SHARE + 1e-4)
                self._pay()

    def _pay(self) -> None:
        now = perf_counter()
        self._debt = max(0.0, self._debt - SHARE * (now - self._updated))
        self._updated = now
