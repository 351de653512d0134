"""The real server under a long mixed load and a bad network: ``python -m tests.soak``.

::

    clients (client.py, each playing its plan from plans.py)
      └─ a fault proxy a server (fault_proxy.py): delay, slice, stall, half-close, reset
          └─ python -m tcpecho_trio serve, as it is and --portable, bare and over TLS (server.py)

Whatever a client hears is compared with what the contract says, byte by byte; what did not
hold is listed in the report (report.py). All decisions come from a seed and the client's number.
"""
