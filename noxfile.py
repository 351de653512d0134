"""Lint and tests: ``nox`` runs both, ``nox -l`` lists what else there is."""

from __future__ import annotations

import os

import nox

nox.needs_version = ">=2025.5"
nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
# A Python that is not there is not an error: whoever has one version can run the tests.
nox.options.error_on_missing_interpreters = False

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
WORKERS = 2 * (os.cpu_count() or 1)
"""Processes that run tests: many of these wait for the programs that they have started."""

PYPROJECT = nox.project.load_toml("pyproject.toml")


def dependencies(group: str) -> tuple[str, ...]:
    """What a dependency group of pyproject.toml asks for."""
    return nox.project.dependency_groups(PYPROJECT, group)


@nox.session
def lint(session: nox.Session) -> None:
    """Format, style, types, and the Trio rules that only flake8-async has."""
    session.install("-e.", *dependencies("lint"))
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")
    session.run("mypy")
    # Not ASYNC910 and 913, a checkpoint on every path: where the answer is at hand, a pass
    # through the scheduler would cost more than the answer; the sockets are the checkpoints.
    session.run(
        *("flake8", "--select=ASYNC", "--ignore=ASYNC910,ASYNC913"),
        "--per-file-ignores=tests/*:ASYNC124",  # the journal reads the clock of a run
        *("tcpecho_trio", "tests"),
    )


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The whole suite with branch coverage; arguments go to pytest."""
    session.install("-e.", *dependencies("tests"))
    session.run("coverage", "erase")
    # -bb: a slip between bytes and str fails the programs that tests start (xdist's own processes
    # do without).
    session.run(
        *("python", "-bb", "-m", "pytest", f"--numprocesses={WORKERS}", "--cov", "--cov-report="),
        *session.posargs,
    )
    if not session.posargs:
        session.run("coverage", "report", "--fail-under=95")
        session.run("coverage", "report", "--fail-under=100", "--include=*/protocol.py")


SHORTAGES = {
    "descriptors": "ulimit -n 700",
    # No stack of that size can be had; and to look up a name would take a thread.
    "threads": "export TCPECHO_SERVE_HOST=127.0.0.1; ulimit -s 140000000000",
    # The limit binds nobody who is root. So root starts each server as another user, whom nobody
    # else is, and who may still read the code.
    "processes": (
        "export TCPECHO_SERVE_HOST=127.0.0.1; ulimit -u 1; [ $UID != 0 ] || set -- setpriv"
        " --reuid=$((100000 + $$)) --clear-groups --inh-caps=+dac_override"
        ' --ambient-caps=+dac_override --securebits=+no_setuid_fixup "$@"'
    ),
    # The server begins with some 46 000; each client may cost 320.
    "memory": "export TCPECHO_SERVE_HOST=127.0.0.1; ulimit -v 140000",
    "a service manager": ("export NOTIFY_SOCKET=${NOTIFY_SOCKET:-/nowhere} WATCHDOG_USEC=100000"),
    "room on the disk of standard error": "exec 2>/dev/full",
}
"""What a shell says before a server starts that then has less."""


@nox.session
def shortages(session: nox.Session) -> None:
    """The attacks of tests/hostile, once under each shortage; arguments go to pytest."""
    session.install("-e.", *dependencies("tests"))
    for name, limit in SHORTAGES.items():
        session.log(f"short of {name}")
        session.run(
            *("python", "-bb", "-m", "pytest", f"--numprocesses={WORKERS}", "-q", "tests/hostile"),
            *session.posargs,
            env={"TCPECHO_TRIO_SHORTAGE": limit},
        )


@nox.session
def thorough(session: nox.Session) -> None:
    """The protocol's properties with many examples."""
    session.install("-e.", *dependencies("tests"))
    session.run(
        *("pytest", "--hypothesis-profile=thorough", "--timeout=3600", "-p", "no:randomly"),
        *(
            session.posargs
            or ["tests/test_protocol_machine.py", "tests/test_protocol_properties.py"]
        ),
    )


@nox.session
def soak(session: nox.Session) -> None:
    """The real server under load and a bad network, ten minutes; arguments go to tests.soak."""
    session.install("-e.", *dependencies("tests"))
    session.run("python", "-m", "tests.soak", *session.posargs)


@nox.session
def fuzz(session: nox.Session) -> None:
    """The protocol under coverage-guided fuzzing, five minutes; arguments go to tests.fuzz."""
    session.install("-e.", *dependencies("tests"))
    # Where there is no wheel of it, Hypothesis takes over; to compile it would take a clang.
    session.install("--only-binary=:all:", *dependencies("fuzz"), success_codes=[0, 1])
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def mutants(session: nox.Session) -> None:
    """Mistakes made on purpose, ten minutes of them; arguments go to tests.mutants."""
    session.install("-e.", *dependencies("tests"), *dependencies("mutants"))
    session.run("python", "-m", "tests.mutants", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation as a site, in site/; a link or an anchor that leads nowhere fails."""
    session.install("-e.", *dependencies("docs"))
    # Material advertises its successor on each run.
    session.run(
        *("mkdocs", "build", "--strict", "--site-dir", "site"),
        *session.posargs,
        env={"NO_MKDOCS_2_WARNING": "1"},
    )


@nox.session
def screenshot(session: nox.Session) -> None:
    """Pictures: docs/load.png, and the live page after five minutes of life; needs Chromium."""
    session.install("-e.", *dependencies("tests"))
    session.run("python", "-m", "tests.load.screenshot")
    session.run("python", "-m", "tests.admin.page.screenshot", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """This server and its peers side by side: tables, JSON and a plot in benchmarks/results."""
    session.install("-e.", *dependencies("bench"))
    session.run("python", "-m", "benchmarks", *session.posargs)


@nox.session
def deploy(session: nox.Session) -> None:
    """What is in deploy/, by the real checkers; the image is built and run. Arguments: pytest's."""
    session.install("-e.", *dependencies("tests"), *dependencies("deploy"))
    session.run(
        # The operator's models bring a plugin along, for clusters of their own.
        *("python", "-bb", "-m", "pytest", "-p", "no:cloudcoil", "-q", "-rs", "--durations=3"),
        *("tests/deploy", "tests/release"),
        *session.posargs,
        env={"TCPECHO_TRIO_IMAGE": "1"},
    )


@nox.session
def build(session: nox.Session) -> None:
    """A release in dist/: wheel, source archive, zipapp, bill of materials; checked and tried."""
    session.install("-e.", *dependencies("build"))
    session.run("python", "-m", "release", *session.posargs)


@nox.session
def release(session: nox.Session) -> None:
    """What is unreleased becomes a version: ``nox -s release -- 0.2.0``."""
    session.run("python", "-m", "release.changelog", *session.posargs)
