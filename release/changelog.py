"""The changelog and the version, which tell the same: and how a version is made of what has come.

``nox -s release -- 0.2.0`` is that step. What is not released yet has the version ``0.2.0.dev0``.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).parent.parent
CHANGELOG = ROOT / "CHANGELOG.md"
VERSION = ROOT / "tcpecho_trio" / "__init__.py"
"""The one place where the version stands."""

UNRELEASED = "## [Unreleased]\n"
HEADING = re.compile(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
ASSIGNED = re.compile(r'^__version__ = "([^"]+)"$', re.MULTILINE)


@dataclass(frozen=True)
class Release:
    """A version that was released, and its day."""

    version: str
    date: str


def newest_release(changelog: str) -> Release:
    """The first heading of the changelog that has a version and a day.

    Raises:
      ValueError: there is none.
    """
    found = HEADING.search(changelog)
    if found is None:
        raise ValueError("the changelog has no version with its day")
    return Release(*found.groups())


def unreleased(changelog: str) -> str:
    """What has come since, without blanks around it."""
    _, _, rest = changelog.partition(UNRELEASED)
    return rest.partition("\n## ")[0].strip()


def package_version(module: str) -> str:
    """The version in the text of the package's ``__init__``.

    Raises:
      ValueError: it is not there once.
    """
    (version,) = ASSIGNED.findall(module)
    return str(version)


def disagreement(changelog: str, module: str) -> str | None:
    """Why the changelog and the package do not tell the same; None if they do."""
    newest, version = newest_release(changelog).version, package_version(module)
    plain, development, _ = version.partition(".dev")
    if development:
        if _numbers(plain) <= _numbers(newest):
            return f"{version} comes before {newest}, which is in the changelog"
        return None if unreleased(changelog) else f"nothing is unreleased, and yet it is {version}"
    if version != newest:
        return f"the package is {version}, and the changelog's newest is {newest}"
    if unreleased(changelog):
        return f"something is unreleased, and yet it is {version}: make it the next .dev0"
    return None


def released(changelog: str, module: str, version: str, date: str) -> tuple[str, str]:
    """Changelog and ``__init__`` with all that is unreleased as this version.

    Raises:
      ValueError: there is nothing to release, or the version is no later one.
    """
    newest = newest_release(changelog).version
    if not re.fullmatch(r"\d+\.\d+\.\d+", version) or _numbers(version) <= _numbers(newest):
        raise ValueError(f"{version} is no version after {newest}")
    if not unreleased(changelog):
        raise ValueError("nothing is unreleased")
    heading = f"{UNRELEASED}\n## [{version}] - {date}\n"
    return (
        changelog.replace(UNRELEASED, heading, 1),
        ASSIGNED.sub(f'__version__ = "{version}"', module),
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def main(arguments: list[str]) -> int:
    """Release what is unreleased; the argument is the version."""
    if len(arguments) != 1:
        print("usage: nox -s release -- VERSION", file=sys.stderr)
        return 2
    today = datetime.now(UTC).date().isoformat()
    try:
        texts = released(CHANGELOG.read_text(), VERSION.read_text(), arguments[0], today)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    for file, text in zip((CHANGELOG, VERSION), texts, strict=True):
        file.write_text(text)
    print(f"{arguments[0]} is in CHANGELOG.md and tcpecho_trio/__init__.py: look, commit, tag.")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
