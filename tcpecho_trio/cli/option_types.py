"""What the values of options look like: parsed, or refused where they are given.

Every type names the line of :class:`~tcpecho_trio.texts.Texts` that says what it expects, so that
a refusal can be told in the user's language. The server is imported by the types that need it and
only when they are used: a one-shot client should not pay for a server.
"""

from __future__ import annotations

import abc
import math
import os
import re
from collections.abc import Callable
from operator import attrgetter
from typing import Any

import click

from tcpecho_trio.dialects import DIALECTS
from tcpecho_trio.texts import Texts

MOST_PROCESSES = 64
"""Processes that a server can have: as many as large machines have processors. One process answers
some hundred thousand messages a second."""


class BadValue(click.BadParameter):
    """A value that its option does not take.

    Args:
      value: as it was given.
      kind: what it should have been.
      param, ctx: where it was given; set by click for what a type refuses.
    """

    def __init__(
        self,
        value: object,
        kind: Told,
        param: click.Parameter | None = None,
        ctx: click.Context | None = None,
    ) -> None:
        self.value = value
        self.kind = kind
        super().__init__(str(value), ctx, param)


class Told(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.3
    """A type that can say what it expects; it stands before the one that does the work."""

    expects = ""
    """The name of the line of Texts; in it, ``{type}`` is this object."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or refuse it with the value and what was expected."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            raise BadValue(value, self, param, ctx) from error

    def expected(self, texts: Texts) -> str:
        """What it takes, for a person: the end of a sentence."""
        line: str = attrgetter(self.expects)(texts)
        return line.format(type=self)


class Whole(Told, click.types.IntParamType):
    """A whole number."""

    expects = "expects_whole"


class Within(Told, click.IntRange):
    """A whole number within bounds; with one bound, that is the lower one."""

    def __init__(self, least: int, most: int | None = None) -> None:
        self.expects = "expects_at_least" if most is None else "expects_within"
        super().__init__(least, most)


class Processes(Told, click.IntRange):
    """A number of processes, or ``auto``: one for each processor that we may use."""

    name = "processes"
    expects = "processes.expects_processes"
    most = MOST_PROCESSES

    def __init__(self) -> None:
        super().__init__(1, MOST_PROCESSES)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it; count the processors."""
        if value == "auto":
            return min(_processors(), MOST_PROCESSES)
        return super().convert(value, param, ctx)


def _processors() -> int:
    """How many processors we may use (sched_getaffinity(2)); macOS does not say."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class Seconds(Told, click.FloatRange):
    """A number of seconds from 0, or more than that; ``nan`` is none."""

    name = "seconds"

    def __init__(self, *, above_zero: bool = False) -> None:
        self.expects = "expects_time" if above_zero else "expects_seconds"
        super().__init__(0, min_open=above_zero)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, and refuse what compares with nothing."""
        number = super().convert(value, param, ctx)
        if math.isnan(number):
            raise BadValue(value, self, param, ctx)
        return number


class OneOf(Told, click.Choice):  # type: ignore[type-arg]
    """One of a few words."""

    expects = "expects_word"

    def __init__(self, *words: str) -> None:
        super().__init__(words)

    @property
    def listed(self) -> str:
        """The words, for a person."""
        return ", ".join(self.choices)


class File(Told, click.Path):
    """A file that can be read now; what is in it is for others to judge."""

    expects = "expects_file"

    def __init__(self) -> None:
        super().__init__(exists=True, dir_okay=False)


class Folder(Told, click.Path):
    """A folder, or a name that is free for one."""

    expects = "expects_folder"

    def __init__(self) -> None:
        super().__init__(file_okay=False)


class Parsed(Told, abc.ABC):
    """A value that has a parser of its own, which refuses with a ValueError."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or refuse it."""
        try:
            return self.parse(value)
        except ValueError as error:
            raise BadValue(value, self, param, ctx) from error

    @abc.abstractmethod
    def parse(self, value: str) -> Any:
        """What it stands for; a ValueError if it stands for nothing."""


class Host(Parsed):
    """A name or an address; whether it is one, only a resolver can say."""

    name = "text"
    expects = "expects_host"

    def parse(self, value: str) -> str:
        """Anything at all."""
        if not value:
            raise ValueError(value)
        return value


class ServerName(Parsed):
    """A name to ask a TLS server for: one that can be written in DNS (RFC 5890)."""

    name = "name"
    expects = "expects_host"

    def parse(self, value: str) -> str:
        """As it is, if it can be encoded."""
        if not value.encode("idna"):
            raise ValueError(value)
        return value


class EndpointUrl(Parsed):
    """Where to listen: ``tcp://``, ``tls://`` or ``unix://``."""

    name = "url"
    expects = "expects_endpoint"

    def parse(self, value: str) -> Any:
        """An endpoint."""
        from tcpecho_trio.server.endpoints import Endpoint

        return Endpoint.parse(value)


class AdminUrl(Parsed):
    """Where the administrator's endpoint is: ``http://``, ``https://`` or ``unix://``."""

    name = "url"
    expects = "expects_admin"

    def parse(self, value: str) -> Any:
        """An endpoint."""
        from tcpecho_trio.admin.endpoint import AdminEndpoint

        return AdminEndpoint.parse(value)


class SocketPath(Parsed):
    """A Unix socket's path, to listen at."""

    name = "path"
    expects = "expects_socket"

    def parse(self, value: str) -> Any:
        """The endpoint that it is."""
        from tcpecho_trio.server.endpoints import Endpoint, Scheme

        return Endpoint(Scheme.UNIX, path=value)


class Octal(Parsed):
    """Permissions as chmod(1) writes them."""

    name = "octal"
    expects = "expects_mode"

    def parse(self, value: str) -> int:
        """Three octal digits, and perhaps a 0 before them."""
        if not re.fullmatch("0?[0-7]{3}", value):
            raise ValueError(value)
        return int(value, 8)


class Network(Parsed):
    """A network as address and prefix length (RFC 4632 §3.1), or one address."""

    name = "cidr"
    expects = "expects_network"

    def parse(self, value: str) -> Any:
        """Bits behind the prefix are an error, for they are a mistake."""
        from ipaddress import ip_network

        return ip_network(value)


class FaultSpec(Parsed):
    """A fault on purpose: ``KIND[:AMOUNT][@SHARE]``."""

    name = "fault"
    expects = "expects_fault"

    def parse(self, value: str) -> Any:
        """The fault."""
        from tcpecho_trio.server.faults import Fault

        return Fault.parse(value)


class Message(Parsed):
    """One message; in an environment variable, one a line."""

    name = "text"
    expects = "expects_message"
    envvar_list_splitter = "\n"

    def parse(self, value: str) -> str:
        """As it is."""
        if "\n" in value:
            raise ValueError(value)
        return value


def dialect_option(help_text: str) -> Callable[[Any], Any]:
    """The option that says which dialect is spoken."""
    return click.option("--dialect", type=OneOf(*DIALECTS), default="standard", help=help_text)


def check_processes(texts: Texts) -> None:
    """Refuse several processes where none can hand its descriptors to another one."""
    import signal
    import socket

    if not (hasattr(socket, "AF_UNIX") and hasattr(signal, "pthread_sigmask")):
        raise click.UsageError(texts.processes.cli_no_processes)


def check_unix_sockets(texts: Texts) -> None:
    """Refuse Unix sockets where there are none."""
    import socket

    if not hasattr(socket, "AF_UNIX"):
        raise click.UsageError(texts.cli_no_unix)
