"""Behind nginx's stream module."""

from __future__ import annotations

import socket
import ssl
from pathlib import Path

import pytest

from tcpecho_trio.proxy_protocol import HeaderReader, MalformedHeader
from tests.networks.backend import ask, backend, connect, leave, name_of, report
from tests.networks.conftest import Keys
from tests.networks.programs import nginx
from tests.support.processes import run


def test_the_real_client_is_seen_plainly_and_where_nginx_terminates_tls(
    tmp_path: Path, keys: Keys
) -> None:
    with backend("--proxy-protocol", "required") as server:
        forward = f"proxy_pass 127.0.0.1:{server.port}; proxy_protocol on;"
        secured = f"ssl_certificate {keys.server}; ssl_certificate_key {keys.server_key};"
        servers = {
            "plain": f"listen LISTEN; {forward}",
            "terminating": f"listen LISTEN ssl; {secured} {forward}",
        }
        context = ssl.create_default_context(cafile=keys.ca)
        with (
            nginx(tmp_path, servers) as ports,
            connect(ports["plain"]) as plain,
            connect(ports["terminating"]) as below,
            context.wrap_socket(below, server_hostname="backend.example") as terminated,
        ):
            for client, kind in ((plain, "plain"), (terminated, "terminating")):
                assert ask(client, "mañana") == "MAÑANA"
                seen = report(client)
                assert seen["client"] == name_of(client)
                assert seen["proxy"]["destination"] == f"127.0.0.1:{ports[kind]}"
                assert (seen["proxy"]["version"], seen["tls"]) == (1, None)
                leave(client)


def test_nginx_writes_lines_of_two_families_which_can_be_accepted(tmp_path: Path) -> None:
    # Its realip module takes an IPv6 client from one header, its own address is IPv4: the next
    # header names both.
    with socket.create_server(("127.0.0.1", 0)) as listener:
        forward = f"proxy_pass 127.0.0.1:{listener.getsockname()[1]}; proxy_protocol on;"
        servers = {"a": f"listen LISTEN proxy_protocol; set_real_ip_from 127.0.0.1; {forward}"}
        with nginx(tmp_path, servers) as ports, connect(ports["a"]) as client:
            client.sendall(b"PROXY TCP6 2001:db8::1 2001:db8::2 1234 2\r\nhola\n")
            accepted, _ = listener.accept()
            with accepted:
                line = accepted.recv(1000)
    with pytest.raises(MalformedHeader):
        HeaderReader().receive_data(line)
    header = HeaderReader(mixed_families=True).receive_data(line)
    assert header is not None
    assert header.source == ("2001:db8::1", 1234)
    assert header.destination == ("::ffff:127.0.0.1", ports["a"])


def test_our_client_has_its_replies_before_nginx_takes_its_half_close_for_the_end(
    tmp_path: Path,
) -> None:
    with backend() as server:
        servers = {"plain": f"listen LISTEN; proxy_pass 127.0.0.1:{server.port};"}
        with nginx(tmp_path, servers) as ports:
            for arguments, said in ((("-m", "hola", "-m", "adios"), b""), ((), b"hola\nadios\n")):
                done = run("client", "--port", str(ports["plain"]), *arguments, stdin=said)
                assert (done.returncode, done.stdout, done.stderr) == (0, b"HOLA\nADIOS\n", b"")


def test_a_proxy_that_forgets_the_header_is_named_in_the_journal(tmp_path: Path) -> None:
    refused = frozenset({"proxy_refused"})
    with backend("--proxy-protocol", "required", expected=refused) as server:
        servers = {"plain": f"listen LISTEN; proxy_pass 127.0.0.1:{server.port};"}
        with nginx(tmp_path, servers) as ports, connect(ports["plain"]) as client:
            client.sendall(b"hola\n")
            assert client.recv(1) == b""
            told = server.wait_for("proxy_refused")
            assert (told["fault"], told["seen"]) == ("not_proxy", r"hola\x0a")
