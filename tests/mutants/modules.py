"""What is mutated, and which tests have to notice: the quick ones first."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Module:
    """A part of the product.

    Args:
      sources: its files or folders, below the package.
      tests: the files of its tests, in the order in which they run.
    """

    sources: tuple[str, ...]
    tests: tuple[str, ...]

    def files(self) -> list[Path]:
        """The files to mutate, relative to the project."""
        found = []
        for source in self.sources:
            path = ROOT / "tcpecho_trio" / source
            found += sorted(path.rglob("*.py")) if path.is_dir() else [path]
        return [path.relative_to(ROOT) for path in found]


_CONNECTION = (
    "server/test_connection.py",
    "server/test_connection_drain.py",
    "server/test_bounds.py",
    "server/test_connection_deadlines.py",
)

MODULES = {
    "protocol": Module(
        ("protocol.py",),
        (
            "test_protocol.py",
            "test_protocol_fast_path.py",
            "test_protocol_properties.py",
            "test_protocol_machine.py",
        ),
    ),
    "pump": Module(
        ("server/pump.py", "server/traffic.py", "server/portable.py", "server/sockets.py"),
        (
            "server/test_plain_turns.py",
            "server/test_taskless_clients.py",
            "server/test_connection_stories.py",
            "server/test_traffic.py",
            "server/test_pump_time.py",
            "server/test_bounds.py",
            "server/test_no_memory.py",
            "server/test_pump.py",
            "server/test_events.py",
            "server/test_report.py",
        ),
    ),
    "connection": Module(
        (
            "server/connection.py",
            "server/conversation.py",
            "server/drain.py",
            "server/write_timeout.py",
            "server/turns.py",
        ),
        (
            "server/test_turns.py",
            "server/test_connection_stories.py",
            "server/test_taskless_clients.py",
            *_CONNECTION,
            "server/test_pump_time.py",
            "server/test_events.py",
            "server/test_report.py",
            "server/test_server.py",
            "server/test_admission.py",
            "server/test_pump.py",
            "server/test_faults.py",
            "tls/test_drain.py",
            "tls/test_endings.py",
        ),
    ),
    "admission": Module(
        (
            "server/admission.py",
            "server/accepted.py",
            "server/accepting.py",
            "server/proxy_stage.py",
            "server/tls_stage.py",
            "server/fault_stage.py",
        ),
        (
            "server/test_connection_stories.py",
            "server/test_at_the_door.py",
            "server/test_admission.py",
            "server/test_admission_bounds.py",
            "server/test_no_memory.py",
            "server/test_address_limit.py",
            "server/test_endpoints.py",
            "server/test_server.py",
            "server/test_faults.py",
            "server/test_report.py",
            "server/test_events.py",
            "server/test_unix_socket.py",
            "tls/test_tls.py",
            "tls/test_refusals.py",
            "hostile/test_authority.py",
            "server/test_server_machine.py",
        ),
    ),
    "proxy_protocol": Module(
        ("proxy_protocol",),
        (
            "proxy_protocol/test_proxy_protocol.py",
            "proxy_protocol/test_header.py",
            "proxy_protocol/test_proxy_protocol_properties.py",
        ),
    ),
    "log_writer": Module(("stdio/log_writer.py",), ("stdio/test_log_writer.py",)),
    "client": Module(
        (
            "client/__init__.py",
            "client/client.py",
            "client/connection.py",
            "client/replies.py",
            "client/outstanding_replies.py",
            "client/stream.py",
            "client/raw.py",
        ),
        (
            "client/test_replies.py",
            "client/test_outstanding_replies.py",
            "client/test_checkpoints.py",
            "client/test_raw_end.py",
            "client/test_client.py",
            "client/test_client_end.py",
            "client/test_raw.py",
            "client/test_stream.py",
            "client/test_full_server.py",
            "client/test_reply_limits.py",
            "client/test_client_network.py",
            "client/test_wrong_pairings.py",
        ),
    ),
}
