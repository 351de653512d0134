"""docs/troubleshooting.md lists every message that tells of trouble, as the program says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import pytest

from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import ENGLISH, LANGUAGES, Texts
from tcpecho_trio.texts.cluster_lines import ClusterTexts
from tcpecho_trio.texts.load_lines import LoadTexts
from tcpecho_trio.texts.process_lines import ProcessTexts
from tests.support.pages import all_commands, page

PAGE = page("docs/troubleshooting.md").text

ORDINARY = {
    *("listening", "admin_listening", "connected", "received", "replied", "leaving", "closed"),
    *("probe", "tls_reloaded", "access_log_reopened", "faulty", "shutdown_delayed", "draining"),
    *("cutting", "stopped", "clients_served", "clients_aborted", "more_messages", "thousands"),
    *("faults_changed", "no_faults"),
    *("worker_ready", "worker_ended", "worker_said", "worker_replaced", "workers_replaced"),
    *("more_connections", "omitted_messages", "omitted_connections"),
    *(
        "cluster_joined",
        "client_connected",
        "client_prompt",
        "client_reply",
        "client_hint",
        "client_hint_words",
    ),
    *("client_leaving", "client_progress", "client_more_lines"),
}
"""Lines of the journal and of the client that tell of no trouble."""

OF_HELP = {
    *("cli_usage", "cli_options", "cli_options_metavar", "cli_metavars", "cli_commands_metavar"),
    *("cli_processes", "expects_processes"),
    *("cli_default", "cli_commands", "cli_hint", "cli_similar", "cli_timeout", "cli_help"),
}
"""What only lays out the help, or ends another line."""


def between(texts: type[Any], first: str, last: str) -> list[str]:
    """The names of lines, from one to another as they stand in the class."""
    names = [field.name for field in fields(texts)]
    return names[names.index(first) : names.index(last) + 1]


def helps() -> Iterator[str]:
    """All that the options and commands say about themselves."""
    for command in all_commands(build_cli(ENGLISH)).values():
        yield command.help or ""
        for parameter in command.params:
            yield getattr(parameter, "help", None) or ""


def troubles() -> list[str]:
    told = set(helps())
    names = [
        *between(Texts, "listening", "lines_lost"),
        *between(Texts, "proxy_untrusted", "proxy_bad_checksum"),
        *between(Texts, "console_unknown", "client_hint_case"),
        *between(Texts, "error", "message_without_pieces")[1:],
        *(
            name
            for name in between(Texts, "cli_about", "cli_no_unix")
            if name not in OF_HELP and getattr(ENGLISH, name) not in told
        ),
    ]
    return [
        *(name for name in names if name not in ORDINARY),
        *(f"load.{name}" for name in between(LoadTexts, "bad_connections", "cannot_connect")),
        *(f"cluster.{name}" for name in between(ClusterTexts, "alone", "missing")),
        *(
            f"processes.{field.name}"
            for field in fields(ProcessTexts)
            if field.name not in ORDINARY | OF_HELP
        ),
        *(f"cluster.{name}" for name in between(ClusterTexts, "needs_extra", "not_ready")),
    ]


def shown(language: str, name: str) -> str:
    """A line as the page quotes it; of one that has a plural, that."""
    line: Any = LANGUAGES[language]
    for part in name.split("."):
        line = getattr(line, part)
    line = line if isinstance(line, str) else line[1]
    return str(line).replace("\n", " ").replace("`", "'").strip()


@pytest.mark.parametrize("name", troubles())
@pytest.mark.parametrize("language", LANGUAGES)
def test_every_message_of_trouble_is_explained(language: str, name: str) -> None:
    assert f"`{shown(language, name)}`" in PAGE


def test_no_message_is_explained_that_there_is_not() -> None:
    said = {shown(language, name) for language in LANGUAGES for name in troubles()}
    quoted = re.findall(r"^(?:- |  )`(.*?)`(?:  $| ·)", PAGE, re.MULTILINE)
    assert len(quoted) > 100
    assert set(quoted) <= said


def test_what_is_ordinary_exists() -> None:
    assert {*ORDINARY, *OF_HELP} <= {
        field.name for texts in (Texts, ProcessTexts) for field in fields(texts)
    }
