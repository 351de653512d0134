"""What is counted during a soak, and how it is told at the end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tests.soak.plans import Plan
from tests.soak.server import Held, Server

GROWTH = 1.15
"""Times the memory after the warm-up that a server may hold at the end; with GROWTH_BYTES."""
GROWTH_BYTES = 8 * 1024 * 1024
"""What one more of the largest conversations at a time leaves in an allocator's free lists."""
LOSSES_TOLD = 20


@dataclass
class Life:
    """What one server held, and how it ended."""

    server: Server
    fresh: Held
    warm: Held | None = None
    settled: Held | None = None
    exit_code: int | None = None
    drain_seconds: float = 0

    def troubles(self) -> list[str]:
        """What was not as it should have been."""
        found = list(self.server.troubles)
        if self.exit_code != 0:
            found.append(f"exit code {self.exit_code}")
        if self.settled and self.settled.descriptors != self.fresh.descriptors:
            found.append(f"descriptors: {self.fresh.descriptors} → {self.settled.descriptors}")
        if self.warm and self.settled:
            bound = self.warm.rss * GROWTH + GROWTH_BYTES
            if self.settled.rss > bound:
                found.append(f"memory: {_mib(self.warm.rss)} → {_mib(self.settled.rss)}")
        return [f"{self.server.name}: {trouble}" for trouble in found]

    def told(self) -> str:
        """One line about it."""
        memory = " → ".join(_mib(h.rss) for h in (self.fresh, self.warm, self.settled) if h)
        ends = self.settled.descriptors if self.settled else "?"
        return (
            f"RSS {memory}, descriptors {self.fresh.descriptors} → {ends}, exit code "
            f"{self.exit_code} {self.drain_seconds:.2f} s after SIGTERM, "
            f"{self.server.journal_lines:,} lines of journal"
        )


@dataclass
class Tally:
    """What was done and what came of it."""

    connections: int = 0
    messages: int = 0
    compared: int = 0
    whole: int = 0
    most_at_a_time: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    losses: list[str] = field(default_factory=list)

    def add(self, plan: Plan, path: str, compared: int, wrong: str) -> None:
        """A client's life is over."""
        self.connections += 1
        self.messages += plan.messages
        self.compared += compared
        self.whole += plan.whole
        self.kinds[plan.kind] += 1
        if wrong:
            self.losses.append(f"client {plan.number} ({plan.kind}, {path}): {wrong}")


def report(
    tally: Tally, lives: list[Life], faults: Counter[str], *, seed: int, seconds: float
) -> tuple[str, bool]:
    """The whole report, and whether all is well."""
    wrong = [*tally.losses, *(trouble for life in lives for trouble in life.troubles())]
    rows = {
        "load": f"{tally.connections:,} connections ({tally.connections / seconds:,.0f}/s), "
        f"{tally.messages:,} messages ({tally.messages / seconds:,.0f}/s), "
        f"up to {tally.most_at_a_time} connections at a time, {seconds:,.0f} s, seed {seed}",
        "clients": _counts(tally.kinds),
        "faults": _counts(faults) or "none",
        "compared": f"{tally.compared:,} bytes of replies; {tally.whole:,} conversations whole, "
        f"{tally.connections - tally.whole:,} broken off on purpose",
        **{life.server.name: life.told() for life in lives},
        "lost": "nothing" if not wrong else f"{len(wrong)}:",
    }
    lines = [f"{name:<14}{value}" for name, value in rows.items()]
    lines += [f"  {what}" for what in wrong[:LOSSES_TOLD]]
    if len(wrong) > LOSSES_TOLD:
        lines.append(f"  … and {len(wrong) - LOSSES_TOLD:,} more")
    if tally.losses:
        lines.append(f"Repeat one of them: python -m tests.soak --seed {seed} --client NUMBER")
    return "\n".join(lines), not wrong


def _counts(counter: Counter[str]) -> str:
    return " · ".join(f"{name} {count:,}" for name, count in counter.most_common())


def _mib(size: int) -> str:
    return f"{size / 2**20:.1f} MiB"
