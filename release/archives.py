"""Wheel and source archive: built twice, under conditions that must not show, and compared."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterable
from pathlib import Path

ROOT = Path(__file__).parent.parent

ANOTHER_PLACE = {"TZ": "Pacific/Kiritimati", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
"""What is different at the second build, besides the folder, the umask and how tools were found."""


class Unfit(Exception):
    """Something about the release is not as it has to be."""


def source_date() -> str:
    """Seconds since 1970 that every file in the archives has: those of the last commit.

    Raises:
      Unfit: this is no checkout, and SOURCE_DATE_EPOCH does not tell.
    """
    if given := os.environ.get("SOURCE_DATE_EPOCH"):
        return given
    done = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode or not done.stdout.strip():
        raise Unfit("outside a git checkout, set SOURCE_DATE_EPOCH")
    return done.stdout.strip()


def build_twice(folder: Path, epoch: str) -> tuple[Path, Path]:
    """Build the wheel and the source archive; return where they are.

    First as anybody builds them, in an environment that has what ``build-system`` asks for and
    nothing else. Then out of that source archive, elsewhere.

    Raises:
      Unfit: the second ones are not the first ones, byte by byte.
    """
    first, second = folder / "first", folder / "second"
    _build(ROOT, first, {"SOURCE_DATE_EPOCH": epoch})
    (archive,) = first.glob("*.tar.gz")
    (wheel,) = first.glob("*.whl")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "elsewhere", filter="data")
    (unpacked,) = (folder / "elsewhere").iterdir()
    _build(
        unpacked, second, {"SOURCE_DATE_EPOCH": epoch, **ANOTHER_PLACE}, "--no-isolation", umask=0
    )
    for file in (archive, wheel):
        if file.read_bytes() != (second / file.name).read_bytes():
            raise Unfit(f"{file.name} is another one each time: compare {first} and {second}")
    return wheel, archive


def _build(
    source: Path, folder: Path, variables: dict[str, str], *options: str, umask: int = -1
) -> None:
    subprocess.run(
        [sys.executable, "-m", "build", *options, "--outdir", str(folder), str(source)],
        env={**os.environ, **variables},
        stdout=subprocess.DEVNULL,
        umask=umask,
        check=True,
    )


def check_source_archive(archive: Path) -> None:
    """Whoever unpacks it has the checkout: all that git has, and what Python's tools add.

    Raises:
      Unfit: something is missing, or is there that should not be.
    """
    with tarfile.open(archive) as tar:
        names = {name.partition("/")[2] for name in tar.getnames()}
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listed.returncode == 0:
        difference = names ^ {*filter(None, listed.stdout.split("\0")), "PKG-INFO"}
        if difference:
            raise Unfit(f"{archive.name} and git differ in {sorted(difference)}")


def sha256(file: Path) -> str:
    """A file's SHA-256 sum in hexadecimal digits."""
    return hashlib.sha256(file.read_bytes()).hexdigest()


def write_sums(files: Iterable[Path], into: Path) -> None:
    """The files' sums, as ``sha256sum --check`` reads them."""
    into.write_text("".join(sorted(f"{sha256(file)}  {file.name}\n" for file in files)))
