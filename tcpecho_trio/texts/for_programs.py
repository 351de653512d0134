"""What errors say to a program: ``str(error)``, in English.

A person at a console is told which option to use. A program has no options, so where a console's
line names one, the line here names the argument. All other lines are those of the console.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

FOR_PROGRAMS: Mapping[str, str] = MappingProxyType(
    {
        "port_taken": (
            "port {port} of {host} is already in use. Close the other program"
            " or choose another port (0 finds a free one)."
        ),
        "port_forbidden": "not allowed to listen on {address}. Choose a port from 1024 up.",
        "cannot_listen": "cannot listen on {address}: {reason}. Check host and port.",
        "path_taken": "somebody listens at {path} already, or it is no socket. Choose another.",
        "cannot_listen_at_path": "cannot listen at {path}: {reason}. Check the path.",
        "unknown_host": "the server “{host}” cannot be found. Check the host.",
        "connection_refused": "nobody listens on {address}. Is the server running?",
        "cannot_connect": "cannot connect to {address}: {reason}. Check host and port.",
        "cannot_connect_at_path": "cannot connect to {path}: {reason}. Check the path.",
        "tls_untrusted": (
            "the certificate of {address} cannot be trusted: {reason}."
            " Name its CA (ClientTls.ca), or its name (ClientTls.name)."
        ),
        "tls_failed": (
            "{address} did not agree on TLS: {reason}. Is it a TLS port?"
            " Does it want a certificate (ClientTls.certificate)?"
        ),
        "lab_bad_name": "such a name cannot be certified: {names} ({reason}). Check the names.",
        "connect_too_slow": (
            "{address} does not answer within {seconds:g} s."
            " Check host and port, or allow more time (timeout, connect_retry)."
        ),
        "no_line_reply": (
            "{address} does not reply within {seconds:g} s."
            " Is it serving somebody else? Allow more time (timeout)."
        ),
        "no_raw_reply": (
            "{address} does not reply within {seconds:g} s. Is it serving somebody else, or"
            ' waiting for the end of a line? Allow more time (timeout), or use framing="line".'
        ),
        "unfinished_line_reply": (
            "{address} did not end its reply within {seconds:g} s. What came: “{text}”."
            ' Does it know no lines? Then use framing="raw".'
        ),
        "unfinished_raw_reply": (
            "{address} did not end its reply within {seconds:g} s. What came: “{text}”."
            " Allow more time (timeout)."
        ),
        "message_blank": (
            "a blank message gets no reply from a server that knows no lines: send some text."
        ),
        "message_without_pieces": (
            "a long message is cut every {limit} bytes, and here a piece would be blank"
            " or equal to a command: shorten it."
        ),
    }
)
