"""``nox -s build``: everything that a release consists of, made, checked and tried, in ``dist``."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cyclonedx.schema import OutputFormat, SchemaVersion
from cyclonedx.validation import make_schemabased_validator

from release.archives import (
    ROOT,
    Unfit,
    build_twice,
    check_source_archive,
    sha256,
    source_date,
    write_sums,
)
from release.trial import empty_environment, try_program
from release.zip_application import make_zip_application
from tcpecho_trio import __version__
from tcpecho_trio.cli import SCRIPT

DIST = ROOT / "dist"
SHARED = ("man/man1", "man/es/man1", "bash-completion/completions", "zsh/site-functions")
IN_BILL = "client,admin,load,cluster,tls-lab"
"""The extras whose libraries are in the bill of materials."""


@contextmanager
def step(name: str) -> Iterator[None]:
    """Tell how long it took."""
    began = time.monotonic()
    print(f"{name} …", flush=True)
    yield
    print(f"  {time.monotonic() - began:.1f} s", flush=True)


def main() -> int:
    """Make it all.

    Returns:
      0 if everything is fit to be released.
    """
    with tempfile.TemporaryDirectory() as temporary:
        try:
            _make(Path(temporary))
        except Unfit as error:
            print(error, file=sys.stderr)
            return 1
        except subprocess.CalledProcessError as error:
            print(f"failed: {error.cmd}", file=sys.stderr)
            return 1
    return 0


def _make(folder: Path) -> None:
    epoch = source_date()
    with step("wheel and source archive, built twice and compared"):
        wheel, archive = build_twice(folder, epoch)
        check_source_archive(archive)
    with step("checked by twine and check-wheel-contents"):
        tool = str(Path(sys.executable).parent)
        files = (str(wheel), str(archive))
        subprocess.run([f"{tool}/twine", "check", "--strict", *files], check=True)
        subprocess.run([f"{tool}/check-wheel-contents", str(wheel)], check=True)
    with step("installed where nothing else is, and run"):
        programs = empty_environment(folder / "empty", str(wheel))
        try_program([str(programs / SCRIPT)], __version__, folder)
        for place in SHARED:
            if not list((folder / "empty" / "share" / place).glob(f"*{SCRIPT}*")):
                raise Unfit(f"nothing is in share/{place}")
    application = folder / f"{SCRIPT}.pyz"
    with step("one file that runs"):
        make_zip_application(wheel, application, epoch)
        make_zip_application(wheel, folder / "again.pyz", epoch)
        if application.read_bytes() != (folder / "again.pyz").read_bytes():
            raise Unfit(f"{application.name} is another one each time")
        try_program([sys.executable, "-I", str(application)], __version__, folder)
    bill = folder / f"{wheel.name.partition('-py')[0]}.cdx.json"
    with step("bill of materials (CycloneDX)"):
        python = empty_environment(folder / "full", f"{wheel}[{IN_BILL}]") / "python"
        _write_bill(python, wheel, bill)
    DIST.mkdir(exist_ok=True)
    for old in DIST.iterdir():
        old.unlink()
    made = [Path(shutil.copy(file, DIST)) for file in (wheel, archive, application, bill)]
    write_sums(made, DIST / "SHA256SUMS")
    for file in made:
        print(f"{file.stat().st_size:>10,}  dist/{file.name}")


def _write_bill(python: Path, wheel: Path, into: Path) -> None:
    """What is in that environment.

    Raises:
      Unfit: it is not CycloneDX as its schema wants it.
    """
    done = subprocess.run(
        [
            *(str(Path(sys.executable).parent / "cyclonedx-py"), "environment", str(python)),
            *("--pyproject", str(ROOT / "pyproject.toml"), "--mc-type", "application"),
            *("--output-reproducible", "--output-format", "JSON"),
        ],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    bill = json.loads(done.stdout)
    # The version is not in pyproject.toml, so that tool does not know it.
    bill["metadata"]["component"] |= {
        "version": __version__,
        "purl": f"pkg:pypi/tcpecho-trio@{__version__}",
        "hashes": [{"alg": "SHA-256", "content": sha256(wheel)}],
    }
    text = json.dumps(bill, indent=2) + "\n"
    wrong = make_schemabased_validator(
        OutputFormat.JSON, SchemaVersion.from_version(bill["specVersion"])
    ).validate_str(text)
    if wrong is not None:
        raise Unfit(f"the bill of materials: {wrong}")
    into.write_text(text)


if __name__ == "__main__":
    sys.exit(main())
