"""Running → draining → stopped, whoever asks and however often."""

from __future__ import annotations

import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio.server import DrainReason, Lifecycle, Phase

ASK = {
    "console": lambda life: life.drain(DrainReason.CONSOLE),
    "remote": lambda life: life.drain(DrainReason.REMOTE, "p:1"),
    "signal": lambda life: life.signal(DrainReason.SIGTERM),
    "abort": Lifecycle.abort,
    "retirement": Lifecycle.retire,
}

REASON = {
    "console": DrainReason.CONSOLE,
    "remote": DrainReason.REMOTE,
    "signal": DrainReason.SIGTERM,
    "abort": DrainReason.PROGRAM,
}


@given(asked=st.lists(st.sampled_from(list(ASK)), max_size=6))
def test_any_sequence_is_one_drain_and_at_most_one_abort(asked: list[str]) -> None:
    async def main() -> None:
        life = Lifecycle()
        for name in asked:
            ASK[name](life)
        retired = "retirement" in asked[:1]
        asked[:] = [name for name in asked if name != "retirement"]
        with trio.move_on_after(1) as waiting:
            await life.wait_retiring()
        assert waiting.cancelled_caught is not retired
        if retired and not asked:
            assert (life.phase, life.draining) == (Phase.RETIRING, False)
            return
        assert life.phase is (Phase.DRAINING if asked else Phase.RUNNING)
        assert life.draining == bool(asked)
        assert life.reason is (REASON[asked[0]] if asked else DrainReason.PROGRAM)
        assert life.client == ("p:1" if asked[:1] == ["remote"] else None)
        with trio.move_on_after(1) as waiting:
            await life.wait_draining()
            await life.wait_aborted()
        assert waiting.cancelled_caught != ("abort" in asked or asked.count("signal") >= 2)
        life.stop()
        await life.wait_stopped()
        assert life.phase.value == "stopped"

    trio.run(main, clock=MockClock(autojump_threshold=0))
