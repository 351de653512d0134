"""An event as plain data: the fields that the JSON journal writes.

``docs/events.md`` lists them. Names are shared with the ``inspect`` report where both know a thing:
``client`` is the client's address, ``peer`` that of the other end of the socket. What came from
outside passes :func:`~tcpecho_trio.display.shown`, so it is safe for a terminal.
"""

from __future__ import annotations

import enum
import traceback
from dataclasses import fields
from typing import Any

from tcpecho_trio.display import shown
from tcpecho_trio.proxy_protocol import Header
from tcpecho_trio.proxy_protocol.tlvs import TlvType
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import Event
from tcpecho_trio.server.stats import ConnectionStats, Totals

MAX_NAME = 255
"""Characters of a name from a PROXY header: as long as one may be in DNS (RFC 1035 §2.3.4)."""

COUNTERS = ("bytes_in", "bytes_out", "messages_in", "messages_out")


def fields_of(event: Event) -> dict[str, Any]:
    """The fields of an event, by name: strings and numbers. What is None is left out."""
    plain: dict[str, Any] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if value is None:
            continue
        if isinstance(value, ConnectionInfo):
            plain.update(connection_fields(value))
        elif isinstance(value, (ConnectionStats, Totals)):
            counters = {name: getattr(value, name) for name in COUNTERS}
            plain.update({name: n for name, n in counters.items() if n is not None})
        elif isinstance(value, BaseException):
            lines = "".join(traceback.format_exception(value)).splitlines()
            plain["traceback"] = "\n".join(map(shown, lines))
        elif isinstance(value, enum.Enum):
            plain[field.name] = value.value
        elif isinstance(value, float):
            plain[field.name] = round(value, 6)
        elif isinstance(value, (str, bytes)):
            plain[field.name] = shown(value)
        else:
            plain[field.name] = value
    return plain


def connection_fields(info: ConnectionInfo) -> dict[str, Any]:
    """What is said of a connection wherever it is named.

    ``unique_id`` (from a PROXY header), ``sni`` and ``faults`` are there only where there is one.
    """
    plain: dict[str, Any] = {
        "connection": info.number,
        "client": info.client,
        "peer": info.peer,
        "listener": info.listener,
    }
    for tlv in info.header.tlvs if info.header is not None else ():
        if tlv.type == TlvType.UNIQUE_ID:
            plain["unique_id"] = shown(str(tlv.described()["value"]))
    if info.tls is not None and info.tls.get("sni"):
        plain["sni"] = shown(str(info.tls["sni"]))
    if info.faults:
        plain["faults"] = " ".join(info.faults)
    return plain


def proxy_fields(header: Header | None) -> dict[str, Any] | None:
    """What a PROXY header says of a client, where a connection is listed; None without one.

    ``unique_id`` and ``authority`` are None where it has none. Its other TLVs are left out: they
    may be 64 KiB long.
    """
    if header is None:
        return None
    described = header.described()
    named: dict[str, Any] = {"unique_id": None, "authority": None}
    for tlv in described.pop("tlvs"):
        if tlv["type"] in named:
            value = tlv["value"]
            if isinstance(value, str):
                named[tlv["type"]] = shown(value, MAX_NAME)
            else:
                named[tlv["type"]] = {"hex": value["hex"][: 2 * MAX_NAME]}
    return {**described, **named}
