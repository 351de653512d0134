"""Figures as a worker sends them to its supervisor."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.admin.figures import Figures, as_plain, from_plain

COUNTS = st.integers(0, 10**9)


@given(
    st.builds(
        Figures,
        clients=COUNTS,
        active=COUNTS,
        bytes_in=COUNTS,
        messages_in=st.none() | COUNTS,
        accepted=st.dictionaries(st.text(), COUNTS).map(Figures().accepted.__class__),
    ),
    st.lists(st.floats(0, 1e6)),
)
def test_figures_are_sent_and_added_without_loss(figures: Figures, seconds: list[float]) -> None:
    for value in seconds:
        figures.durations.observe(value)
    sent = from_plain(json.loads(json.dumps(as_plain(figures))))
    assert sent == figures
    both = Figures()
    both.add(figures)
    both.add(sent)
    assert both.bytes_in == 2 * figures.bytes_in
    assert both.accepted == {name: 2 * count for name, count in figures.accepted.items()}
    assert both.durations.counts == [2 * count for count in figures.durations.counts]
    assert (both.messages_in is None) == (figures.messages_in is None)


def test_a_worker_of_another_version_is_understood() -> None:
    figures = Figures(clients=3, bytes_in=5)
    newer = as_plain(figures) | {"of_tomorrow": 1, "by_then": {"a": 1}}
    assert from_plain(newer) == figures
    older = {"clients": 3, "bytes_in": 5}
    assert from_plain(older) == figures
