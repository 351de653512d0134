"""A picture of a load's page, docs/load.png: ``nox -s screenshot``.

Our own server is stopped for 200 ms in the middle of a load of 15 seconds. Needs Chromium; for
fine figures a machine that has nothing else to do.
"""

from __future__ import annotations

import argparse
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from tests.support.processes import PROGRAM, ROOT

SECONDS = 15.0
STALL = 0.2
WIDTH, HEIGHT = 860, 1005
"""Of the picture: the chief figures, and the two plots of latencies."""


def loaded(page: Path) -> None:
    """Load a server that is stopped for a moment."""
    serve = [*PROGRAM, "serve", "--host", "127.0.0.1", "--port", "0", "--no-console", "--quiet"]
    with subprocess.Popen(serve, stdout=subprocess.PIPE, text=True, cwd=ROOT) as server:
        assert server.stdout is not None
        port = server.stdout.readline().split("127.0.0.1:")[1].split()[0]

        def stall() -> None:
            time.sleep(SECONDS / 2)  # the stall is in the middle of the picture
            server.send_signal(signal.SIGSTOP)
            time.sleep(STALL)  # the stall itself
            server.send_signal(signal.SIGCONT)

        stalling = threading.Thread(target=stall)
        stalling.start()
        options = ["-c", "100", "--rate", "5k", "--duration", f"{SECONDS}s", "--lang", "en"]
        target = f"localhost:{port}"
        subprocess.run(
            [*PROGRAM, "load", target, *options, "--html", str(page)], check=True, cwd=ROOT
        )
        stalling.join()
        server.kill()


def main() -> None:
    """Load, and take the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "load.png")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        page = Path(folder, "load.html")
        loaded(page)
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"))
        view = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        view.goto(page.as_uri())
        view.screenshot(path=options.out)
        browser.close()


if __name__ == "__main__":
    main()
