"""In English."""

from __future__ import annotations

from tcpecho_trio.texts.cluster_english import ENGLISH_CLUSTER
from tcpecho_trio.texts.lines import Texts
from tcpecho_trio.texts.load_english import ENGLISH_LOAD
from tcpecho_trio.texts.process_english import ENGLISH_PROCESSES

ENGLISH = Texts(
    listening="TCP server listening on {listener} and waiting for connections...",
    admin_listening="Administration at {listener}",
    cluster_joined="Member of the cluster {cluster} as {member}; other servers: {others}",
    cluster_lost=(
        "No contact with the cluster {cluster}: {error}. Clients notice nothing; trying again"
    ),
    cluster_timeout="no answer in time",
    cluster_name_taken=(
        "Another server of the cluster is called {member} too ({addresses}): give each its own"
        " --cluster-name"
    ),
    connected="[{client}] Client connected",
    received="[{client}] Message received: {text}",
    replied="[{client}] Reply sent: {text}",
    leaving="[{client}] Client asked to disconnect. Closing connection...",
    closed="[{client}] Connection ended: {reason}",
    crashed="[{client}] Internal server error (please report it):\n{traceback}",
    shutdown_refused="[{client}] Remote shutdown refused ({count})",
    refused="[{client}] Connection refused: the server is full ({count})",
    refused_address="[{client}] Connection refused: too many from its address ({count})",
    probe="[{client}] Probe: it left without a word",
    foreign="[{client}] Connection cut: it speaks {protocol}, not this protocol ({count})",
    unraisable="Internal error that nobody could catch ({count}): {error}",
    proxy_refused="[{client}] Connection closed: {fault} {seen} ({count})",
    tls_refused="[{client}] Connection closed: the TLS handshake failed: {error} ({count})",
    tls_reloaded="TLS certificate read again.",
    tls_kept="The TLS certificate could not be read again; the old one stays: {error}",
    admission_aborted="[{client}] Cut while it was being let in: the server is closing",
    access_log_reopened="Access log: file opened again",
    access_log_kept="Access log: the old file stays ({error})",
    access_log_lost=("Access log: {count} line lost", "Access log: {count} lines lost"),
    faulty="[{client}] This connection will suffer: {faults}",
    faults_changed="Faults on purpose from now on: {faults}",
    no_faults="none",
    accept_failed="Cannot accept connections for now (attempts: {count}): {error}",
    shutdown_delayed="Shutdown asked for ({reason}): clients are let in for {seconds:g} s more...",
    draining="Closing the server ({reason}): clients connected: {clients}...",
    cutting="Closing the server without waiting for anybody else...",
    stopped="Server stopped: {served}, {aborted}.",
    clients_served=("{count} client served", "{count} clients served"),
    clients_aborted=("{count} cut", "{count} cut"),
    more_messages="… and {count}",
    more_connections="… and {count}",
    omitted_messages=("{count} more message", "{count} more messages"),
    omitted_connections=("{count} more connection", "{count} more connections"),
    thousands=",",
    lines_lost=(
        "… {count} line lost: this output was not moving",
        "… {count} lines lost: this output was not moving",
    ),
    closed_disconnected="the client said goodbye",
    closed_eof="the client closed",
    closed_drained="the server is closing",
    closed_idle="it said nothing for too long",
    closed_operator="whoever runs the server closed it",
    closed_reset="the client was lost",
    closed_write_timeout="it did not read its replies",
    closed_foreign="it spoke another protocol",
    closed_aborted="cut",
    closed_crashed="internal error",
    closed_probe="it left without a word",
    closed_full="the server is full",
    closed_address_limit="there are too many clients from its address already",
    closed_proxy_header="its PROXY header will not do",
    closed_tls_handshake="there was no agreement on TLS",
    closed_shutdown="the client shut the server down",
    closed_fault="a fault asked for with --fault",
    proxy_untrusted="its address may send no PROXY headers (--trust-proxy).",
    proxy_late="the PROXY header did not come in time.",
    proxy_not_proxy="it does not begin with a PROXY header:",
    proxy_cut="the PROXY header is cut:",
    proxy_bad_protocol="the PROXY header says none of TCP4, TCP6 and UNKNOWN:",
    proxy_no_crlf="the PROXY header does not end within 107 bytes:",
    proxy_bare_lf="the PROXY header ends in LF, not in CRLF:",
    proxy_bad_line="the PROXY header is not two addresses and two ports:",
    proxy_bad_address="the PROXY header has an address that is not of its family:",
    proxy_bad_port="the PROXY header has a port over 65535:",
    proxy_bad_version="the PROXY header's version is not 2:",
    proxy_bad_command="the PROXY header's command is neither LOCAL nor PROXY:",
    proxy_bad_family="the PROXY header's family or transport does not exist:",
    proxy_too_long="the PROXY header announces more than 4096 bytes:",
    proxy_too_short="the PROXY header's addresses are cut:",
    proxy_tlv_overrun="a TLV runs over the end of the PROXY header:",
    proxy_bad_tlv="a TLV of the PROXY header has an impossible value:",
    proxy_bad_checksum="the PROXY header's checksum is wrong:",
    drain_console="asked for on the console",
    drain_signal="signal {name}",
    drain_remote="asked for by {client}",
    drain_program="asked for by the program",
    drain_admin="asked for by whoever runs the server",
    drain_cluster="asked for by whoever runs the cluster",
    drain_restart="a new one takes its place",
    console_hint="Type “cerrarservidor” to finish, “ayuda” for more.",
    console_nobody="No clients connected.",
    console_listing="Clients connected: {count}",
    console_client="{number}  {client}  since {since}  messages: {messages}  bytes: {size}",
    console_help=(
        "cerrarservidor   closes every session and finishes\n"
        "listar           shows who is connected\n"
        "ayuda            shows these words"
    ),
    console_unknown="I don't know “{word}”. Type “ayuda” for the words.",
    console_unreadable="The console cannot be read; the server goes on. End it with Ctrl-C.",
    client_connected="Client connected to the server at {address}",
    client_prompt="Type a message: ",
    client_reply="Reply from the server: {text}",
    client_hint="↑ repeats · Ctrl-D leaves",
    client_hint_words="Words: {words} · Tab completes · ↑ repeats · Ctrl-D leaves",
    client_leaving="Asking the server to disconnect...",
    client_server_gone="the server closed the connection. Look at its console, or connect again.",
    client_input_lost=(
        "the server closed the connection before it had all of the input."
        " Look at its console, or send it again."
    ),
    client_replies_lost=(
        "the server closed the connection without answering everything."
        " Look at its console, or send it again."
    ),
    client_interrupted="Interrupted.",
    client_turn="Waiting for our turn: the server is serving somebody else (Ctrl-C to leave)...",
    client_progress="Sending",
    client_skipped="Line {number} not sent: {reason}",
    client_retrying=(
        "Nobody answers at {address} yet; trying for {seconds:g} s (Ctrl-C to leave)..."
    ),
    client_more_lines=("… and {count} more line", "… and {count} more lines"),
    client_hint_raw="(The server does not end its lines. To talk to it: --framing raw)",
    client_hint_dialect="(The server speaks another dialect: --dialect {dialect})",
    client_hint_case="(If that was a command, it is written like this: {word})",
    demo_server="server",
    demo_client="client",
    demo_first="1. STANDARD MESSAGE",
    demo_second="2. DISCONNECTION",
    demo_end="Both tests of the exercise passed.",
    error="Error: {message}",
    port_taken=(
        "port {port} of {host} is already in use. Close the other program"
        " or choose another port: --port {other} (0 finds a free one)."
    ),
    port_forbidden=(
        "not allowed to listen on {address}. Choose a port from 1024 up: --port {other}."
    ),
    cannot_listen="cannot listen on {address}: {reason}. Check --host and --port.",
    cannot_start="cannot start: {reason}. Free some descriptors (ulimit -n), processes or memory.",
    path_taken="somebody listens at {path} already, or it is no socket. Choose another: --unix.",
    cannot_listen_at_path="cannot listen at {path}: {reason}. Check --unix.",
    cannot_read="cannot use {files}: {reason}. Check the PEM files.",
    cannot_read_token="there is no secret in {file}: {reason}. Write it there, in one line.",
    cannot_log="cannot write to {file}: {reason}. Check --access-log.",
    cannot_administer="administration cannot listen at {address}: {reason}. Check --admin.",
    admin_needs_extra="the extra admin is missing: pip install '.[admin]' in the project folder.",
    admin_in_clear="warning: {listener} is without TLS: the network can read the secret.",
    cannot_inherit=(
        "an inherited descriptor is no listening socket: {reason}."
        " Check the .socket unit (LISTEN_FDS)."
    ),
    unknown_host="the server “{host}” cannot be found. Check --host.",
    connection_refused=(
        "nobody listens on {address}. Is the server running? {program} serve --port {port}"
    ),
    cannot_connect="cannot connect to {address}: {reason}. Check --host and --port.",
    cannot_connect_at_path="cannot connect to {path}: {reason}. Check --unix.",
    tls_untrusted=(
        "the certificate of {address} cannot be trusted: {reason}."
        " Name its CA with --tls-ca, or its name with --sni."
    ),
    tls_failed="{address} did not agree on TLS: {reason}. Is it a TLS port? Is --tls-cert due?",
    tls_internal_error="{address} cannot do TLS now; it may be full. Try again later.",
    lab_needs_extra="the extra tls-lab is missing: pip install '.[tls-lab]' in the project folder.",
    lab_bad_name="such a name cannot be certified: {names} ({reason}). Check --name.",
    lab_file_exists="{file} is there already, and no key is overwritten. Choose another folder.",
    lab_cannot_write="cannot write to {folder}: {reason}. Choose another folder.",
    connection_broke="the connection to {address} broke: {reason}. Connect again.",
    local_failure="cannot read the input or write the output: {reason}.",
    connect_too_slow=(
        "{address} does not answer within {seconds:g} s."
        " Check --host and --port, or wait longer: --timeout, --connect-retry."
    ),
    no_line_reply=(
        "{address} does not reply within {seconds:g} s."
        " Is it serving somebody else? Wait longer: --timeout."
    ),
    no_raw_reply=(
        "{address} does not reply within {seconds:g} s. Is it serving somebody else, or waiting"
        " for the end of a line? Wait longer: --timeout; or leave out --framing raw."
    ),
    unfinished_line_reply=(
        "{address} did not end its reply within {seconds:g} s. What came: “{text}”."
        " Does it know no lines? --framing raw."
    ),
    unfinished_raw_reply=(
        "{address} did not end its reply within {seconds:g} s. What came: “{text}”."
        " Wait longer: --timeout."
    ),
    reply_too_long=(
        "the reply does not end: more than {limit} MiB have come. Is this the right server?"
    ),
    line_too_long="line {number} of the input is longer than {limit} MiB: shorten it.",
    lines_left_out="lines of the input that were not sent: {count}. Mend them and send them again.",
    server_full="{address} does not serve us: {reason}.",
    client_busy="two tasks use the client at once: use ask(), which takes them in turn.",
    client_closed="the client is closed: open another one with open_client().",
    client_cut_short=(
        "a cancelled send left half a message on the wire: open another one with open_client()."
    ),
    message_with_line_feed=(
        "a message is one line and cannot hold a line feed: send several, one by one."
    ),
    message_blank=(
        "a blank message gets no reply from an old server (--framing raw): type something."
    ),
    message_without_pieces=(
        "a long message is cut every {limit} bytes, and here a piece would be blank"
        " or equal to a command (--framing raw): shorten it."
    ),
    system_errors={},  # the system's own words are English
    tls_errors={},  # and so are OpenSSL's
    cli_about=(
        "A TCP server that answers in UPPER CASE and closes on DESCONEXION, and its client.\n\n"
        "Every option is read from the environment too: TCPECHO_SERVE_PORT, TCPECHO_CLIENT_HOST..."
    ),
    cli_about_serve=(
        "Run the server.\n\nIt ends on “cerrarservidor” on its console or on Ctrl-C; a second"
        " signal waits for nobody.\n\nExit code: 0 done, 2 wrong usage, 3 cannot listen."
    ),
    cli_about_client=(
        "Talk to a server.\n\nAt a terminal it asks for messages; in a pipe it sends its input and"
        " writes the replies; with -m it asks once and ends.\n\n"
        "Exit code: 0 done, 1 the conversation broke or was not what it must be, 2 wrong usage,"
        " 3 cannot connect, 4 a timeout ran out."
    ),
    cli_about_demo="Show the exercise's two manual tests.",
    cli_host="Address to listen on; :: or * are all of them, IPv4 and IPv6.",
    cli_host_client="The server's address.",
    cli_port="Port to listen on; 0 finds a free one.",
    cli_port_client="The server's port.",
    cli_dialect="Which words are commands.",
    cli_dialect_client="Which words the server understands.",
    cli_lang="Language of the console.",
    cli_max_connections="Clients at a time; the others are told that it is full.",
    cli_max_connections_per_address=(
        "Clients at a time from one address (IPv6: from one /64); 0: no limit."
    ),
    cli_idle_timeout="Seconds of silence after which a connection is closed; 0: never.",
    cli_write_timeout="Seconds that a client may leave its replies unread; 0: no limit.",
    cli_shutdown_delay="Seconds between the first signal and the drain, with the door still open.",
    cli_drain_timeout="Seconds to wait for the clients when the server closes.",
    cli_remote_shutdown="From where a remote shutdown is obeyed.",
    cli_listen=(
        "Listen at tcp://host:port, tls://host:port or unix:///path, perhaps with"
        " ?dialect=NAME&proxy=required (or off); repeatable."
    ),
    cli_unix="Listen at a Unix socket; repeatable.",
    cli_unix_mode="Permissions of the Unix socket's file, in octal.",
    cli_tls_cert="The server's certificate and its chain (PEM): clients speak TLS.",
    cli_tls_key="The certificate's private key (PEM).",
    cli_tls_client_ca="CA (PEM) whose client certificates are demanded: mutual TLS.",
    cli_unix_client="Connect to a Unix socket instead of --host and --port.",
    cli_tls="Speak TLS with the server.",
    cli_tls_ca="CA (PEM) to trust, instead of the system's.",
    cli_tls_cert_client="Our own certificate (PEM), if the server wants one.",
    cli_sni="The server's name to ask for and to check, instead of --host.",
    cli_insecure="Check no certificate: whoever answers may be anybody.",
    cli_send_proxy="Begin with a PROXY header, as a proxy would.",
    cli_about_lab_certs="Make a CA and throw-away certificates in DIR, for trying TLS.",
    cli_lab_names="A name or address of the server; repeatable.",
    cli_tls_both="--tls-cert and --tls-key go together.",
    cli_tls_needed="to listen at tls://, --tls-cert and --tls-key are needed.",
    cli_tls_ca_alone="with --tls-client-ca, --tls-cert and --tls-key are needed.",
    cli_proxy_protocol="Whether every connection begins with a PROXY header (v1 or v2).",
    cli_proxy_mixed_families="Accept nginx's TCP6 line that holds an IPv4 address.",
    cli_trust_proxy="Network from which a PROXY header is believed; repeatable.",
    cli_fault="A fault: delay:200ms@0.1, drip:100, stall, close:10, reset:10; repeatable.",
    cli_fault_seed="Decides which connections suffer the faults.",
    cli_banner="With --dialect inspect: send the report on connect, too.",
    cli_name="What this server calls itself in its reports.",
    cli_log_format="Told to a person, or one JSON object a line.",
    cli_quiet="Do not tell of connections and messages.",
    cli_log_probes="Tell of probes, too: connections that leave without a word.",
    cli_access_log="File with a line of JSON for each closed connection; - is standard output.",
    cli_access_log_probes="Log probes, too: connections that leave without a word.",
    cli_access_log_alone="--access-log-probes needs --access-log.",
    cli_admin="Administration over HTTP: http://127.0.0.1:9500, https://… or unix:///path.",
    cli_admin_token_file="File with the secret that has to be shown for administration.",
    cli_admin_needs_token="beyond this machine, --admin needs --admin-token-file.",
    cli_admin_needs_tls="with https://, --admin needs --tls-cert and --tls-key.",
    cli_admin_token_alone="--admin-token-file needs --admin.",
    cli_no_console="Do not read commands from the terminal.",
    cli_portable="Without the Linux fast path; serves the same, more slowly.",
    cli_message="Send this message, write the reply and end. Can be repeated.",
    cli_framing="A message a line, or a message a send (for old servers).",
    cli_timeout=(
        "Seconds for connecting, and again for each reply. [with -m: {seconds:g}; else no limit]"
    ),
    cli_json="One JSON object a message: sent, received, milliseconds, and error if there is one.",
    cli_connect_retry="Seconds to keep trying while the server is starting.",
    cli_version="Show the version and exit.",
    cli_help="Show this message and exit.",
    cli_usage="Usage: ",
    cli_options="Options",
    cli_metavars={"INTEGER": "NUMBER", "INTEGER RANGE": "NUMBER"},
    cli_options_metavar="[OPTIONS]",
    cli_commands_metavar="COMMAND [OPTIONS]...",
    cli_default="[default: ",
    cli_commands="Commands",
    cli_hint="Try: {command} --help",
    cli_no_such_option="there is no option {name}.",
    cli_similar=" Did you mean {names}?",
    cli_no_such_command="there is no command {name}; those that there are: {known}.",
    cli_too_much="too much: {rest}",
    cli_takes_no_value="{name} takes no value.",
    cli_needs_value="{name} needs a value.",
    cli_missing="{name} is missing.",
    cli_bad_value="{name}: “{value}” will not do; expected: {expected}.",
    cli_bad_flag="{name}: 1 or 0 is expected.",
    cli_banner_alone="--banner needs --dialect inspect.",
    cli_trust_alone="--trust-proxy needs --proxy-protocol required.",
    cli_no_unix="This system has no Unix sockets. Use --host and --port.",
    expects_whole="a whole number",
    expects_within="a whole number from {type.min} to {type.max}",
    expects_at_least="a whole number, {type.min} or more",
    expects_seconds="a number of seconds, 0 or more",
    expects_time="a number of seconds above 0",
    expects_word="one of {type.listed}",
    expects_file="a file that can be read",
    expects_folder="a folder, or a free name to make one",
    expects_host="a name or an address",
    expects_endpoint="tcp://host:port, tls://host:port or unix:///path (of at most 99 bytes)",
    expects_admin="http://host:port, https://host:port or unix:///path (of at most 99 bytes)",
    expects_socket="a path of 1 to 99 bytes",
    expects_mode="an octal mode such as 660",
    expects_network="an address, or a network without bits behind its prefix, such as 10.0.0.0/8",
    expects_fault="KIND[:AMOUNT][@SHARE]: delay:200ms@0.1, drip:100, stall, close:10, reset:10",
    expects_message="one line for each -m",
    load=ENGLISH_LOAD,
    processes=ENGLISH_PROCESSES,
    cluster=ENGLISH_CLUSTER,
)
