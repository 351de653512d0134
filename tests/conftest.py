"""What every test shares."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, Phase, settings

from tests.support.certificates import Certificates

# No deadline: these machines are shared, and speed is the benchmarks' business.
# No database: a run must not depend on what another one has left, or is writing at this moment.
settings.register_profile(
    "everyday",
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    database=None,
    print_blob=True,
)
settings.register_profile("thorough", settings.get_profile("everyday"), max_examples=20_000)
# On a mistake made on purpose: the same examples each time, and none looked for that is shorter.
settings.register_profile(
    "mutants",
    settings.get_profile("everyday"),
    max_examples=60,
    stateful_step_count=25,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
)


IMPORT_PATHS = {"PYTHONPATH", "PYTHONHOME"}
"""Variables by which Python finds modules, this package perhaps among them: they stay."""


@pytest.fixture(scope="session", autouse=True)
def ordinary_environment() -> Iterator[None]:
    """The programs under test have to find the environment of a fresh machine.

    A machine that sets PYTHONUNBUFFERED, for example, hides that a flush fails.
    tests/cli/test_environment.py sets such variables on purpose.
    """
    with pytest.MonkeyPatch.context() as patch:
        for name in set(os.environ) - IMPORT_PATHS:
            if name.startswith(("PYTHON", "LC_", "TCPECHO_")):
                patch.delenv(name)
        patch.setenv("LANG", "C.UTF-8")
        yield


@pytest.fixture(scope="session", autouse=True)
def ordinary_signals() -> Iterator[None]:
    """The programs under test have to find signals as they are at a terminal.

    Who runs the tests in the background of a script ignores SIGINT, with nohup(1) SIGHUP, and
    processes inherit that.
    """
    with contextlib.ExitStack() as stack:
        for number, usual in (
            (signal.SIGINT, signal.default_int_handler),
            (signal.SIGHUP, signal.SIG_DFL),
            (signal.SIGQUIT, signal.SIG_DFL),
        ):
            before = signal.signal(number, usual)
            stack.callback(signal.signal, number, before)
        yield


@pytest.fixture(scope="session", autouse=True)
def state_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test may write to the history of whoever runs it, nor depend on their terminal."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
        patch.setenv("TERM", "xterm-256color")
        patch.delenv("NO_COLOR", raising=False)
        yield


@pytest.fixture(params=["editor", "plain"])
def terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each kind of terminal that a conversation can have."""
    kind = str(request.param)
    if kind == "plain":
        monkeypatch.setenv("TERM", "dumb")
    return kind


@pytest.fixture(params=["pump", "portable"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way that traffic can take through a server, in this process or in its own."""
    way = str(request.param)
    monkeypatch.setattr("tests.support.running.PUMP", way == "pump")
    monkeypatch.setattr("tests.support.processes.PATH", () if way == "pump" else ("--portable",))
    return way


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and what it has certified."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture
def which_nc() -> str:
    """The path of an nc that can half-close (OpenBSD's)."""
    nc = shutil.which("nc")
    if nc is None or b"-N" not in subprocess.run([nc, "-h"], capture_output=True).stderr:
        pytest.skip("OpenBSD nc is not installed")
    return nc
