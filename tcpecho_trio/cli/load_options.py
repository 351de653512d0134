"""What the values of ``load``'s options look like.

See :mod:`tcpecho_trio.cli.option_types` for the idea.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from typing import Any

import click

from tcpecho_trio.cli.option_types import Told
from tcpecho_trio.texts import Texts

MULTIPLES = {"": 1, "k": 1000, "m": 1_000_000}
BYTES = {"": 1, "k": 1024, "m": 1_048_576}
UNITS = {"": 1.0, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}

LONGEST = 9_999_999.0
"""Seconds: some hundred days."""


class _Load(Told, ABC):
    """A value that has a parser of its own, which refuses with a ValueError."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Parse it, or refuse it."""
        from tcpecho_trio.cli.option_types import BadValue

        if not isinstance(value, str):  # a default
            return value
        try:
            return self.parse(value)
        except ValueError as error:
            raise BadValue(value, self, param, ctx) from error

    @abstractmethod
    def parse(self, value: str) -> Any:
        """What it stands for; a ValueError if it stands for nothing."""

    def expected(self, texts: Texts) -> str:
        """What it takes, for a person."""
        line: str = getattr(texts.load, self.expects)
        return line


class HostAndPort(_Load):
    """``HOST:PORT``, or only one of the two."""

    name = "HOST:PORT"
    expects = "expects_address"

    def parse(self, value: str) -> tuple[str, int]:
        """Host and port."""
        found = re.fullmatch(
            r"(?:\[(?P<six>[^]]*)\]|(?P<host>[^:]*))(?::(?P<port>[0-9]{1,5}))?", value
        )
        if found is None:
            if value.count(":") > 1 and re.fullmatch(r"[0-9a-fA-F:.%a-z]+", value):
                return value, 5000  # a bare IPv6 address
            raise ValueError(value)
        host = found["six"] or found["host"]
        port = int(found["port"] or 5000)
        if not 0 < port < 65536 or (not host and found["port"] is None):
            raise ValueError(value)
        return host or "localhost", port


class Count(_Load):
    """How many: ``10k``."""

    name = "count"
    expects = "expects_count"

    def parse(self, value: str) -> int:
        """The number."""
        number = _multiple(value)
        if number < 1 or number != int(number) or number > 1e15:
            raise ValueError(value)
        return int(number)


class Rate(_Load):
    """Messages a second, or ``max``."""

    name = "rate"
    expects = "expects_rate"

    def parse(self, value: str) -> float | str:
        """The rate; ``max`` as it is."""
        if value == "max":
            return value
        number = _multiple(value)
        if not 0 < number < 1e9:
            raise ValueError(value)
        return number


class RampSpec(_Load):
    """``FROM:TO:TIME``."""

    name = "ramp"
    expects = "expects_ramp"

    def parse(self, value: str) -> Any:
        """The ramp."""
        from tcpecho_trio.load.settings import Ramp

        low, high, time = value.split(":")
        ramp = Ramp(_multiple(low), _multiple(high), _seconds(time))
        if not (0 < ramp.low <= ramp.high < 1e9 and ramp.seconds > 0):
            raise ValueError(value)
        return ramp


class Time(_Load):
    """``30s``, ``100ms``, ``5m``, ``1h``; a bare number is seconds."""

    name = "time"
    expects = "expects_time"

    def __init__(self, *, zero: bool = False) -> None:
        self._zero = zero

    def parse(self, value: str) -> float:
        """Seconds."""
        seconds = _seconds(value)
        if seconds == 0 and not self._zero:
            raise ValueError(value)
        return seconds


class Size(_Load):
    """Bytes, or a range of them."""

    name = "bytes"
    expects = "expects_size"

    def parse(self, value: str) -> tuple[int, int]:
        """The least and the most."""
        least, dash, most = value.partition("-")
        first = _bytes(least)
        last = _bytes(most) if dash else first
        if not 1 <= first <= last <= 16 * 1_048_576:
            raise ValueError(value)
        return first, last


class FailIf(_Load):
    """A condition; in an environment variable, one a line."""

    name = "condition"
    expects = "expects_condition"
    envvar_list_splitter = "\n"

    def parse(self, value: str) -> Any:
        """The condition."""
        from tcpecho_trio.load.conditions import Condition

        return Condition.parse(value)


def _multiple(value: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)([km]?)", value.lower())
    if found is None or len(value) > 20:
        raise ValueError(value)
    return float(found[1]) * MULTIPLES[found[2]]


def _bytes(value: str) -> int:
    found = re.fullmatch(r"([0-9]{1,9})([km]?)", value.lower())
    if found is None:
        raise ValueError(value)
    return int(found[1]) * BYTES[found[2]]


def _seconds(value: str) -> float:
    found = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|)", value)
    if found is None or len(value) > 20:
        raise ValueError(value)
    seconds = float(found[1]) * UNITS[found[2]]
    if seconds > LONGEST:
        raise ValueError(value)
    return seconds
