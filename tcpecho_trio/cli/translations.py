"""What click says by itself, in the user's language: its help, and what is wrong with a usage."""

from __future__ import annotations

import os
from typing import Any

import click

from tcpecho_trio.cli.option_types import BadValue
from tcpecho_trio.display import shown
from tcpecho_trio.texts import Texts


def translated_group(texts: Texts) -> type[click.Group]:
    """A group class whose help, and that of its commands, is all in one language."""

    class Translated(click.Command):
        allow_extra_args = True  # for parse_args() to refuse

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            kwargs["options_metavar"] = texts.cli_options_metavar
            super().__init__(*args, **kwargs)
            for param in self.params:
                word = param.metavar or param.type.name.upper()  # click's, and in English
                param.metavar = texts.cli_metavars.get(word, param.metavar)

        def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
            try:
                rest = super().parse_args(ctx, args)
            except click.UsageError as error:
                error.ctx = error.ctx or ctx  # not every one of click's knows where it happened
                raise
            if rest and not isinstance(self, click.Group) and not ctx.resilient_parsing:
                raise click.UsageError(texts.cli_too_much.format(rest=shown(" ".join(rest))), ctx)
            return rest

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

        def resolve_command(
            self, ctx: click.Context, args: list[str]
        ) -> tuple[str | None, click.Command | None, list[str]]:
            if args[0] not in self.commands and not ctx.resilient_parsing:
                known = ", ".join(self.commands)
                line = texts.cli_no_such_command.format(name=shown(args[0]), known=known)
                raise click.UsageError(line, ctx)
            return super().resolve_command(ctx, args)

    return TranslatedGroup


def localized(error: click.ClickException, texts: Texts) -> str:
    """What is wrong with a usage, in one line."""
    match error:
        case click.NoSuchOption():
            line = texts.cli_no_such_option.format(name=shown(error.option_name))
            if error.possibilities:
                line += texts.cli_similar.format(names=", ".join(error.possibilities))
            return line
        case click.BadOptionUsage(option_name=name, ctx=click.Context() as ctx):
            flags = {name for p in ctx.command.params if not _takes_value(p) for name in p.opts}
            flags.update(ctx.help_option_names)
            line = texts.cli_takes_no_value if name in flags else texts.cli_needs_value
            return line.format(name=name)
        case click.MissingParameter(param=click.Parameter() as param, ctx=click.Context() as ctx):
            return texts.cli_missing.format(name=param.make_metavar(ctx))
        case BadValue():
            return texts.cli_bad_value.format(
                name=_given_as(error),
                value=shown(str(error.value)),
                expected=error.kind.expected(texts),
            )
        case click.BadParameter(param=click.Option(is_flag=True)):  # from the environment
            return texts.cli_bad_flag.format(name=_given_as(error))
    return error.format_message()


def _takes_value(parameter: click.Parameter) -> bool:
    return not (isinstance(parameter, click.Option) and parameter.is_flag)


def _given_as(error: click.BadParameter) -> str:
    """Where the user wrote it: an option, an argument or a variable of the environment."""
    param, ctx = error.param, error.ctx
    if param is None or ctx is None:
        return ""
    source = ctx.get_parameter_source(param.name or "")
    if source is click.core.ParameterSource.ENVIRONMENT:
        own = param.envvar or ()
        for variable in (own,) if isinstance(own, str) else own:
            if os.environ.get(variable):
                return variable
        return f"{ctx.auto_envvar_prefix}_{(param.name or '').upper()}"
    if isinstance(param, click.Argument):
        return param.make_metavar(ctx)
    return " / ".join(param.opts)
