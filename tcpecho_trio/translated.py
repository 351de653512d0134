"""Click's command and group classes, saying click's own words in the user's language."""

from __future__ import annotations

from typing import Any

import click

from tcpecho_trio.texts import Texts


def translated_group(texts: Texts) -> type[click.Group]:
    """A group class whose help, and that of its commands, is all in one language."""

    class Translated(click.Command):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["options_metavar"] = texts.cli_options_metavar
            super().__init__(*args, **kwargs)

        def format_usage(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            pieces = " ".join(self.collect_usage_pieces(ctx))
            formatter.write_usage(ctx.command_path, pieces, texts.cli_usage)

        def get_help_option(self, ctx: click.Context) -> click.Option | None:
            option = super().get_help_option(ctx)
            if option is not None:
                option.help = texts.cli_help
            return option

        def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
            records = [r for p in self.get_params(ctx) if (r := p.get_help_record(ctx)) is not None]
            with formatter.section(texts.cli_options):
                formatter.write_dl(
                    [
                        (name, told.replace("[default: ", texts.cli_default))
                        for name, told in records
                    ]
                )
            if isinstance(self, click.Group):
                with formatter.section(texts.cli_commands):
                    formatter.write_dl(
                        [
                            (n, c.get_short_help_str(formatter.width))
                            for n, c in self.commands.items()
                        ]
                    )

    class TranslatedGroup(Translated, click.Group):
        command_class = Translated

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["subcommand_metavar"] = texts.cli_commands_metavar
            super().__init__(*args, **kwargs)

    return TranslatedGroup
