"""What stands in Redis: ours comes back as it was, and anything else does no harm."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tcpecho_trio.cluster.records import (
    MAX_ADDRESS,
    MAX_ADDRESSES,
    MAX_CLIENT,
    MAX_LIST,
    MAX_LISTED,
    MAX_RECORD,
    MAX_WORD,
    Command,
    Record,
    decode_clients,
    encode_clients,
)
from tcpecho_trio.display import shown

RECORD = Record("ab12", "web1", "1.0", ("localhost:5000",), 12.5, "draining", 3, 4, 5, "c1")
PLAIN: dict[str, Any] = json.loads(RECORD.encode())

NAMES = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", fullmatch=True)
COUNTS = st.integers(0, 2**53 - 1)
WORDS = st.text("abc.xyz-0189", max_size=MAX_WORD)
RECORDS = st.builds(
    Record,
    instance=st.text("0123456789abcdef", min_size=1, max_size=32),
    name=NAMES,
    version=WORDS,
    addresses=st.lists(st.text("abc:/[]0189.", max_size=MAX_ADDRESS), max_size=16).map(tuple),
    since=st.floats(-1e12, 1e12).map(lambda number: round(number, 3)),
    phase=WORDS,
    clients=COUNTS,
    list_version=COUNTS,
    generation=COUNTS,
    taken=WORDS,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


@given(RECORDS)
def test_a_record_comes_back_as_it_was(record: Record) -> None:
    assert Record.decode(record.instance, record.encode()) == record


@given(st.lists(st.text(), max_size=40), st.text())
def test_a_record_fits_whatever_is_in_it(addresses: list[str], version: str) -> None:
    told = replace(RECORD, addresses=tuple(addresses), version=version[:100]).encode()
    assert len(told) <= MAX_RECORD
    assert Record.decode("ab12", told) is not None


@given(st.binary() | JSON.map(lambda value: json.dumps(value).encode()))
@example(b"[" * 4000)
@example(b'{"instance":"ab12","since":1' + b"0" * 3000 + b"}")
@example(b"x" * (MAX_RECORD + 1))
def test_anything_else_is_nobodys_record(told: bytes) -> None:
    assert Record.decode("ab12", told) is None
    assert Command.decode(told) is None


@given(st.sampled_from(sorted(PLAIN)), JSON)
@example("since", 10**400)
@example("since", math.nan)
@example("since", math.inf)
@example("clients", True)
@example("clients", -1)
@example("clients", 2**53)
@example("name", "a b")
@example("name", "\x1b[2J")
@example("addresses", ["\x1b[2J" * 100] * 100)
@example("version", "\u202e" * 1000)
@example("phase", "z" * 3000)
def test_a_field_of_another_kind_spoils_a_record_or_is_bounded(field: str, value: Any) -> None:
    told = json.dumps({**PLAIN, field: value}).encode()
    record = Record.decode("ab12", told)
    if record is None:
        return
    assert record.name == RECORD.name or len(record.name) <= 63
    assert len(record.addresses) <= MAX_ADDRESSES
    for text in (*record.addresses, record.version, record.phase, record.taken):
        assert len(text) <= MAX_ADDRESS + 1
        assert text.isprintable()
    assert 0 <= record.clients < 2**53
    assert abs(record.since) < 2**53


@pytest.mark.parametrize("field", sorted(PLAIN))
def test_a_record_without_a_field_is_none(field: str) -> None:
    told = json.dumps({name: value for name, value in PLAIN.items() if name != field}).encode()
    assert Record.decode("ab12", told) is None


def test_a_record_under_another_key_is_none() -> None:
    assert Record.decode("ab13", RECORD.encode()) is None


def test_fields_of_a_later_version_are_passed_over() -> None:
    told = json.dumps({**PLAIN, "later": [1]}).encode()
    assert Record.decode("ab12", told) == RECORD


CLIENTS = st.lists(st.from_regex(r"(\d{1,3}\.){3}\d{1,3}:\d{1,5}", fullmatch=True))


@given(COUNTS, CLIENTS)
def test_a_list_of_clients_comes_back_as_it_was(version: int, clients: list[str]) -> None:
    clients = [shown(client) for client in clients if client.isascii()]
    assert decode_clients(encode_clients(version, clients)) == (version, tuple(clients))


@given(st.binary())
@example(b"1\n" + b"\x1b[2J\n" * 5)
@example(b"1\n" + b"x" * MAX_LIST)
@example("٣\nx".encode())
@example(b"1" * 5000 + b"\nx")
@example(b"1\n" + b"a b\n" * 3)
def test_anything_else_is_no_list_or_can_be_shown(told: bytes) -> None:
    if (decoded := decode_clients(told)) is not None:
        for client in decoded[1]:
            assert client.isprintable()
            assert " " not in client
            assert len(client) <= 4 * (MAX_CLIENT + 1)


def test_a_list_is_bounded_in_number_and_in_bytes() -> None:
    many = [f"10.0.0.1:{number}" for number in range(MAX_LISTED + 5)]
    decoded = decode_clients(encode_clients(1, many))
    assert decoded == (1, tuple(many[:MAX_LISTED]))
    long = encode_clients(1, ["x" * 100] * MAX_LISTED)
    assert len(long) <= MAX_LIST
    assert decode_clients(long) is not None


@given(st.text("abc0123", min_size=1, max_size=32), st.sampled_from(["drain", "restart"]))
def test_a_command_comes_back_as_it_was(asked: str, verb: str) -> None:
    command = Command(asked, verb)
    assert Command.decode(command.encode()) == command


@pytest.mark.parametrize(
    "plain", [{"id": "a", "verb": "rm"}, {"id": "", "verb": "drain"}, {"id": "x" * 33}, {"id": 7}]
)
def test_what_nobody_may_ask_is_no_command(plain: dict[str, Any]) -> None:
    assert Command.decode(json.dumps({"verb": "drain", **plain}).encode()) is None
