"""How an event is written: as a line for a person, or as one JSON object."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from tcpecho_trio.errors import in_words
from tcpecho_trio.texts import Texts

Put = Callable[[str], None]
"""Takes a finished line; must neither block nor fail."""

Renderer = Callable[[str, dict[str, Any]], None]
"""Takes an event's name and its plain fields (:mod:`~tcpecho_trio.server.event_fields`)."""

OMITTED = {"more_messages": "omitted_messages", "more_connections": "omitted_connections"}
"""Events that only count, and the line that says what they count."""


def console_renderer(put: Put, texts: Texts) -> Renderer:
    """Write each event as the line of that name, in the user's language."""

    def render(name: str, fields: dict[str, Any]) -> None:
        said = dict(fields)
        if "error" in fields:
            said["error"] = in_words(fields["error"], texts)
        match name:
            case "closed":
                said["reason"] = getattr(texts, f"closed_{fields['reason']}")
            case "proxy_refused":
                said["fault"] = getattr(texts, f"proxy_{fields['fault']}")
            case "faults_changed":
                said["faults"] = fields["faults"] or texts.no_faults
            case "cluster_lost" if fields["trouble"] == "timeout":
                said["error"] = texts.cluster_timeout
            case "draining" | "shutdown_delayed":
                said["reason"] = _drain_reason(fields, texts)
            case "worker_died":
                code = texts.processes.exit_code.format(code=fields.get("code"))
                said["cause"] = fields.get("signal", code)
            case "stopped":
                said["served"] = texts.counted("clients_served", fields["served"])
                said["aborted"] = texts.counted("clients_aborted", fields["aborted"])
        if name in OMITTED:
            said["count"] = texts.counted(OMITTED[name], fields["count"])
        elif name in ("lines_lost", "access_log_lost"):
            put(texts.counted(name, fields["count"]))
            return
        elif "count" in fields:
            said["count"] = texts.number(fields["count"])
        if name == "refused" and fields["reason"] == "address_limit":
            name = "refused_address"
        put(texts.event(name).format(**said))

    return render


def _drain_reason(fields: dict[str, Any], texts: Texts) -> str:
    reason: str = fields["reason"]
    if reason.startswith("sig"):
        return texts.drain_signal.format(name=reason.upper())
    line: str = getattr(texts, f"drain_{reason}")
    return line.format(client=fields.get("client"))


def json_renderer(put: Put, server: str) -> Renderer:
    """Write each event as one JSON object (RFC 8259) in one line.

    Its first keys are ``timestamp`` (RFC 3339, UTC), ``event`` and ``server``.

    Args:
      put: takes the line. It has no surrogates: it can be written in UTF-8.
      server: what this server calls itself.
    """

    def render(name: str, fields: dict[str, Any]) -> None:
        now = datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        line = json.dumps(
            {"timestamp": now, "event": name, "server": server, **fields}, ensure_ascii=False
        )
        try:
            line.encode()
        except UnicodeEncodeError:  # a byte that is not UTF-8, in the server's name for one
            line = line.encode("utf-8", "backslashreplace").decode()
        put(line)

    return render
