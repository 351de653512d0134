"""Which lines the command ``cluster`` and the options of a cluster say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class ClusterTexts:
    """Every line about a cluster but those of the journal, in one language."""

    # The command line.
    about: str
    about_status: str
    about_drain: str
    about_restart: str
    cluster: str
    name: str
    password_file: str
    ca: str
    certificate: str
    key: str
    json: str
    watch: str
    all: str
    timeout: str
    alone: str
    both: str
    one_or_all: str
    names_all: str
    missing: str
    bad_name: str
    expects_url: str

    # The table, and what is told meanwhile.
    no_servers: str
    summary: str
    column_name: str
    column_clients: str
    column_phase: str
    column_version: str
    column_since: str
    column_addresses: str
    phases: Mapping[str, str]
    draining: str
    gone: str
    restarting: str
    ready: str

    # Errors.
    needs_extra: str
    cannot_restart: str
    cannot_read: str
    unreachable: str
    no_answer: str
    refused: str
    nobody: str
    unknown_name: str
    same_name: str
    not_taken: str
    not_gone: str
    not_ready: str
