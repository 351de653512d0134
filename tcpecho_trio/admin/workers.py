"""The server of several processes, for the endpoint that their supervisor runs.

A :class:`Workers` knows of each worker what it last said (:mod:`~tcpecho_trio.admin.line`), and
asks all of them at once when that is not enough. A worker that does not answer costs a bounded
wait, once; then it counts with what is known of it, and is said to be stale. What a worker that
has ended has counted is kept: no counter goes backwards.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import trio
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from tcpecho_trio import __version__
from tcpecho_trio.admin.backend import Take
from tcpecho_trio.admin.bridge import bridge, socket_pair
from tcpecho_trio.admin.feed import Feed, as_event
from tcpecho_trio.admin.figures import Figures
from tcpecho_trio.admin.line import (
    CLIENTS_AT_A_TIME,
    CONVERSE,
    FEED,
    LEAVE,
    LOOK,
    OMIT,
    SAMPLE,
    SUFFER,
)
from tcpecho_trio.admin.metrics import Exposition
from tcpecho_trio.admin.neighbours import Neighbours, clients_elsewhere, families
from tcpecho_trio.admin.neighbours import described as cluster_described
from tcpecho_trio.admin.state import REFUSED, described, now, written, written_faults
from tcpecho_trio.admin.supervised import Page, Supervised, Worker, first_of
from tcpecho_trio.admin.websocket import web_peer
from tcpecho_trio.server import DrainReason
from tcpecho_trio.server.event_fields import fields_of
from tcpecho_trio.server.events import Event, FaultsChanged, Unraisable
from tcpecho_trio.server.faults import Fault

ANSWER_TIME = 1.0
"""Seconds that a worker gets for an answer: whoever asked waits for it."""

LOST = "worker_lost"
"""Why those connections are closed that a worker had when it died."""

REFUSALS = frozenset(reason.value for reason in REFUSED)


class Workers:
    """A server of several processes; a :class:`~tcpecho_trio.admin.backend.Backend`.

    Args:
      supervised: what the supervisor says of it.
      neighbours: the other servers of its cluster; None where there is none.
    """

    def __init__(self, supervised: Supervised, neighbours: Neighbours | None = None) -> None:
        self._supervised = supervised
        self._neighbours = neighbours
        self._workers: list[Worker] = []
        self._ended = Figures()  # what those have counted that are no more
        self._faults = supervised.settings.faults
        self._started = datetime.now(UTC)
        self._began = trio.current_time()
        self.feed = Feed(self)
        supervised.events.subscribe(self)

    # What the supervisor tells.

    def joined(self, worker: Worker) -> None:
        """A worker has begun to accept."""
        self._workers.append(worker)
        for contains in self.feed.looked_for:
            worker.line.put({"kind": LOOK, "contains": contains})
        if self._faults != self._supervised.settings.faults:
            worker.line.put({"kind": SUFFER, "faults": written_faults(self._faults)})

    def left(self, worker: Worker) -> None:
        """A worker has ended: what it counted is kept, and its connections are gone."""
        if worker in self._workers:
            self._workers.remove(worker)
            figures = worker.figures
            if figures.active:
                figures.reasons[LOST] += figures.active
            figures.active = figures.clients = 0
            self._ended.add(figures)

    def heard(self, worker: Worker, message: dict[str, Any]) -> None:
        """A worker has said something of :data:`~tcpecho_trio.admin.line.FROM_WORKERS`."""
        kind = message["kind"]
        if kind == SAMPLE:
            worker.take(message["figures"])
            worker.loop_delay = message["fields"].get("loop_delay", 0.0)
        elif kind == FEED and message["contains"] in self.feed.looked_for:
            if message["lost"]:
                self.feed.drop(message["contains"], message["lost"])
            for event in message["events"].split("\n\n")[:-1]:
                self.feed.tell(message["contains"], f"{event}\n\n".encode())
        elif kind == OMIT:
            self.feed.omit(message["contains"], message["messages"], message["connections"])

    def __call__(self, event: Event) -> None:
        """Something has happened to the server as a whole."""
        told = as_event(event.name, {"timestamp": now(), **fields_of(event)})
        for contains in self.feed.looked_for:
            self.feed.tell(contains, told)

    # What the feed tells.

    def look(self, contains: str) -> None:
        """Somebody looks for these clients."""
        for worker in self._workers:
            worker.line.put({"kind": LOOK, "contains": contains})

    def leave(self, contains: str) -> None:
        """Nobody looks for them any more."""
        for worker in self._workers:
            worker.line.put({"kind": LEAVE, "contains": contains})

    # What the endpoint asks.

    async def run(self) -> None:
        """Tell once a second how the whole server is."""
        while True:
            await trio.sleep(1)
            self.feed.sample(self._sample())

    def _sample(self) -> dict[str, Any]:
        figures = self._figures()
        return {
            "time": now(),
            "clients": figures.clients,
            "accepted": figures.accepted.total(),
            "messages_in": figures.messages_in,
            "messages_out": figures.messages_out,
            "bytes_in": figures.bytes_in,
            "bytes_out": figures.bytes_out,
            "loop_delay": self._loop_delay(),
            "phase": self._supervised.phase,
        }

    def _loop_delay(self) -> float:
        return max((worker.loop_delay for worker in self._workers if not worker.stale), default=0.0)

    def _figures(self) -> Figures:
        """All that is known at this moment."""
        total = Figures(lost_lines=self._supervised.lost_lines)
        for figures in (self._ended, *(worker.figures for worker in self._workers)):
            total.add(figures)
        return total

    async def _ask(self, what: str, asked: Mapping[Worker, dict[str, Any]]) -> dict[Worker, Any]:
        """Ask some workers at once; whoever does not answer, or is stale, is left out."""
        answers: dict[Worker, Any] = {}

        async def ask(worker: Worker, about: dict[str, Any]) -> None:
            try:
                answers[worker] = await worker.line.ask(what, ANSWER_TIME, **about)
            except Exception:  # noqa: BLE001  it is frozen, or dying: the others have answered
                return

        async with trio.open_nursery() as nursery:
            for worker, about in asked.items():
                if not worker.stale:
                    nursery.start_soon(ask, worker, about)
        return answers

    async def _ask_all(self, what: str, **about: Any) -> dict[Worker, Any]:
        return await self._ask(what, dict.fromkeys(self._workers, about))

    async def _refresh(self) -> None:
        """Ask everybody what they have counted by now."""
        for worker, plain in (await self._ask_all("figures")).items():
            if worker in self._workers:  # else it is counted among those that have ended
                worker.take(plain)

    async def status(self) -> dict[str, Any]:
        """What the whole server says of itself."""
        await self._refresh()
        supervised, settings, figures = self._supervised, self._supervised.settings, self._figures()
        reasons = {reason: count for reason, count in figures.reasons.items() if count}
        status = {
            "server": settings.name,
            "version": __version__,
            "phase": supervised.phase,
            "ready": self.not_ready is None,
            "reason": self.not_ready,
            "started": written(self._started),
            "uptime": round(trio.current_time() - self._began, 3),
            "listeners": supervised.listeners,
            "dialect": described(settings.dialect),
            "clients": figures.clients,
            "max_connections": settings.max_connections,
            "totals": {
                "accepted": figures.accepted.total(),
                "probes": figures.reasons["probe"],
                "closed": {r: n for r, n in reasons.items() if r not in REFUSALS},
                "refused": {r: n for r, n in reasons.items() if r in REFUSALS},
                "bytes_in": figures.bytes_in,
                "bytes_out": figures.bytes_out,
                "messages_in": figures.messages_in,
                "messages_out": figures.messages_out,
            },
            "faults": written_faults(self._faults),
            "loop_delay": self._loop_delay(),
            "workers": [worker.described() for worker in self._workers],
            "restarts": supervised.restarts,
        }
        if self._neighbours is not None:
            status["cluster"] = cluster_described(self._neighbours)
        return status

    @property
    def not_ready(self) -> str | None:
        """Why nobody should be sent here."""
        phase = self._supervised.phase
        if phase != "running":
            return phase
        if not self._accepting():
            return "no_workers"
        places = sum(worker.figures.active for worker in self._workers)
        return "full" if places >= self._supervised.settings.max_connections else None

    def _accepting(self) -> list[Worker]:
        return [worker for worker in self._workers if not (worker.is_retiring() or worker.stale)]

    async def list_clients(self, contains: str, limit: int | None, take: Take) -> None:
        """List the clients of all workers that answer, then those of other servers."""
        pages = {worker: Page() for worker in self._workers}
        left = sys.maxsize if limit is None else limit
        own = {} if self._neighbours is None else {"server": self._neighbours.name}
        while left > 0 and any(page.waiting or page.more for page in pages.values()):
            most = min(CLIENTS_AT_A_TIME, left)
            due = {
                worker: {"contains": contains, "after": page.last, "most": most}
                for worker, page in pages.items()
                if page.more and not page.waiting
            }
            answers = await self._ask("list", due)
            for worker in due:
                pages[worker].turn(answers.get(worker, []), most, worker.name)
            some = first_of(list(pages.values()), left)
            left -= len(some)
            if some:
                await take([{**client, **own} for client in some])
        if self._neighbours is not None:
            elsewhere = clients_elsewhere(self._neighbours, contains)
            wanted = itertools.islice(elsewhere, left)
            while some := list(itertools.islice(wanted, CLIENTS_AT_A_TIME)):
                await take([{**client, "worker": None} for client in some])

    async def count_clients(self, contains: str) -> int:
        """How many clients match, at the workers that answer and at other servers."""
        answers = await self._ask_all("count", contains=contains)
        count: int = sum(answers.values())
        if self._neighbours is not None:
            count += sum(1 for _ in clients_elsewhere(self._neighbours, contains))
        return count

    async def dismiss(self, number: int) -> bool:
        """Let one client go, wherever it is."""
        return any((await self._ask_all("let_go", number=number)).values())

    async def drain(self) -> None:
        """End the whole server."""
        self._supervised.drain(DrainReason.ADMIN)

    async def faults(self) -> list[str]:
        """What newcomers suffer."""
        return written_faults(self._faults)

    async def change_faults(self, specs: list[str]) -> None:
        """Decide what newcomers suffer, at all workers and at those that are still to come."""
        self._faults = tuple(map(Fault.parse, specs))
        faults = written_faults(self._faults)
        self._supervised.suffer(faults)
        await self._ask_all("suffer", faults=faults)
        self._supervised.events.publish(FaultsChanged(" ".join(faults)))

    async def exposition(self) -> Exposition:
        """What is counted at this moment, and who answers."""
        await self._refresh()
        count = GaugeMetricFamily("tcpecho_workers", "Worker processes that there are now.")
        count.add_metric((), len(self._workers))
        up = GaugeMetricFamily(
            "tcpecho_worker_up", "1 while a worker answers, else 0.", labels=("worker",)
        )
        for worker in self._workers:
            up.add_metric((worker.name,), not worker.stale)
        restarts = CounterMetricFamily(
            "tcpecho_worker_restarts", "Workers that were replaced because they had ended."
        )
        restarts.add_metric((), self._supervised.restarts)
        more = families(self._neighbours) if self._neighbours is not None else ()
        return Exposition(
            self._figures(),
            self._supervised.phase in ("draining", "stopped"),
            {worker.name: worker.figures.active for worker in self._workers},
            {"supervisor": None, **{worker.name: worker.pid for worker in self._workers}},
            (count, up, restarts, *more),
        )

    @property
    def silent(self) -> str | None:
        """Why nobody can begin to talk."""
        phase = self._supervised.phase
        if phase not in ("running", "delaying"):
            return f"the server is {phase}"
        return None if self._accepting() else "no worker answers"

    async def converse(
        self, below: trio.abc.Stream, bare: trio.SocketStream, begun: bytes, *, introduced: bool
    ) -> None:
        """Have the worker with the fewest clients talk to a browser."""
        peer = web_peer(bare)
        accepting = self._accepting()
        if not accepting:
            return
        worker = min(accepting, key=lambda worker: worker.figures.clients)
        worker.figures.clients += 1  # until it says so itself: many may come at once
        ours, theirs = socket_pair()
        with theirs:
            worker.line.put(
                {"kind": CONVERSE, "peer": list(peer), "introduced": introduced},
                descriptors=[theirs.fileno()],
            )
        await bridge(below, begun, ours, self._supervised.settings.write_period)

    def report(self, error: Exception) -> None:
        """Tell the journal."""
        self._supervised.events.publish(Unraisable(f"{type(error).__name__}: {error}"))
