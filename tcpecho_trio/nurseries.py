"""Nurseries out of which an expected error comes as itself, and not in a group.

A nursery of Trio's wraps whatever leaves it in an exception group, even a single error of one
task. A caller that writes ``except OSError`` would then miss it.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio


@asynccontextmanager
async def open_nursery(*expected: type[Exception]) -> AsyncGenerator[trio.Nursery, None]:
    """A nursery like ``trio.open_nursery()``, but for the errors that its user expects.

    Trio wraps whatever leaves a nursery in an exception group, because several tasks may fail at
    once. Where only one kind of error can come out, its caller wants to catch that error itself.

    Args:
      expected: of these errors, the first one is raised bare. An unexpected error that comes out
        at the same time takes precedence, in its group.
    """
    failure: Exception | None = None
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except* expected as group:
        failure = next(leaf for leaf in leaves(group) if isinstance(leaf, expected))
    if failure is not None:
        raise failure


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions themselves, out of however many groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]
