"""What the load generator says; a part of :class:`~tcpecho_trio.texts.Texts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


# eq and repr would have code generated for every field, at each start of the program.
@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class LoadTexts:
    """Every line that ``load`` says, in one language."""

    # The command line.
    about: str
    help_target: str
    help_connections: str
    help_rate: str
    help_ramp: str
    help_slo: str
    help_pipeline: str
    help_duration: str
    help_warmup: str
    help_messages: str
    help_size: str
    help_message: str
    help_file: str
    help_expect: str
    help_framing: str
    help_leave: str
    help_churn: str
    help_think: str
    help_timeout: str
    help_json: str
    help_html: str
    help_hdr: str
    help_compare: str
    help_fail_if: str
    help_seed: str
    help_quiet: str
    help_anywhere: str
    help_portable: str
    help_sni: str
    help_unix: str

    # What an option takes.
    expects_address: str
    expects_rate: str
    expects_ramp: str
    expects_time: str
    expects_size: str
    expects_count: str
    expects_condition: str
    expects_report: str

    # Loads that cannot be, or must not.
    bad_connections: str
    bad_pipeline: str
    bad_size: str
    bad_rate: str
    bad_ramp: str
    bad_duration: str
    bad_warmup: str
    bad_think: str
    bad_timeout: str
    bad_slo: str
    bad_messages: str
    rate_and_ramp: str
    ramp_duration: str
    think_open: str
    think_pipeline: str
    churn_pipeline: str
    churn_think: str
    raw_any: str
    line_feed: str
    blank: str
    file_large: str
    file_empty: str
    descriptors: str
    public: str
    same_file: str
    two_texts: str
    sized_text: str
    two_targets: str
    slo_alone: str
    leave_alone: str
    bad_compare: str
    needs_hdr: str

    # How a load ends that is not well.
    cannot_write: str
    cannot_read: str
    met_errors: str
    unmet: str
    silent: str
    no_reply: str
    unknown_host: str
    cannot_connect: str

    # The report.
    decimal: str
    title: str
    setup_connections: tuple[str, str]
    setup_open: str
    setup_ramp: str
    setup_closed: str
    setup_size: tuple[str, str]
    setup_texts: tuple[str, str]
    setup_pipeline: str
    setup_churn: str
    setup_think: str
    row_sent: str
    row_replies: str
    row_cut: str
    row_errors: str
    row_rate: str
    row_seconds: str
    row_cpu: str
    column_ms: str
    since_due: str
    since_sent: str
    connecting: str
    handshaking: str
    lateness: str
    about_open: str
    about_closed: str
    about_same_text: str
    about_any: str
    warn_rate: str
    warn_late: str
    warn_interrupted: str
    warn_warmup: str
    wrong_sample: str
    ramp_title: str
    ramp_replies: str
    ramp_p99: str
    knee: str
    no_knee: str
    knee_above: str
    kinds: Mapping[str, str]

    # While it runs.
    live_connecting: str
    live_line: str
    live_rate: str
    live_connections: str
    live_errors: str
    live_left: str
    live_stopping: str

    # Two runs beside each other.
    compare_title: str
    compare_before: str
    compare_now: str
    compare_change: str
    compare_more: str
    compare_noise: str
    compare_short: str
    compare_other: str

    # The page.
    page_percentiles: str
    page_latency: str
    page_throughput: str
    page_figures: str
    page_seconds: str
    page_options: str
    page_command: str
    page_when: str
