"""tcpecho_trio: a TCP server that answers in upper case, and its client, on Trio.

Where to find what:

- :func:`tcpecho_trio.client.open_client` and :class:`tcpecho_trio.client.Client`: the client;
- :func:`tcpecho_trio.server.serve` with :class:`~tcpecho_trio.server.Settings`,
  :class:`~tcpecho_trio.server.Lifecycle`, :class:`~tcpecho_trio.server.Registry` and
  :class:`~tcpecho_trio.server.Journal`: the server;
- :class:`tcpecho_trio.protocol.Protocol` and :mod:`tcpecho_trio.dialects`: what is said on the
  wire, without any input or output;
- :mod:`tcpecho_trio.errors`: what can go wrong, and what to do about it;
- :func:`tcpecho_trio.cli.main`: the command line, also ``python -m tcpecho_trio``.

Nothing is imported here: a client should not pay for a server, nor a protocol for Trio.
"""

__version__ = "0.1.0"
