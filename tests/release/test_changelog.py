"""The version stands in one place, and the changelog tells the same."""

from __future__ import annotations

import pytest

from release.changelog import (
    CHANGELOG,
    VERSION,
    disagreement,
    package_version,
    released,
    unreleased,
)
from tcpecho_trio import __version__

OLD = (
    "# Changelog\n\n## [Unreleased]\n\n### Added\n- More.\n\n"
    "## [0.1.0] - 2026-11-20\n\nThe first.\n"
)
MODULE = '"""About."""\n\n__version__ = "0.2.0.dev0"\n"""Where."""\n'


def test_the_changelogs_newest_version_is_the_packages() -> None:
    assert disagreement(CHANGELOG.read_text(), VERSION.read_text()) is None


def test_the_version_that_runs_is_the_one_in_the_file() -> None:
    assert package_version(VERSION.read_text()) == __version__


def test_what_is_unreleased_becomes_a_version() -> None:
    changelog, module = released(OLD, MODULE, "0.2.0", "2026-12-01")
    assert changelog == (
        "# Changelog\n\n## [Unreleased]\n\n## [0.2.0] - 2026-12-01\n\n### Added\n- More.\n\n"
        "## [0.1.0] - 2026-11-20\n\nThe first.\n"
    )
    assert module == MODULE.replace("0.2.0.dev0", "0.2.0")
    assert unreleased(changelog) == ""
    assert disagreement(changelog, module) is None


def test_the_real_changelog_can_be_released_in_one_step() -> None:
    if ".dev" not in __version__:
        pytest.skip("this is a release")
    version = __version__.partition(".dev")[0]
    changelog, module = released(CHANGELOG.read_text(), VERSION.read_text(), version, "2030-01-01")
    assert disagreement(changelog, module) is None


@pytest.mark.parametrize("version", ["0.1.0", "0.0.9", "0.2", "v0.2.0", "0.2.0.dev1"])
def test_only_a_later_version_can_be_released(version: str) -> None:
    with pytest.raises(ValueError, match="no version after"):
        released(OLD, MODULE, version, "2026-12-01")


def test_nothing_is_no_release() -> None:
    changelog, module = released(OLD, MODULE, "0.2.0", "2026-12-01")
    with pytest.raises(ValueError, match="nothing"):
        released(changelog, module, "0.3.0", "2026-12-02")


@pytest.mark.parametrize(
    ("version", "changelog", "why"),
    [
        ("0.3.0", OLD, "newest is"),
        ("0.1.0", OLD, "make it the next"),
        ("0.1.0.dev0", OLD, "comes before"),
        ("0.2.0.dev0", OLD.replace("### Added\n- More.\n", ""), "nothing is unreleased"),
    ],
)
def test_each_disagreement_is_named(version: str, changelog: str, why: str) -> None:
    said = disagreement(changelog, MODULE.replace("0.2.0.dev0", version))
    assert said is not None
    assert why in said
