"""How many connections each address has at all workers of a server together.

The addresses are not known beforehand, and no worker may wait for another one; so what workers
share is a count-min sketch (Cormode and Muthukrishnan, 2005). Each worker has some rows of cells in
its slot. An address has one cell in each row, by a hash with a secret key; each of its connections
is counted in all of these. In one row, over all workers, stands what the address has and what all
others have that share the cell: the least of all rows is never less than what the address has.

So no address ever has one too many. An address may be refused though it has room, if it shares a
cell in *every* row. With as many cells in a row as :data:`CELLS` for each connection that there may
be, and all of those from different addresses, a cell is in use with a probability of 0.22; so that
happens to one connection of 170 000, and to far fewer where addresses may have more than one. As
with a server's last place, two workers that want an address's last one at once may both go without.

A place is taken as those of the server are (:mod:`tcpecho_trio.cluster.slots`): count first, look
afterwards, withdraw if that was one too many.
"""

from __future__ import annotations

import hashlib
import secrets
from dataclasses import dataclass
from typing import Final

from tcpecho_trio.cluster.slots import ATTEMPTS, Slots

ROWS: Final = 8

CELLS: Final = 4
"""Cells of a row for each connection that there may be: 128 bytes in all, for each slot."""

MOST: Final = 1 << 20
"""Connections for which there are that many; with more, cells are shared more often."""


@dataclass(frozen=True, slots=True)
class Sketch:
    """What all workers have to know to count alike.

    Args:
      width: cells of a row.
      key: of the hash, so that nobody outside can choose addresses that share cells.
    """

    width: int
    key: str

    @classmethod
    def create(cls, most: int) -> Sketch:
        """One for so many connections."""
        return cls(CELLS * min(most, MOST), secrets.token_hex(16))

    @property
    def cells(self) -> int:
        """How many a slot needs."""
        return ROWS * self.width


class AddressCounts:
    """The connections of each address, as one worker counts them and sees the others'.

    Args:
      slots: of all workers, with the sketch's cells.
      index: of this worker's slot.
      sketch: how addresses are counted.
    """

    def __init__(self, slots: Slots, index: int, sketch: Sketch) -> None:
        self._slots = slots
        self._index = index
        self._sketch = sketch
        self._key = sketch.key.encode()

    def claim(self, address: str, most: int) -> bool:
        """Count a connection for an address, unless it may have no more.

        Args:
          address: whose.
          most: connections that it may have at all workers together.

        Returns:
          Whether it is counted; then :meth:`release` has to follow.
        """
        cells = self._cells(address)
        for _ in range(ATTEMPTS):
            self._add(cells, 1)
            if self._count(cells) <= most:
                return True
            self._add(cells, -1)
            if self._count(cells) >= most:
                break
        return False

    def release(self, address: str) -> None:
        """A connection that was counted is closed."""
        self._add(self._cells(address), -1)

    def _cells(self, address: str) -> list[int]:
        """Where an address is counted, within a slot."""
        digest = hashlib.blake2b(address.encode(), key=self._key, digest_size=8 * ROWS).digest()
        width = self._sketch.width
        numbers = memoryview(digest).cast("Q")
        return [row * width + number % width for row, number in enumerate(numbers)]

    def _add(self, cells: list[int], one: int) -> None:
        start = self._index * self._sketch.cells
        for cell in cells:
            self._slots.cells[start + cell] += one

    def _count(self, cells: list[int]) -> int:
        """How many an address has at most, at all workers that have anybody."""
        slots, size = self._slots, self._sketch.cells
        starts = [index * size for index in range(slots.count) if slots.places(index)]
        return min(sum(slots.cells[start + cell] for start in starts) for cell in cells)
