"""What was typed before: a file that may be missing, foreign, or out of reach."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tcpecho_trio.client.history import (
    MAX_MESSAGES,
    MAX_REMEMBERED,
    FileHistory,
    history_file,
)


def newest_first(path: Path | None) -> list[str]:
    return list(FileHistory(path).load_history_strings())


@given(
    messages=st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\n"))
        | st.binary().map(lambda b: b.replace(b"\n", b"").decode("utf-8", "surrogateescape"))
    )
)
def test_every_message_of_one_run_is_there_in_the_next(
    messages: list[str], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("history") / "history"
    history = FileHistory(path)
    for message in messages:
        history.append_string(message)
    assert newest_first(path) == messages[::-1]
    assert history.get_strings() == messages


def test_the_file_and_its_folders_are_the_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "state" / "tcpecho_trio" / "history"
    FileHistory(path).append_string("hola")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


def test_two_runs_at_once_add_to_each_other(tmp_path: Path) -> None:
    one, other = FileHistory(tmp_path / "history"), FileHistory(tmp_path / "history")
    one.append_string("uno")
    other.append_string("dos")
    one.append_string("tres")
    assert newest_first(tmp_path / "history") == ["tres", "dos", "uno"]


def test_a_file_that_has_grown_is_cut(tmp_path: Path) -> None:
    path = tmp_path / "history"
    path.write_text("".join(f"{n}\n" for n in range(2 * MAX_MESSAGES)))
    assert len(newest_first(path)) == MAX_MESSAGES
    assert path.read_text().startswith("0\n")  # not yet: it is not rewritten at every start
    FileHistory(path).append_string("last")
    newest = newest_first(path)
    assert (len(newest), newest[0], newest[1]) == (MAX_MESSAGES, "last", str(2 * MAX_MESSAGES - 1))
    assert path.read_text().splitlines() == newest[::-1]
    assert [file.name for file in tmp_path.iterdir()] == ["history"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_message_that_nobody_typed_is_not_kept(tmp_path: Path) -> None:
    history = FileHistory(tmp_path / "history")
    history.append_string("x" * MAX_REMEMBERED)
    history.append_string("ñ" * MAX_REMEMBERED)
    history.append_string("two\nlines")
    assert newest_first(tmp_path / "history") == ["x" * MAX_REMEMBERED]
    assert len(history.get_strings()) == 3


@pytest.mark.parametrize("place", ["none", "a folder", "a fifo", "below a file", "a full disk"])
def test_a_history_out_of_reach_is_that_of_this_run(tmp_path: Path, place: str) -> None:
    path: Path | None = tmp_path / "history"
    if place == "none":
        path = None
    elif place == "a folder":
        (tmp_path / "history").mkdir()
    elif place == "a fifo":
        os.mkfifo(tmp_path / "history")  # whoever opens it waits for its other end
    elif place == "below a file":
        path = Path("/dev/null/history")
    else:
        path = Path("/dev/full")
    history = FileHistory(path)
    assert list(history.load_history_strings()) == []
    history.append_string("hola")
    assert history.get_strings() == ["hola"]


def test_the_file_is_where_the_platform_keeps_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    assert history_file() == tmp_path / "tcpecho_trio" / "history"
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    file = history_file()
    assert file is not None
    assert file.is_relative_to(tmp_path)


def test_no_home_is_made_and_none_is_needed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_STATE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert history_file() is None
    for home in ("relative", "~", ""):
        monkeypatch.setenv("HOME", home)
        file = history_file()
        assert file is None or file.is_absolute()
    monkeypatch.setenv("XDG_STATE_HOME", "relative")
    file = history_file()
    assert file is None or file.is_absolute()
