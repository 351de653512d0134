import math

import pytest

from tcpecho_trio.server import Settings


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_drain_timeout_is_a_number_of_seconds(seconds: float) -> None:
    with pytest.raises(ValueError, match="drain timeout"):
        Settings(drain_timeout=seconds)


def test_a_server_has_room_for_somebody() -> None:
    with pytest.raises(ValueError, match="connections"):
        Settings(max_connections=0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_16_bit_number(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        Settings(port=port)
