"""What the load generator says, in English."""

from __future__ import annotations

from tcpecho_trio.texts.load_lines import LoadTexts

ENGLISH_LOAD = LoadTexts(
    about=(
        "Load an echo server and measure its replies.\n\nEvery reply is compared, byte by"
        " byte, with what it must be. With --rate each message is due at a time of its"
        " own, and its latency counts from then (open loop); without, each connection"
        " waits for its reply before it goes on (closed loop). Ctrl-C ends early with a"
        " full report; a second one ends at once.\n\nExit code: 0 done, 1 there were"
        " errors or --fail-if was not met, 2 wrong usage, 3 cannot connect, 4 nobody"
        " replied."
    ),
    help_target="The server; without a port, 5000. [default: localhost:5000]",
    help_connections="Connections at the same time.",
    help_rate=(
        "Messages a second over all connections (20000, 20k), or max: as fast as replies come."
    ),
    help_ramp=(
        "A rate that climbs, such as 1k:50k:30s: finds the highest that the server bears (--slo)."
    ),
    help_slo="With --ramp: the p99 that is still good.",
    help_pipeline="Messages under way on each connection.",
    help_duration="How long it lasts, such as 30s or 5m. [default: 10s]",
    help_warmup="Time before the counting begins.",
    help_messages="Messages in all.",
    help_size=("Bytes of each message with its line feed, or from how many to how many: 64-4096."),
    help_message="Text to send each time, instead of numbered messages.",
    help_file="File whose lines are sent in turn.",
    help_expect="What a reply must be: upper case, the message itself, or any.",
    help_leave="Said before a connection is closed, without lines; DESCONEXION if not given.",
    help_framing=(
        "Whether a message ends in a line feed, or is sent bare (the exercise's servers)."
    ),
    help_churn="A connection of its own for each message.",
    help_think="Pause between a reply and the next message, such as 100ms.",
    help_timeout="How long a connection may take, or a reply before it is late.",
    help_json="Report as JSON; - is standard output.",
    help_html="Report as one HTML page that needs nothing else.",
    help_hdr="HdrHistogram log, for other tools.",
    help_compare="Earlier JSON report to compare with.",
    help_fail_if=("Condition that makes it end with 1, such as p99>20ms or errors>0; repeatable."),
    help_seed="Decides the sizes of --size.",
    help_quiet="Show nothing while it runs.",
    help_anywhere="Allow more than one connection to an address that is not private.",
    help_portable="Do without epoll.",
    help_sni="The server's name to ask for and to check, instead of HOST.",
    help_unix="Connect to a Unix socket instead of HOST:PORT.",
    expects_address="HOST:PORT, such as localhost:5000 or [::1]:5000",
    expects_rate="a rate above 0, such as 20000 or 20k, or max",
    expects_ramp="FROM:TO:TIME, such as 1k:50k:30s",
    expects_time="a time, such as 30s, 100ms or 5m",
    expects_size="bytes from 1 to 16m, such as 64, 4k or 64-4096",
    expects_count="a number above 0, such as 1000 or 10k",
    expects_condition=(
        "NAME, < or >, and a limit, such as p99>20ms, service.p50>1ms, errors>0,"
        " errors>0.1% or rate<1000"
    ),
    expects_report="a JSON report of tcpecho_trio load --json",
    bad_connections="connections go from 1 to 1,000,000 (-c).",
    bad_pipeline="messages under way go from 1 to 1,000,000 (--pipeline).",
    bad_size="a message has from 1 to 16777216 bytes, the least first (--size).",
    bad_rate="the rate must be above 0 (--rate).",
    bad_ramp=("a ramp climbs from a rate above 0 to one not below it, in more than 0 s (--ramp)."),
    bad_duration="the duration must be above 0 (--duration).",
    bad_warmup="the warm-up cannot be negative (--warmup).",
    bad_think="the pause cannot be negative (--think).",
    bad_timeout="the timeout must be above 0 (--timeout).",
    bad_slo="the good p99 must be above 0 (--slo).",
    bad_messages="at least one message is needed (--messages).",
    rate_and_ramp="--rate and --ramp do not go together.",
    ramp_duration="a ramp says how long it lasts: --ramp and --duration do not go together.",
    think_open="--think is for the closed loop: it does not go with --rate or --ramp.",
    think_pipeline="--think and --pipeline do not go together.",
    churn_pipeline=("--churn and --pipeline do not go together: a connection carries one message."),
    churn_think="--churn and --think do not go together.",
    raw_any="without lines and with any reply nobody knows where one ends: use --pipeline 1.",
    line_feed="a message is one line: remove the line feed, or use --framing raw.",
    blank="an empty message cannot be sent without a line: remove it, or use --framing line.",
    file_large="{path} is too large: at most {limit} MiB (--file).",
    file_empty="{path} is empty: each line is a message (--file).",
    descriptors=(
        "{connections} connections need {needed} descriptors, and the limit is {limit}."
        " Raise it (ulimit -n) or lower -c."
    ),
    public=(
        "{address} is no private address. Load only what is yours: with -c 1, or with"
        " --yes-i-may if you are allowed to."
    ),
    same_file="{path} cannot be two reports at once. Give each a name of its own.",
    two_texts="--message and --file do not go together.",
    sized_text="--size does not go with --message or --file: they bring the text.",
    two_targets="HOST:PORT and --unix do not go together.",
    leave_alone="--leave needs --framing raw.",
    slo_alone="--slo needs --ramp.",
    bad_compare="{path} is no JSON report of load --json (--compare).",
    needs_hdr=("the extra load is missing: pip install '.[load]' in the project folder (--hdr)."),
    cannot_write="cannot write {path}: {reason}. Choose another place.",
    cannot_read="cannot read {path}: {reason}.",
    met_errors=(
        "there were errors: {errors}. The report tells them; --fail-if decides what is tolerated."
    ),
    unmet="--fail-if {conditions}.",
    silent=(
        "{address} has not replied to anything in {seconds:g} s. Is it an echo server?"
        " Does it need --framing raw?"
    ),
    no_reply=(
        "{address} has not given one right reply: {errors}. Is it an echo server? Check"
        " --expect, --framing and --tls."
    ),
    unknown_host="the server “{host}” cannot be found. Check HOST:PORT.",
    cannot_connect="cannot connect to {address}: {reason}. Check HOST:PORT.",
    decimal=".",
    title="Load of {address}",
    setup_connections=("{count} connection", "{count} connections"),
    setup_open="open loop, {rate} messages/s",
    setup_ramp="open loop, {low} to {high} messages/s",
    setup_closed="closed loop",
    setup_size=("{size} byte", "{size} bytes"),
    setup_texts=("{count} given text", "{count} given texts"),
    setup_pipeline="{count} messages under way each",
    setup_churn="a connection a message",
    setup_think="pauses of {seconds:g} s",
    row_sent="messages sent",
    row_replies="right replies",
    row_cut="under way when ended",
    row_errors="errors",
    row_rate="replies a second",
    row_seconds="seconds measured",
    row_cpu="generator's CPU, µs/message",
    column_ms="milliseconds",
    since_due="since due",
    since_sent="since sent",
    connecting="connecting",
    handshaking="TLS handshake",
    lateness="generator late",
    about_open=(
        "Open loop: each message was due at a time of its own, and its latency counts"
        " from then, also while the server stalls."
    ),
    about_closed=(
        "Closed loop: each connection waits for its reply before it sends again. While"
        " the server stalls nothing is sent, so a stall counts once a connection. What"
        " users would wait for is told by --rate."
    ),
    about_same_text=(
        "The text has no number: a reply that belongs to another, equal message is not noticed."
    ),
    about_any="With --expect any nothing is compared: replies are only counted.",
    warn_rate=(
        "Beware: the generator did not keep its rate: it sent {sent} of {asked} messages,"
        " {late} ms late itself (p99)."
    ),
    warn_late="Beware: the generator itself sent late: {late} ms (p99).",
    warn_interrupted="Ended early: the report tells what there was until then.",
    warn_warmup="Errors in the warm-up, which do not count: {errors}.",
    wrong_sample=(
        "wrong reply on connection {connection}: expected {expected}, received {received}"
    ),
    ramp_title="messages/s",
    ramp_replies="replies/s",
    ramp_p99="p99, ms",
    knee="Highest rate with its p99 below {slo} ms: {rate} messages/s.",
    no_knee="No rate kept its p99 below {slo} ms.",
    knee_above="It bore the whole ramp: the limit is higher.",
    kinds={
        "wrong": "wrong",
        "late": "late",
        "missing": "missing",
        "unexpected": "unasked for",
        "unsent": "not sent",
        "closed": "closed by the server",
        "reset": "connections reset",
        "refused": "connections refused",
        "full": "server full",
        "connect_timeout": "connections not made in time",
        "tls": "TLS handshakes failed",
        "local": "short of own resources",
    },
    live_connecting="Connecting...",
    live_line=(
        "{elapsed} s · {rate}/s · {connections} connections · p50 {p50} p99 {p99} max"
        " {max} ms · errors {errors} · {left} left"
    ),
    live_rate="rate",
    live_connections="connections",
    live_errors="errors",
    live_left="left",
    live_stopping="Ending: the last replies are waited for (Ctrl-C again: at once)...",
    compare_title="Compared with {path}",
    compare_before="before",
    compare_now="now",
    compare_change="change",
    compare_more="more than noise",
    compare_noise="within the noise",
    compare_short="too short to tell",
    compare_other="Beware: not the same was asked for: {names}.",
    page_percentiles="Latency by percentile",
    page_latency="Latency over time",
    page_throughput="Replies a second, and errors",
    page_figures="In figures",
    page_seconds="seconds",
    page_options="What was asked for",
    page_command="To repeat it",
    page_when="{when}, tcpecho_trio {version}, Python {python}, {platform}",
)
