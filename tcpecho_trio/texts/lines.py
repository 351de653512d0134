"""Which lines there are to be said.

A name in ``{braces}`` is filled in by whoever says the line; the journal's lines are named after
its events.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tcpecho_trio.texts.cluster_lines import ClusterTexts
from tcpecho_trio.texts.load_lines import LoadTexts
from tcpecho_trio.texts.process_lines import ProcessTexts


# eq and repr would have code generated for every field, at each start of the program.
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Texts:
    """Every line that is said on a console, in one language."""

    # The server's journal, one field per event.
    listening: str
    admin_listening: str
    cluster_joined: str
    cluster_lost: str
    cluster_timeout: str
    cluster_name_taken: str
    connected: str
    received: str
    replied: str
    leaving: str
    closed: str
    crashed: str
    shutdown_refused: str
    refused: str
    refused_address: str
    probe: str
    foreign: str
    unraisable: str
    proxy_refused: str
    tls_refused: str
    tls_reloaded: str
    tls_kept: str
    admission_aborted: str
    access_log_reopened: str
    access_log_kept: str
    access_log_lost: tuple[str, str]
    faulty: str
    faults_changed: str
    no_faults: str
    accept_failed: str
    shutdown_delayed: str
    draining: str
    cutting: str
    stopped: str
    clients_served: tuple[str, str]
    clients_aborted: tuple[str, str]
    more_messages: str
    more_connections: str
    omitted_messages: tuple[str, str]
    omitted_connections: tuple[str, str]
    thousands: str
    lines_lost: tuple[str, str]

    # Why a connection was closed.
    closed_disconnected: str
    closed_eof: str
    closed_drained: str
    closed_idle: str
    closed_operator: str
    closed_reset: str
    closed_write_timeout: str
    closed_foreign: str
    closed_fault: str
    closed_aborted: str
    closed_crashed: str
    closed_probe: str
    closed_full: str
    closed_address_limit: str
    closed_proxy_header: str
    closed_tls_handshake: str
    closed_shutdown: str

    # Why a PROXY header is not believed.
    proxy_untrusted: str
    proxy_late: str
    proxy_not_proxy: str
    proxy_cut: str
    proxy_bad_protocol: str
    proxy_no_crlf: str
    proxy_bare_lf: str
    proxy_bad_line: str
    proxy_bad_address: str
    proxy_bad_port: str
    proxy_bad_version: str
    proxy_bad_command: str
    proxy_bad_family: str
    proxy_too_long: str
    proxy_too_short: str
    proxy_tlv_overrun: str
    proxy_bad_tlv: str
    proxy_bad_checksum: str

    # Why the server drains.
    drain_console: str
    drain_signal: str
    drain_remote: str
    drain_program: str
    drain_admin: str
    drain_cluster: str
    drain_restart: str

    # The server's console.
    console_hint: str
    console_nobody: str
    console_listing: str
    console_client: str
    console_help: str
    console_unknown: str
    console_unreadable: str

    # The client.
    client_connected: str
    client_prompt: str
    client_reply: str
    client_hint: str
    client_hint_words: str
    client_leaving: str
    client_server_gone: str
    client_input_lost: str
    client_replies_lost: str
    client_interrupted: str
    client_turn: str
    client_progress: str
    client_skipped: str
    client_retrying: str
    client_more_lines: tuple[str, str]
    client_hint_raw: str
    client_hint_dialect: str
    client_hint_case: str

    # The demo.
    demo_server: str
    demo_client: str
    demo_first: str
    demo_second: str
    demo_end: str

    # Errors, one line each: what happened, and what to do.
    error: str
    port_taken: str
    port_forbidden: str
    cannot_listen: str
    cannot_start: str
    path_taken: str
    cannot_listen_at_path: str
    cannot_inherit: str
    cannot_read: str
    cannot_read_token: str
    cannot_log: str
    cannot_administer: str
    admin_needs_extra: str
    admin_in_clear: str
    unknown_host: str
    connection_refused: str
    cannot_connect: str
    cannot_connect_at_path: str
    tls_untrusted: str
    tls_failed: str
    tls_internal_error: str
    lab_needs_extra: str
    lab_bad_name: str
    lab_file_exists: str
    lab_cannot_write: str
    connection_broke: str
    local_failure: str
    connect_too_slow: str
    no_line_reply: str
    no_raw_reply: str
    unfinished_line_reply: str
    unfinished_raw_reply: str
    reply_too_long: str
    line_too_long: str
    lines_left_out: str
    server_full: str
    client_busy: str
    client_closed: str
    client_cut_short: str
    message_with_line_feed: str
    message_blank: str
    message_without_pieces: str

    # What the system says, by its number (errno(3)); what is not here is said in its own words.
    system_errors: Mapping[int, str]

    # What OpenSSL says, by the words that it begins with; what is not here is said in its own.
    tls_errors: Mapping[str, str]

    # The command line.
    cli_about: str
    cli_about_serve: str
    cli_about_client: str
    cli_about_demo: str
    cli_host: str
    cli_host_client: str
    cli_port: str
    cli_port_client: str
    cli_dialect: str
    cli_dialect_client: str
    cli_lang: str
    cli_max_connections: str
    cli_max_connections_per_address: str
    cli_idle_timeout: str
    cli_write_timeout: str
    cli_shutdown_delay: str
    cli_drain_timeout: str
    cli_remote_shutdown: str
    cli_listen: str
    cli_unix: str
    cli_unix_mode: str
    cli_tls_cert: str
    cli_tls_key: str
    cli_tls_client_ca: str
    cli_unix_client: str
    cli_tls: str
    cli_tls_ca: str
    cli_tls_cert_client: str
    cli_sni: str
    cli_insecure: str
    cli_send_proxy: str
    cli_about_lab_certs: str
    cli_lab_names: str
    cli_tls_both: str
    cli_tls_needed: str
    cli_tls_ca_alone: str
    cli_proxy_protocol: str
    cli_proxy_mixed_families: str
    cli_trust_proxy: str
    cli_fault: str
    cli_fault_seed: str
    cli_banner: str
    cli_name: str
    cli_log_format: str
    cli_quiet: str
    cli_log_probes: str
    cli_no_console: str
    cli_access_log: str
    cli_access_log_probes: str
    cli_access_log_alone: str
    cli_admin: str
    cli_admin_token_file: str
    cli_admin_needs_token: str
    cli_admin_needs_tls: str
    cli_admin_token_alone: str
    cli_portable: str
    cli_message: str
    cli_framing: str
    cli_timeout: str
    cli_json: str
    cli_connect_retry: str
    cli_version: str
    cli_help: str
    cli_usage: str
    cli_options: str
    cli_options_metavar: str
    cli_metavars: Mapping[str, str]  # what an option takes, by click's word for it
    cli_commands_metavar: str
    cli_default: str
    cli_commands: str
    cli_hint: str
    cli_no_such_option: str
    cli_similar: str
    cli_no_such_command: str
    cli_too_much: str
    cli_takes_no_value: str
    cli_needs_value: str
    cli_missing: str
    cli_bad_value: str
    cli_bad_flag: str
    cli_banner_alone: str
    cli_trust_alone: str
    cli_no_unix: str

    # What an option takes: the end of cli_bad_value.
    expects_whole: str
    expects_within: str
    expects_at_least: str
    expects_seconds: str
    expects_time: str
    expects_word: str
    expects_file: str
    expects_folder: str
    expects_host: str
    expects_endpoint: str
    expects_socket: str
    expects_admin: str
    expects_mode: str
    expects_network: str
    expects_fault: str
    expects_message: str

    load: LoadTexts
    cluster: ClusterTexts
    processes: ProcessTexts

    def event(self, name: str) -> str:
        """The line of an event of that name."""
        line: str = getattr(self.processes if hasattr(self.processes, name) else self, name)
        return line

    def number(self, count: int) -> str:
        """A number as one writes it in this language."""
        return f"{count:,}".replace(",", self.thousands)

    def counted(self, name: str, count: int) -> str:
        """So many of something that has a word for one and another for any other number."""
        one, many = getattr(self, name)
        line: str = one if count == 1 else many
        return line.format(count=self.number(count))
