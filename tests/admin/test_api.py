"""The API: what it tells is true, and what it changes happens."""

from __future__ import annotations

import json
import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import quote

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from tcpecho_trio import __version__
from tcpecho_trio.proxy_protocol.encoder import encode_v2
from tcpecho_trio.proxy_protocol.header import Header
from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import Tls
from tests.support.administered import administered, until
from tests.support.certificates import Certificates
from tests.support.processes import OldClient
from tests.support.web import Answer, Web, ask

Where = int | str


def listed(where: Where) -> list[dict[str, object]]:
    clients: list[dict[str, object]] = ask(where, "GET", "/api/clients").json["clients"]
    return clients


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


async def test_a_client_is_listed_with_all_that_is_known_of_it(certificates: Certificates) -> None:
    settings = Settings(proxy_protocol=True)
    async with administered(settings, tls=Tls(certificates.files)) as server:

        def talk(where: Where) -> list[dict[str, object]]:
            header = encode_v2(Header.relaying(("192.0.2.1", 56324), ("192.0.2.9", 443)))
            bare = socket.create_connection(("127.0.0.1", server.port))
            bare.sendall(header)
            with certificates.client().wrap_socket(bare, server_hostname="localhost") as s:
                s.sendall(b"hola\n")
                assert s.recv(100) == b"HOLA\n"
                return listed(where)

        (client,) = await server.play(talk)
        assert datetime.fromisoformat(str(client.pop("since"))) <= datetime.now(UTC)
        assert str(client.pop("peer")).startswith("127.0.0.1:")
        tls = client.pop("tls")
        assert isinstance(tls, dict)
        assert tls["version"] == "TLSv1.3"
        assert tls["sni"] == "localhost"
        assert client == {
            "number": 1,
            "client": "192.0.2.1:56324",
            "listener": f"tls://127.0.0.1:{server.port}",
            "bytes_in": 5,
            "bytes_out": 5,
            "messages_in": 1,
            "messages_out": 1,
            "proxy": {
                "version": 2,
                "command": "proxy",
                "transport": "tcp4",
                "source": "192.0.2.1:56324",
                "destination": "192.0.2.9:443",
                "unique_id": None,
                "authority": None,
            },
            "faults": [],
        }


async def test_more_clients_than_are_written_down_at_a_time_are_all_listed() -> None:
    async with administered() as server:

        def play(where: Where) -> list[dict[str, object]]:
            clients = [OldClient(server.port) for _ in range(205)]
            clients[-1].ask("a\n")  # accepted in order: so are all the others
            found = listed(where)
            for client in clients:
                client.socket.close()
            return found

        found = await server.play(play)
        assert [client["number"] for client in found] == list(range(1, 206))


async def test_some_clients_can_be_asked_for_and_all_that_match_are_counted() -> None:
    async with administered() as server:

        def play(where: Where) -> None:
            with ExitStack() as stack:
                clients = [stack.enter_context(OldClient(server.port)) for _ in range(12)]
                for client in clients:
                    client.ask("a\n")
                port = clients[6].socket.getsockname()[1]
                for query, numbers, total in (
                    ("limit=3", [1, 2, 3], 12),
                    ("limit=0", [], 12),
                    ("limit=100", list(range(1, 13)), 12),
                    ("contains=7", None, None),
                    (f"contains=127.0.0.1:{port}&limit=5", [7], 1),
                    ("contains=HTTP%3A//", [], 0),
                    ("contains=12", None, None),
                    ("contains=127.0.0.1&limit=2", [1, 2], 12),
                ):
                    answer = ask(where, "GET", f"/api/clients?{query}").json
                    found = [client["number"] for client in answer["clients"]]
                    if numbers is None:
                        wanted = int(query.rpartition("=")[2])
                        assert wanted in found
                        assert answer["total"] == len(found)
                    else:
                        assert (found, answer["total"]) == (numbers, total), query
                for wrong in ("limit=x", "limit=-1", "limit=1e3", "limit=" + "9" * 10):
                    assert ask(where, "GET", f"/api/clients?{wrong}").status == 422

        await server.play(play)


async def test_one_client_is_let_go_in_an_orderly_way(path: str) -> None:
    async with administered() as server:

        def play(where: Where) -> tuple[int, str, str]:
            with OldClient(server.port) as one, OldClient(server.port) as other:
                one.ask("a\n")
                other.ask("b\n")
                one.socket.sendall(b"DESCO")  # held: it falls due
                status = ask(where, "DELETE", "/api/clients/1").status
                said = one.hear() + one.hear()
                return status, said, other.ask("c\n")

        assert await server.play(play) == (204, "DESCO", "C\n")
        await until(lambda: server.registry.closed == 2)
        assert sorted(r.value for r in server.registry.close_reasons) == ["eof", "operator"]


async def test_a_client_over_tls_that_suffers_a_fault_is_let_go_too(
    certificates: Certificates,
) -> None:
    async with administered(tls=Tls(certificates.files)) as server:

        def play(where: Where) -> tuple[int, bytes]:
            assert ask(where, "PUT", "/api/faults", b'{"faults": ["stall"]}').status == 200
            bare = socket.create_connection(("127.0.0.1", server.port))
            with certificates.client().wrap_socket(bare, server_hostname="localhost") as s:
                s.sendall(b"hola\n")
                while not listed(where):
                    pass
                return ask(where, "DELETE", "/api/clients/1").status, s.recv(100)

        status, said = await server.play(play)
        assert (status, said) == (204, b"")


@pytest.mark.parametrize("number", ["7", "0", "-1", "x", "1/", "9" * 19, "9" * 18, "١"])
async def test_who_is_not_there_cannot_be_let_go(number: str) -> None:
    async with administered() as server:
        answer = await server.play(ask, "DELETE", f"/api/clients/{quote(number, safe='/')}")
        assert answer.status == 404
        assert answer.headers["content-type"] == "application/problem+json"


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

            with trio.fail_after(60):
                await server.play(play)

    trio.run(main)
