"""A load as a process: signals, what is shown meanwhile, and where the reports go."""

from __future__ import annotations

import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TextIO

import click
import trio

from tcpecho_trio.errors import (
    ConnectionLost,
    LoadFailed,
    LoadRefused,
    LocalFailure,
    TcpEchoError,
    TooSlow,
)
from tcpecho_trio.load.compare import read_report
from tcpecho_trio.load.conditions import Condition
from tcpecho_trio.load.live import LiveView
from tcpecho_trio.load.report import Report
from tcpecho_trio.load.run import Load, open_load, room_for
from tcpecho_trio.load.settings import LoadSettings
from tcpecho_trio.load.table import WIDTH, comparison, table, told_errors
from tcpecho_trio.load.timeline import Row
from tcpecho_trio.nurseries import open_nursery
from tcpecho_trio.texts import Texts

DUMB = ("", "dumb", "unknown")
"""Values of TERM (term(7)) that promise nothing but scrolling; none at all is one of them."""

SWITCH = 0.0005
"""Seconds that the view's thread may keep the engine waiting for the interpreter; Python's own 5 ms
would make messages late."""


@dataclass(frozen=True, kw_only=True)
class LoadOutputs:
    """What is to be made of the result.

    Args:
      json, html, hdr: files for the reports; ``-`` is standard output.
      compare: an earlier JSON report.
      fail_if: conditions with which the program ends with 1.
      quiet: show nothing while it runs.
      arguments: the command line.
    """

    json: str | None = None
    html: str | None = None
    hdr: str | None = None
    compare: str | None = None
    fail_if: Sequence[Condition] = ()
    quiet: bool = False
    arguments: Sequence[str] = ()

    @property
    def files(self) -> list[str]:
        """Where reports go."""
        return [path for path in (self.json, self.html, self.hdr) if path is not None]

    def check(self, inputs: Sequence[str | None]) -> None:
        """Find out before the load what would be a pity after it.

        Args:
          inputs: files that are read, and must not be written to.

        Raises:
          LoadRefused: two reports in one file, or an extra is missing.
          LoadFailed: a report cannot be written there.
        """
        taken = {_identity(path) for path in inputs if path is not None}
        if self.compare is not None and self.compare != self.json:
            taken.add(_identity(self.compare))
        for path in self.files:
            if _identity(path) in taken:
                raise LoadRefused("load.same_file", path=path)
            taken.add(_identity(path))
        if self.hdr is not None:
            from tcpecho_trio.load.hdr import check_library

            check_library()
        for path in self.files:
            _check_writable(path)


def run_load_command(
    settings: LoadSettings,
    outputs: LoadOutputs,
    texts: Texts,
    run: Callable[[Any], Any],
    *,
    inputs: Sequence[str | None] = (),
) -> int:
    """Run a load, tell what came of it, and judge it.

    Raises:
      TcpEchoError: it could not be run, or its result is not what it must be.
      BrokenPipeError: whoever read our output has left.
    """
    outputs.check(inputs)
    before = None if outputs.compare is None else read_report(outputs.compare)
    room_for(settings.connections)
    report: Report = run(_load(settings, texts, shown=not outputs.quiet))
    report = replace(report, arguments=outputs.arguments)
    lines = table(report, texts, _columns())
    if before is not None and outputs.compare is not None:
        lines += ["", *comparison(before, report.as_json(), outputs.compare, texts)]
    failures = [
        failure
        for failure in (
            *(_write(path, report, kind, texts) for kind, path in _files(outputs)),
            _say(lines, outputs),
        )
        if failure is not None
    ]
    if failures:
        raise failures[0]
    judge(report, outputs.fail_if, texts)
    return 0


def judge(report: Report, conditions: Sequence[Condition], texts: Texts) -> None:
    """Decide whether the result is good.

    Raises:
      TcpEchoError: it is not; the error says why.
    """
    if not report.replies and report.sent and not report.interrupted:
        address, errors = report.address, told_errors(report.errors, texts)
        if any(report.errors[kind] for kind in ("closed", "reset", "wrong", "unexpected")):
            raise ConnectionLost("load.no_reply", address=address, errors=errors)
        seconds = report.settings.timeout
        raise TooSlow("load.silent", address=address, seconds=seconds)
    unmet = [condition.told(report) for condition in conditions if condition.holds(report)]
    if unmet:
        raise LoadFailed("load.unmet", conditions=", ".join(unmet))
    if report.error_count and not conditions:
        raise LoadFailed("load.met_errors", errors=told_errors(report.errors, texts))


async def _load(settings: LoadSettings, texts: Texts, *, shown: bool) -> Report:
    """Run it; the first Ctrl-C ends it early, the second at once."""
    loads: list[Load] = []
    with (
        trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as arriving,
        _view(settings, texts, shown=shown) as view,
    ):

        async def obey(arriving: AsyncIterator[int]) -> None:
            async for _ in arriving:
                if not (loads and loads[0].plan.started) or loads[0].plan.interrupted:
                    raise TcpEchoError("client_interrupted")
                loads[0].stop()
                if view is not None:
                    view.stopping()

        def add(row: Row) -> None:
            if view is not None:
                view.add(row)

        async with open_nursery(Exception) as nursery:
            nursery.start_soon(obey, arriving)
            async with open_load(settings, shared=False, on_row=add) as load:
                loads.append(load)
                report = await load.report()
            nursery.cancel_scope.cancel()
    return report


@contextmanager
def _view(settings: LoadSettings, texts: Texts, *, shown: bool):  # type: ignore[no-untyped-def]
    """What is seen meanwhile, on standard error."""
    if not shown:
        yield None
        return
    draw = os.isatty(2) and os.environ.get("TERM", "") not in DUMB
    interval = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH)
    try:
        with LiveView(settings, texts, 2, draw=draw) as view:
            yield view
    finally:
        sys.setswitchinterval(interval)


def _files(outputs: LoadOutputs) -> list[tuple[str, str]]:
    kinds = {"json": outputs.json, "html": outputs.html, "hdr": outputs.hdr}
    return [(kind, path) for kind, path in kinds.items() if path is not None]


def _columns() -> int:
    """Of the terminal that shows the table; where there is none, enough for anybody."""
    try:
        return os.get_terminal_size(1).columns or WIDTH
    except (OSError, ValueError):
        return WIDTH


def _say(lines: Sequence[str], outputs: LoadOutputs) -> Exception | None:
    """Show the table: on standard output, or beside it if a report goes there."""
    beside = "-" in outputs.files
    if beside and outputs.quiet:
        return None
    try:
        click.echo("\n".join(lines), err=beside)
    except BrokenPipeError as error:
        return error
    except OSError as error:
        return LocalFailure.because(error)
    return None


def _write(path: str, report: Report, kind: str, texts: Texts) -> Exception | None:
    """Write a report; what went wrong, if anything."""
    try:
        if path == "-":
            _write_report(sys.stdout, report, kind, texts)
            sys.stdout.flush()
        else:
            with Path(path).open("w", encoding="utf-8") as file:
                _write_report(file, report, kind, texts)
    except BrokenPipeError as error:
        return error
    except OSError as error:
        failure = LoadFailed("load.cannot_write", path=path, reason=error)
        failure.__cause__ = error
        return failure
    return None


def _write_report(file: TextIO, report: Report, kind: str, texts: Texts) -> None:
    if kind == "json":
        json.dump(report.as_json(), file, ensure_ascii=False, indent=1)
        file.write("\n")
    elif kind == "hdr":
        from tcpecho_trio.load.hdr import write_log

        write_log(report, file)
    else:
        from tcpecho_trio.load.page import page

        file.write(page(report, texts))


def _identity(path: str) -> object:
    """What two names of one file have in common."""
    if path == "-":
        return path
    try:
        found = Path(path).stat()
    except OSError:
        return os.path.realpath(path)
    # Devices may take any number of reports.
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) else object()


def _check_writable(path: str) -> None:
    """Whether a report can be written there; nothing is left behind.

    Raises:
      LoadFailed: no.
    """
    if path == "-":
        return
    file = Path(path)
    try:
        if file.exists():
            if not os.access(file, os.W_OK):
                raise PermissionError(13, os.strerror(13))
            return
        file.open("x").close()
        with suppress(OSError):
            file.unlink()
    except OSError as error:
        raise LoadFailed("load.cannot_write", path=path, reason=error) from error
