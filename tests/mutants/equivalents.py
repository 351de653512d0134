"""Mutants that change nothing that matters, each with its reason: equivalent.toml.

They are found again by their file, the function, the line as it was and the line as it becomes. So
lines may be moved about. An entry that fits no mutant any more is told, to be removed.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutations import Mutant

FILE = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True, slots=True)
class Equivalent:
    """Mistakes in one line of code that change nothing that matters.

    Args:
      path: the file.
      place: the class and function; empty at the top of the file.
      was: the line, without indentation.
      becomes: what the mistakes make of it; none for any mistake in it.
      reason: why nothing changes.
    """

    path: str
    place: str
    was: str
    becomes: tuple[str, ...]
    reason: str

    def fits(self, mutant: Mutant) -> bool:
        """Whether it speaks of this mutant."""
        here = (self.path, self.place, self.was) == (mutant.path, mutant.place, mutant.was)
        return here and (not self.becomes or mutant.becomes in self.becomes)


def read() -> list[Equivalent]:
    """All that are known."""
    return [
        Equivalent(
            f"tcpecho_trio/{entry['file']}",
            entry.get("place", ""),
            entry["was"].strip(),
            tuple(line.strip() for line in entry.get("becomes", [])),
            entry["reason"],
        )
        for entry in tomllib.loads(FILE.read_text())["equivalent"]
    ]


def reason_for(mutant: Mutant, known: Iterable[Equivalent]) -> str | None:
    """Why this mutant is equivalent, if it is known to be."""
    return next((entry.reason for entry in known if entry.fits(mutant)), None)
