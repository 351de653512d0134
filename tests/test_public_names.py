"""The public names: where they are, and that they cost nothing until they are asked for."""

from __future__ import annotations

import importlib
import subprocess
import sys

import pytest

import tcpecho_trio

NAMES = [(module, name) for module, names in tcpecho_trio.PUBLIC.items() for name in names]


@pytest.mark.parametrize(("module", "name"), NAMES)
def test_a_public_name_is_the_same_wherever_it_is_imported_from(module: str, name: str) -> None:
    there = getattr(importlib.import_module(f"tcpecho_trio.{module}"), name)
    assert getattr(tcpecho_trio, name) is there
    assert name in tcpecho_trio.__all__
    assert name in dir(tcpecho_trio)
    assert there.__doc__ or not callable(there)


@pytest.mark.parametrize("module", ["client", "server"])
def test_what_a_package_offers_is_what_is_listed(module: str) -> None:
    offered = set(importlib.import_module(f"tcpecho_trio.{module}").__all__)
    assert set(tcpecho_trio.PUBLIC[module]) <= offered


def test_any_other_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = tcpecho_trio.nonsense


def test_the_package_and_its_protocol_import_neither_trio_nor_a_server() -> None:
    code = (
        "import sys, tcpecho_trio; from tcpecho_trio import Protocol, DIALECTS; "
        "bad = {'trio', 'ssl', 'tcpecho_trio.server', 'tcpecho_trio.client'} & sys.modules.keys(); "
        "sys.exit(str(bad) if bad else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
