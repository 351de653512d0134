"""A nursery out of which expected errors come bare."""

from __future__ import annotations

import pytest
import trio

from tcpecho_trio.nurseries import leaves, open_nursery


async def fail(error: Exception) -> None:
    await trio.lowlevel.cancel_shielded_checkpoint()  # also when another one has failed
    raise error


async def tasks_that_fail(*errors: Exception) -> None:
    """Run these tasks in a nursery that expects ValueError and OSError."""
    async with open_nursery(ValueError, OSError) as nursery:
        for error in errors:
            nursery.start_soon(fail, error)
        await trio.sleep_forever()


async def test_an_expected_error_comes_as_itself() -> None:
    failure = OSError("gone")
    with pytest.raises(OSError, match="gone") as caught:
        await tasks_that_fail(failure)
    assert caught.value is failure
    with pytest.raises(ValueError, match="in the block"):
        async with open_nursery(ValueError):
            raise ValueError("in the block")


async def test_of_several_one_comes_out() -> None:
    with pytest.raises(ValueError, match="no"):
        await tasks_that_fail(*[ValueError("no")] * 3)


async def test_any_other_error_stays_in_its_group() -> None:
    with pytest.RaisesGroup(KeyError):
        await tasks_that_fail(KeyError("bug"))
    with pytest.RaisesGroup(KeyError):  # also beside an expected one: nothing hides a bug
        await tasks_that_fail(KeyError("bug"), ValueError("expected"))


async def test_without_an_error_it_is_a_nursery() -> None:
    done: list[int] = []
    async with open_nursery(ValueError) as nursery:
        for number in range(3):
            nursery.start_soon(trio.sleep, 0)
            done.append(number)
    assert done == [0, 1, 2]


async def test_a_cancelled_block_is_cancelled() -> None:
    with trio.CancelScope() as scope:
        async with open_nursery(ValueError):
            scope.cancel()
            await trio.sleep_forever()
    assert scope.cancelled_caught


def test_leaves_are_the_errors_in_groups_of_groups() -> None:
    first, second, third = ValueError(), KeyError(), OSError()
    group = ExceptionGroup("", [first, ExceptionGroup("", [second, third])])
    assert leaves(group) == [first, second, third]
    assert leaves(first) == [first]
