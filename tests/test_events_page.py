"""docs/events.md lists what the code publishes, with the fields that the JSON journal writes."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from typing import Any, get_type_hints

import pytest

from tcpecho_trio.cluster import events as cluster_events_module
from tcpecho_trio.cluster.resp import Trouble
from tcpecho_trio.proxy_protocol import Command, Header, Tlv, TlvType, Transport
from tcpecho_trio.server import events as events_module
from tcpecho_trio.server import journal as journal_module
from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import DrainReason, Event, MessagesReceived, RepliesSent
from tcpecho_trio.server.journal import Journal
from tcpecho_trio.server.renderers import console_renderer, json_renderer
from tcpecho_trio.server.stats import ConnectionStats, Totals
from tcpecho_trio.server.subscriptions import Events
from tcpecho_trio.texts import LANGUAGES, Texts
from tests.support.pages import page


def table(heading: str) -> list[list[str]]:
    """The rows of the table below a heading, cell by cell."""
    section = page("docs/events.md").section(f"## {heading}")
    rows = re.findall(r"^\| (.*?) \|$", section, re.MULTILINE)[1:]
    return [[cell.strip() for cell in re.split(r" ?\|", row)] for row in rows]


def named(cell: str) -> list[str]:
    return re.findall(r"`(\w+)`", cell)


COMMON = [named(row[0])[0] for row in table("Fields of every line")]
OF_A_CONNECTION = [named(row[0])[0] for row in table("Fields of a connection")]
LISTED = {named(row[0])[0]: (row[1] == "yes", named(row[2])) for row in table("The events")}

EVENTS = [
    kind
    for module in (events_module, cluster_events_module, journal_module)
    for kind in vars(module).values()
    if isinstance(kind, type) and issubclass(kind, Event) and kind.name
]
CONNECTION = ConnectionInfo(
    7,
    "203.0.113.7:5",
    "127.0.0.1:6",
    "tls://localhost:7",
    Header(
        2,
        Command.PROXY,
        Transport.TCP4,
        ("203.0.113.7", 5),
        ("198.51.100.1", 7),
        (Tlv(TlvType.UNIQUE_ID, b"abc"),),
    ),
    {"sni": "example.org"},
    ("stall",),
)
SAMPLES: dict[Any, Any] = {
    ConnectionInfo: CONNECTION,
    CloseReason: CloseReason.FULL,
    DrainReason: DrainReason.REMOTE,
    ConnectionStats: ConnectionStats(0.0),
    Totals: Totals(),
    BaseException: RuntimeError("a bug"),
    bytes: b"hola\n",
    int: 3,
    float: 1.5,
    str: "untrusted",
    str | None: "p:1",
    int | None: 3,
}


def sample(kind: type[Event]) -> Event:
    hints = get_type_hints(kind)
    return kind(**{field.name: SAMPLES[hints[field.name]] for field in fields(kind)})


def tell(journal: Journal, kind: type[Event]) -> None:
    """Have the journal tell an event, as a server would bring it about."""
    events = Events()
    journal.listen_to(events)
    event = sample(kind)
    if kind in (MessagesReceived, RepliesSent, events_module.DisconnectRequested):
        events.received(CONNECTION, b"hola\n", 1)
    if isinstance(event, RepliesSent):
        events.replied(CONNECTION, b"HOLA\n", 1)
    elif not isinstance(event, MessagesReceived):
        events.publish(event)


@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
async def test_an_event_is_listed_with_its_fields(kind: type[Event]) -> None:
    lines: list[str] = []
    tell(Journal(json_renderer(lines.append, "azul"), probes=True), kind)
    told = [said for said in map(json.loads, lines) if said["event"] == kind.name]
    assert told, f"the journal does not tell {kind.name}"
    of_a_connection, more = LISTED[kind.name]
    expected = [*COMMON, *(OF_A_CONNECTION if of_a_connection else ()), *more]
    assert sorted(told[0]) == sorted(expected)


@pytest.mark.parametrize("texts", LANGUAGES.values())
@pytest.mark.parametrize("kind", EVENTS, ids=lambda kind: kind.name)
async def test_an_event_has_a_line_in_every_language(kind: type[Event], texts: Texts) -> None:
    lines: list[str] = []
    tell(Journal(console_renderer(lines.append, texts), probes=True), kind)
    assert lines


def test_nothing_is_listed_that_there_is_not() -> None:
    assert list(LISTED) == list(dict.fromkeys(LISTED))
    assert LISTED.keys() == {kind.name for kind in EVENTS}


def test_the_codes_are_those_of_the_code() -> None:
    codes = {row[0]: set(named(row[1])) for row in table("Codes")}
    closed, refused, draining, lost = codes.values()
    before = {"full", "address_limit", "proxy_header", "tls_handshake"}
    assert closed == {reason.value for reason in CloseReason} - before, (
        "who is not let in stands in the row `refused`, and in `before`"
    )
    assert refused == {"full", "address_limit"}
    assert draining == {reason.value for reason in DrainReason}
    assert lost == {trouble.value for trouble in Trouble}
