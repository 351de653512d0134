import dataclasses
import math

import pytest

from tcpecho_trio.cli.commands import build_cli
from tcpecho_trio.server import Settings
from tcpecho_trio.texts import ENGLISH


@pytest.mark.parametrize("name", ["idle_timeout", "write_timeout", "drain_timeout"])
@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_a_timeout_is_a_number_of_seconds(name: str, seconds: float) -> None:
    with pytest.raises(ValueError, match=name):
        Settings(**{name: seconds})  # type: ignore[arg-type]


def test_a_timeout_of_0_is_none() -> None:
    settings = Settings(idle_timeout=0, write_timeout=0)
    assert settings.longest_silence == settings.write_period == math.inf


def test_the_command_lines_defaults_are_the_settings_own() -> None:
    options = {param.name: param for param in build_cli(ENGLISH).commands["serve"].params}
    for field in dataclasses.fields(Settings):
        known = field.name in options and not isinstance(field.default, bool)
        if known and isinstance(field.default, (int, float, str)):
            assert options[field.name].default == field.default, field.name


def test_a_server_has_room_for_somebody() -> None:
    with pytest.raises(ValueError, match="connections"):
        Settings(max_connections=0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_is_a_16_bit_number(port: int) -> None:
    with pytest.raises(ValueError, match="port"):
        Settings(port=port)
