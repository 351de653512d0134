"""tcpecho_trio: a TCP server that answers in upper case, and its client, on Trio.

The public names are those of :data:`PUBLIC`; each can be imported from here, too::

    from tcpecho_trio import Settings, open_client, serve

They are imported when they are asked for: a client does not pay for a server, nor a protocol for
Trio. Everything else may change without notice.

- :mod:`tcpecho_trio.client`: the client;
- :mod:`tcpecho_trio.server`: the server in a nursery of yours, its counters and events;
- :mod:`tcpecho_trio.load`: the load generator;
- :mod:`tcpecho_trio.protocol`, :mod:`tcpecho_trio.dialects`: what is said on the wire, without any
  input or output;
- :mod:`tcpecho_trio.errors`: what can go wrong, and what to do about it.

The command line is :func:`tcpecho_trio.cli.main`, also ``python -m tcpecho_trio``.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

__version__ = "0.3.0.dev0"
"""Also in the wheel's metadata (pyproject.toml reads it here)."""

PUBLIC = {
    "client": ("Client", "ClientTls", "open_client"),
    "server": (
        *("DrainReason", "Endpoint", "Events", "Fault", "Journal", "Lifecycle", "Phase"),
        *("Registry", "RemoteShutdown", "Settings", "Tls", "TlsFiles", "serve"),
    ),
    "load": ("Load", "LoadSettings", "Ramp", "Report", "Target", "open_load", "run_load"),
    "protocol": ("Foreign", "Protocol", "Request", "State"),
    "dialects": ("DIALECTS", "Action", "Command", "Dialect"),
    "errors": (
        *("CannotConnect", "CannotListen", "CannotRead", "ClientBusy", "ClientClosed"),
        *(
            "ConnectionLost",
            "LoadFailed",
            "LoadRefused",
            "LocalFailure",
            "MessageRefused",
            "ReplyTooLong",
            "ServerFull",
            "ServerLeft",
        ),
        *("TcpEchoError", "TooSlow"),
    ),
}
"""The public names, by their module. A name that is not here is nobody's interface."""

_MODULE_OF = {name: module for module, names in PUBLIC.items() for name in names}

__all__ = ["PUBLIC", "__version__", *sorted(_MODULE_OF)]  # noqa: PLE0604, RUF100


def __getattr__(name: str) -> Any:
    """Import a public name when it is asked for (PEP 562)."""
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
