"""Conditions of ``--fail-if``: ``p99>20ms``, ``errors>0.1%``, ``rate<1000``.

What stands on the left is a name of :data:`TIMES`, perhaps with one of :data:`WHICH` before it
(``service.p99``), or a name of :data:`COUNTS`, or a kind of error.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from tcpecho_trio.load.histogram import Histogram
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.tally import KINDS

TIMES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999, "max": 1.0}
"""Latencies by their share."""

WHICH = ("latency", "service", "connect", "handshake", "generator")
"""Which latencies; without one it is those since messages were due."""

COUNTS = ("errors", "sent", "replies", "rate", "knee")
"""Numbers that are no latencies."""

UNITS = {"us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0}

SPEC = re.compile(
    r"\s*(?:(?P<which>[a-z]+)\.)?(?P<name>[a-z_]+[0-9]*)\s*(?P<sign>[<>]=?)\s*"
    r"(?P<number>[0-9]+(?:\.[0-9]+)?)\s*(?P<unit>us|µs|ms|s|%|k)?\s*"
)


@dataclass(frozen=True, slots=True)
class Condition:
    """A result with which a load is to fail.

    Args:
      spec: as it was given.
      name: what is compared.
      sign: ``<``, ``<=``, ``>`` or ``>=``.
      limit: with what, in seconds for a latency.
      which: which latencies; empty for a number.
      share: whether the limit is a share of the messages sent.
    """

    spec: str
    name: str
    sign: str
    limit: float
    which: str = ""
    share: bool = False

    @classmethod
    def parse(cls, spec: str) -> Condition:
        """Read one.

        Raises:
          ValueError: it is none.
        """
        found = SPEC.fullmatch(spec)
        if found is None:
            raise ValueError(spec)
        which, name, unit = found["which"], found["name"], found["unit"]
        number = float(found["number"])
        if name in TIMES:
            which = which or "latency"
            if which not in WHICH or unit not in UNITS:
                raise ValueError(spec)
            number *= UNITS[unit]
        elif which or name not in (*COUNTS, *KINDS) or unit in UNITS:
            raise ValueError(spec)
        elif unit == "k":
            number *= 1000
        share = unit == "%"
        if share and name not in ("errors", *KINDS):
            raise ValueError(spec)
        return cls(spec.strip(), name, found["sign"], number, which or "", share)

    def value(self, report: Report) -> float:
        """What the report says, in the limit's unit; ``nan`` if it does not say."""
        if self.which:
            latencies: Histogram = {
                "latency": report.latency,
                "service": report.service,
                "connect": report.connecting,
                "handshake": report.handshaking,
                "generator": report.lateness,
            }[self.which]
            if not latencies.total:
                return math.nan
            return latencies.quantile(TIMES[self.name])
        if self.name in KINDS:
            number: float = report.errors[self.name]
        elif self.name == "errors":
            number = report.error_count
        elif self.name == "knee":
            number = report.knee or 0.0
        else:
            number = float(getattr(report, self.name))
        if self.share:
            return 100 * number / report.sent if report.sent else (100.0 if number else 0.0)
        return number

    def holds(self, report: Report) -> bool:
        """Whether the load is to fail for it. Where nothing was measured, nothing is good."""
        value = self.value(report)
        if math.isnan(value):
            return True
        if self.sign == "<":
            return value < self.limit
        if self.sign == "<=":
            return value <= self.limit
        return value > self.limit if self.sign == ">" else value >= self.limit

    def told(self, report: Report) -> str:
        """The condition, and what was measured."""
        value = self.value(report)
        if math.isnan(value):
            return f"{self.spec} (?)"
        if self.which:
            return f"{self.spec} ({value * 1e3:.4g} ms)"
        return f"{self.spec} ({value:.6g}{'%' if self.share else ''})"
