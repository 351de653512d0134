"""The API: what it tells is true, and what it changes happens."""

from __future__ import annotations

import json
import socket
from datetime import UTC, datetime

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpecho_trio import __version__
from tcpecho_trio.server import Settings
from tests.support.administered import administered, until
from tests.support.processes import OldClient
from tests.support.web import Answer, Web, ask

Where = int | str


async def test_the_status_is_what_clients_did_exactly(path: str) -> None:
    async with administered() as server:

        def play(where: Where) -> dict[str, object]:
            with OldClient(server.port) as client:
                client.ask("hola\n")
                client.ask("ñandú\n")
                client.ask("DESCONEXION\n")
                client.hear()
            with OldClient(server.port) as client:
                client.ask("a\n")
                return ask(where, "GET", "/api/status").json  # type: ignore[no-any-return]

        status = await server.play(play)
        assert status.pop("totals") == {
            "accepted": 2,
            "probes": 0,
            "closed": {"disconnected": 1},
            "refused": {},
            "bytes_in": 5 + 8 + 12 + 2,
            "bytes_out": 5 + 8 + 18 + 2,
            "messages_in": 4,
            "messages_out": 4,
        }
        assert datetime.fromisoformat(str(status.pop("started"))) <= datetime.now(UTC)
        for name in ("uptime", "loop_delay"):
            assert float(str(status.pop(name))) >= 0
        assert status == {
            "server": "tcpecho_trio",
            "version": __version__,
            "phase": "running",
            "ready": True,
            "reason": None,
            "listeners": [f"127.0.0.1:{server.port}"],
            "dialect": {
                "name": "standard",
                "greeting": None,
                "words": [{"word": "DESCONEXION", "command": "disconnect"}],
            },
            "clients": 1,
            "max_connections": 10_000,
            "faults": [],
        }


async def test_refused_clients_and_probes_are_counted_apart() -> None:
    async with administered(Settings(max_connections=1)) as server:

        def play(where: Where) -> dict[str, object]:
            with OldClient(server.port) as client:
                client.ask("a\n")
                with OldClient(server.port) as other:
                    assert other.hear().startswith("ERROR: ")
                return ask(where, "GET", "/api/status").json["totals"]  # type: ignore[no-any-return]

        await server.play(play)
        await until(lambda: server.registry.places == 0)
        socket.create_connection(("127.0.0.1", server.port)).close()
        await until(lambda: server.registry.closed == 3)
        totals = (await server.play(ask, "GET", "/api/status")).json["totals"]
        assert totals["accepted"] == 3
        assert totals["probes"] == 1
        assert totals["refused"] == {"full": 1}
        assert totals["closed"] == {"eof": 1, "probe": 1}


async def test_a_drain_is_asked_for_once_or_twice() -> None:
    async with administered() as server:

        def play(where: Where) -> list[int]:
            with Web(where) as web:
                return [web.ask("POST", "/api/drain").status for _ in range(2)]

        assert await server.play(play) == [202, 202]
        await server.lifecycle.wait_stopped()
        assert server.told.named("draining")[0]["reason"] == "admin"


async def test_faults_change_while_it_runs(path: str) -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[list[object], str, str, str]:
            with OldClient(server.port) as before, Web(where) as web:
                before.ask("a\n")
                told: list[object] = [web.ask("GET", "/api/faults").json]
                body = b'{"faults": ["close:3", "stall@0", "delay:200ms@0.25"]}'
                told.append(web.ask("PUT", "/api/faults", body).json)
                told.append(web.ask("GET", "/api/faults").json)
                with OldClient(server.port) as suffering:
                    suffering.socket.sendall(b"hola\n")
                    suffers = "".join(iter(suffering.hear, ""))
                stays = before.ask("hola\n")
                told.append(web.ask("PUT", "/api/faults", b'{"faults": []}').json)
                with OldClient(server.port) as after:
                    return told, suffers, stays, after.ask("hola\n")

        told, suffers, stays, after = await server.play(play)
        changed = {"faults": ["close:3", "stall@0", "delay:0.2s@0.25"]}
        assert told == [{"faults": []}, changed, changed, {"faults": []}]
        assert (suffers, stays, after) == ("HOL", "HOLA\n", "HOLA\n")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"\xff", 400),
        (b"[" * 60_000, 400),
        (b"[]", 422),
        (b"{}", 422),
        (b'{"faults": "stall"}', 422),
        (b'{"faults": [1]}', 422),
        (b'{"faults": null}', 422),
        (b'{"faults": [], "more": 1}', 422),
        (b'{"faults": ["stall", "nonsense"]}', 422),
        (b'{"faults": ["delay:200"]}', 422),
        (json.dumps({"faults": ["stall"] * 21}).encode(), 422),
        (b'{"faults": ["' + b"x" * 65_000 + b'"]}', 422),
    ],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_no_fault_changes_nothing(body: bytes, status: int) -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[Answer, object]:
            ask(where, "PUT", "/api/faults", b'{"faults": ["drip:100"]}')
            refused = ask(where, "PUT", "/api/faults", body)
            return refused, ask(where, "GET", "/api/faults").json

        refused, after = await server.play(play)
        assert refused.status == status
        assert refused.json["status"] == status
        assert after == {"faults": ["drip:100"]}


@pytest.mark.parametrize(
    ("method", "path", "status", "allowed"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/api/drain", 405, "POST"),
        ("POST", "/api/status", 405, "GET, HEAD"),
        ("DELETE", "/api/faults", 405, "GET, PUT, HEAD"),
        ("HEAD", "/events", 405, "GET, HEAD"),
        ("GET", "/ws", 426, None),
        ("OPTIONS", "*", 404, None),
        ("BREW", "/healthz", 405, "GET, HEAD"),
        ("GET", "/../../etc/passwd", 404, None),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404, None),
        ("GET", "//healthz", 404, None),
        ("GET", "http://localhost/healthz", 200, None),
        ("GET", "/healthz?a=b", 200, None),
        ("GET", "/%ff", 404, None),
    ],
)
async def test_what_is_asked_wrongly_is_refused_as_a_problem(
    method: str, path: str, status: int, allowed: str | None
) -> None:
    async with administered() as server:
        answer = await server.play(ask, method, path)
        assert answer.status == status
        assert answer.headers.get("allow") == allowed
        if status >= 400 and method != "HEAD":
            assert answer.headers["content-type"] == "application/problem+json"
            assert {"type", "title", "status", "detail"} == answer.json.keys()


METHODS = st.sampled_from(["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
PATHS = st.one_of(
    st.sampled_from(
        ["/", "/api/status", "/api/clients", "/api/clients/1", "/api/faults", "/metrics", "/ws"]
    ),
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="#"), max_size=40
    ).map(lambda text: f"/{text}"),
)
VALUES = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=30)
REQUESTS = st.tuples(
    METHODS,
    PATHS,
    st.binary(max_size=100),
    st.dictionaries(
        st.sampled_from(["accept", "cookie", "authorization", "if-none-match", "upgrade", "range"]),
        VALUES,
    ),
)


@settings(max_examples=40)  # each is a server of its own
@given(st.lists(REQUESTS, max_size=20))
def test_whatever_is_asked_is_answered(
    requests: list[tuple[str, str, bytes, dict[str, str]]],
) -> None:
    async def main() -> None:
        async with administered() as server:

            def play(where: Where) -> None:
                with Web(where) as web:
                    for method, path, body, headers in requests:
                        answer = web.ask(method, path, body, **headers)
                        assert answer.status in (200, 204, 304, 400, 404, 405, 421, 422, 426)
                        assert answer.headers["x-content-type-options"] == "nosniff"

            await server.play(play)

    trio.run(main)
