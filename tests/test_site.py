"""The site: pages made from the program, and links that hold in two places.

``nox -s docs`` builds it, and MkDocs looks at every link and anchor. Here is what needs no MkDocs.
"""

from __future__ import annotations

import importlib.util
import re
from types import ModuleType

import pytest

from tcpecho_trio import PUBLIC
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import LANGUAGES
from tests.support.pages import PAGES, all_commands
from tests.support.processes import ROOT


def load_hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("hooks", ROOT / "docs" / "_site" / "hooks.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


hooks = load_hooks()


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_of_options_has_each_with_its_help(language: str) -> None:
    made = hooks.options_page(language)
    for name, command in all_commands(build_cli(LANGUAGES[language])).items():
        if not name:  # what comes before a command
            continue
        (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", made, re.DOTALL | re.MULTILINE)
        for parameter in command.params:
            assert re.search(rf"`(\S+, )?{re.escape(parameter.opts[0])}\b", section) or (
                parameter.param_type_name == "argument"
            )


def test_an_options_default_and_bounds_are_told_apart() -> None:
    assert hooks.described("--port N", "A port.  [default: 5000; 0<=x<=65535]", "Default") == [
        "`--port N`",
        ":   A port. *Default: `5000`.* (`0<=x<=65535`)",
        "",
    ]
    assert hooks.described("--x", "Less <than> --y.", "Default")[1] == (
        ":   Less &lt;than&gt; `--y`."
    )


def test_the_reference_has_every_public_name() -> None:
    made = hooks.reference_page()
    for module, names in PUBLIC.items():
        for name in names:
            assert f"::: tcpecho_trio.{module}.{name}\n" in made


def test_the_reference_of_a_class_has_what_a_base_that_is_not_public_gives_it() -> None:
    made = hooks.reference_page()
    assert "::: tcpecho_trio.client.Client\n    options:\n      inherited_members: true\n" in made
    assert made.count("inherited_members") == 1


@pytest.mark.parametrize(
    ("page", "link", "on_the_site"),
    [
        ("index.md", "[a](docs/load.md#reports)", "[a](load.md#reports)"),
        ("index.md", "[a](README.es.md)", "[a](guia.md)"),
        ("index.md", "![a](benchmarks/results/cpu.svg)", "![a](pictures/cpu.svg)"),
        ("index.md", "![a](docs/page.png)", "![a](page.png)"),
        ("index.md", "MIT, see [LICENSE](LICENSE).", "MIT, see LICENSE."),
        ("load.md", "[a](../README.md#speed)", "[a](index.md#speed)"),
        ("load.md", "[`b`](../tcpecho_trio/protocol.py)", "`b`"),
        ("tests.md", "[a](../CONTRIBUTING.md)", "[a](contributing.md)"),
        ("load.md", "[a](https://example.org/b.md)", "[a](https://example.org/b.md)"),
        ("load.md", "[a](#b)", "[a](#b)"),
        ("load.md", r"| `a\|b` | c\|d |", r"| `a|b` | c\|d |"),
        ("load.md", "```\n[a](../b.py)\n```", "```\n[a](../b.py)\n```"),
    ],
)
def test_a_link_holds_on_the_site(page: str, link: str, on_the_site: str) -> None:
    class Page:
        class file:  # noqa: N801
            src_uri = page

    assert hooks.on_page_markdown(link, Page()) == on_the_site


def test_a_role_in_a_docstring_becomes_a_link() -> None:
    made = hooks.on_page_content("<p>see :meth:<code>~a.B.c</code> and::</p>")
    made = re.sub("<code[^>]*>", "<code>", made)
    assert made == '<p>see <autoref optional identifier="a.B.c"><code>c</code></autoref> and:</p>'


def test_the_site_loads_nothing_from_elsewhere() -> None:
    """What a page shows or runs is its own; links may lead away."""
    for each in PAGES:
        assert not re.search(r"!\[[^\]]*\]\(\w+://|<(script|img|link|iframe)\b", each.prose)
    for file in (ROOT / "docs").rglob("*.*"):
        if file.suffix in (".css", ".svg"):
            assert not re.search(r"(@import|url\(|href=)[\"']?\s*\w+://", file.read_text()), file
    assert "font: false" in (ROOT / "mkdocs.yml").read_text()
