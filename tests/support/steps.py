"""How often tasks go on: what passes the scheduler costs time, and lets others run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import trio


class Steps(trio.abc.Instrument):
    """Counts the times that a task goes on."""

    def __init__(self) -> None:
        self.count = 0

    def before_task_step(self, _: trio.lowlevel.Task) -> None:
        self.count += 1


@contextmanager
def counted_steps() -> Iterator[Steps]:
    """The steps of all tasks of this run within the block."""
    trio.lowlevel.add_instrument(steps := Steps())
    try:
        yield steps
    finally:
        trio.lowlevel.remove_instrument(steps)
