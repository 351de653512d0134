"""The same in English."""

from __future__ import annotations

from tcpecho_trio.texts.cluster_lines import ClusterTexts

ENGLISH_CLUSTER = ClusterTexts(
    about=(
        "Look after several servers that know of each other through Redis (serve"
        " --cluster).\n\nExit code: 0 done, 1 no such server, 2 wrong usage, 3 no Redis, 4 a"
        " timeout ran out."
    ),
    about_status="Show the servers: clients, phase, version, since when, where.",
    about_drain=("Have a server, or all of them, end in an orderly way; wait until they are gone."),
    about_restart=(
        "Restart servers one at a time; wait until each is ready again. Stops at the first"
        " that is not."
    ),
    cluster=(
        "Redis of the cluster: redis://, rediss:// [user@]host[:port][/db] or unix:///path,"
        " perhaps with ?prefix=NAME."
    ),
    name="Our name in the cluster. [default: the host's]",
    password_file="File whose first line is the password of that Redis.",
    ca="CA (PEM) that the rediss:// server is checked with, instead of the system's.",
    certificate="Our certificate (PEM) for rediss://, if the server wants one.",
    key="The certificate's private key (PEM).",
    json="One JSON object instead of the table.",
    watch="Show it again every second, until Ctrl-C.",
    all="All servers.",
    timeout="Seconds to wait for each server.",
    alone="{option} needs --cluster.",
    both="--cluster-cert and --cluster-key go together.",
    one_or_all="name a server, or say --all.",
    names_all="names and --all do not go together.",
    missing=("--cluster is missing (or TCPECHO_CLUSTER_CLUSTER, or TCPECHO_SERVE_CLUSTER)."),
    bad_name="letters, digits, “.”, “_” and “-”, 63 at most, such as web-1",
    expects_url="redis://host:port/0, rediss://host:port/0 or unix:///path",
    no_servers="No servers in {cluster}",
    summary="{cluster} · servers: {servers} · clients: {clients}",
    column_name="NAME",
    column_clients="CLIENTS",
    column_phase="PHASE",
    column_version="VERSION",
    column_since="SINCE",
    column_addresses="ADDRESSES",
    phases={
        "starting": "starting",
        "running": "running",
        "delaying": "ending soon",
        "draining": "draining",
        "stopped": "stopped",
    },
    draining="{name}: draining...",
    gone="{name}: gone ({seconds:.1f} s)",
    restarting="{name}: restarting...",
    ready="{name}: ready again ({seconds:.1f} s)",
    needs_extra=("the extra cluster is missing: pip install '.[cluster]' in the project folder."),
    cannot_restart="the program cannot be started again: {reason}.",
    cannot_read="{file} cannot be used: {reason}.",
    unreachable="cannot reach {cluster}: {reason}.",
    no_answer="{cluster} does not answer.",
    refused="{cluster} refuses: {reason}.",
    nobody="there is no server in {cluster}.",
    unknown_name="there is no server {name} in {cluster}; there are: {known}.",
    same_name="several servers are called {name}: say which, by its id: {known}.",
    not_taken="{name} did not take the command in {seconds:g} s; nobody else was asked.",
    not_gone="{name} was not gone after {seconds:g} s.",
    not_ready=(
        "{name} was not ready again after {seconds:g} s; the others were left as they are: {left}."
    ),
)
