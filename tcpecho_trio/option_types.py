"""What the values of options look like: parsed and refused where they are given.

The server is imported by the types that need it and only when they are used: a one-shot client
should not pay for a server.
"""

from __future__ import annotations

import math
import re
from typing import Any

import click

PORTS = click.IntRange(0, 65535)

FILE = click.Path(exists=True, dir_okay=False)
"""A file that can be read now; what is in it is for others to judge."""


class Seconds(click.FloatRange):
    """A number of seconds; ``nan`` is none."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse it, and refuse what compares with nothing."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value!r} is not a number.", param, ctx)
        return number


class _Parsed(click.ParamType):  # type: ignore[type-arg]  # generic only since click 8.3
    """A value that has a parser of its own, whose ValueError says what is wrong."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or fail with the parser's own words."""
        try:
            return self.parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)

    def parse(self, value: str) -> Any:
        """What it stands for."""
        raise NotImplementedError


class EndpointUrl(_Parsed):
    """Where to listen: ``tcp://``, ``tls://`` or ``unix://``."""

    name = "url"

    def parse(self, value: str) -> Any:
        """An endpoint."""
        from tcpecho_trio.server.endpoints import Endpoint

        return Endpoint.parse(value)


class SocketPath(_Parsed):
    """A Unix socket's path, to listen at."""

    name = "path"

    def parse(self, value: str) -> Any:
        """The endpoint that it is."""
        from tcpecho_trio.server.endpoints import Endpoint, Scheme

        return Endpoint(Scheme.UNIX, path=value)


class Octal(_Parsed):
    """Permissions as chmod(1) writes them."""

    name = "octal"

    def parse(self, value: str) -> int:
        """Three octal digits, and perhaps a 0 before them."""
        if not re.fullmatch("0?[0-7]{3}", value):
            raise ValueError(f"{value!r} is not a mode such as 660.")
        return int(value, 8)


class Network(_Parsed):
    """A network as address and prefix length (RFC 4632 §3.1), or one address."""

    name = "cidr"

    def parse(self, value: str) -> Any:
        """Bits behind the prefix are an error, for they are a mistake."""
        from ipaddress import ip_network

        return ip_network(value)


class FaultSpec(_Parsed):
    """A fault on purpose: ``KIND[:AMOUNT][@SHARE]``."""

    name = "fault"

    def parse(self, value: str) -> Any:
        """The fault."""
        from tcpecho_trio.server.faults import Fault

        return Fault.parse(value)


class Message(click.types.StringParamType):
    """A message; in an environment variable, one a line."""

    envvar_list_splitter = "\n"
