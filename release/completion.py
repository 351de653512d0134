"""Files that complete the program's words in a shell, as click writes them."""

from __future__ import annotations

from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

from tcpecho_trio.cli import COMPLETE, SCRIPT
from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.texts import LANGUAGES

PLACES: dict[str, type[ShellComplete]] = {
    f"bash-completion/completions/{SCRIPT}": BashComplete,
    f"zsh/site-functions/_{SCRIPT}": ZshComplete,
    f"fish/vendor_completions.d/{SCRIPT}.fish": FishComplete,
}
"""Where each shell looks for completions by itself, under ``share``."""


def completion_files() -> dict[str, str]:
    """Every file, by its place under ``share``."""
    cli = build_cli(LANGUAGES["en"])  # the words of a completion are those of the time it runs
    return {
        # Not the class's own source(): bash's asks the bash of this machine for its version.
        place: ShellComplete.source(complete(cli, {}, SCRIPT, COMPLETE)).lstrip()
        for place, complete in PLACES.items()
    }
