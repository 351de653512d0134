"""Headless Chromium, and the program as a server with its page."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.admin.page.visits import DEADLINE, Served, Visit

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

Open = Callable[..., Visit]

LONGEST = 150
"""Seconds for a whole test of a page, many times what one takes on a busy machine. Chromium that
waits for what never comes is silent, so it shall not have the time that other tests get."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(LONGEST))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One browser for the tests of a module; each test has contexts of its own."""
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed")
    api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM)
        yield browser
        browser.close()


@pytest.fixture
def served() -> Iterator[Served]:
    """A server with a page."""
    pytest.importorskip("h11", reason="the extra admin is not installed")
    with Served() as server:
        yield server


@pytest.fixture
def visit(browser: Browser, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Opens the page as a new reader, and sees to it that nothing went wrong in it.

    A reader is at a desk and speaks Spanish, unless the call says otherwise.
    """
    visits: list[Visit] = []
    with ExitStack() as stack:

        def open_page(url: str, *, ready: bool = True, **options: Any) -> Visit:
            usual = {"locale": "es-ES", "viewport": {"width": 1440, "height": 900}}
            context = browser.new_context(**(usual | options))
            context.set_default_timeout(DEADLINE)
            stack.callback(context.close)
            visits.append(Visit(context.new_page(), url))
            return visits[-1].begin(ready=ready)

        yield open_page
        for one in visits:
            one.check()
