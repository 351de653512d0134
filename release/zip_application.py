"""One file that runs on any Python from 3.11 on: the program and its libraries in a zip.

Nothing is unpacked when it runs (zipimport). So only what is Python alone can be in it: trio, click
and the extras `client` and `admin` are, prometheus_client and h11 among them.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import zipapp
from pathlib import Path

from release.archives import Unfit

EXTRAS = "client,admin"
COMPILED = {".so", ".pyd", ".dylib"}
LEFT_OUT = {"bin", "share", "__pycache__"}
"""What pip installs, and nobody can use inside a zip."""


def make_zip_application(wheel: Path, into: Path, epoch: str) -> None:
    """Write the file; the same bytes each time, as long as the libraries are the same.

    Raises:
      Unfit: a library is not Python alone.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary, "application")
        subprocess.run(
            [
                *(sys.executable, "-m", "pip", "install", "--quiet", "--no-compile"),
                # Wheels of Python alone, where a library has others, too (wcwidth has).
                *("--only-binary=:all:", "--platform=any", "--implementation=py", "--abi=none"),
                *("--target", str(folder), f"{wheel}[{EXTRAS}]"),
            ],
            check=True,
        )
        for file in sorted(folder.rglob("*"), reverse=True):
            parts = file.relative_to(folder).parts
            if file.suffix in COMPILED:
                raise Unfit(f"{file.relative_to(folder)} cannot run inside a zip")
            if parts[0] in LEFT_OUT or "__pycache__" in parts or _of_this_machine(file):
                file.rmdir() if file.is_dir() else file.unlink()
            else:
                os.utime(file, (int(epoch), int(epoch)))
        (folder / "__main__.py").write_text(
            "import sys\n\nfrom tcpecho_trio.cli import main\n\nsys.exit(main())\n"
        )
        os.utime(folder / "__main__.py", (int(epoch), int(epoch)))
        zipapp.create_archive(folder, into, interpreter="/usr/bin/env python3", compressed=True)
        into.chmod(0o755)


def _of_this_machine(file: Path) -> bool:
    """Whether pip has noted there where it found a library, or what it wrote."""
    return file.parent.suffix == ".dist-info" and file.name in (
        *("RECORD", "direct_url.json", "INSTALLER", "REQUESTED"),
    )
