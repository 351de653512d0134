"""What is made of a result: conditions, comparisons, logs, pages, and what is seen meanwhile."""

from __future__ import annotations

import io
import json
import os
import random
import re
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.errors import LoadFailed, LoadRefused
from tcpecho_trio.load import LoadSettings, Ramp, Report
from tcpecho_trio.load.compare import Verdict, differences, other_options, rank_sum, read_report
from tcpecho_trio.load.conditions import Condition
from tcpecho_trio.load.hdr import write_log
from tcpecho_trio.load.histogram import Histogram, index_of
from tcpecho_trio.load.live import LiveView, sparks
from tcpecho_trio.load.page import page
from tcpecho_trio.load.report import Step
from tcpecho_trio.load.table import comparison, table
from tcpecho_trio.load.tally import KINDS, WrongReply
from tcpecho_trio.load.timeline import Row, Timeline
from tcpecho_trio.texts import ENGLISH, LANGUAGES, SPANISH

MS = 1_000_000


def latencies(*values: float) -> Histogram:
    """Of so many milliseconds each."""
    found = Histogram()
    for value in values:
        found.add(Histogram({index_of(round(value * MS)): 1}))
    return found


def result(
    *,
    scale: float = 1.0,
    rows: int = 20,
    seed: int = 1,
    rows_made: Sequence[Row] | None = None,
    **changed: Any,
) -> Report:
    """A made-up result whose latencies are about `scale` milliseconds."""
    chance = random.Random(seed)
    made = []
    total = Histogram()
    for number in range(rows):
        row = latencies(*(scale * chance.uniform(0.8, 1.2) for _ in range(100)))
        made.append(Row(number * 0.5, 0.5, 100, row, 0, 3))
        total.add(row)
    return replace(
        Report(
            settings=LoadSettings(connections=3, rate=200.0, duration=rows / 2),
            address="localhost:5000",
            sent=total.total,
            replies=total.total,
            cut=0,
            errors=dict.fromkeys(KINDS, 0),
            seconds=rows / 2,
            latency=total,
            service=total,
            lateness=latencies(0.05),
            connecting=latencies(0.1, 0.2),
            handshaking=Histogram(),
            rows=made if rows_made is None else rows_made,
            began=1_800_000_000.0,
            arguments=("load", "localhost:5000", "-m", "a b"),
        ),
        **changed,
    )


def with_errors(**kinds: int) -> dict[str, int]:
    return {**dict.fromkeys(KINDS, 0), **kinds}


# Conditions


@pytest.mark.parametrize(
    ("spec", "holds"),
    [
        ("p50>0.5ms", True),
        ("p50 > 500us", True),
        ("p99<1s", True),
        ("p99>1s", False),
        ("max>1ms", True),
        ("service.p90>1s", False),
        ("connect.max>150us", True),
        ("generator.p99>1ms", False),
        ("handshake.p99>0ms", True),  # nothing was measured
        ("errors>0", True),
        ("errors>3", False),
        ("errors>=3", True),
        ("errors<=3", True),
        ("wrong>1", True),
        ("missing>1", False),
        ("errors>0.1%", True),
        ("errors>0.2%", False),
        ("rate<1k", True),
        ("rate<100", False),
        ("sent<2000", False),
        ("replies>=2000", True),
        ("knee<1", True),
    ],
)
def test_a_condition_holds_or_not(spec: str, holds: bool) -> None:
    report = result(errors=with_errors(wrong=2, missing=1))
    condition = Condition.parse(spec)
    assert condition.holds(report) is holds
    assert condition.told(report).startswith(spec)


@pytest.mark.parametrize(
    "spec",
    ["", "p99", "p99>", ">1", "p99=1ms", "p99>-1ms", "p99>1", "p99>1%", "errors>1ms", "x.p99>1ms",
     "service.errors>1", "rate>1%", "p99>1ms p50>1ms", "p98>1ms", "p99>1ms\n\nx", "errors>1e3"],
)  # fmt: skip
def test_what_is_no_condition_is_refused(spec: str) -> None:
    with pytest.raises(ValueError) as refused:  # noqa: PT011  its text is told by the option
        Condition.parse(spec)
    assert not isinstance(refused.value, LoadRefused)


# Comparison


def verdicts(before: Report, now: Report) -> dict[str, Verdict]:
    return {d.name: d.verdict for d in differences(before.as_json(), now.as_json())}


def test_two_runs_of_the_same_are_within_the_noise() -> None:
    found = verdicts(result(seed=1), result(seed=2))
    assert set(found.values()) == {Verdict.NOISE}


def test_a_slower_run_is_more_than_noise() -> None:
    found = verdicts(result(), result(scale=1.3))
    assert found["p50"] is found["p99"] is found["max"] is Verdict.CHANGED
    assert found["rate"] is Verdict.NOISE


def test_a_change_that_is_too_small_to_matter_is_noise() -> None:
    before, now = result(rows=200), result(rows=200, scale=1.01)
    assert verdicts(before, now)["p50"] is Verdict.NOISE


def test_a_run_that_is_too_short_says_nothing() -> None:
    found = verdicts(result(rows=5), result(rows=5, scale=9))
    assert found["p50"] is Verdict.SHORT


def test_errors_are_compared_as_they_are() -> None:
    found = verdicts(result(), result(errors=with_errors(wrong=1)))
    assert found["errors"] is Verdict.CHANGED


def test_the_rank_sum_is_the_one_of_the_textbook() -> None:
    # Mann and Whitney's U for these is 3 of 25; sigma is sqrt(25 * 11 / 12).
    assert rank_sum([4, 6, 7, 8, 9], [1, 2, 3, 5, 6.5]) == pytest.approx(
        (3 - 12.5) / 4.787, rel=0.01
    )
    assert rank_sum([1, 1], [1, 1]) == 0


@given(st.lists(st.integers(0, 9), min_size=1), st.lists(st.integers(0, 9), min_size=1))
def test_the_rank_sum_turns_its_sign_with_the_samples(first: list[int], second: list[int]) -> None:
    assert rank_sum(first, second) == pytest.approx(-rank_sum(second, first), abs=1e-9)


def test_options_that_differ_are_named() -> None:
    before, now = result(), result(settings=LoadSettings(rate=300.0, seed=9))
    assert other_options(before.as_json(), now.as_json()) == ["connections", "rate"]
    told = "\n".join(comparison(before.as_json(), now.as_json(), "b.json", ENGLISH))
    assert "Compared with b.json" in told
    assert "connections, rate" in told


def test_a_report_survives_its_file(tmp_path: Path) -> None:
    file = tmp_path / "r.json"
    file.write_text(json.dumps(result().as_json()))
    assert read_report(str(file)) == json.loads(file.read_text())


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", "3", "{", '{"timeline": 3}', "[" * 100_000]
)
def test_what_is_no_report_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "r.json"
    file.write_text(text)
    with pytest.raises(LoadRefused, match="no JSON report"):
        read_report(str(file))
    with pytest.raises(LoadFailed, match="cannot read"):
        read_report(str(tmp_path / "nothing"))


# The HdrHistogram log


def test_the_log_is_read_by_the_library(tmp_path: Path) -> None:
    from hdrh.histogram import HdrHistogram
    from hdrh.log import HistogramLogReader

    report = result()
    file = tmp_path / "out.hgrm"
    with file.open("w") as out:
        write_log(report, out)
    reader = HistogramLogReader(str(file), HdrHistogram(1, 3_600_000_000_000, 3))
    found = HdrHistogram(1, 3_600_000_000_000, 3)
    rows = 0
    while (row := reader.get_next_interval_histogram()) is not None:
        found.add(row)
        rows += 1
    reader.input_file.close()
    assert rows == len(report.rows)
    assert found.get_total_count() == report.replies
    for share in (50, 90, 99, 99.9, 100):
        theirs = found.get_value_at_percentile(share) / 1e9
        assert theirs == pytest.approx(report.latency.quantile(share / 100), rel=0.003)
    assert reader.get_start_time_sec() == pytest.approx(report.began)


def test_the_log_ends_with_the_percentiles() -> None:
    out = io.StringIO()
    write_log(result(), out)
    rows = [line.split() for line in out.getvalue().splitlines() if re.match(r" +[0-9]", line)]
    values, shares = [float(row[0]) for row in rows], [float(row[1]) for row in rows]
    assert len(rows) > 20
    assert values == sorted(values)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    assert int(rows[-1][2]) == 2000


# The table and the page


def everything() -> Report:
    """A report in which there is something of everything, some of it hostile."""
    return result(
        address="localhost\x1b[2J:5000",
        errors=with_errors(wrong=2, reset=3),
        handshaking=latencies(3),
        lateness=latencies(5),
        interrupted=True,
        warmup={"sent": 3, "errors": {"wrong": 1}},
        samples=(WrongReply(1, b"HOLA\n", b"<script>\x1b[31m\n"),),
        settings=LoadSettings(connections=3, ramp=Ramp(100, 200, 10), texts=(b"<b>",), slo=0.05),
        steps=(
            Step(rate=100, replies=99, p99=0.001, good=True),
            Step(rate=200, replies=120, p99=2.0, good=False),
        ),
        arguments=("load", "<script>alert(1)</script>"),
    )


@pytest.mark.parametrize("lang", ["es", "en"])
def test_the_table_tells_everything_and_is_harmless(lang: str) -> None:
    texts = LANGUAGES[lang]
    told = "\n".join(table(everything(), texts))
    assert "\x1b" not in told
    assert "\\x1b[31m" in told
    words = texts.load
    for piece in (words.knee.partition("{")[0], words.warn_interrupted, words.kinds["reset"]):
        assert piece in told
    for line in ("TLS", "✓", "✗", words.lateness):
        assert line in told


def test_both_languages_know_each_kind_of_error() -> None:
    for texts in (SPANISH, ENGLISH):
        assert set(texts.load.kinds) == set(KINDS)


@pytest.mark.parametrize("lang", ["es", "en"])
def test_the_page_is_whole_harmless_and_needs_nothing(lang: str) -> None:
    html = page(everything(), LANGUAGES[lang])
    assert "<script" not in html
    assert "\x1b" not in html
    assert not re.search(r'(src|href|url)\s*[=(]\s*"?http', html)
    assert f'<html lang="{lang}">' in html
    svgs = re.findall(r"<svg.*?</svg>", html)
    assert len(svgs) == 3
    for svg in svgs:
        root = ElementTree.fromstring(svg)
        numbers = re.findall(
            r"-?[0-9.]+(?:e-?[0-9]+)?",
            " ".join(
                line.get("points", "") for line in root.iter("{http://www.w3.org/2000/svg}polyline")
            ),
        )
        assert all(0 <= float(number) <= 760 for number in numbers)


@pytest.mark.parametrize(
    "report",
    [
        result(rows=1, seconds=0.0, latency=Histogram(), service=Histogram(), rows_made=[]),
        result(rows=1),
        result(rows=2, errors=with_errors(missing=5)),
        result(scale=1e-5),
        result(scale=100_000),
    ],
    ids=["nothing", "one row", "errors", "nanoseconds", "minutes"],
)
def test_a_page_can_be_made_of_any_result(report: Report) -> None:
    for texts in (SPANISH, ENGLISH):
        assert page(report, texts).rstrip().endswith("</html>")
        assert table(report, texts)


CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_browser_shows_the_page_without_fetching_anything(tmp_path: Path) -> None:
    file = tmp_path / "r.html"
    errors = with_errors(wrong=2)
    rows = [replace(row, errors=1) for row in result().rows]
    file.write_text(page(result(errors=errors, rows_made=rows), ENGLISH), encoding="utf-8")
    command = [
        *(str(CHROMIUM), "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"),
        *(f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom", "--virtual-time-budget=1000"),
    ]
    pdf = tmp_path / "r.pdf"
    done = subprocess.run([*command, file.as_uri()], capture_output=True, check=False)
    dom = done.stdout.decode()
    assert dom.count("<polyline") == 2 + 3 + 1
    assert dom.count('class="bad"') >= 20
    assert "Latency by percentile" in dom
    printing = [part for part in command if not part.startswith(("--dump", "--virtual"))]
    subprocess.run(
        [*printing, f"--print-to-pdf={pdf}", file.as_uri()], capture_output=True, check=True
    )
    assert pdf.read_bytes().startswith(b"%PDF")


# The timeline


@given(st.integers(1, 3000), st.sampled_from([None, 1.0, 30.0, 600.0]))
def test_a_timeline_stays_short_and_loses_nothing(count: int, seconds: float | None) -> None:
    timeline = Timeline(seconds)
    one = latencies(1)
    for number in range(count):
        timeline.add(Row(float(number), 1.0, 2, Histogram(one.items()), 3, number))
    rows = timeline.rows
    assert len(rows) <= 241
    assert sum(row.sent for row in rows) == 2 * count
    assert sum(row.errors for row in rows) == 3 * count
    assert sum(row.latencies.total for row in rows) == count
    assert sum(row.seconds for row in rows) == count
    assert [row.start for row in rows] == sorted(row.start for row in rows)
    assert rows[-1].connections == count - 1


# What is seen meanwhile


def test_the_spark_line_is_as_high_as_its_values() -> None:
    assert sparks([0, 4, 8]) == " ▄█"
    assert sparks([0, 0]) == "  "
    assert sparks([]) == ""


@pytest.mark.parametrize("columns", [1, 10, 30, 79])
def test_no_line_that_is_drawn_is_wider_than_the_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rich.cells import cell_len
    from rich.text import Text

    view = LiveView(LoadSettings(), ENGLISH, 2, draw=True)
    monkeypatch.setattr(view, "_size", lambda: (columns, 12))
    for row in result(errors=with_errors(wrong=1)).rows:
        view._rows.append(row)
    lines = [Text.from_ansi(line).plain for line in view._frame()]
    assert 0 < len(lines) <= 12
    assert all(cell_len(line) <= columns for line in lines)
    if columns >= 30:  # there is room for all of it: nothing is cut
        assert "…" not in "".join(lines)
        for name in ("rate", "connections", "p50", "p99", "max", "errors", "left"):
            assert name in "".join(lines)


def test_a_view_that_nobody_reads_ends_all_the_same() -> None:
    reading, writing = os.pipe()
    try:
        os.set_blocking(writing, False)
        try:
            while True:
                os.write(writing, b"x" * 4096)
        except BlockingIOError:
            os.set_blocking(writing, True)
        for draw in (True, False):
            with LiveView(LoadSettings(), ENGLISH, writing, draw=draw) as view:
                for row in result().rows:
                    view.add(row)
            assert not view._thread.is_alive()
    finally:
        os.close(reading)
        os.close(writing)


def test_a_view_whose_reader_has_left_ends_quietly() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with LiveView(LoadSettings(), ENGLISH, writing, draw=True) as view:
        view.add(result().rows[0])
    os.close(writing)
    assert not view._thread.is_alive()
