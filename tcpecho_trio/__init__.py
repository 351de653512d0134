"""tcpecho_trio: a TCP server that answers in upper case, and its client, on Trio."""

__version__ = "0.1.0"
