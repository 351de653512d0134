"""What is asked of a real Redis, or Valkey, and what comes back whatever stands in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tcpecho_trio.cluster.location import ClusterLocation
from tcpecho_trio.cluster.members import MAX_MEMBERS
from tcpecho_trio.cluster.records import MAX_RECORD, Command, Record, encode_clients
from tcpecho_trio.cluster.resp import StoreError, Trouble
from tcpecho_trio.cluster.store import Store
from tests.cluster.conftest import LONG_LIFE
from tests.cluster.redis_server import RedisServer, running_redis

pytestmark = pytest.mark.usefixtures("patient")

ANA = Record("aa", "ana")
EVA = Record("bb", "eva", clients=2, list_version=1)
LIST = encode_clients(1, ["10.0.0.1:1", "10.0.0.2:2"])


@pytest.fixture(params=["redis-server", "valkey-server"])
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer]:
    with running_redis(tmp_path, name=request.param) as server:
        yield server


@pytest.fixture
async def store(redis: RedisServer) -> AsyncIterator[Store]:
    store = Store(ClusterLocation.parse(redis.url))
    yield store
    await store.aclose()


async def join(store: Store, record: Record, clients: bytes = b"0\n") -> None:
    await store.beat(record.instance, record.encode(), clients, read=False)


def keys(redis: RedisServer) -> list[str]:
    return sorted(redis.call("KEYS", "*"))


async def test_whoever_joins_is_read_by_all(store: Store) -> None:
    await join(store, ANA)
    reading = await store.beat(EVA.instance, EVA.encode(), LIST, read=True)
    assert sorted(one.name for one in reading.records) == ["ana", "eva"]
    assert (reading.kept, reading.trouble, reading.partial) == (True, "", False)
    assert await store.lists(["bb", "aa", "cc"]) == [LIST, b"0\n", b""]


async def test_a_heartbeat_keeps_what_has_not_changed(store: Store, redis: RedisServer) -> None:
    await join(store, ANA)
    redis.call("PEXPIRE", "tcpecho:member:aa", 500)
    redis.call("PEXPIRE", "tcpecho:clients:aa", 500)
    reading = await store.beat("aa", b"", b"", read=True)
    assert reading.kept
    assert reading.records == [ANA]
    for key in ("member", "clients"):
        assert 500 < redis.call("PTTL", f"tcpecho:{key}:aa") <= LONG_LIFE


async def test_every_key_expires_or_names_only_whoever_is_there(
    store: Store, redis: RedisServer
) -> None:
    await join(store, ANA)
    await store.order("aa", Command("1", "drain"))
    for key in keys(redis):
        assert key == "tcpecho:members" or 0 < redis.call("PTTL", key) <= LONG_LIFE
    redis.call("DEL", "tcpecho:member:aa")  # as if it had expired
    assert (await store.read()).records == []
    assert redis.call("EXISTS", "tcpecho:members") == 0


async def test_what_is_lost_is_noticed(store: Store, redis: RedisServer) -> None:
    await join(store, ANA)
    redis.call("FLUSHALL")
    redis.call("SCRIPT", "FLUSH")
    assert not (await store.beat("aa", b"", b"", read=True)).kept
    await join(store, ANA)
    redis.call("DEL", "tcpecho:clients:aa")
    assert not (await store.beat("aa", b"", b"", read=True)).kept


async def test_whoever_leaves_leaves_nothing(store: Store, redis: RedisServer) -> None:
    await join(store, ANA)
    await store.order("aa", Command("1", "drain"))
    await store.leave("aa")
    assert keys(redis) == []


async def test_a_command_is_taken_once(store: Store) -> None:
    assert not await store.order("aa", Command("1", "drain"))
    await join(store, ANA)
    assert await store.order("aa", Command("1", "drain"))
    assert (await store.beat("aa", b"", b"", read=False)).command == Command("1", "drain")
    assert (await store.beat("aa", b"", b"", read=False)).command is None


async def test_clusters_of_other_prefixes_and_databases_are_others(
    store: Store, redis: RedisServer
) -> None:
    await join(store, ANA)
    for more in ("?prefix=otro", "?db=1"):
        other = Store(ClusterLocation.parse(redis.url + more))
        assert (await other.read()).records == []
        await other.aclose()


HOSTILE = {
    "no JSON": ("SET", "tcpecho:member:xx", "hola", "PX", "60000"),
    "a huge text": ("SET", "tcpecho:member:xx", "x" * 5_000_000, "PX", "60000"),
    "another type": ("RPUSH", "tcpecho:member:xx", "a"),
    "another one's record": ("SET", "tcpecho:member:xx", ANA.encode(), "PX", "60000"),
    "no expiry": ("SET", "tcpecho:member:xx", replace(ANA, instance="xx").encode()),
    "a long expiry": (
        "SET",
        "tcpecho:member:xx",
        replace(ANA, instance="xx").encode(),
        "EX",
        "86400",
    ),
}


@pytest.mark.parametrize("command", HOSTILE.values(), ids=list(HOSTILE))
async def test_what_is_no_record_of_a_server_is_none(
    store: Store, redis: RedisServer, command: tuple[str | bytes, ...]
) -> None:
    await join(store, ANA)
    redis.call("SADD", "tcpecho:members", "xx", b"\xff\x00", "y" * 100_000, "")
    redis.call(*command)
    reading = await store.read()
    assert reading.records == [ANA]
    assert not reading.trouble
    assert set(redis.call("SMEMBERS", "tcpecho:members")) <= {"aa", "xx"}


async def test_a_record_that_is_cut_is_none(store: Store, redis: RedisServer) -> None:
    told = replace(ANA, instance="xx").encode()
    redis.call("SET", "tcpecho:member:xx", told + b" " * MAX_RECORD, "PX", 60_000)
    redis.call("SADD", "tcpecho:members", "xx")
    assert len((await store.read()).records) == 1  # blanks behind it change nothing
    redis.call("SET", "tcpecho:member:xx", b" " * MAX_RECORD + told, "PX", 60_000)
    assert (await store.read()).records == []


async def test_a_hundred_thousand_members_are_read_in_part_and_cleared_away(
    store: Store, redis: RedisServer
) -> None:
    await join(store, ANA)
    for start in range(0, 100_000, 10_000):
        redis.call("SADD", "tcpecho:members", *(f"x{n}" for n in range(start, start + 10_000)))
    before = redis.call("SCARD", "tcpecho:members")
    reading = await store.read()
    assert reading.partial
    assert redis.call("SCARD", "tcpecho:members") <= before - MAX_MEMBERS
    while (await store.read()).partial:
        pass
    assert (await store.read()).records == [ANA]


async def test_a_member_too_many_makes_a_reading_partial(store: Store, redis: RedisServer) -> None:
    for number in range(MAX_MEMBERS + 1):
        told = replace(ANA, instance=f"{number:x}").encode()
        redis.call("SET", f"tcpecho:member:{number:x}", told, "PX", 60_000)
        redis.call("SADD", "tcpecho:members", f"{number:x}")
    reading = await store.read()
    assert reading.partial
    assert len(reading.records) <= MAX_MEMBERS + 1


@pytest.mark.parametrize("key", ["members", "member:aa", "clients:aa", "command:aa"])
async def test_a_key_of_another_type_is_replaced_or_told(
    store: Store, redis: RedisServer, key: str
) -> None:
    redis.call("HSET", f"tcpecho:{key}", "a", "b")
    reading = await store.beat("aa", ANA.encode(), b"0\n", read=True)
    if key == "members":
        assert "WRONGTYPE" in reading.trouble
        assert reading.unread
        redis.call("DEL", "tcpecho:members")
        reading = await store.beat("aa", ANA.encode(), b"0\n", read=True)
    assert (reading.records, reading.trouble, reading.command) == ([ANA], "", None)


async def test_a_list_of_another_type_or_of_any_size_is_bounded(
    store: Store, redis: RedisServer
) -> None:
    redis.call("HSET", "tcpecho:clients:aa", "a", "b")
    redis.call("SET", "tcpecho:clients:bb", "x" * 5_000_000)
    none, cut = await store.lists(["aa", "bb"])
    assert (none, len(cut)) == (b"", 512 * 1024)


async def test_a_full_redis_keeps_whoever_is_there(store: Store, redis: RedisServer) -> None:
    await join(store, ANA)
    redis.call("CONFIG", "SET", "maxmemory", "1")
    still = await store.beat("aa", b"", b"", read=True)
    assert (still.records, still.kept, still.trouble) == ([ANA], True, "")
    new = await store.beat("bb", EVA.encode(), LIST, read=True)
    assert new.trouble.startswith("OOM")
    assert new.records == [ANA]


async def test_a_read_only_replica_is_read_and_says_so(store: Store, redis: RedisServer) -> None:
    await join(store, ANA)
    redis.call("REPLICAOF", "127.0.0.1", 1)
    reading = await store.beat("aa", ANA.encode(), b"0\n", read=True)
    assert reading.trouble.startswith("READONLY")


async def test_a_redis_that_forbids_scripts_is_refused(redis: RedisServer) -> None:
    redis.call("ACL", "SETUSER", "ana", "on", ">sal", "~*", "+@all", "-@scripting")
    location = ClusterLocation.parse(redis.url)
    store = Store(replace(location, username="ana", password="sal"))
    with pytest.raises(StoreError, match="NOPERM") as caught:
        await store.read()
    assert caught.value.trouble is Trouble.REFUSED
    await store.aclose()


async def test_times_are_those_of_redis(store: Store, redis: RedisServer) -> None:
    seconds, _ = redis.call("TIME")
    assert int(seconds) <= (await store.read()).now
