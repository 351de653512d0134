"""Behind haproxy: whom the server sees, over what, and what health checks leave behind."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from tcpecho_trio.dialects import ADMIN
from tests.networks.backend import ask, backend, connect, leave, name_of, read_line, report
from tests.networks.conftest import Keys
from tests.networks.programs import haproxy, haproxy_says
from tests.support.victim import Victim, read_exactly

CHECKS = 5
"""Health checks that have to pass unnoticed: enough for each of their races with the server."""

WITH_EVERYTHING = "send-proxy-v2-ssl-cn proxy-v2-options crc32c,unique-id,authority"


@pytest.fixture(scope="module")
def behind() -> Iterator[Victim]:
    """A server that is told by PROXY headers whom it talks to."""
    with backend("--proxy-protocol", "required", "--name", "a") as server:
        yield server


@pytest.fixture(scope="module")
def ports(
    behind: Victim, keys: Keys, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, int]]:
    """One haproxy in front of it, with a listener for each way of telling."""
    server = f"server a 127.0.0.1:{behind.port}"
    sections = {
        "v1": f"{server} send-proxy",
        "v2": f"{server} send-proxy-v2",
        "everything": f"{server} {WITH_EVERYTHING}",
        "terminating": f"bind ssl crt {keys.server_both} alpn tcpecho ca-file {keys.ca}"
        f" verify optional\n{server} {WITH_EVERYTHING}",
    }
    with haproxy(tmp_path_factory.mktemp("haproxy"), sections) as found:
        yield found


@pytest.mark.parametrize(("kind", "version"), [("v1", 1), ("v2", 2), ("everything", 2)])
def test_the_real_client_is_seen_in_the_report_and_in_the_journal(
    behind: Victim, ports: dict[str, int], kind: str, version: int
) -> None:
    with connect(ports[kind]) as client:
        assert ask(client, "mañana") == "MAÑANA"
        seen = report(client)
        assert seen["client"] == seen["proxy"]["source"] == name_of(client)
        assert seen["proxy"]["destination"] == f"127.0.0.1:{ports[kind]}"
        assert (seen["proxy"]["version"], seen["proxy"]["command"]) == (version, "proxy")
        assert seen["peer"] != seen["client"]
        assert seen["local"] == f"127.0.0.1:{behind.port}"
        assert seen["server"]["name"] == "a"
        leave(client)
        assert behind.wait_for_end(client) == "disconnected"
        mine = {e["event"] for e in behind.events() if e.get("client") == name_of(client)}
        assert {"connected", "received", "replied", "closed"} <= mine


def test_a_checksum_and_a_unique_id_arrive(ports: dict[str, int]) -> None:
    with connect(ports["everything"]) as client:
        tlvs = {tlv["type"]: tlv for tlv in report(client)["proxy"]["tlvs"]}
        assert tlvs["unique_id"]["value"] == name_of(client)
        assert len(tlvs["crc32c"]["value"]) == 8
        leave(client)


def test_what_haproxy_agreed_on_with_the_client_arrives_behind_it(
    ports: dict[str, int], keys: Keys
) -> None:
    context = ssl.create_default_context(cafile=keys.ca)
    context.set_alpn_protocols(["tcpecho"])
    context.load_cert_chain(keys.client)
    with (
        connect(ports["terminating"]) as plain,
        context.wrap_socket(plain, server_hostname="backend.example") as client,
    ):
        assert ask(client, "hola") == "HOLA"
        seen = report(client)
        tlvs = {tlv["type"]: tlv for tlv in seen["proxy"]["tlvs"]}
        assert seen["client"] == name_of(client)
        assert seen["tls"] is None  # not on our side of haproxy
        assert tlvs["authority"]["value"] == "backend.example"
        assert tlvs["ssl"]["verified"] is True
        details = {tlv["type"]: tlv["value"] for tlv in tlvs["ssl"]["tlvs"]}
        assert (details["version"], details["cn"]) == (client.version(), "ana")
        leave(client)


def test_a_list_names_the_real_clients(tmp_path: Path) -> None:
    options = ("--proxy-protocol", "required", "--dialect", "admin")
    with backend(*options) as server:
        sections = {"admin": f"server a 127.0.0.1:{server.port} send-proxy-v2"}
        with (
            haproxy(tmp_path, sections) as ports,
            connect(ports["admin"]) as one,
            connect(ports["admin"]) as other,
        ):
            for client in (one, other):
                greeting = ADMIN.greeting.encode()
                assert read_exactly(client, len(greeting)) == greeting
            assert ask(other, "LISTAR") == "Clientes conectados:"
            assert {read_line(other), read_line(other)} == {name_of(one), name_of(other)}


def test_tls_passes_through_with_its_names_and_shares_go_to_two_servers(
    tmp_path: Path, keys: Keys
) -> None:
    options = ["--tls-cert", keys.server, "--tls-key", keys.server_key]
    options += ["--proxy-protocol", "required"]
    with backend(*options, "--name", "a") as a, backend(*options, "--name", "b") as b:
        servers = "\n".join(
            f"server {name} 127.0.0.1:{server.port} send-proxy-v2"
            for name, server in (("a", a), ("b", b))
        )
        context = ssl.create_default_context(cafile=keys.ca)
        context.set_alpn_protocols(["h2", "tcpecho"])
        names = []
        with haproxy(tmp_path, {"through": f"balance roundrobin\n{servers}"}) as ports:
            for _ in range(4):
                with (
                    connect(ports["through"]) as plain,
                    context.wrap_socket(plain, server_hostname="backend.example") as client,
                ):
                    seen = report(client)
                    names.append(seen["server"]["name"])
                    assert seen["client"] == name_of(client)
                    assert seen["tls"]["version"] == client.version()
                    assert (seen["tls"]["sni"], seen["tls"]["alpn"]) == (
                        "backend.example",
                        "tcpecho",
                    )
                    leave(client)
        assert sorted(names) == ["a", "a", "b", "b"]


@pytest.mark.parametrize("how", ["", "send-proxy", "send-proxy-v2"])
def test_health_checks_make_no_noise(tmp_path: Path, how: str) -> None:
    with backend("--proxy-protocol", "required") as server:
        address = f"127.0.0.1:{server.port}"
        sections = {
            "checked": f"server a {address} {how} check inter 2ms",
            "asking": f"server a {address} send-proxy-v2",
        }
        with haproxy(tmp_path, sections) as ports:
            mine, visits = set(), 0
            # Without a header a check is gone before it is accepted, and is not counted.
            while visits < (CHECKS if how else 0):
                for _ in range(50):  # the journal is silent about what comes too fast
                    haproxy_says(tmp_path, "checked")
                with connect(ports["asking"]) as client:
                    mine.add(name_of(client))
                    visits = report(client)["connection"] - len(mine)
            while haproxy_says(tmp_path, "checked")["check_status"] != "L4OK":
                pass
        assert server.stop() == 0
        assert {event.get("client") for event in server.events()} <= {None, *mine}
