"""The few programs that reach everything which many reach.

libFuzzer's own ``-merge`` keeps whatever has a new *count* of something, hundreds of programs.
Here a program is kept for what a person would name: a line or a jump of the protocol's code in
a dialect, or what an action did in a state.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FrameType
from typing import Any

from tcpecho_trio import dialects, protocol
from tests.fuzz.check import PLAYED, actions, check, play

FILES = {protocol.__file__, dialects.__file__}
PREFIX = "reaches-"
"""What files are called that were kept for their coverage; others are never touched."""


def distil(sources: Iterable[Path], corpus: Path) -> None:
    """Keep in `corpus` the shortest programs of all `sources` that reach all that they reach."""
    programs = {file.read_bytes() for source in sources for file in source.iterdir()}
    programs = {b"%d" % ((p[0] - ord("0")) % len(PLAYED)) + p[1:] for p in programs if p}
    reached: set[Any] = set()
    kept: list[bytes] = []
    for program in sorted(programs, key=lambda program: (len(program), program)):
        new = features(program) - reached
        if new:
            program = shortened(program, new)
            reached |= features(program)
            kept.append(program)
    # What is reached by later ones as well was kept too early.
    for program in list(kept):
        others = set().union(*(features(other) for other in kept if other != program))
        if features(program) <= others:
            kept.remove(program)
    for old in corpus.glob(f"{PREFIX}*"):
        old.unlink()
    for program in kept:
        (corpus / f"{PREFIX}{hashlib.sha1(program).hexdigest()[:10]}").write_bytes(program)
    print(f"{len(programs)} programs reach {len(reached)} things; so do {len(kept)} of them")


def shortened(program: bytes, wanted: set[Any]) -> bytes:
    """The program without every byte that it reaches `wanted` without, as well."""
    size = len(program) // 2
    while size:
        at = 1
        while at < len(program):
            shorter = program[:at] + program[at + size :]
            if wanted <= features(shorter):
                program = shorter
            else:
                at += size
        size //= 2
    return program


def features(program: bytes) -> set[Any]:
    """What running a program reaches: jumps between lines, and what actions did."""
    found: set[Any] = set()
    dialect = PLAYED[(program[0] - ord("0")) % len(PLAYED)]
    machine = protocol.Protocol(dialect)
    for action in [*actions(program), None]:
        kind = "eof" if action is None else "data" if action else "quiet"
        before, awaited = machine.state, machine.awaits_quiet
        outputs = play(machine, action)
        shape = tuple(type(output).__name__ for output in outputs)[:3]
        found.add((kind, before, awaited, shape, machine.state, machine.awaits_quiet))
        found |= {(dialect.name, output) for output in outputs if not isinstance(output, bytes)}
    found |= jumps(lambda: check(program))
    return found


def jumps(run: Callable[[], None]) -> set[tuple[str, int, int]]:
    """Every pair of lines that `run` executes one after the other in one of FILES."""
    found: set[tuple[str, int, int]] = set()

    def enter(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        name, last = frame.f_code.co_name, frame.f_code.co_firstlineno

        def step(frame: FrameType, event: str, argument: object) -> Any:
            nonlocal last
            if event == "line":
                found.add((name, last, frame.f_lineno))
                last = frame.f_lineno
            return step

        return step

    tracing = sys.gettrace()
    sys.settrace(enter)
    try:
        run()
    finally:
        sys.settrace(tracing)
    return found
