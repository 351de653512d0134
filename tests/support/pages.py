"""The pages of the documentation, and what stands in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import click

from tests.support.processes import ROOT

FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]\n]*\]\(([^()\s]+)\)")
OURS = "tcpecho_trio"


@dataclass(frozen=True)
class Page:
    """A page, as it stands in the repository."""

    path: Path

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))

    @property
    def text(self) -> str:
        return self.path.read_text()

    def blocks(self, *languages: str) -> list[str]:
        """What is fenced in, in one of these languages."""
        return [body for language, body in FENCE.findall(self.text) if language in languages]

    @property
    def prose(self) -> str:
        """What is not fenced in."""
        return FENCE.sub("", self.text)

    @property
    def links(self) -> list[str]:
        return LINK.findall(re.sub(r"`[^`\n]*`", "", self.prose))

    @property
    def anchors(self) -> set[str]:
        """What a link may say behind its ``#``."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return {anchor(heading) for heading in headings}

    def section(self, heading: str) -> str:
        """What stands below a heading, up to the next one that is as high."""
        level = heading.split(" ")[0]
        pattern = rf"^{re.escape(heading)}\n(.*?)(?=^#{{1,{len(level)}}} |\Z)"
        (found,) = re.findall(pattern, self.text, re.DOTALL | re.MULTILINE)
        return str(found)


def anchor(heading: str) -> str:
    """A heading's name in links, as code hosts and the site make it."""
    heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


PAGES = [
    Page(path)
    for path in sorted(
        [*ROOT.glob("*.md"), ROOT / "tests" / "README.md", *(ROOT / "docs").rglob("*.md")]
    )
]
"""Everything that people read."""


def page(name: str) -> Page:
    """A page by its name in the repository."""
    return Page(ROOT / name)


def all_commands(command: click.Command, name: str = "") -> dict[str, click.Command]:
    """A command and those below it, by what is typed to get there."""
    found = {name: command}
    if isinstance(command, click.Group):
        for word, child in command.commands.items():
            found |= all_commands(child, f"{name} {word}".strip())
    return found


@dataclass
class Command:
    """A command line of a console block, and what it prints if that is shown."""

    line: str
    shown: str | None = None

    @property
    def ours(self) -> bool:
        return bool(re.search(rf"python -m {OURS} \S|(?<![-\w.])tcpecho-trio \S", self.line))

    @property
    def arguments(self) -> list[str]:
        """What our own program is given: one word each, as a shell would part them."""
        import shlex

        said = re.split(rf"python -m {OURS}|(?<![-\w.])tcpecho-trio", self.line)[1]
        lexer = shlex.shlex(said, posix=True, punctuation_chars="|<>;&")
        lexer.whitespace_split = True
        arguments = []
        for word in lexer:
            if word and set(word) <= set("|<>;&"):
                break
            arguments.append(word)
        return arguments


def commands(block: str) -> list[Command]:
    """The commands of a console block. Where some have a prompt, the rest is what they print."""
    block = block.replace("\\\n", " ")
    if not block.startswith("$ "):
        return [Command(line) for line in block.splitlines() if line]
    told = []
    for line in block.splitlines(keepends=True):
        if line.startswith("$ "):
            told.append(Command(line.removeprefix("$ ").strip()))
        else:
            told[-1].shown = (told[-1].shown or "") + line
    return told
