"""Run a command to its end: the one place that calls ``trio.run``."""

from __future__ import annotations

import errno
import gc
import warnings
from collections.abc import Coroutine
from typing import Any

from tcpecho_trio.errors import CannotStart, TcpEchoError

NO_THREAD = "can't start new thread"
"""What Python's RuntimeError says when the system starts no more threads."""


def run(main: Coroutine[Any, Any, Any]) -> Any:
    """Run to the end; unwrap the group that nurseries put around what has one cause."""
    import trio  # as late as the rest: completing a word in a shell has to be quick

    begun = False

    async def body() -> Any:
        nonlocal begun
        begun = True
        return await main

    gc.freeze()
    gc.enable()
    try:
        return trio.run(body)
    except OSError as error:
        if begun:
            raise
        main.close()
        raise CannotStart("cannot_start", reason=error) from error
    except (KeyboardInterrupt, RuntimeError, BaseExceptionGroup) as error:
        causes = _leaves(error)
        if all(isinstance(cause, RuntimeError) and str(cause) == NO_THREAD for cause in causes):
            # What pthread_create(3) said; to look up a name takes a thread.
            raise CannotStart("cannot_start", reason=OSError(errno.EAGAIN, NO_THREAD)) from error
        if any(isinstance(cause, KeyboardInterrupt) for cause in causes):
            # It may have come as Trio was starting a task, whose coroutine then never ran.
            warnings.filterwarnings("ignore", "coroutine .* was never awaited", RuntimeWarning)
            raise TcpEchoError("client_interrupted") from error
        for kind in (TcpEchoError, BrokenPipeError):
            if all(isinstance(cause, kind) for cause in causes):
                raise causes[0] from error
        raise


def _leaves(error: BaseException) -> list[BaseException]:
    """The exceptions themselves, out of however many groups."""
    if isinstance(error, BaseExceptionGroup):
        return [leaf for part in error.exceptions for leaf in _leaves(part)]
    return [error]
