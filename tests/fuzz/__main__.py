"""Fuzz the protocol: with atheris (libFuzzer) where it is installed, else with Hypothesis.

``python -m tests.fuzz [--seconds N] [--runs N] [--seed N]``. What atheris found goes to
``.fuzz/``: inputs that reached something new to ``.fuzz/new``, a failing one to
``.fuzz/crash-…``; both are programs as :mod:`tests.fuzz.check` reads them. ``--distil`` then
copies the few of them that matter into ``tests/fuzz/corpus``, which an ordinary test runs. A
failing program belongs there too, named by what it is.
"""

from __future__ import annotations

import argparse
import importlib.util
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CORPUS = HERE / "corpus"
FOUND = HERE.parent.parent / ".fuzz"

SECONDS = 300
"""How long to fuzz when nothing else is said; new coverage has long become rare by then."""
EXAMPLES = 200_000
"""What Hypothesis tries when nothing else is said."""
LONGEST_PROGRAM = 256
"""Bytes; a word, its blanks and its neighbours fit several times over."""


def main() -> None:
    """Do what the command line asks for; the exit code is 0 if nothing failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, help=f"how long to fuzz ({SECONDS})")
    parser.add_argument("--runs", type=int, help="how many programs to run, instead")
    parser.add_argument("--seed", type=int, default=0, help="repeat a run; 0 for a new one")
    parser.add_argument("--corpus", type=Path, default=CORPUS, help="what to begin with")
    parser.add_argument("--found", type=Path, default=FOUND, help=f"where to keep finds ({FOUND})")
    parser.add_argument("--distil", action="store_true", help="keep what matters, and end")
    parser.add_argument(
        "--engine",
        choices=["atheris", "hypothesis"],
        default="atheris" if importlib.util.find_spec("atheris") else "hypothesis",
        help="default: atheris where it is installed",
    )
    options = parser.parse_args()
    (options.found / "new").mkdir(parents=True, exist_ok=True)
    if options.distil:
        from tests.fuzz.distil import distil

        distil([options.corpus, options.found / "new"], options.corpus)
    elif options.engine == "atheris":
        seconds = options.seconds or (0 if options.runs else SECONDS)
        directories = [options.found / "new", options.corpus]
        with_atheris(seconds, options.runs or -1, options.seed, directories)
    else:
        print("With Hypothesis, which does not look at coverage (atheris does, where there is one)")
        with_hypothesis(options.seconds, options.runs or EXAMPLES, options.seed)


def with_atheris(seconds: int, runs: int, seed: int, corpora: list[Path]) -> None:
    """Hand over to libFuzzer, which ends the process itself; it adds to the first corpus."""
    import atheris

    # Looking at coverage costs; only what is under test is looked at, not the model.
    with atheris.instrument_imports(include=["tcpecho_trio"]):
        from tests.fuzz.check import check
    found = corpora[0].parent
    flags = {
        "max_total_time": seconds,
        "runs": runs,
        "seed": seed,
        "max_len": LONGEST_PROGRAM,
        "dict": dictionary(found),
        "artifact_prefix": f"{found}/",
        "print_final_stats": 1,
    }
    arguments = [f"-{name}={value}" for name, value in flags.items()]
    atheris.Setup([sys.argv[0], *arguments, *map(str, corpora)], check)
    atheris.Fuzz()


def with_hypothesis(seconds: int | None, runs: int, seed: int) -> None:
    """Try many programs made of nearly commands; once the time is over, none any more."""
    import hypothesis

    from tests.fuzz.check import check
    from tests.fuzz.programs import programs

    end = time.monotonic() + seconds if seconds else float("inf")
    tried = 0

    @hypothesis.settings(
        max_examples=runs,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
    )
    @hypothesis.given(programs)
    def search(program: bytes) -> None:
        nonlocal tried
        if time.monotonic() < end:
            tried += 1
            check(program)

    (hypothesis.seed(seed) if seed else lambda test: test)(search)()
    print(f"{tried:,} programs, and nothing failed")


def dictionary(found: Path) -> Path:
    """What libFuzzer may insert as a whole: each dialect's words, and what stands around them."""
    from tests.fuzz.programs import AROUND, WORDS

    file = found / "dictionary"
    quoted = ("".join(f"\\x{byte:02x}" for byte in entry) for entry in [*WORDS, *AROUND])
    file.write_text("".join(f'"{entry}"\n' for entry in quoted))
    return file


if __name__ == "__main__":
    main()
