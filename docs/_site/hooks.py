"""What MkDocs does not do by itself: pages that stand elsewhere, and pages made from the program.

The documentation is read in two places: in the repository, and as a site. So links are written as
they hold in the repository, and are rewritten here. The pages of options and of the public names
come from the program itself, each time that the site is built.
"""

from __future__ import annotations

import html
import posixpath
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import tcpecho_trio
from tcpecho_trio import PUBLIC
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import LANGUAGES

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent.parent

ELSEWHERE = {
    "README.md": "index.md",
    "README.es.md": "guia.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "tests/README.md": "tests.md",
}
"""Pages of the site that do not stand in docs/: their places in the repository and here."""

PICTURES = (".svg", ".png")

IN_SPANISH = {"guia.md", "opciones.md"}

DRAWING = re.compile(r'<p><img alt="([^"]*)" src="[^"]*(drawings/\w+\.svg)" ?/?></p>')

LINK = re.compile(r"(!?)\[([^\]\n]*)\]\(([^()\s]+)\)")
FENCED = re.compile(r"(^```.*?^```$)", re.DOTALL | re.MULTILINE)
ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc|obj):<code>(~?)\.?([\w.]+)</code>")
"""What Sphinx calls a role: our docstrings name other things in this way."""

WORD = re.compile(r"<code>([^<]{1,26})</code>")
"""An option or a file's name: it is not broken behind its hyphens and dots."""

OPTIONS = {
    "en": (
        "options.md",
        (
            "# All options\n\nAs `--help` says them: this page is made from the program. Each"
            " option is read from the environment, too: `--max-connections` of `serve` is"
            " `TCPECHO_SERVE_MAX_CONNECTIONS`.\n"
        ),
        "Default",
    ),
    "es": (
        "opciones.md",
        (
            "# Todas las opciones\n\nTal como las dice `--help`: esta página sale del propio"
            " programa. Cada opción se lee también del entorno: `--max-connections` de `serve` es"
            " `TCPECHO_SERVE_MAX_CONNECTIONS`.\n"
        ),
        "Si no se dice",
    ),
}
"""For each language: the page, how it begins, and what stands before a default."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that stand elsewhere, those that are made, and the pictures they show."""
    from mkdocs.structure.files import File

    pages = {name: (ROOT / origin).read_text() for origin, name in ELSEWHERE.items()}
    pages |= {OPTIONS[language][0]: options_page(language) for language in LANGUAGES}
    pages["reference.md"] = reference_page()
    for name, text in pages.items():
        files.append(File.generated(config, name, content=text))
    shown = [*pages.items(), *((f.src_uri, f.content_string) for f in files.documentation_pages())]
    for origin in sorted({origin for name, text in shown for origin in pictures(name, text)}):
        place = f"pictures/{Path(origin).name}"
        files.append(File.generated(config, place, abs_src_path=str(ROOT / origin)))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Rewrite links, which are written as they hold in the repository."""
    here = page.file.src_uri

    def rewritten(link: re.Match[str]) -> str:
        picture, words, target = link.groups()
        return rewrite(here, picture, words, target)

    parts = FENCED.split(markdown)
    for number in range(0, len(parts), 2):
        # A code host needs "\\|" for "|" in a table's code; here that would be shown as it is.
        plain = re.sub(r"`[^`\n]*`", lambda code: code[0].replace(r"\|", "|"), parts[number])
        parts[number] = LINK.sub(rewritten, plain)
    return "".join(parts)


def on_page_content(content: str, **_: Any) -> str:
    """Make links of the roles in docstrings, and mend what their literal blocks leave behind."""

    def linked(role: re.Match[str]) -> str:
        whole, name = role[2], role[2].rpartition(".")[2] if role[1] else role[2]
        return f'<autoref optional identifier="{html.escape(whole)}"><code>{name}</code></autoref>'

    def drawn(picture: re.Match[str]) -> str:
        # Inside the page it takes the page's colours, light or dark.
        drawing = (ROOT / "docs" / picture[2]).read_text()
        drawing = re.sub(r'aria-label="[^"]*"', f'aria-label="{picture[1]}"', drawing)
        return f'<div class="drawing">{drawing}</div>'

    content = DRAWING.sub(drawn, ROLE.sub(linked, content))
    content = WORD.sub(r'<code class="word">\1</code>', content)
    return re.sub(r"::</p>", ":</p>", content).replace("<p>:</p>", "")


def on_post_page(output: str, page: Page, **_: Any) -> str:
    """Say in which language a page is: for screen readers, hyphens and searches."""
    if page.file.src_uri in IN_SPANISH:
        return output.replace('<html lang="en"', '<html lang="es"')
    return output


def origin_of(page: str) -> str:
    """Where a page of the site stands in the repository."""
    for origin, name in ELSEWHERE.items():
        if name == page:
            return origin
    return f"docs/{page}"


def rewrite(here: str, picture: str, words: str, target: str) -> str:
    """A link as it holds on the site; what is not there is only named."""
    where, hash_sign, place = target.partition("#")
    if "://" in where or not where:
        return f"{picture}[{words}]({target})"
    origin = posixpath.normpath(posixpath.join(posixpath.dirname(origin_of(here)), where))
    if origin in ELSEWHERE:
        there = ELSEWHERE[origin]
    elif origin.startswith("docs/") and origin.endswith((".md", *PICTURES)):
        there = origin.removeprefix("docs/")
    elif origin.endswith(PICTURES):
        there = f"pictures/{Path(origin).name}"
    else:
        return words
    return f"{picture}[{words}]({there}{hash_sign}{place})"


def pictures(page: str, text: str) -> set[str]:
    """Pictures that a page shows and that do not stand in docs/."""
    folder = posixpath.dirname(origin_of(page))
    found = {
        posixpath.normpath(posixpath.join(folder, target))
        for picture, _, target in LINK.findall(text)
        if picture and "://" not in target
    }
    return {origin for origin in found if not origin.startswith("docs/")}


def options_page(language: str) -> str:
    """Every command with its options, as the program tells them in a language."""
    texts = LANGUAGES[language]
    _, beginning, default = OPTIONS[language]
    lines = [beginning]
    cli = build_cli(texts)
    above = click.Context(cli, info_name="python -m tcpecho_trio", **cli.context_settings)
    for context in below(above):
        command = context.command
        usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
        name = context.command_path.removeprefix(above.command_path).strip()
        lines += [f"## {name}", "", f"`{usage}`", "", *(command.help or "").splitlines(), ""]
        for parameter in command.get_params(context):
            if (record := parameter.get_help_record(context)) is not None:
                lines += described(*record, default)
    return "\n".join(lines)


def below(context: click.Context) -> Iterator[click.Context]:
    """Every command below a group, each after the group that it is in."""
    if isinstance(context.command, click.Group):
        for name, command in context.command.commands.items():
            inner = click.Context(command, info_name=name, parent=context)
            yield inner
            yield from below(inner)


def described(names: str, told: str, default: str) -> list[str]:
    """An option and what it does; click writes the default and the bounds behind the help."""
    told, _, brackets = told.partition("  [")
    bounds = brackets.removesuffix("]")
    told = re.sub(r"(--[a-z-]+|[a-z]+://[^ ,;]+)", r"`\1`", html.escape(told, quote=False))
    told = told.replace("[", "&#91;")  # no link
    if bounds.startswith("default: "):
        value, _, bounds = bounds.removeprefix("default: ").partition("; ")
        told += f" *{default}: `{value}`.*"
    return [f"`{names}`", f":   {told}" + (f" (`{bounds}`)" if bounds else ""), ""]


def reference_page() -> str:
    """The public names, each with its docstring."""
    lines = ["# Reference", "", "The public names. Each can be imported from `tcpecho_trio`.", ""]
    for module, names in PUBLIC.items():
        lines += [f"## tcpecho_trio.{module}", ""]
        for name in names:
            lines += [f"::: tcpecho_trio.{module}.{name}"]
            if has_hidden_base(getattr(tcpecho_trio, name)):
                lines += ["    options:", "      inherited_members: true"]
            lines += [""]
    return "\n".join(lines)


def has_hidden_base(thing: object) -> bool:
    """Whether a class has members of one that is not public, and so has no place of its own."""
    public = {name for names in PUBLIC.values() for name in names}
    bases = thing.__mro__[1:] if isinstance(thing, type) else ()
    return any(b.__module__.startswith("tcpecho_trio.") and b.__name__ not in public for b in bases)
