"""Which lines there are to be said about a server of several processes."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ProcessTexts:
    """Every line about workers, in one language; the journal's are named after its events."""

    worker_ready: str
    worker_ended: str
    worker_died: str
    worker_hung: str
    worker_not_started: str
    worker_said: str
    worker_replaced: str
    workers_replaced: str
    replacement_stopped: str
    exit_code: str

    # Errors.
    no_worker: str
    no_supervisor: str

    # The command line.
    cli_processes: str
    cli_no_processes: str
    expects_processes: str
