"""The load generator as a library.

::

    settings = LoadSettings(Target(host="localhost", port=5000), connections=100, rate=20_000)
    async with open_load(settings) as load:
        report = await load.report()
    assert report.p99 < 0.02

- :mod:`~tcpecho_trio.load.settings`: what a load is made of;
- :mod:`~tcpecho_trio.load.plan`, ``schedule``, ``messages``, ``conversation``: what is sent when,
  and whether a reply is right, without any input or output;
- :mod:`~tcpecho_trio.load.engine`: moves the bytes;
- :mod:`~tcpecho_trio.load.report`: what came of it.
"""

from __future__ import annotations

from tcpecho_trio.client.connect import Target
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.run import Load, open_load, run_load
from tcpecho_trio.load.settings import LoadSettings, Ramp

__all__ = ["Load", "LoadSettings", "Ramp", "Report", "Target", "open_load", "run_load"]
