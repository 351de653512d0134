"""What hatchling runs as it builds a wheel: manual pages and completions go into it.

They are written from the commands at that moment, so they cannot be old. pip puts them under
``share`` of the prefix, where man, bash, zsh and fish look.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ShareHook(BuildHookInterface):  # type: ignore[type-arg]
    """Adds ``share/…`` to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the files, and tell hatchling of them."""
        if version == "editable":
            return
        sys.path.insert(0, self.root)
        from release.changelog import newest_release
        from release.completion import completion_files
        from release.manual import manual_pages

        date = newest_release(Path(self.root, "CHANGELOG.md").read_text(encoding="utf-8")).date
        files = {f"man/{place}": text for place, text in manual_pages(date).items()}
        files |= completion_files()
        self._folder = tempfile.TemporaryDirectory()
        for number, (place, text) in enumerate(sorted(files.items())):
            file = Path(self._folder.name, str(number))
            file.write_text(text, encoding="utf-8")
            build_data["shared_data"][str(file)] = f"share/{place}"

    def finalize(self, version: str, _build_data: dict[str, Any], _artifact: str) -> None:
        """Remove what was written: it is in the wheel now."""
        if version != "editable":
            self._folder.cleanup()
