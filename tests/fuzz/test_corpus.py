"""What fuzzing found worth keeping, run again each time; and the fuzzers' target itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.protocol import Output, Protocol
from tests.fuzz.check import CUT, EOF, LONG, QUIET, REPEAT, actions, check
from tests.fuzz.programs import literal, programs
from tests.support.processes import ROOT

CORPUS = sorted((Path(__file__).parent / "corpus").iterdir())


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_the_corpus_holds(file: Path) -> None:
    check(file.read_bytes())


def test_the_corpus_is_there() -> None:
    assert len(CORPUS) >= 50


@given(program=programs)
def test_programs_of_near_commands_hold(program: bytes) -> None:
    check(program)


@given(program=st.binary(max_size=60))
def test_any_bytes_are_a_program(program: bytes) -> None:
    check(program)


@given(chunks=st.lists(st.binary(min_size=1, max_size=9)))
def test_a_program_can_say_any_chunks(chunks: list[bytes]) -> None:
    program = b"0" + bytes([CUT]).join(map(literal, chunks))
    assert list(actions(program)) == chunks


def test_a_program_can_say_every_action() -> None:
    program = b"0hola%c%cx%cab%c%c" % (QUIET, EOF, CUT, REPEAT, QUIET)
    assert list(actions(program)) == [b"hola", b"", None, b"x", b"abab", b""]
    long = list(actions(b"0ab" + bytes([REPEAT]) * 60))
    assert [len(chunk or b"") for chunk in long] == [LONG]


class LosesAByte(Protocol):
    """A protocol that forgets the last byte of a chunk that ends inside a line."""

    def receive_data(self, data: bytes) -> tuple[Output, ...]:
        return super().receive_data(data if data.endswith(b"\n") or len(data) < 9 else data[:-1])


class HoldsEverything(Protocol):
    """A protocol that remembers all it was ever sent."""

    __slots__ = ("history",)

    def receive_data(self, data: bytes) -> tuple[Output, ...]:
        self.history = getattr(self, "history", b"") + data
        return super().receive_data(data)


class SpeaksAfterTheEnd(Protocol):
    """A protocol whose FINISHED is not final."""

    def receive_eof(self) -> tuple[Output, ...]:
        return super().receive_eof() or (b"bye",)


@pytest.mark.parametrize("broken", [LosesAByte, HoldsEverything, SpeaksAfterTheEnd])
def test_the_target_sees_what_is_wrong(
    broken: type[Protocol], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.fuzz.check.Protocol", broken)
    with pytest.raises(AssertionError):
        check(b"1hola servidor\n" + b"x" * 200 + bytes([CUT]) + b"\nhola\n")


@pytest.mark.parametrize("engine", ["atheris", "hypothesis"])
def test_the_fuzzer_runs(engine: str, tmp_path: Path) -> None:
    pytest.importorskip(engine)
    options = ["--engine", engine, "--runs", "200", "--seed", "1"]
    directories = ["--found", str(tmp_path), "--corpus", str(tmp_path)]
    command = [sys.executable, "-m", "tests.fuzz", *options, *directories]
    done = subprocess.run(command, capture_output=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr.decode()
    assert re.search(rb"\b2\d\d (runs|programs)", done.stdout + done.stderr)
