"""Events: what happens in a server, as data, and who is told of it.

An event is a frozen dataclass that holds codes and objects, never prose. Whoever wants to know
subscribes (:mod:`~tcpecho_trio.server.subscriptions`); the journal is one subscriber.
``docs/events.md`` lists every event with its fields as the JSON journal writes them. The list only
grows.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import ClassVar

from tcpecho_trio.server.close_reason import CloseReason
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.stats import ConnectionStats, Totals


class DrainReason(enum.Enum):
    """Who asked for the end first."""

    SIGINT = "sigint"
    SIGTERM = "sigterm"
    CONSOLE = "console"
    REMOTE = "remote"
    """A client sent the word that shuts the server down."""
    ADMIN = "admin"
    """Somebody at the administrator's endpoint."""
    CLUSTER = "cluster"
    """Somebody who may command all servers of the cluster."""
    RESTART = "restart"
    """The same, so that a new one takes our place."""
    PROGRAM = "program"
    """The program that runs the server."""


@dataclass(frozen=True, slots=True)
class Event:
    """Anything that happens; `name` is its name in the JSON journal."""

    name: ClassVar[str] = ""


@dataclass(frozen=True, slots=True)
class Listening(Event):
    """Clients can connect to this endpoint, written with its real port."""

    name: ClassVar[str] = "listening"
    listener: str


@dataclass(frozen=True, slots=True)
class AdminListening(Event):
    """The administrator's endpoint answers here; written with its real port."""

    name: ClassVar[str] = "admin_listening"
    listener: str


@dataclass(frozen=True, slots=True)
class ConnectionOpened(Event):
    """A client may talk."""

    name: ClassVar[str] = "connected"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class MessagesReceived(Event):
    """A chunk came in, as the network cut it; `messages` of them began in it."""

    name: ClassVar[str] = "received"
    connection: ConnectionInfo
    data: bytes
    messages: int


@dataclass(frozen=True, slots=True)
class RepliesSent(Event):
    """The socket has taken these bytes; with them `messages` have been answered."""

    name: ClassVar[str] = "replied"
    connection: ConnectionInfo
    data: bytes
    messages: int


@dataclass(frozen=True, slots=True)
class DisconnectRequested(Event):
    """A client sent a word that ends its connection."""

    name: ClassVar[str] = "leaving"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionClosed(Event):
    """A conversation is over; its counters are final."""

    name: ClassVar[str] = "closed"
    connection: ConnectionInfo
    reason: CloseReason
    stats: ConnectionStats
    seconds: float


@dataclass(frozen=True, slots=True)
class ConnectionProbed(Event):
    """A client left during its admission without having asked for anything: a health check."""

    name: ClassVar[str] = "probe"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionRefused(Event):
    """A client came when the server had no place for it."""

    name: ClassVar[str] = "refused"
    connection: ConnectionInfo
    reason: CloseReason


@dataclass(frozen=True, slots=True)
class AdmissionAborted(Event):
    """The server ended while a client was still being let in."""

    name: ClassVar[str] = "admission_aborted"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ProxyHeaderRefused(Event):
    """A connection began with no PROXY header that is believed.

    `fault` names what was wrong: a :class:`~tcpecho_trio.proxy_protocol.Fault` in small letters,
    ``untrusted`` or ``late``. `seen` is what came instead.
    """

    name: ClassVar[str] = "proxy_refused"
    connection: ConnectionInfo
    fault: str
    seen: str


@dataclass(frozen=True, slots=True)
class TlsHandshakeFailed(Event):
    """There was no agreement on TLS; `error` is OpenSSL's word for it."""

    name: ClassVar[str] = "tls_refused"
    connection: ConnectionInfo
    error: str


@dataclass(frozen=True, slots=True)
class FaultsInjected(Event):
    """A connection will suffer the faults that its info names."""

    name: ClassVar[str] = "faulty"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class FaultsChanged(Event):
    """Connections that are accepted from now on may suffer these, and no others.

    `faults` are written as ``--fault`` takes them, with a space between two.
    """

    name: ClassVar[str] = "faults_changed"
    faults: str


@dataclass(frozen=True, slots=True)
class ForeignProtocol(Event):
    """A client spoke ``HTTP`` or ``TLS`` where a word has power over others, and is aborted."""

    name: ClassVar[str] = "foreign"
    connection: ConnectionInfo
    protocol: str


@dataclass(frozen=True, slots=True)
class ShutdownRefused(Event):
    """A client asked for a shutdown that it has no right to."""

    name: ClassVar[str] = "shutdown_refused"
    connection: ConnectionInfo


@dataclass(frozen=True, slots=True)
class ConnectionCrashed(Event):
    """A connection's task failed in a way that is our bug."""

    name: ClassVar[str] = "crashed"
    connection: ConnectionInfo
    exception: BaseException


@dataclass(frozen=True, slots=True)
class AcceptFailed(Event):
    """A connection could not be accepted: out of descriptors, mostly."""

    name: ClassVar[str] = "accept_failed"
    error: str


@dataclass(frozen=True, slots=True)
class Unraisable(Event):
    """An error came up where nobody could catch it (``sys.unraisablehook``)."""

    name: ClassVar[str] = "unraisable"
    error: str


@dataclass(frozen=True, slots=True)
class CertificateReloaded(Event):
    """Newcomers see the certificate that was read just now."""

    name: ClassVar[str] = "tls_reloaded"


@dataclass(frozen=True, slots=True)
class CertificateKept(Event):
    """The certificate could not be read again; the old one stays."""

    name: ClassVar[str] = "tls_kept"
    error: str


@dataclass(frozen=True, slots=True)
class AccessLogReopened(Event):
    """From now on the access log goes to the file that has its name now."""

    name: ClassVar[str] = "access_log_reopened"


@dataclass(frozen=True, slots=True)
class AccessLogKept(Event):
    """The access log's file could not be opened again; the old one is written to."""

    name: ClassVar[str] = "access_log_kept"
    error: str


@dataclass(frozen=True, slots=True)
class AccessLogLost(Event):
    """So many lines of the access log could not be written."""

    name: ClassVar[str] = "access_log_lost"
    count: int


@dataclass(frozen=True, slots=True)
class ClusterJoined(Event):
    """We are a member of the cluster (again), under this name, with so many others."""

    name: ClassVar[str] = "cluster_joined"
    cluster: str
    member: str
    others: int


@dataclass(frozen=True, slots=True)
class ClusterLost(Event):
    """The cluster's Redis is of no use; what is known of the others grows old.

    `trouble` is ``unreachable``, ``timeout`` or ``refused``; `error` has the words for it.
    """

    name: ClassVar[str] = "cluster_lost"
    cluster: str
    trouble: str
    error: str


@dataclass(frozen=True, slots=True)
class ClusterNameTaken(Event):
    """Another server of the cluster has the name that we have; it can be reached there."""

    name: ClassVar[str] = "cluster_name_taken"
    member: str
    instance: str
    addresses: str


@dataclass(frozen=True, slots=True)
class ShutdownDelayed(Event):
    """The end was asked for; the drain begins in so many seconds, or at the next signal."""

    name: ClassVar[str] = "shutdown_delayed"
    reason: DrainReason
    seconds: float


@dataclass(frozen=True, slots=True)
class DrainStarted(Event):
    """No client is accepted any more, and `clients` are still connected.

    `client` is the address of the client that asked for it; None if none did.
    """

    name: ClassVar[str] = "draining"
    reason: DrainReason
    clients: int
    client: str | None = None


@dataclass(frozen=True, slots=True)
class DrainAborted(Event):
    """The clients that are still connected are cut off now."""

    name: ClassVar[str] = "cutting"


@dataclass(frozen=True, slots=True)
class ServerStopped(Event):
    """The server has ended: clients that could finish, clients that were cut off, and sums."""

    name: ClassVar[str] = "stopped"
    served: int
    aborted: int
    totals: Totals
