"""What came of a load: everything that there is to say about it, and as JSON.

The keys of the JSON are an interface: they are added to, and never change their meaning.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tcpecho_trio import __version__
from tcpecho_trio.display import shown
from tcpecho_trio.load.histogram import Histogram
from tcpecho_trio.load.plan import Plan
from tcpecho_trio.load.settings import LoadSettings
from tcpecho_trio.load.tally import WrongReply
from tcpecho_trio.load.timeline import Row

FORMAT = 1
"""Version of the JSON's meaning."""

KEPT_RATE = 0.99
"""Share of the rate asked for from which on it counts as kept."""

LATE = 0.001
"""Seconds. A generator whose p99 of its own lateness is above this says so."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """A step of a ramp.

    Args:
      rate: messages a second asked for.
      replies: messages a second that were answered.
      p99: seconds, since the messages were due.
      good: whether the p99 is below the limit, here and in all steps before.
    """

    rate: float
    replies: float
    p99: float
    good: bool


@dataclass(frozen=True, kw_only=True)
class Report:
    """The result of a load. Times are seconds.

    Args:
      settings: what was asked for.
      address: the server.
      sent: messages sent (without the warm-up's).
      replies: right replies to them; sent = replies + wrong + missing + cut.
      cut: messages under way when the load was ended early.
      errors: how many there were, by kind (:data:`~tcpecho_trio.load.tally.KINDS`).
      seconds: the measured time, until the last reply.
      latency: of the replies, since their messages were due.
      service: of the replies, since their messages were sent.
      lateness: how late the generator itself noticed what was due; empty in a closed loop.
      connecting: how long that took.
      handshaking: how long that took.
      rows: the same over time.
      steps: of a ramp.
      cpu_seconds: what the generator's process took of a processor in the measured part.
      began: when it began, in seconds since the epoch.
      interrupted: whether it was ended early.
      warmup: what is known of the warm-up.
      samples: the first wrong replies.
      arguments: the command line, if there was one.
    """

    settings: LoadSettings
    address: str
    sent: int
    replies: int
    cut: int
    errors: Mapping[str, int]
    seconds: float
    latency: Histogram
    service: Histogram
    lateness: Histogram
    connecting: Histogram
    handshaking: Histogram
    rows: Sequence[Row]
    steps: Sequence[Step] = ()
    cpu_seconds: float = 0.0
    began: float = 0.0
    interrupted: bool = False
    warmup: Mapping[str, object] = field(default_factory=dict)
    samples: Sequence[WrongReply] = ()
    arguments: Sequence[str] = ()

    @classmethod
    def of(cls, plan: Plan, address: str, *, began: float) -> Report:
        """What a plan that is over has seen."""
        tally, settings, record = plan.tally, plan.settings, plan.record
        end = max(plan.stopped, tally.last_reply)
        wanted = settings.messages
        if wanted is not None and plan.counted >= wanted and tally.last_reply:
            end = tally.last_reply  # that was its end, and not the look that found it
        errors = dict(tally.errors)
        errors["late"] = record.total_sent.above(settings.timeout)
        return cls(
            settings=settings,
            address=address,
            sent=plan.counted,
            replies=record.total_sent.total,
            cut=tally.cut,
            errors=errors,
            seconds=max(0.0, (end - record.measured_from) / 1e9),
            latency=record.total_due,
            service=record.total_sent,
            lateness=Histogram(tally.lateness),
            connecting=Histogram(tally.connecting),
            handshaking=Histogram(tally.handshaking),
            rows=tuple(record.timeline.rows),
            steps=_steps(plan),
            cpu_seconds=plan.processor_seconds,
            began=began,
            interrupted=plan.interrupted,
            warmup=plan.warmup,
            samples=tuple(tally.samples),
        )

    # For assertions: latencies since due, in seconds.

    @property
    def p50(self) -> float:
        """The median latency."""
        return self.latency.quantile(0.5)

    @property
    def p90(self) -> float:
        """The latency of nine replies in ten, at most."""
        return self.latency.quantile(0.9)

    @property
    def p99(self) -> float:
        """The latency of 99 replies in a hundred, at most."""
        return self.latency.quantile(0.99)

    @property
    def p999(self) -> float:
        """The latency of 999 replies in a thousand, at most."""
        return self.latency.quantile(0.999)

    @property
    def max(self) -> float:
        """The longest latency."""
        return self.latency.maximum

    @property
    def rate(self) -> float:
        """Replies a second."""
        return self.replies / self.seconds if self.seconds else 0.0

    @property
    def error_count(self) -> int:
        """Errors of all kinds."""
        return sum(self.errors.values())

    @property
    def ok(self) -> bool:
        """Whether there was no error at all."""
        return not self.error_count

    @property
    def asked_rate(self) -> float | None:
        """Messages a second that were asked for; None in a closed loop, and for a ramp."""
        return self.settings.rate

    @property
    def knee(self) -> float | None:
        """The highest rate of the ramp whose p99 was below the limit; None if there is none."""
        good = [step.rate for step in self.steps if step.good]
        return good[-1] if good else None

    @property
    def kept_rate(self) -> bool:
        """Whether as many messages were sent as the rate asks for."""
        asked = self.asked_rate
        if asked is None or self.interrupted or self.settings.messages is not None:
            return True
        return self.sent >= KEPT_RATE * asked * (self.settings.limit or 0) - 1

    def as_json(self) -> dict[str, Any]:
        """All of it, ready for :func:`json.dumps`."""
        settings, target = self.settings, self.settings.target
        ramp = settings.ramp
        return {
            "format": FORMAT,
            "version": __version__,
            "address": self.address,
            "began": self.began,
            "mode": "open" if settings.open_loop else "closed",
            "seconds": round(self.seconds, 6),
            "sent": self.sent,
            "replies": self.replies,
            "cut": self.cut,
            "rate": round(self.rate, 3),
            "errors": dict(self.errors),
            "error_count": self.error_count,
            "latency_ms": self.latency.summary(),
            "service_ms": self.service.summary(),
            "connect_ms": self.connecting.summary(),
            "connects": self.connecting.total,
            "handshake_ms": self.handshaking.summary(),
            "handshakes": self.handshaking.total,
            "interrupted": self.interrupted,
            "warmup": dict(self.warmup),
            "generator": {
                "late_ms": self.lateness.summary(),
                "kept_rate": self.kept_rate,
                "cpu_seconds": round(self.cpu_seconds, 6),
            },
            "knee": self.knee,
            "steps": [
                {
                    "rate": step.rate,
                    "replies_per_second": round(step.replies, 3),
                    "p99_ms": round(step.p99 * 1e3, 6),
                    "good": step.good,
                }
                for step in self.steps
            ],
            "timeline": [_row_as_json(row) for row in self.rows],
            "wrong_replies": [
                {
                    "connection": sample.connection,
                    "expected": shown(sample.expected),
                    "received": shown(sample.received),
                }
                for sample in self.samples
            ],
            "options": {
                "host": target.host,
                "port": target.port,
                "unix": target.path,
                "tls": target.tls is not None,
                "send_proxy": target.proxy,
                "connections": settings.connections,
                "rate": settings.rate,
                "ramp": None if ramp is None else [ramp.low, ramp.high, ramp.seconds],
                "slo": settings.slo,
                "pipeline": settings.pipeline,
                "duration": settings.limit,
                "warmup": settings.warmup,
                "messages": settings.messages,
                "size": list(settings.size),
                "texts": len(settings.texts),
                "expect": settings.expect,
                "framing": settings.framing,
                "leave": shown(settings.leave) if settings.framing == "raw" else "",
                "churn": settings.churn,
                "think": settings.think,
                "timeout": settings.timeout,
                "seed": settings.seed,
                "portable": settings.portable,
            },
            "arguments": list(self.arguments),
            "system": {
                "python": platform.python_version(),
                "platform": platform.platform(),
                "processors": os.cpu_count(),
            },
        }


def _row_as_json(row: Row) -> dict[str, float]:
    summary = row.latencies.summary()
    return {
        "start": round(row.start, 6),
        "seconds": round(row.seconds, 6),
        "sent": row.sent,
        "replies": row.latencies.total,
        "rate": round(row.rate, 3),
        "p50": summary["p50"],
        "p99": summary["p99"],
        "max": summary["max"],
        "errors": row.errors,
        "connections": row.connections,
    }


def _steps(plan: Plan) -> tuple[Step, ...]:
    """What each step of a ramp has shown, of those that were reached."""
    if plan.settings.ramp is None:
        return ()
    good, result = True, []
    for step, latencies, seconds in plan.record.steps():
        if not seconds:
            continue
        p99 = latencies.quantile(0.99)
        replies = latencies.total / seconds
        good = good and p99 <= plan.settings.slo and replies >= 0.9 * step.rate
        result.append(Step(rate=step.rate, replies=replies, p99=p99, good=good))
    return tuple(result)
