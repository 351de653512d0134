"""What a server says of itself in Redis, and what is believed of what stands there. Sans-I/O.

Whoever can write to that Redis can write anything. So each text is bounded before it is parsed,
each field has a type and a bound, and what is not a record is nobody's record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from tcpecho_trio.cluster.location import NAME
from tcpecho_trio.display import shown

MAX_RECORD = 4096
"""Bytes of a record. Ours have some 300."""

MAX_INSTANCE = 32
"""Characters of an instance's id. Ours have 16."""

MAX_ADDRESSES = 16
"""Endpoints of a server that are told; its own journal tells all."""

MAX_ADDRESS = 128
"""Characters of an endpoint: a Unix socket's path has at most 107 (unix(7))."""

MAX_WORD = 32
"""Characters of a version, of a phase, of a command's id."""

MAX_COUNT = 2**53
"""Numbers above this one are not exact in every reader of JSON (RFC 8259 §6)."""

MAX_CLIENT = 64
"""Characters of a client's address. The longest is an IPv6 address with a zone: 45 + 1 + 15, and
its port."""

MAX_LISTED = 10_000
"""Clients of one server that are told; the rest is only counted. As many as a server has at most,
unless it is told otherwise."""

MAX_LIST = 512 * 1024
"""Bytes of such a list: 10,000 IPv6 addresses with ports."""

MAX_COMMAND = 256
"""Bytes of a command. Ours have some 60."""


@dataclass(frozen=True, slots=True)
class Record:
    """One server, as it says of itself.

    Args:
      instance: its id. A server that is started again has another one.
      name: what people call it.
      version: of the program.
      addresses: where clients can connect.
      since: when it started, in seconds, on the clock of Redis. No other clock is compared.
      phase: that of its life cycle.
      clients: how many it has.
      list_version: changes whenever its list of clients does.
      generation: counts how often it has replaced its worker processes.
      taken: the id of the last command that it has taken.
    """

    instance: str
    name: str
    version: str = ""
    addresses: tuple[str, ...] = ()
    since: float = 0.0
    phase: str = "running"
    clients: int = 0
    list_version: int = 0
    generation: int = 0
    taken: str = ""

    def encode(self) -> bytes:
        """As it stands in Redis; at most :data:`MAX_RECORD` bytes."""
        addresses = [address[:MAX_ADDRESS] for address in self.addresses[:MAX_ADDRESSES]]
        plain = {
            "instance": self.instance,
            "name": self.name,
            "version": self.version,
            "addresses": addresses,
            "since": round(self.since, 3),
            "phase": self.phase,
            "clients": self.clients,
            "list": self.list_version,
            "generation": self.generation,
            "taken": self.taken,
        }
        while len(told := json.dumps(plain, ensure_ascii=False).encode(errors="replace")) > (
            MAX_RECORD
        ):
            addresses.pop()
        return told

    @classmethod
    def decode(cls, instance: str, told: bytes) -> Record | None:
        """The record that stands under an instance's key; None if it is none."""
        plain = _parsed(told, MAX_RECORD)
        if plain is None or plain.get("instance") != instance:
            return None
        try:
            return cls(
                instance,
                _name(plain),
                _word(plain, "version"),
                _addresses(plain),
                _time(plain),
                _word(plain, "phase"),
                _count(plain, "clients"),
                _count(plain, "list"),
                _count(plain, "generation"),
                _word(plain, "taken"),
            )
        except ValueError:
            return None


@dataclass(frozen=True, slots=True)
class Command:
    """What somebody asks of one server.

    Args:
      id: by which it is known to have been taken.
      verb: ``drain`` or ``restart``.
    """

    id: str
    verb: str

    def encode(self) -> bytes:
        """As it stands in Redis."""
        return json.dumps({"id": self.id, "verb": self.verb}).encode()

    @classmethod
    def decode(cls, told: bytes) -> Command | None:
        """The command that stands there; None if it is none that we know."""
        plain = _parsed(told, MAX_COMMAND)
        if plain is None:
            return None
        asked, verb = plain.get("id"), plain.get("verb")
        if not (isinstance(asked, str) and 0 < len(asked) <= MAX_WORD):
            return None
        return cls(asked, verb) if verb in ("drain", "restart") else None


def encode_clients(version: int, clients: list[str]) -> bytes:
    """A list of clients as it stands in Redis: its version, then one address a line."""
    lines = [str(version), *clients[:MAX_LISTED]]
    told = "\n".join(lines).encode(errors="replace")
    while len(told) > MAX_LIST:
        told = told[: told.rindex(b"\n", 0, MAX_LIST)]
    return told


def decode_clients(told: bytes) -> tuple[int, tuple[str, ...]] | None:
    """The version of a list and its clients, safe to be shown; None if it is no list."""
    if len(told) > MAX_LIST:
        return None
    version, _, rest = told.partition(b"\n")
    if not (version.isdigit() and len(version) <= 16):
        return None
    lines = rest.split(b"\n", MAX_LISTED)[:MAX_LISTED] if rest else ()
    # A blank would divide an address from the name behind it.
    clients = (shown(line, MAX_CLIENT).replace(" ", "\\x20") for line in lines)
    return int(version), tuple(clients)


def _parsed(told: bytes, limit: int) -> dict[str, Any] | None:
    if len(told) > limit:
        return None
    try:
        plain = json.loads(told)
    except (ValueError, RecursionError):
        return None
    return plain if isinstance(plain, dict) else None


def _name(plain: dict[str, Any]) -> str:
    name = plain.get("name")
    if not (isinstance(name, str) and NAME.fullmatch(name)):
        raise ValueError(name)
    return name


def _word(plain: dict[str, Any], field: str) -> str:
    word = plain.get(field)
    if not isinstance(word, str):
        raise ValueError(word)
    return shown(word, MAX_WORD)


def _addresses(plain: dict[str, Any]) -> tuple[str, ...]:
    addresses = plain.get("addresses")
    if not (isinstance(addresses, list) and all(isinstance(one, str) for one in addresses)):
        raise ValueError(addresses)
    return tuple(shown(address, MAX_ADDRESS) for address in addresses[:MAX_ADDRESSES])


def _time(plain: dict[str, Any]) -> float:
    time = plain.get("since")
    if not (isinstance(time, (int, float)) and -MAX_COUNT < time < MAX_COUNT):  # nor nan
        raise ValueError(time)
    return float(time)


def _count(plain: dict[str, Any], field: str) -> int:
    count = plain.get(field)
    if type(count) is not int or not 0 <= count < MAX_COUNT:
        raise ValueError(count)
    return count
