"""The options that say where a cluster is: the same for ``serve`` and for ``cluster``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from tcpecho_trio.cli.option_types import BadValue, File, Parsed, Told, check_unix_sockets
from tcpecho_trio.cluster.location import NAME, ClusterLocation, without_password
from tcpecho_trio.texts import Texts

if TYPE_CHECKING:
    from tcpecho_trio.cli.clustering import ClusterOptions

FILES = ("--cluster-password-file", "--cluster-ca", "--cluster-cert", "--cluster-key")
"""The options that name files for ``--cluster``."""


class ClusterUrl(Parsed):
    """Where a cluster's Redis is; a password in it is shown to nobody, not even in a refusal."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or refuse it."""
        if isinstance(value, ClusterLocation):
            return value
        try:
            return super().convert(value, param, ctx)
        except BadValue as error:
            raise BadValue(without_password(str(value)), self, param, ctx) from error

    def parse(self, value: str) -> ClusterLocation:
        """The location."""
        return ClusterLocation.parse(value)

    def expected(self, texts: Texts) -> str:
        """What it takes, for a person."""
        return texts.cluster.expects_url


class MemberName(Parsed):
    """A server's name in a cluster."""

    name = "name"

    def parse(self, value: str) -> str:
        """As it is, if it can be one."""
        if not NAME.fullmatch(value):
            raise ValueError(value)
        return value

    def expected(self, texts: Texts) -> str:
        """What it takes, for a person."""
        return texts.cluster.bad_name


def cluster_options(texts: Texts, prefix: str, *also: str) -> Callable[[Any], Any]:
    """A decorator that adds the options to a command.

    Args:
      texts: the user's language.
      prefix: what the variables of the environment begin with.
      also: other prefixes, whose variables count where those of the first are not set.
    """
    words = texts.cluster

    def variables(option: str) -> list[str]:
        return [f"{one}_{option}" for one in (prefix, *also)]

    def option(name: str, kind: Told, **more: Any) -> Callable[[Any], Any]:
        variable = variables(name.removeprefix("--").upper().replace("-", "_"))
        return click.option(name, type=kind, envvar=variable, show_default=False, **more)

    def decorate(command: Any) -> Any:
        for add in (
            option("--cluster-key", File(), help=words.key),
            option("--cluster-cert", File(), help=words.certificate),
            option("--cluster-ca", File(), help=words.ca),
            option("--cluster-password-file", File(), help=words.password_file),
            option("--cluster", ClusterUrl(), metavar="URL", help=words.cluster),
        ):
            command = add(command)
        return command

    return decorate


def take_cluster_options(texts: Texts, options: dict[str, Any]) -> ClusterOptions | None:
    """Take these options out of a command's; None if there is no cluster among them.

    Args:
      texts: the user's language.
      options: what click calls a command with.

    Raises:
      click.UsageError: something goes with ``--cluster``, which is missing; or a certificate has no
        key.
      ClusterError: the password's file cannot be read.
    """
    location: ClusterLocation | None = options.pop("cluster")
    name = options.pop("cluster_name", None)
    files = [options.pop(option.removeprefix("--").replace("-", "_")) for option in FILES]
    for option, value in zip(("--cluster-name", *FILES), (name, *files), strict=True):
        if location is None and value is not None:
            raise click.UsageError(texts.cluster.alone.format(option=option))
    password_file, ca, certificate, key = files
    if (certificate is None) is not (key is None):
        raise click.UsageError(texts.cluster.both)
    if location is None:
        return None
    if location.path:
        check_unix_sockets(texts)
    from tcpecho_trio.cli.clustering import ClusterOptions, host_name, with_password_of

    location = replace(location, ca=ca, certificate=certificate, key=key)
    if password_file is not None:
        location = with_password_of(location, password_file)
    return ClusterOptions(location, name or host_name())
