"""What all workers of a server have to know at once: a few numbers in shared memory.

Each worker has a slot, and is the only one that writes there; all read all. A slot holds four
64-bit integers, so each is written in one step. The supervisor clears the slot of a worker that has
ended, and gives it to the next one; but the numbers of connections go on from where they were.

A place is taken without a lock, which a worker that is stopped could hold for ever: it claims one
first, and then adds up the slots. If two workers claim the last place at once, both see that it
is one too many; both withdraw, and try again. So there are never too many, and rarely one less.

Where connections are counted by address, each slot has cells for that, too
(:mod:`tcpecho_trio.cluster.address_counts`).
"""

from __future__ import annotations

import mmap
import os
import tempfile
from typing import Final

FIELDS: Final = 8
"""Integers of a slot: 64 bytes, so that two workers do not write to one line of the cache."""

PLACES, CLAIM, ACCEPTING, NEXT = range(4)

ATTEMPTS = 4
"""How often a place is claimed before the server counts as full: others claim one, too."""


class Slots:
    """The slots of all workers.

    Args:
      fd: the memory that they share; closed with this.
      count: how many there are.
      cells: further integers that each has, of 32 bits.

    Attributes:
      cells: those of all slots, one slot's after the other's.
    """

    def __init__(self, fd: int, count: int, cells: int = 0) -> None:
        self.fd = fd
        self.count = count
        self._memory = mmap.mmap(fd, _size(count, cells))
        self._view = memoryview(self._memory)[: _size(count)].cast("Q")
        self.cells = memoryview(self._memory)[_size(count) :].cast("I")

    @classmethod
    def create(cls, count: int, cells: int = 0) -> Slots:
        """New memory, in which everything is zero.

        Args:
          count: of slots.
          cells: of each.

        Raises:
          OSError: there is none, or no descriptor for it.
        """
        if hasattr(os, "memfd_create"):
            fd = os.memfd_create("tcpecho_trio")
        else:  # a file without a name
            with tempfile.TemporaryFile() as file:
                fd = os.dup(file.fileno())
        try:
            os.ftruncate(fd, _size(count, cells))
            return cls(fd, count, cells)
        except OSError:
            os.close(fd)
            raise

    def forget_descriptor(self) -> None:
        """Close it: no other process will inherit it. The memory has one of its own."""
        os.close(self.fd)
        self.fd = -1

    def close(self) -> None:
        """Let go of the memory, and of its descriptor."""
        self._view.release()
        self.cells.release()
        self._memory.close()
        if self.fd >= 0:
            self.forget_descriptor()

    def clear(self, index: int) -> None:
        """The worker of this slot has ended."""
        start = index * FIELDS
        self._view[start + PLACES] = self._view[start + CLAIM] = self._view[start + ACCEPTING] = 0
        size = len(self.cells) // self.count * 4
        if size:
            start = _size(self.count) + index * size
            self._memory[start : start + size] = bytes(size)

    def places(self, index: int) -> int:
        """How many connections a worker has."""
        return self._view[index * FIELDS + PLACES]

    def all_places(self) -> int:
        """How many connections there are at all workers."""
        return self._sum(PLACES)

    def set_places(self, index: int, places: int, next_number: int = 0) -> None:
        """A worker has so many connections now.

        Args:
          index: of its slot.
          places: how many.
          next_number: of the next connection; 0 if that has not changed.
        """
        start = index * FIELDS
        self._view[start + PLACES] = places
        self._view[start + CLAIM] = 0
        if next_number:
            self._view[start + NEXT] = next_number

    def next_number(self, index: int) -> int:
        """The number of the next connection at this slot.

        Each slot has its own: they lie as far apart as there are slots.
        """
        return self._view[index * FIELDS + NEXT] or index + 1

    def set_accepting(self, index: int, accepting: bool) -> None:
        """Whether a worker accepts connections."""
        self._view[index * FIELDS + ACCEPTING] = accepting

    def accepting(self) -> tuple[int, int]:
        """How many workers accept connections, and how many connections these have."""
        view = self._view
        workers = places = 0
        for start in range(0, self.count * FIELDS, FIELDS):
            if view[start + ACCEPTING]:
                workers += 1
                places += view[start + PLACES]
        return workers, places

    def claim(self, index: int, most: int) -> bool:
        """Claim a place for one more connection; :meth:`set_places` has to follow at once.

        Args:
          index: of the claiming worker's slot.
          most: connections that all workers may have together.

        Returns:
          Whether there is one.
        """
        view, own = self._view, index * FIELDS + CLAIM
        for _ in range(ATTEMPTS):
            view[own] = 1
            # Claims first: whoever makes one into a place meanwhile is counted twice, not missed.
            if self._sum(CLAIM) + self._sum(PLACES) <= most:
                return True
            view[own] = 0
            if self._sum(PLACES) >= most:
                break
        return False

    def _sum(self, field: int) -> int:
        return sum(self._view[field : self.count * FIELDS : FIELDS])


def _size(count: int, cells: int = 0) -> int:
    """Bytes of so many slots, each with so many cells."""
    return count * (FIELDS * 8 + cells * 4)
