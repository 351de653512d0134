"""How lines are counted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.server import stats
from tcpecho_trio.server.stats import count_lines


@given(pieces=st.lists(st.sampled_from([b"", b"x", b"y" * 30, b"z" * 700]), max_size=200))
def test_every_line_is_counted_however_long(pieces: list[bytes]) -> None:
    for short in (0, 256, 1 << 30):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(stats, "SHORT", short)
            assert count_lines(b"\n".join(pieces)) == max(0, len(pieces) - 1)
