"""Memberships in one process, with a real Redis that is away, frozen, full, empty, hostile."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import trio

from tcpecho_trio.cluster import members as members_module
from tcpecho_trio.cluster import membership as membership_module
from tcpecho_trio.cluster import resp, store
from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.membership import ClusterRoster, Membership
from tcpecho_trio.server import Registry
from tcpecho_trio.server.events import ClusterJoined, ClusterLost, ClusterNameTaken, Event
from tcpecho_trio.server.subscriptions import Events
from tests.cluster.redis_server import RedisServer, running_redis
from tests.support.processes import PATIENCE


@dataclass
class Server:
    """What a membership tells of."""

    phase: str = "running"
    addresses: tuple[str, ...] = ("localhost:5000",)
    generation: int = 0
    listed: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        return len(self.listed)

    @property
    def changes(self) -> object:
        return tuple(self.listed)

    def clients(self) -> list[str]:
        return list(self.listed)


class Member:
    """A membership, what it was told to do, and what it told."""

    def __init__(self, url: str, name: str) -> None:
        self.server, self.told = Server(), list[Event]()
        self.asked: list[str] = []
        events = Events()
        events.subscribe(self.told.append)
        self.membership = Membership(
            ClusterLocation.parse(url),
            name,
            self.server,
            events,
            drain=lambda: self.asked.append("drain"),
            restart=lambda: self.asked.append("restart"),
        )
        self.roster = ClusterRoster(Registry(), self.membership)

    def named(self, kind: type[Event]) -> int:
        return sum(isinstance(event, kind) for event in self.told)

    async def listing(self) -> list[str]:
        """What a client's word lists, as a connection comes to it."""
        if not self.roster.fresh:
            await self.roster.refresh()
        return self.roster.clients()

    async def until(self, happened: Callable[[], bool]) -> None:
        await until(happened)

    async def until_listed(self, *lines: str) -> None:
        with trio.fail_after(PATIENCE):
            while (last := await self.listing()) != list(lines):  # noqa: ASYNC110  # nobody tells
                await trio.sleep(0.01)  # the pause of a poll
        assert last == list(lines)


async def until(happened: Callable[[], bool]) -> None:
    with trio.fail_after(PATIENCE):
        await trio.lowlevel.checkpoint()
        while not happened():  # noqa: ASYNC110  # nobody tells
            await trio.sleep(0.01)  # the pause of a poll


@asynccontextmanager
async def members(url: str, *names: str) -> AsyncIterator[list[Member]]:
    joined = [Member(url, name) for name in names]
    async with trio.open_nursery() as nursery:
        for member in joined:
            nursery.start_soon(member.membership.run)
        yield joined
        nursery.cancel_scope.cancel()


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch, long_life: None) -> None:
    """Nothing is given up, on a busy machine either."""
    monkeypatch.setattr(resp, "DEADLINE", 20.0)
    monkeypatch.setattr(membership_module, "PATIENCE", 20.0)


@pytest.fixture
def long_life(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody expires, on a busy machine either."""
    monkeypatch.setattr(store, "LIFE", 60_000)
    monkeypatch.setattr(store, "LIMITS", (*store.LIMITS[:3], 60_000))


@pytest.mark.usefixtures("patient")
async def test_everybody_lists_everybodys_clients(redis: RedisServer) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        ana.server.listed = ["10.0.0.1:1", "10.0.0.2:2"]
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        await eva.until_listed("10.0.0.1:1 ana", "10.0.0.2:2 ana")
        ana.server.listed = ["10.0.0.2:2"]
        await eva.until_listed("10.0.0.2:2 ana")


@pytest.mark.usefixtures("patient")
async def test_whoever_leaves_is_gone_from_the_list_and_from_redis(redis: RedisServer) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        eva.server.phase = "draining"
        eva.membership.wake()
        await until(lambda: [m.record.phase for m in ana.membership.others()] == ["draining"])
        await eva.membership.leave()
        await ana.until_listed()
        keys = redis.call("KEYS", "*")
        assert not any(eva.membership.instance in key for key in keys)


async def test_whoever_vanishes_expires(redis: RedisServer) -> None:
    async with members(redis.url, "ana") as (ana,):
        async with members(redis.url, "eva") as (eva,):
            eva.server.listed = ["10.0.0.3:3"]
            await ana.until_listed("10.0.0.3:3 eva")
        await ana.until_listed()  # it was cancelled, and has not left


@pytest.mark.usefixtures("patient")
async def test_a_list_that_has_not_changed_is_neither_written_nor_read_again(
    redis: RedisServer,
) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = [f"10.0.0.3:{port}" for port in range(1000)]
        await until(lambda: len(ana.roster.clients()) == 1000)  # without being asked for
        before = redis.call("GET", f"tcpecho:clients:{eva.membership.instance}")
        sent = redis.call("INFO", "stats")
        for _ in range(3):
            await until(lambda: not ana.roster.fresh)
            await ana.listing()
        assert redis.call("GET", f"tcpecho:clients:{eva.membership.instance}") == before
        grown = total_output(redis.call("INFO", "stats")) - total_output(sent)
        assert grown < 3 * len(before)  # INFO's own answers, heartbeats and readings
        assert len(await ana.listing()) == 1000


def total_output(info: str) -> int:
    (line,) = (line for line in info.split() if line.startswith("total_net_output_bytes:"))
    return int(line.partition(":")[2])


@pytest.mark.usefixtures("patient")
async def test_whoever_asks_in_a_loop_does_not_ask_redis_in_a_loop(redis: RedisServer) -> None:
    async with members(redis.url, "ana") as (ana,):
        await until(lambda: ana.membership.state.joined)
        began = trio.current_time()
        readings = 0
        while trio.current_time() < began + 1:
            readings += not ana.roster.fresh
            await ana.listing()
            await trio.lowlevel.checkpoint()
        assert readings <= (trio.current_time() - began) / membership_module.FRESH + 1


@pytest.mark.usefixtures("patient")
async def test_many_who_ask_at_once_are_answered_by_one_reading(redis: RedisServer) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        await until(lambda: not ana.roster.fresh)
        answers: list[list[str]] = []

        async def ask() -> None:
            answers.append(await ana.listing())

        async with trio.open_nursery() as nursery:
            for _ in range(100):
                nursery.start_soon(ask)
        assert answers == [["10.0.0.3:3 eva"]] * 100


@pytest.mark.usefixtures("patient")
async def test_clients_that_are_too_many_are_counted(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members_module, "MAX_OTHERS_LISTED", 2)
    async with members(redis.url, "ana", "eva", "ida") as (ana, eva, ida):
        eva.server.listed = ["10.0.0.3:1", "10.0.0.3:2", "10.0.0.3:3"]
        ida.server.listed = ["10.0.0.4:4"]
        await ana.until_listed("10.0.0.3:1 eva", "10.0.0.3:2 eva", "… +1 eva", "… +1 ida")


@pytest.mark.usefixtures("patient")
async def test_a_command_is_obeyed_once_and_its_taking_can_be_seen(redis: RedisServer) -> None:
    async with members(redis.url, "ana") as (ana,):
        await until(lambda: ana.membership.state.joined)
        instance = ana.membership.instance
        for asked, verb in (("1", "drain"), ("2", "restart"), ("3", "rm"), ("2", "restart")):
            told = json.dumps({"id": asked, "verb": verb})
            redis.call("SET", f"tcpecho:command:{instance}", told)
            await until(lambda: not redis.call("EXISTS", f"tcpecho:command:{instance}"))
        await until(lambda: len(ana.asked) == 2)
        assert ana.asked == ["drain", "restart"]
        key = f"tcpecho:member:{instance}"
        await until(lambda: json.loads(redis.call("GET", key))["taken"] == "2")


async def test_another_server_of_our_name_is_told_once(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members_module, "NAMESAKE", 0.5)
    async with members(redis.url, "ana", "ana", "eva") as (one, two, other):
        for member in (one, two):
            await until(lambda member=member: member.named(ClusterNameTaken) == 1)  # type: ignore[misc]
        await trio.sleep(2 * membership_module.HEARTBEAT)  # it is not told once more
        counts = [member.named(ClusterNameTaken) for member in (one, two, other)]
        assert counts == [1, 1, 0]


# Redis in trouble. Losses and returns are told once each, however long they last.


class Trouble:
    """What can become of a Redis, and how it is made good."""

    def __init__(self, redis: RedisServer) -> None:
        self.redis = redis

    def killed(self) -> Callable[[], None]:
        self.redis.kill()
        return self.redis.start

    def frozen(self) -> Callable[[], None]:
        self.redis.freeze()
        return self.redis.thaw

    def full(self) -> Callable[[], None]:
        self.redis.call("CONFIG", "SET", "maxmemory", "1")
        self.redis.call("FLUSHALL")  # what has to be written anew cannot be
        return lambda: self.redis.call("CONFIG", "SET", "maxmemory", "0")

    def spoilt(self) -> Callable[[], None]:
        self.redis.call("DEL", "tcpecho:members")
        self.redis.call("SET", "tcpecho:members", "hola")
        return lambda: self.redis.call("DEL", "tcpecho:members")

    def locked(self) -> Callable[[], None]:
        self.redis.call("ACL", "SETUSER", "default", "resetpass", ">sal")
        self.redis.call_as("sal", "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        return lambda: self.redis.call_as("sal", "ACL", "SETUSER", "default", "nopass")


@pytest.mark.usefixtures("long_life")
@pytest.mark.parametrize("kind", ["killed", "frozen", "full", "spoilt", "locked"])
async def test_a_redis_in_trouble_costs_knowledge_and_comes_back(
    redis: RedisServer, kind: str
) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        make_good: Callable[[], object] = getattr(Trouble(redis), kind)()
        await until(lambda: all(one.named(ClusterLost) for one in (ana, eva)))
        assert not ana.membership.state.joined
        if kind != "full":  # what can be read is known all the same
            assert ana.membership.age is not None
            (line,) = await ana.listing()
            assert line.startswith("10.0.0.3:3 eva (")
            assert line.endswith(" s)")
        await trio.sleep(2 * resp.DEADLINE)  # a loss that lasts is not told once more
        make_good()
        await until(lambda: all(one.membership.state.joined for one in (ana, eva)))
        await ana.until_listed("10.0.0.3:3 eva")
        eva.server.listed = ["10.0.0.3:4"]
        await ana.until_listed("10.0.0.3:4 eva")
        for one in (ana, eva):
            kinds = [type(event) for event in one.told]
            assert kinds[:3] == [ClusterJoined, ClusterLost, ClusterJoined]
            assert all(first is not second for first, second in pairwise(kinds))
            assert one.membership.state.losses == one.named(ClusterLost)


@pytest.mark.usefixtures("long_life")
async def test_nobody_vanishes_from_the_list_when_redis_comes_back_empty(
    redis: RedisServer,
) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        redis.kill()
        await until(lambda: ana.named(ClusterLost) == 1)
        redis.start()
        while ana.named(ClusterJoined) < 2 or eva.named(ClusterJoined) < 2:
            (line,) = await ana.listing()
            assert line.startswith("10.0.0.3:3 eva")
            await trio.sleep(0.01)  # the pause of a poll: the line is there at every look


@pytest.mark.usefixtures("long_life")
async def test_what_is_known_is_dropped_when_it_is_too_old(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(members_module, "KEEP", 1.0)
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        redis.kill()
        await ana.until_listed()


@pytest.mark.parametrize("frozen", [False, True])
async def test_a_redis_that_is_away_at_first_is_joined_when_it_comes(
    tmp_path: Path, frozen: bool
) -> None:
    with running_redis(tmp_path) as redis:
        if frozen:
            redis.freeze()
        else:
            redis.kill()
        async with members(redis.url, "ana") as (ana,):
            await until(lambda: ana.named(ClusterLost) == 1)
            assert await ana.listing() == []
            if frozen:
                redis.thaw()
            else:
                redis.start()
            await until(lambda: ana.named(ClusterJoined) == 1)


@pytest.mark.parametrize("state", ["killed", "frozen"])
async def test_leaving_is_bounded_whatever_redis_does(redis: RedisServer, state: str) -> None:
    async with members(redis.url, "ana") as (ana,):
        await until(lambda: ana.membership.state.joined)
        getattr(Trouble(redis), state)()
        with trio.fail_after(PATIENCE):
            await ana.membership.leave()


@pytest.mark.usefixtures("long_life")
async def test_a_slow_redis_is_slow_and_nothing_else(redis: RedisServer) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        for _ in range(5):
            redis.freeze()
            await trio.sleep(resp.DEADLINE / 3)  # so slow is it
            redis.thaw()
            await trio.sleep(resp.DEADLINE / 3)  # and so long it answers in between
        await ana.until_listed("10.0.0.3:3 eva")


@pytest.mark.usefixtures("long_life")
async def test_a_client_waits_only_a_moment_for_a_redis_that_has_just_frozen(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resp, "DEADLINE", 3600.0)  # so it is never known to be lost
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        redis.freeze()
        await until(lambda: not ana.roster.fresh)
        with trio.fail_after(PATIENCE):
            assert await ana.listing() == ["10.0.0.3:3 eva"]
        redis.thaw()


@pytest.mark.usefixtures("patient")
async def test_hostile_members_do_no_harm(redis: RedisServer) -> None:
    async with members(redis.url, "ana", "eva") as (ana, eva):
        eva.server.listed = ["10.0.0.3:3"]
        await ana.until_listed("10.0.0.3:3 eva")
        evil = {
            **json.loads(redis.call("GET", f"tcpecho:member:{eva.membership.instance}")),
            "instance": "ee",
            "name": "evil",
            "clients": 3,
            "list": 1,
            "addresses": ["\x1b[2J"],
            "version": "\u202e",
        }
        redis.call("SET", "tcpecho:member:ee", json.dumps(evil), "PX", 60_000)
        redis.call("SET", "tcpecho:clients:ee", b"1\n\x1b[2J\na b\n\xff", "PX", 60_000)
        redis.call("SADD", "tcpecho:members", "ee", *(f"x{n}" for n in range(10_000)))
        await ana.until_listed(
            *("10.0.0.3:3 eva", "\\x1b[2J evil", "a\\x20b evil", "\\xff evil"),
        )
        (shown,) = (m.record for m in ana.membership.others() if m.record.name == "evil")
        assert (shown.addresses, shown.version) == (("\\x1b[2J",), "\\u202e")
