"""Events, told to a person or as JSON."""

from __future__ import annotations

import json
from dataclasses import fields

import pytest

from tcpecho_trio.server.connection import Ending
from tcpecho_trio.server.journal import MAX_LINES, Journal, console_teller, json_teller
from tcpecho_trio.texts import ENGLISH, LANGUAGES, SPANISH, Texts


def told(texts: Texts = SPANISH, *, messages: bool = True) -> tuple[Journal, list[str]]:
    lines: list[str] = []
    return Journal(console_teller(lines.append, texts), texts, messages=messages), lines


def test_a_chunk_is_told_line_by_line() -> None:
    journal, lines = told()
    journal.received("p:1", b"hola\r\nadi\xc3\xb3s\nrest")
    assert lines == [f"[p:1] Mensaje recibido: {text}" for text in ("hola", "adiós", "rest")]


@pytest.mark.parametrize("ending", [b"", b"\n"])
def test_of_many_lines_the_first_are_told_and_the_rest_counted(ending: bytes) -> None:
    journal, lines = told()
    journal.replied("p:1", b"\n".join([b"x"] * 1000) + ending)
    assert len(lines) == MAX_LINES + 1
    assert lines[-1] == f"… y {1000 - MAX_LINES} mensajes más"


def test_what_peers_send_is_escaped_and_cut() -> None:
    journal, lines = told()
    journal.received("p:1", b"\x1b[2J" + b"a" * 1000)
    assert lines[0].startswith(r"[p:1] Mensaje recibido: \x1b[2Jaaa")
    assert len(lines[0]) < 240


def test_quiet_tells_no_messages_but_everything_else() -> None:
    journal, lines = told(messages=False)
    journal.received("p:1", b"x")
    journal.replied("p:1", b"X")
    assert lines == []
    journal.connected("p:1")
    assert lines == ["[p:1] Cliente conectado"]


@pytest.mark.parametrize("texts", LANGUAGES.values())
def test_every_ending_has_its_words(texts: Texts) -> None:
    journal, lines = told(texts)
    for ending in Ending:
        journal.closed("p:1", ending.value)
    assert len(lines) == len(set(lines)) == len(Ending)


def test_both_languages_fill_in_the_same_names() -> None:
    def names(line: str) -> set[str]:
        return {part.partition("}")[0] for part in line.split("{")[1:]}

    for field in fields(Texts):
        spanish, english = getattr(SPANISH, field.name), getattr(ENGLISH, field.name)
        assert spanish
        assert names(spanish) == names(english), field.name


def test_json_is_one_object_a_line_and_escaped_once() -> None:
    lines: list[str] = []
    journal = Journal(json_teller(lines.append), ENGLISH)
    journal.received("p:1", "año\x1b\n".encode())
    journal.crashed("p:1", RuntimeError("a\nbug"))
    first, second = map(json.loads, lines)
    timestamp = first.pop("timestamp")
    assert timestamp.endswith("Z")
    assert first == {"event": "received", "peer": "p:1", "text": "año\\x1b"}
    assert second["event"] == "crashed"
    assert "RuntimeError" in second["traceback"]
    assert not any("\n" in line for line in lines)
