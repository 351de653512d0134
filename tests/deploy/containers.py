"""Images and containers without an engine: buildah builds, podman with crun runs.

No registry is needed: the base is made by debootstrap, once, and kept. It takes minutes and some
hundred megabytes; so only ``nox -s deploy`` does it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.deploy.files import tool
from tests.support.processes import ROOT

WANTED = bool(os.environ.get("TCPECHO_TRIO_IMAGE"))
"""Whether it does. (The suite clears its environment of the program's variables.)"""

RELEASE = "trixie"
PACKAGES = "python3,python3-venv,python3-pip"
SHELLS = ("sh", "bash", "dash", "rbash")
PATIENCE = 900.0
"""Seconds that a step may take: what it does is mostly to unpack and to copy."""

CGROUPS = """\
if ! [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  umount -R /sys/fs/cgroup 2>/dev/null || true
  mount -t cgroup2 none /sys/fs/cgroup
fi
exec "$@"
"""
"""crun knows cgroups of version 2 only. In a mount namespace of its own it sees nothing else."""


class Containers:
    """A store of images in a folder, and what can be done with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._store = (
            *("--root", str(folder / "store"), "--runroot", str(folder / "run")),
            *("--storage-driver", "overlay" if _has_overlay() else "vfs"),
        )

    def buildah(self, *words: str) -> str:
        """Run buildah to its end."""
        return _run([tool("buildah"), *self._store, *words])

    def podman_command(self, *words: str) -> list[str]:
        """How podman is run here."""
        inside = [tool("podman"), *self._store, "--cgroup-manager", "cgroupfs", *words]
        own = ["unshare", "--mount", "--propagation", "private"]
        return [*own, "sh", "-euc", CGROUPS, "sh", *inside]

    def podman(self, *words: str) -> str:
        """Run podman to its end."""
        return _run(self.podman_command(*words))

    def load_base(self, base: Path, name: str, *left_out: str) -> None:
        """Make an image of a folder, without some of its files."""
        archive = base.parent / f"{base.name}.{os.getpid()}.tar"
        try:
            _run(
                [
                    *("tar", "--create", "--numeric-owner", "--directory", str(base)),
                    *("--file", str(archive)),
                    *(f"--exclude=./{place}" for place in left_out),
                    ".",
                ]
            )
            self.podman("import", "--quiet", str(archive), name)
        finally:
            archive.unlink(missing_ok=True)

    def build(self, tag: str, *options: str) -> None:
        """The image of deploy/Dockerfile."""
        self.buildah(
            *("build", "--isolation", "chroot", "--format", "docker", "--layers=false"),
            *(f"--volume={place}:{place}:ro" for place in _network_settings()),
            *options,
            *("--file", str(ROOT / "deploy" / "Dockerfile"), "--tag", tag, str(ROOT)),
        )

    def remove(self) -> None:
        """Everything in the store; much faster than to ask podman for it."""
        _run(["rm", "-rf", "--one-file-system", str(self._folder)])


def python_base() -> Path:
    """A Debian folder with Python; made where there is none yet, and kept."""
    if not WANTED:
        pytest.skip("images are built by nox -s deploy: it takes minutes")
    if os.geteuid() != 0:
        pytest.skip("only root can build an image here (chroot, mounts)")
    for name in ("buildah", "podman", "crun", "debootstrap", "unshare"):
        tool(name)
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tcpecho_trio"
    folder = cache / f"image-base-{RELEASE}"
    if not folder.is_dir():
        cache.mkdir(parents=True, exist_ok=True)
        new = folder.with_suffix(f".new.{os.getpid()}")
        try:
            _run(
                [
                    *(tool("debootstrap"), "--variant=minbase", f"--include={PACKAGES}"),
                    *(RELEASE, str(new), _mirror()),
                ]
            )
            for place in ("var/cache/apt", "var/lib/apt/lists", "var/log"):
                shutil.rmtree(new / place, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)
    return folder


def _mirror() -> str:
    """The one that this machine uses, if it is a Debian; else Debian's own."""
    done = subprocess.run(
        [
            *("apt-get", "indextargets", "--format", "$(REPO_URI)"),
            *("Origin: Debian", "Created-By: Packages"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    mirrors = [line for line in done.stdout.split() if line.rstrip("/").endswith("/debian")]
    return mirrors[0] if mirrors else "http://deb.debian.org/debian"


def _network_settings() -> list[str]:
    """What pip needs in the build to reach the index that this machine uses."""
    places = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf")
    return [place for place in places if Path(place).exists()]


def _has_overlay() -> bool:
    return "overlay" in Path("/proc/filesystems").read_text().split()


def _run(command: list[str]) -> str:
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-4000:]
    return done.stdout
