"""All mutants of a source file: mutmut's operators, and two that it lacks."""

from __future__ import annotations

import ast
import difflib
import functools
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import libcst as cst
import libcst.matchers as m
from mutmut.mutation.mutators import mutation_operators

Operator = Callable[[cst.CSTNode], Iterable[cst.CSTNode]]


@dataclass(frozen=True, slots=True)
class Mutant:
    """A source file with one mistake in it.

    Args:
      path: of the file, relative to the project.
      place: the class and function in which the mistake is; empty at the top of the file.
      code: the whole file with the mistake.
      was: the lines that differ, as they were, without indentation.
      becomes: what they are now.
      diff: for people.
      lines: the numbers of the lines of the statement in which it is, before the mistake.
      uses: those of the lines that name what is bound there, if it is a constant or a field.
    """

    path: str
    place: str
    code: str
    was: str
    becomes: str
    diff: str
    lines: tuple[int, ...] = ()
    uses: tuple[int, ...] = ()


def remove_statement(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A statement that does something is forgotten."""
    doing = m.Expr(value=m.Call() | m.Await()) | m.Assign() | m.AugAssign() | m.Raise()
    if isinstance(node, cst.SimpleStatementLine) and _is_declaration(node.body[0]):
        return
    if isinstance(node, cst.SimpleStatementLine) and m.matches(node.body[0], doing):
        yield node.with_changes(body=[cst.Pass()])


def negate_condition(node: cst.CSTNode) -> Iterator[cst.CSTNode]:
    """A condition is turned around. Comparisons are left to mutmut's operators."""
    if isinstance(node, cst.If | cst.While | cst.IfExp) and not m.matches(
        node.test, m.Comparison() | m.UnaryOperation(operator=m.Not()) | m.Name("True")
    ):
        test = node.test.with_changes(lpar=[cst.LeftParen()], rpar=[cst.RightParen()])
        yield node.with_changes(test=cst.UnaryOperation(cst.Not(), test))


OPERATORS: Sequence[tuple[type, Operator]] = [
    *mutation_operators,
    (cst.SimpleStatementLine, remove_statement),
    (cst.CSTNode, negate_condition),
]


class _Mutations(cst.CSTVisitor):
    """Collects what may be replaced by what, leaving out what no run would show.

    Each find is the way to a node, from the module down to it, and what may stand in its place.
    """

    def __init__(self) -> None:
        self.found: list[tuple[tuple[cst.CSTNode, ...], cst.CSTNode]] = []
        self._way: list[cst.CSTNode] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        self._way.append(node)
        if _is_declaration(node):
            return False
        if isinstance(node, cst.Call) and m.matches(node.func, m.Name("cast")):
            return True  # only what is cast is looked at
        above = self._way[-2] if len(self._way) > 1 else None
        if (
            isinstance(above, cst.Call)
            and m.matches(above.func, m.Name("cast"))
            and node is above.args[0]
        ):
            return False
        for kind, operator in OPERATORS:
            if isinstance(node, kind):
                self.found += [(tuple(self._way), mutated) for mutated in operator(node)]
        return True

    def on_leave(self, original_node: cst.CSTNode) -> None:
        self._way.pop()


def _is_declaration(node: cst.CSTNode) -> bool:
    """What Python reads once and a mistake in would be seen at the first import, or by mypy."""
    if isinstance(node, cst.Annotation | cst.Decorator | cst.Import | cst.ImportFrom):
        return True
    if isinstance(node, cst.AnnAssign) and node.value is None:
        return True
    if isinstance(node, cst.Assign) and isinstance(node.targets[0].target, cst.Name):
        return node.targets[0].target.value in ("__all__", "__slots__")
    return m.matches(node, m.If(test=m.Name("TYPE_CHECKING"))) or m.matches(
        node, m.Call(func=m.Attribute(attr=m.Name("TypeVar")))
    )


class _Replace(cst.CSTTransformer):
    """Replaces the node at the end of a way, and looks at nothing beside that way."""

    def __init__(self, way: tuple[cst.CSTNode, ...], new: cst.CSTNode) -> None:
        self._way = {id(node) for node in way}
        self._old = way[-1]
        self._new = new

    def on_visit(self, node: cst.CSTNode) -> bool:
        return id(node) in self._way and node is not self._old

    def on_leave(  # type: ignore[override]  # of a narrower type: nothing is taken out
        self, original_node: cst.CSTNode, updated_node: cst.CSTNode
    ) -> cst.CSTNode:
        return self._new if original_node is self._old else updated_node


def mutants_of(path: str, source: str) -> list[Mutant]:
    """Every mutant of a file, without those that are no Python or change nothing."""
    module = cst.parse_module(source)
    visitor = _Mutations()
    module.visit(visitor)
    mutants: dict[str, Mutant] = {}
    for way, new in visitor.found:
        changed = module.visit(_Replace(way, new))
        assert isinstance(changed, cst.Module)
        code = changed.code
        if code != source and code not in mutants and _compiles(code):
            mutant = _mutant(path, _place(way), source, code)
            if not _changes_nothing(mutant):
                mutants[code] = mutant
    return list(mutants.values())


def _changes_nothing(mutant: Mutant) -> bool:
    """Whether only mypy could notice it, or it is another name of the same encoding."""
    one_encoding = mutant.was.replace('"utf-8"', '"UTF-8"') == mutant.becomes.replace(
        '"utf-8"', '"UTF-8"'
    )
    return (
        one_encoding
        or re.match(r"\w+(: TypeAlias)? = (Callable|Generator|Literal|bytes \|)", mutant.was)
        is not None
    )


def _compiles(code: str) -> bool:
    try:
        compile(code, "mutant", "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return False
    return True


def _place(way: tuple[cst.CSTNode, ...]) -> str:
    return ".".join(
        node.name.value for node in way if isinstance(node, cst.ClassDef | cst.FunctionDef)
    )


def _mutant(path: str, place: str, source: str, code: str) -> Mutant:
    before, after = source.splitlines(), code.splitlines()
    lines = list(difflib.unified_diff(before, after, path, path, lineterm="", n=2))
    changed = lines[2:]  # behind the two lines with the path
    was = "\n".join(line[1:].strip() for line in changed if line.startswith("-"))
    becomes = "\n".join(line[1:].strip() for line in changed if line.startswith("+"))
    pairs = enumerate(zip(before, after, strict=False), 1)
    first = next((number for number, (old, new) in pairs if old != new), len(before))
    statement, bound = _statement_around(source, first)
    named = re.compile(rf"\b({'|'.join(bound)})\b") if bound else None
    uses = tuple(n for n, line in enumerate(before, 1) if named is not None and named.search(line))
    return Mutant(path, place, code, was, becomes, "\n".join(lines), statement, uses)


def _statement_around(source: str, line: int) -> tuple[tuple[int, ...], list[str]]:
    """The lines of the innermost statement at a line, or of its head; and the names it binds."""
    numbers: tuple[int, ...] = (line,)
    bound: list[str] = []
    for node in ast.walk(_parsed(source)):  # outer ones first
        if isinstance(node, ast.stmt | ast.excepthandler) and node.end_lineno is not None:
            body = getattr(node, "body", None)
            end = max(node.lineno, body[0].lineno - 1) if body else node.end_lineno
            if node.lineno <= line <= end:
                numbers = tuple(range(node.lineno, end + 1))
                targets = getattr(node, "targets", None) or [getattr(node, "target", None)]
                bound = [name.id for name in targets if isinstance(name, ast.Name)]
                bound += [node.name] if isinstance(node, ast.FunctionDef | ast.ClassDef) else []
    return numbers, bound


@functools.lru_cache(maxsize=1)
def _parsed(source: str) -> ast.Module:
    return ast.parse(source)
