"""What every test shares."""

import shutil
import subprocess

import pytest
from hypothesis import HealthCheck, settings

# No deadline: these machines are shared, and speed is the benchmarks' business.
settings.register_profile(
    "everyday", max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("thorough", settings.get_profile("everyday"), max_examples=20_000)


@pytest.fixture(params=["pump", "portable"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each way that traffic can take through a server, in this process or in its own."""
    way = str(request.param)
    monkeypatch.setattr("tests.running.PUMP", way == "pump")
    monkeypatch.setattr("tests.processes.PATH", () if way == "pump" else ("--portable",))
    return way


@pytest.fixture
def which_nc() -> str:
    """The path of an nc that can half-close (OpenBSD's)."""
    nc = shutil.which("nc")
    if nc is None or b"-N" not in subprocess.run([nc, "-h"], capture_output=True).stderr:
        pytest.skip("OpenBSD nc is not installed")
    return nc
