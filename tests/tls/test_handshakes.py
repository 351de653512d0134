"""How many handshakes may be under way, and what those do who come on top of them."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio.server.tls import HURRIED_TIME, Handshakes, Tls
from tests.support.certificates import Certificates
from tests.support.running import read_all, read_exactly, running_server, until

PATIENCE = 10.0


@dataclass
class Attempt:
    """A client that comes some time after the one before it, and how long it shakes hands."""

    pause: float
    takes: float
    outcome: str = ""
    waited: float = 0.0


attempts = st.lists(
    st.builds(
        Attempt,
        st.sampled_from([0.0, 0.0, 0.1, 0.7, 3.0]),
        st.sampled_from([0.0, 0.1, 0.4, 5.0, 100.0]),
    ),
    max_size=12,
)


@given(comers=attempts, most=st.integers(1, 4))
def test_never_more_than_allowed_and_the_honest_get_in_however_many_hang(
    comers: list[Attempt], most: int
) -> None:
    for comer in comers:
        comer.outcome, comer.waited = "", 0.0

    async def main() -> None:
        handshakes, under_way = Handshakes(most), set[int]()

        async def shake(number: int, comer: Attempt) -> None:
            came = trio.current_time()
            with trio.move_on_after(PATIENCE) as scope:
                await handshakes.enter(scope)
                comer.waited = trio.current_time() - came
                under_way.add(number)
                assert len(under_way) <= most
                try:
                    await trio.sleep(comer.takes)  # the mock clock's
                    comer.outcome = "agreed"
                finally:
                    under_way.remove(number)
                    handshakes.leave(scope)
            comer.outcome = comer.outcome or "late"

        async with trio.open_nursery() as nursery:
            for number, comer in enumerate(comers):
                await trio.sleep(comer.pause)  # the mock clock's
                nursery.start_soon(shake, number, comer)
                await trio.testing.wait_all_tasks_blocked()
        # Everything is as it was: so many get in at once.
        with trio.CancelScope() as scope:
            for _ in range(most):
                await handshakes.enter(trio.CancelScope())
            scope.deadline = trio.current_time()
            await handshakes.enter(trio.CancelScope())
        assert scope.cancelled_caught

    trio.run(main, clock=MockClock(autojump_threshold=0))
    for number, comer in enumerate(comers):
        rounds = number // most  # of those before it, each a second at most
        assert comer.waited <= rounds * HURRIED_TIME + 1e-6
        if comer.takes < HURRIED_TIME and rounds * HURRIED_TIME + comer.takes < PATIENCE:
            assert comer.outcome == "agreed"
    if len(comers) <= most:
        assert all(comer.outcome == "agreed" for comer in comers if comer.takes < PATIENCE)


async def test_a_client_gets_in_when_one_that_hangs_has_had_its_second(
    certificates: Certificates, monkeypatch: pytest.MonkeyPatch, mock_clock: MockClock
) -> None:
    monkeypatch.setattr("tcpecho_trio.server.admission.Handshakes", lambda: Handshakes(1))
    async with running_server(tls=Tls(certificates.files)) as server:
        hanging = await server.connect()
        await hanging.send_all(b"\x16\x03\x01")
        await trio.testing.wait_all_tasks_blocked()
        silent = await server.connect()  # takes no place
        honest = certificates.secured(await server.connect())
        async with hanging, silent, honest, trio.open_nursery() as nursery:
            nursery.start_soon(honest.do_handshake)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(HURRIED_TIME)
            with pytest.raises(trio.BrokenResourceError):
                await read_all(hanging)
            await honest.send_all(b"hola\n")
            assert await read_exactly(honest, 5) == b"HOLA\n"
            refused = server.told.named("tls_refused")
            assert [told["error"] for told in refused] == ["no handshake within 1 s"]
            await until(lambda: len(server.registry.admitting) == 1)  # the silent one
