"""The API's clients: which there are, what is known of each, and how one is let go."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from datetime import UTC, datetime
from urllib.parse import quote

import pytest

from tcpecho_trio.proxy_protocol.encoder import encode_v2
from tcpecho_trio.proxy_protocol.header import Header
from tcpecho_trio.server import Settings
from tcpecho_trio.server.tls import Tls
from tests.support.administered import administered, until
from tests.support.certificates import Certificates
from tests.support.processes import OldClient
from tests.support.web import ask

Where = int | str


def listed(where: Where) -> list[dict[str, object]]:
    clients: list[dict[str, object]] = ask(where, "GET", "/api/clients").json["clients"]
    return clients


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
