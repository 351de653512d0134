"""Manual pages, written from the commands themselves: the words are those of ``--help``.

In the macros of man(7), which both groff and mandoc read. There is a page for each command in each
language, named as man(1) looks for them: ``man tcpecho-trio serve`` finds ``tcpecho-trio-serve.1``.
"""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

import click

from tcpecho_trio import __version__
from tcpecho_trio.cli import SCRIPT
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import LANGUAGES, Texts

WIDTH = 76
"""Characters in a line of a page's source; man fills the lines that people see by itself."""


@dataclass(frozen=True)
class Words:
    """What stands in a page and not in ``--help``: the usual headings (man-pages(7))."""

    name: str
    synopsis: str
    description: str
    options: str
    environment: str
    from_environment: str
    commands: str
    see_also: str
    section: str


WORDS = {
    "en": Words(
        name="NAME",
        synopsis="SYNOPSIS",
        description="DESCRIPTION",
        options="OPTIONS",
        environment="ENVIRONMENT",
        from_environment="An option that is not given is read from its variable:",
        commands="COMMANDS",
        see_also="SEE ALSO",
        section="User Commands",
    ),
    "es": Words(
        name="NOMBRE",
        synopsis="SINOPSIS",
        description="DESCRIPCIÓN",
        options="OPCIONES",
        environment="ENTORNO",
        from_environment="Una opción que no se da se lee de su variable:",
        commands="ÓRDENES",
        see_also="VÉASE TAMBIÉN",
        section="Órdenes de usuario",
    ),
}


def manual_pages(date: str) -> dict[str, str]:
    """Every page, by its place under ``share/man``.

    Args:
      date: of the last release (``2026-11-20``), for the pages' feet.
    """
    pages = {}
    for language, words in WORDS.items():
        folder = "man1" if language == "en" else f"{language}/man1"
        texts = LANGUAGES[language]
        cli = build_cli(texts)
        top = click.Context(cli, info_name=SCRIPT, **cli.context_settings)
        contexts = [top]
        for name, command in cli.commands.items():
            contexts.append(click.Context(command, info_name=name, parent=top))
        titles = [_title(context) for context in contexts]
        for context in contexts:
            lines = _page(context, texts, words, titles, date)
            pages[f"{folder}/{_title(context)}.1"] = "\n".join(lines) + "\n"
    return pages


def _title(context: click.Context) -> str:
    return context.command_path.split(" [")[0].replace(" ", "-")


def _page(
    context: click.Context, texts: Texts, words: Words, titles: list[str], date: str
) -> Iterator[str]:
    command, title = context.command, _title(context)
    first, *rest = re.split(r"\n\s*\n", (command.help or "").strip())
    yield f'.TH "{title.upper()}" "1" "{date}" "tcpecho_trio {__version__}" "{words.section}"'
    yield f'.SH "{words.name}"'
    yield rf"{_text(title)} \- {_text(first.rstrip('.'))}"
    yield f'.SH "{words.synopsis}"'
    yield _bold(f"{SCRIPT} {command.name}" if context.parent else SCRIPT)
    yield _text(" ".join(command.collect_usage_pieces(context)))
    yield f'.SH "{words.description}"'
    for number, paragraph in enumerate([first, *rest]):
        if number:
            yield ".PP"
        yield _text(paragraph)
    yield f'.SH "{words.options}"'
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            names, told = record
            yield ".TP"
            yield _bold(names)
            yield _text(told.replace("[default: ", texts.cli_default)) or r"\&"
    yield f'.SH "{words.environment}"'
    yield _text(words.from_environment)
    for parameter in command.get_params(context):
        if isinstance(parameter, click.Option) and not parameter.is_eager:
            yield ".br"
            yield _bold(f"{context.auto_envvar_prefix}_{parameter.name}".upper())
    if isinstance(command, click.Group):
        yield f'.SH "{words.commands}"'
        for name, child in command.commands.items():
            yield ".TP"
            yield f".BR {_text(f'{SCRIPT}-{name}')} (1)"
            yield _text(child.get_short_help_str(limit=1000))
    yield f'.SH "{words.see_also}"'
    others = [other for other in titles if other != title]
    for other in others:
        yield f".BR {_text(other)} (1){'' if other is others[-1] else ','}"


def _bold(text: str) -> str:
    return rf"\fB{_text(text)}\fR"


def _text(text: str) -> str:
    """Plain text as roff reads it: a hyphen is a minus, a first dot or quote is no request."""
    text = text.replace("\\", r"\e").replace("-", r"\-")
    lines = textwrap.wrap(text, WIDTH, break_on_hyphens=False, break_long_words=False)
    return "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in lines)
