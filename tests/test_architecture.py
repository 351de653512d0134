"""The arrows of the house: who may import whom."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import tcpecho_trio

PACKAGE = Path(tcpecho_trio.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# From the ground up; a room imports only from lower storeys or from its own.
STOREYS = [
    {"texts", "dialects", "display", "addresses", "__init__"},
    {"protocol", "proxy_protocol", "errors"},
    {"stdio", "tls", "nurseries"},
    {"server", "client"},
    {"admin", "load", "cluster"},
    {"cli"},
    {"__main__"},
]


def room(module: str) -> str:
    """tcpecho_trio.server.journal → server."""
    return [*module.split("."), "__init__"][1]


def imports(file: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
            found |= set(names if node.module == "tcpecho_trio" else [node.module])
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def storey(name: str) -> int:
    return next(number for number, rooms in enumerate(STOREYS) if name in rooms)


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(PACKAGE)))
def test_imports_point_downwards(file: Path) -> None:
    here = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
    for module in imports(file):
        if module.split(".")[0] == "tcpecho_trio":
            there = room(module)
            there = "__init__" if there.startswith("__") else there
            assert there == here or storey(there) < storey(here), f"{here} imports {module}"


@pytest.mark.parametrize(
    "name", ["protocol", "dialects", "texts/*", "display", "addresses", "proxy_protocol/*"]
)
def test_the_sans_io_part_knows_no_io(name: str) -> None:
    forbidden = {"trio", "socket", "time", "asyncio", "select", "os"}
    files = list(PACKAGE.glob(f"{name}.py"))
    assert files
    for file in files:
        assert not {module.split(".")[0] for module in imports(file)} & forbidden, file


# What a test may wait for.

CLOCKS = {"autojump_clock", "mock_clock"}
TESTS = Path(__file__).parent


def sleeps(tree: ast.AST, mocked: bool = False) -> Iterator[int]:
    """The lines that sleep in real time, not under a fixture that mocks the clock."""
    for node in ast.iter_child_nodes(tree):
        there = mocked
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            there = mocked or bool(CLOCKS & {argument.arg for argument in node.args.args})
        if isinstance(node, ast.Call) and not there and called(node) == "sleep":
            yield node.lineno
        yield from sleeps(node, there)


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    name = call.func
    return getattr(name, "attr", "") or getattr(name, "id", "")


def test_a_sleep_in_a_test_is_on_a_mock_clock_or_its_line_says_what_it_is_for() -> None:
    """A pace, a poll's pause, or to see that nothing happens: what happens is waited for."""
    silent = []
    for file in TESTS.rglob("*.py"):
        text = file.read_text()
        lines = text.splitlines()
        found = [(number, lines[number - 1]) for number in sleeps(ast.parse(text))]
        silent += [f"{file}:{number}" for number, line in found if "  # " not in line]
    assert silent == []
