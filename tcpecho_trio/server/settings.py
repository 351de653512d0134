"""What a server can be told to be; checked once, frozen afterwards."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network

from tcpecho_trio.dialects import STANDARD, WIRE_ERRORS, Dialect, WireErrors
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault

LOOPBACK = (IPv4Network("127.0.0.0/8"), IPv6Network("::1/128"))
"""This very machine (RFC 1122 §3.2.1.3, RFC 4291 §2.5.3)."""

DRAIN_GRACE = 0.5
"""Seconds of the drain in which what is on its way is still waited for: what had been sent when
it began has come by then, even if it was lost once on its way (TCP sends anew after 200 ms). Half
of the drain timeout, if that is less."""


class RemoteShutdown(enum.Enum):
    """From where a client's SHUTDOWN command is obeyed."""

    LOOPBACK = "loopback"
    ANYWHERE = "anywhere"
    NEVER = "never"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """A server's settings.

    Args:
      host: name or address to listen on; a name may stand for several addresses.
      port: TCP port, 0 for any free one (the same on every address of `host`).
      dialect: which words are commands.
      max_connections: clients served at a time; a further one is told so and closed. Ten
        thousand are 14 MiB of private memory, and what one process can sensibly talk to.
      idle_timeout: seconds without a byte from or to a client after which it is let go, in
        an orderly way; 0 for never. An hour: people think, and connection pools keep spares, but
        nobody should hold a descriptor for ever.
      write_timeout: seconds in which a client that has replies waiting must take some of them
        (see :mod:`~tcpecho_trio.server.write_timeout`) or is cut; 0 for never. Half of what
        nginx gives (``send_timeout``).
      max_connections_per_address: clients served at a time from one address; 0 for no limit. An
        IPv6 /64 counts as one address (RFC 6177: it is what one site gets at least). Behind a
        believed PROXY header the client's address counts.
      shutdown_delay: seconds between the first signal and the drain. New clients are still let in,
        while whoever watches the readiness takes the server out of a load balancer.
      drain_timeout: seconds that clients get to finish once the server drains. Ten is what
        orchestrators leave comfortably inside their own thirty (Kubernetes'
        ``terminationGracePeriodSeconds``).
      remote_shutdown: from where a client may shut the server down.
      listen: where to listen instead of `host` and `port`.
      unix_mode: permissions of the Unix sockets' files; None leaves them to the umask.
      proxy_protocol: whether every connection has to begin with a PROXY header.
      mixed_families: whether a PROXY header of version 1 may name addresses of two families, as
        nginx writes it when its realip module has changed one of them.
      trusted_proxies: the peers whose PROXY header is believed; others are refused then. Every peer
        on a Unix socket is trusted.
      faults: what some connections are made to suffer, for testing what others do then.
      fault_seed: decides which; None for other ones in every run.
      banner: whether a dialect that reports does so on connect, too.
      name: what this server calls itself in reports and logs.
      language: of the errors that clients are told: ``es`` or ``en``.
      identity: where it runs, as its orchestrator told it, for the same.
      worker: which one this is of a server's processes; None for a server that is one process.
      pump: whether plain traffic takes the Linux fast path where there is one.

    Raises:
      ValueError: a value that no server can have.
    """

    host: str = "localhost"
    port: int = 5000
    dialect: Dialect = STANDARD
    max_connections: int = 10_000
    max_connections_per_address: int = 0
    idle_timeout: float = 3600.0
    write_timeout: float = 30.0
    shutdown_delay: float = 0.0
    drain_timeout: float = 10.0
    remote_shutdown: RemoteShutdown = RemoteShutdown.LOOPBACK
    listen: tuple[Endpoint, ...] = ()
    unix_mode: int | None = None
    proxy_protocol: bool = False
    mixed_families: bool = False
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = LOOPBACK
    faults: tuple[Fault, ...] = ()
    fault_seed: int | None = None
    banner: bool = False
    name: str = "tcpecho_trio"
    language: str = "es"
    identity: Mapping[str, str] = field(default_factory=dict)
    worker: int | None = None
    pump: bool = True

    def __post_init__(self) -> None:
        if self.max_connections < 1:
            raise ValueError(f"at most {self.max_connections} connections")
        if self.max_connections_per_address < 0:
            raise ValueError(f"at most {self.max_connections_per_address} connections an address")
        if self.language not in WIRE_ERRORS:
            raise ValueError(f"no errors in {self.language!r}")
        for name in ("idle_timeout", "write_timeout", "shutdown_delay", "drain_timeout"):
            seconds = getattr(self, name)
            if not seconds >= 0:  # nor is a NaN
                raise ValueError(f"{name} of {seconds} seconds")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port {self.port}")

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Where to listen."""
        return self.listen or (Endpoint(Scheme.TCP, self.host, self.port),)

    @property
    def wire_errors(self) -> WireErrors:
        """What clients are told about errors."""
        return WIRE_ERRORS[self.language]

    @property
    def longest_silence(self) -> float:
        """The idle timeout as a period: infinite where there is none."""
        return self.idle_timeout or math.inf

    @property
    def drain_grace(self) -> float:
        """How long the drain waits for what is on its way."""
        return min(DRAIN_GRACE, self.drain_timeout / 2)

    @property
    def write_period(self) -> float:
        """The write timeout as a period: infinite where there is none."""
        return self.write_timeout or math.inf
