"""How much of what a server says is shown to a person: as much as they could read.

A server may send millions of lines a second. Each of them on the screen would keep the program
busy for ever, and tell nobody anything. So the first :data:`LINES_AT_ONCE` are shown as they
come, which is any ordinary list. Beyond that, a second shows :data:`LINES_A_SECOND`, and how many
more have come.
"""

from __future__ import annotations

LINES_AT_ONCE = 500
"""Lines that are shown however fast they come: some twenty screens, to be scrolled back to."""

LINES_A_SECOND = 20
"""Lines shown in each further second: a screen. Nobody reads faster."""


class LineAllowance:
    """How many lines may be shown now. Its caller has the clock.

    Call :meth:`take` for each line. Once it has refused one, call :meth:`renew` a second later.
    """

    def __init__(self) -> None:
        self.skipped = 0
        """Lines that were not shown, and have not been told of yet."""
        self._left = float(LINES_AT_ONCE)
        self._at = 0.0

    def take(self, now: float) -> bool:
        """Whether this line may be shown."""
        if not self.skipped:  # the allowance grows while nothing is missing on the screen
            earned = (now - self._at) * LINES_A_SECOND if self._at else 0.0
            self._left = min(LINES_AT_ONCE, self._left + earned)
            self._at = now
            if self._left >= 1:
                self._left -= 1
                return True
        self.skipped += 1
        return False

    def renew(self, now: float) -> int:
        """Allow a second's lines; return how many were skipped, to be told."""
        skipped, self.skipped = self.skipped, 0
        self._left, self._at = float(LINES_A_SECOND), now
        return skipped
