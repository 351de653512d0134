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
    """A nursery, as :func:`trio.open_nursery` opens it.

    Args:
      expected: errors that leave the block bare. When several tasks fail with such errors, the
        first of them leaves it. An error of any other kind leaves it in a group, as usual.
    """
    failure = None
    try:
        async with trio.open_nursery() as nursery:
            yield nursery
    except* expected as group:
        failure = leaves(group)[0]
    if failure is not None:
        raise failure


def leaves(error: BaseException) -> list[BaseException]:
    """The exceptions themselves, out of however many groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in leaves(part)]
    return [error]
