"""deploy/Dockerfile: linted; built, and run with nothing that it does not need."""

from __future__ import annotations

import json
import random
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tcpecho_trio import __version__
from tests.deploy.containers import SHELLS, Containers, python_base
from tests.deploy.files import DEPLOY, check
from tests.support.processes import ROOT, run
from tests.support.victim import PATIENCE

IMAGE = "localhost/tcpecho-trio"
DOCKERFILE = DEPLOY / "Dockerfile"

NOT_AT_RUN_TIME = (
    *(f"usr/bin/{shell}" for shell in SHELLS),
    *("usr/lib/python3/dist-packages", "usr/bin/pip*", "usr/bin/apt*", "usr/bin/dpkg*"),
    *("usr/bin/perl*", "usr/share/perl*", "usr/lib/*/perl*", "usr/share/doc", "usr/share/man"),
    *("usr/share/locale", "var/lib/dpkg", "usr/lib/apt", "usr/lib/dpkg"),
)
"""What the runtime's base lacks: shells, and what installs things."""

ADDED = 60e6
"""Bytes that the image may have above its base: the program, its libraries, both compiled."""

LIMITS = ("--ulimit=nofile=1024:1024", "--ulimit=nproc=1000:1000")
"""Podman would raise them, which not every root may."""


def test_hadolint_has_nothing_to_say() -> None:
    assert check("hadolint", DOCKERFILE) == ""


def test_nothing_in_it_needs_a_shell_to_run() -> None:
    final = DOCKERFILE.read_text().rpartition("\nFROM ")[2].replace("\\\n", " ")
    assert not re.search(r"^RUN\b", final, re.MULTILINE)
    for instruction in ("ENTRYPOINT", "CMD"):
        for words in re.findall(rf"\b{instruction} (.*)$", final, re.MULTILINE):
            assert json.loads(words), words


def test_only_what_a_wheel_is_made_of_goes_into_the_build() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert "*" in lines
    assert {"pyproject.toml", "tcpecho_trio", "release"} <= kept
    assert not {"tests", ".git", "deploy", "dist"} & kept
    for name in kept:
        assert (ROOT / name).exists(), name


@pytest.fixture(scope="module")
def containers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Containers]:
    """The image, built on a base without a shell."""
    base = python_base()
    found = Containers(tmp_path_factory.mktemp("containers"))
    try:
        found.load_base(base, "localhost/python")
        found.load_base(base, "localhost/python-and-nothing-else", *NOT_AT_RUN_TIME)
        bases = ("BASE=localhost/python", "RUNTIME_BASE=localhost/python-and-nothing-else")
        found.build(IMAGE, *(f"--build-arg={base}" for base in bases))
        yield found
    finally:
        found.remove()


@pytest.fixture(scope="module")
def image(containers: Containers) -> dict[str, Any]:
    (found,) = json.loads(containers.podman("inspect", IMAGE))
    return dict(found)


def test_it_says_how_it_is_stopped_who_runs_it_and_how_it_is(image: dict[str, Any]) -> None:
    config = image["Config"]
    assert config["StopSignal"] in ("SIGTERM", "15")
    assert config["User"] == "65532:65532"
    assert image["HealthCheck" if "HealthCheck" in image else "Healthcheck"]["Test"][0] == "CMD"
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert set(config["ExposedPorts"]) == {"5000/tcp", "9500/tcp"}


@contextmanager
def contained(containers: Containers, user: int, *options: str) -> Iterator[tuple[str, int]]:
    """A server in a container that may do nothing; the container's name and the server's port."""
    name = f"tcpecho-{user}"
    process = subprocess.Popen(
        containers.podman_command(
            *("run", "--rm", "--name", name, "--network=host", "--cgroups=disabled", *LIMITS),
            *("--read-only", "--read-only-tmpfs=false", "--cap-drop=all", f"--user={user}:{user}"),
            *("--security-opt=no-new-privileges", "--no-healthcheck", IMAGE),
            *("serve", "--no-console", "--host=127.0.0.1", "--port=0", *options),
        ),
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        ready: dict[str, Any] = {}
        while ready.get("event") != "listening":
            ready = json.loads(process.stdout.readline())
        yield name, int(ready["listener"].rpartition(":")[2])
        process.terminate()  # podman passes it on
        said = process.stdout.read()
        assert process.wait(PATIENCE) == 0
        assert json.loads(said.splitlines()[-1])["event"] == "stopped"
    finally:
        process.kill()
        process.communicate()


def test_it_serves_as_anybody_on_a_read_only_root_without_capabilities(
    containers: Containers, image: dict[str, Any]
) -> None:
    user = random.randrange(100_000, 1_000_000)
    # Both extras are there. Nobody listens at that port: a Redis that is away harms nobody.
    extras = ("--admin=http://127.0.0.1:0", "--cluster=redis://127.0.0.1:1")
    with contained(containers, user, *extras) as (name, port):
        done = run("client", "--port", str(port), "-m", "mañana")
        assert (done.returncode, done.stdout.decode()) == (0, "MAÑANA\n")
        python = "/opt/tcpecho/bin/python"
        status = containers.podman(
            "exec", name, python, "-c", "print(open('/proc/1/status').read())"
        )
        facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert set(facts["Uid"].split()) == {str(user)}
        assert {facts[caps].strip("0\t ") for caps in ("CapEff", "CapPrm", "CapBnd")} == {""}
        assert facts["NoNewPrivs"].strip() == "1"
        tried = "import os; print(os.statvfs('/').f_flag & os.ST_RDONLY)"
        assert containers.podman("exec", name, python, "-c", tried).strip() == "1"
        shells = "import shutil; print([s for s in ('sh', 'bash', 'dash') if shutil.which(s)])"
        assert containers.podman("exec", name, python, "-c", shells).strip() == "[]"
        # The image's own health check, where this server is.
        (_, *healthy) = image["HealthCheck" if "HealthCheck" in image else "Healthcheck"]["Test"]
        variable = f"--env=TCPECHO_CLIENT_PORT={port}"
        assert containers.podman("exec", variable, name, *healthy) == "OK\n"


def test_it_has_the_wheel_and_nothing_of_the_source(containers: Containers) -> None:
    listing = (
        "import importlib.metadata, os; print(importlib.metadata.version('tcpecho-trio'),"
        "*os.listdir('/'), *os.listdir('/opt/tcpecho/bin'))"
    )
    said = containers.podman(
        *("run", "--rm", "--network=none", "--cgroups=disabled", "--no-healthcheck", *LIMITS),
        *("--entrypoint", "/opt/tcpecho/bin/python", IMAGE, "-c", listing),
    ).split()
    assert said[0] == __version__
    assert not {"src", "wheels"} & set(said)
    assert not [name for name in said if name.startswith("pip")]


def test_it_adds_little_to_its_base(containers: Containers) -> None:
    sizes = {}
    for name in (IMAGE, "localhost/python-and-nothing-else"):
        (found,) = json.loads(containers.podman("inspect", name))
        sizes[name] = found["Size"]
    assert sizes[IMAGE] - sizes["localhost/python-and-nothing-else"] < ADDED, sizes
