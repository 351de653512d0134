"""Completion in a shell of what stands behind ``--option=``, which click leaves out.

bash hands over ``--dialect=sa`` as three words, and zsh and fish as one, which they replace. click
understands each, but not always the value's place: after bash's lone ``=`` it finds no option, and
to zsh and fish it gives the value without the option before it.
"""

from __future__ import annotations

from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)


class _WholeWord(ShellComplete):
    """Completes the word that the shell replaces, with the option that stands in it."""

    def get_completions(self, args: list[str], incomplete: str) -> list[CompletionItem]:
        option, equals, _ = incomplete.partition("=")
        found = super().get_completions(args, incomplete)
        if equals and option.startswith("--"):
            for item in found:
                item.value = f"{option}={item.value}"
        return found


class _Bash(_WholeWord, BashComplete):
    def get_completion_args(self) -> tuple[list[str], str]:
        args, incomplete = super().get_completion_args()
        if args[-1:] == ["="]:  # a word of its own (COMP_WORDBREAKS, bash(1))
            args.pop()
        return args, incomplete


class _Zsh(_WholeWord, ZshComplete):
    pass


class _Fish(_WholeWord, FishComplete):
    pass


def complete_after_equals() -> None:
    """Have click complete values after ``=``, too."""
    for shell in (_Bash, _Zsh, _Fish):
        add_completion_class(shell)
