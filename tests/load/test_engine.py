"""The engine on real sockets: good servers, bad ones, and none at all."""

from __future__ import annotations

import socket
import struct
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio

from tcpecho_trio import DIALECTS, Settings
from tcpecho_trio.client import ClientTls
from tcpecho_trio.errors import CannotConnect, CannotRead, LoadRefused, ServerFull, TooSlow
from tcpecho_trio.load import LoadSettings, Ramp, Report, Target, open_load, run_load
from tcpecho_trio.load.tally import KINDS
from tcpecho_trio.server.endpoints import Endpoint, Scheme
from tcpecho_trio.server.faults import Fault
from tcpecho_trio.server.tls import Tls
from tests.load.servers import adds_up, at, load, serving, upper
from tests.support.certificates import Certificates
from tests.support.old_servers import OldServer
from tests.support.running import running_server, until


def only(report: Report, *kinds: str) -> bool:
    """Whether there were errors of these kinds, and of no others."""
    assert adds_up(report)
    return {kind for kind, count in report.errors.items() if count} == set(kinds)


@pytest.fixture(params=[False, True], ids=["epoll", "portable"])
def portable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


# Good servers


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"connections": 20},
        {"connections": 3, "pipeline": 8},
        {"connections": 3, "rate": 2000.0},
        {"connections": 2, "rate": 2000.0, "pipeline": 4},
        {"connections": 3, "size": (1, 5000)},
        {"connections": 2, "framing": "raw", "size": (1, 3000)},
        {"connections": 2, "churn": True},
        {"connections": 2, "churn": True, "rate": 1000.0},
        {"connections": 5, "think": 0.001},
        {"connections": 2, "texts": ("año".encode(), b"ya\xff", b"")},
        {"connections": 2, "expect": "any"},
        {"connections": 2, "messages": 3, "size": (1_000_000, 2_000_000)},
    ],
    ids=str,
)
async def test_our_server_answers_everything(options: dict[str, Any], portable: bool) -> None:
    async with running_server() as server:
        report = await load(server.port, portable=portable, **options)
    assert only(report)
    assert report.replies == options.get("messages", 200)
    assert report.latency.total == report.service.total == report.replies
    assert report.connecting.total >= options.get("connections", 1) or options.get("churn")


async def test_a_duration_ends_the_load(portable: bool) -> None:
    async with running_server() as server:
        report = await load(server.port, duration=0.3, warmup=0.1, portable=portable)
    assert only(report)
    assert 0.3 <= report.seconds < 10
    assert report.replies > 0


async def test_an_echo_server_is_one_that_changes_nothing() -> None:
    async with running_server(Settings(dialect=DIALECTS["echo"])) as server:
        good = await load(server.port, expect="echo")
        bad = await load(server.port, expect="upper", messages=7)
    assert only(good)
    assert bad.errors["wrong"] == 7


@pytest.mark.parametrize("framing", ["line", "raw"])
async def test_a_greeting_is_no_reply(framing: str) -> None:
    async with running_server(Settings(dialect=DIALECTS["admin"])) as server:
        report = await load(server.port, framing=framing, connections=5)
    assert only(report)


async def test_a_proxy_header_comes_first() -> None:
    for version in ("v1", "v2"):
        async with running_server(Settings(proxy_protocol=True)) as server:
            target = Target(host="127.0.0.1", port=server.port, proxy=version)
            report = await run_load(LoadSettings(target=target, connections=3, messages=50))
            assert only(report)


async def test_a_unix_socket(tmp_path: Path) -> None:
    path = str(tmp_path / "s")
    settings = Settings(listen=(Endpoint(Scheme.UNIX, path=path),))
    async with running_server(settings):
        report = await run_load(
            LoadSettings(target=Target(path=path), connections=300, messages=600)
        )
    assert only(report)
    assert report.replies == 600


@pytest.mark.parametrize(
    "options", [{}, {"connections": 8, "pipeline": 5}, {"churn": True}], ids=str
)
async def test_tls(options: dict[str, Any], certificates: Certificates) -> None:
    async with running_server(tls=Tls(certificates.files)) as server:
        tls = ClientTls(ca=certificates.ca_file, name="localhost")
        target = Target(host="127.0.0.1", port=server.port, tls=tls)
        settings = LoadSettings(target=target, messages=60, size=(10, 40_000), **options)
        report = await run_load(settings)
    assert only(report)
    assert report.replies == 60
    assert report.handshaking.total >= (60 if "churn" in options else options.get("connections", 1))


async def test_the_exercises_own_server_one_client_at_a_time() -> None:
    with OldServer() as server:
        report = await trio.to_thread.run_sync(
            lambda: trio.run(lambda: load(server.port, framing="raw", messages=100))
        )
    assert only(report)


@pytest.mark.parametrize("options", [{}, {"churn": True}, {"connections": 3}])
async def test_the_exercises_own_server_is_left_as_it_wants_to_be(options: dict[str, Any]) -> None:
    """The word alone, everything read, and no reset; whoever is never served leaves, too."""
    with OldServer(leaving={"DESCONEXION": "Conexión cerrada"}) as server:
        # Only those that are never served wait for nothing: the others have their replies, however
        # busy the machine is.
        loaded = {"timeout": 0.3 if "connections" in options else 20.0, **options}

        def run() -> Report:
            return trio.run(
                partial(load, server.port, framing="raw", duration=0.3, size=(20, 20), **loaded)
            )

        report = await trio.to_thread.run_sync(run)
        assert report.replies > 0
        assert not report.errors["wrong"]
    left, bare = server.endings.count("left"), server.endings.count("end of input")
    if "churn" in options:  # the last one may have come as the load ended, and asked nothing
        assert left - report.replies in (0, 1)
    else:
        assert left == 1
    assert bare <= 2 if "connections" in options else not bare
    assert "reset" not in server.endings or "connections" in options
    assert not [chunk for chunk in server.chunks if b"DESCONEXION" in chunk and len(chunk) > 11]


@pytest.mark.parametrize(("leave", "word"), [(b"APAGAR", "APAGAR"), (b"", "")])
async def test_the_leaving_word_may_be_another_or_none(leave: bytes, word: str) -> None:
    with OldServer(leaving={"APAGAR": ""}) as server:
        report = await trio.to_thread.run_sync(
            lambda: trio.run(lambda: load(server.port, framing="raw", messages=3, leave=leave))
        )
        assert only(report)
    assert server.endings == (["left"] if word else ["end of input"])


async def test_a_server_that_does_not_let_go_is_left_all_the_same() -> None:
    async def deaf(stream: trio.SocketStream, _: int) -> None:
        while data := await stream.receive_some(1000):
            if b"DESCONEXION" in data:
                await trio.sleep_forever()
            await stream.send_all(data.upper())

    async with serving(deaf) as port:
        report = await load(port, framing="raw", messages=5, connections=2)
    assert only(report)


# Servers that get it wrong


async def test_swapped_replies_are_seen() -> None:
    async def swap(stream: trio.SocketStream, _: int) -> None:
        data = b""
        while more := await stream.receive_some(65536):
            data += more
            *lines, data = data.split(b"\n")
            for first, second in zip(lines[::2], lines[1::2], strict=False):
                await stream.send_all(second.upper() + b"\n" + first.upper() + b"\n")

    async with serving(swap) as port:
        report = await load(port, pipeline=2, messages=40)
    assert only(report, "wrong")
    assert report.errors["wrong"] == 40


async def test_replies_to_somebody_else_are_seen() -> None:
    said: list[bytes] = []

    async def mix_up(stream: trio.SocketStream, _: int) -> None:
        while data := await stream.receive_some(65536):
            said.append(data)
            await stream.send_all(said[-2 if len(said) % 10 == 0 else -1].upper())

    async with serving(mix_up) as port:
        report = await load(port, connections=4)
    assert only(report, "wrong")
    assert report.errors["wrong"] == 20
    assert len(report.samples) == 3


async def test_one_corrupted_byte_in_a_million_is_seen() -> None:
    passed = 0

    async def corrupt(stream: trio.SocketStream, _: int) -> None:
        nonlocal passed
        while data := await stream.receive_some(65536):
            reply = bytearray(data.upper())
            place = -passed % 1_000_000  # of the next byte that is to be harmed
            passed += len(reply)
            if place < len(reply):
                reply[place] ^= 0x01 if reply[place] != 0x0B else 0x02
            await stream.send_all(reply)

    async with serving(corrupt) as port:
        report = await load(port, connections=4, messages=3100, size=(1000, 1000))
    assert only(report, "wrong")
    assert report.errors["wrong"] == 4  # bytes 0, 1 000 000, 2 000 000 and 3 000 000


async def test_a_server_that_closes_after_a_few_replies() -> None:
    async def leave(stream: trio.SocketStream, _: int) -> None:
        for _ in range(3):
            await stream.send_all((await stream.receive_some(65536)).upper())

    async with serving(leave) as port:
        report = await load(port, connections=2, messages=30)
    assert report.errors["closed"] + report.errors["reset"] >= 5
    assert report.replies >= 15
    assert {kind for kind in KINDS if report.errors[kind]} <= {"closed", "missing", "reset"}
    assert adds_up(report)


async def test_a_server_that_resets() -> None:
    async def reset(stream: trio.SocketStream, number: int) -> None:
        await stream.send_all((await stream.receive_some(65536)).upper())
        await stream.receive_some(65536)
        stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        stream.socket.close()

    async with serving(reset) as port:
        report = await load(port, messages=10)
    assert only(report, "reset", "missing")
    assert report.replies == 5


async def test_a_server_that_stops_listening_in_the_middle() -> None:
    gone = trio.Event()

    async def one(stream: trio.SocketStream, _: int) -> None:
        await stream.send_all((await stream.receive_some(65536)).upper())
        gone.set()

    async with trio.open_nursery() as nursery:
        listener, *_ = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]

        async def accept() -> None:
            stream = await listener.accept()
            listener.socket.close()
            await one(stream, 0)
            await stream.aclose()

        nursery.start_soon(accept)
        async with open_load(at(port, duration=1000.0)) as running:
            await until(lambda: running.plan.tally.errors["refused"] >= 2)
            running.stop()
            report = await running.report()
    assert report.replies == 1
    assert adds_up(report)


async def test_a_server_that_never_answers() -> None:
    async def listen(stream: trio.SocketStream, _: int) -> None:
        while await stream.receive_some(65536):
            pass

    async with serving(listen) as port:
        report = await load(port, connections=3, messages=3, timeout=0.2)
    assert only(report, "missing")
    assert report.errors["missing"] == 3


async def test_a_server_that_never_reads() -> None:
    async def sleep(stream: trio.SocketStream, _: int) -> None:
        await trio.sleep_forever()

    async with serving(sleep) as port:
        report = await load(
            port, connections=2, pipeline=10, size=(1_000_000, 1_000_000), messages=20, timeout=0.2
        )
    assert only(report, "missing")
    assert report.errors["missing"] == 20


async def test_a_server_that_says_nothing_to_half_of_its_clients() -> None:
    async def half(stream: trio.SocketStream, number: int) -> None:
        if number % 2:
            await trio.sleep_forever()
        await upper(stream)

    async with serving(half) as port:
        # Two seconds, although two clients wait for nothing: no reply to the others may be late.
        report = await load(port, connections=4, rate=400.0, duration=0.3, timeout=2.0)
    assert report.replies == 60
    assert report.errors["missing"] == 2
    assert report.errors["unsent"] == 58
    assert only(report, "missing", "unsent")


async def test_a_server_that_says_too_much() -> None:
    async def chatter(stream: trio.SocketStream, _: int) -> None:
        while data := await stream.receive_some(65536):
            await stream.send_all(data.upper() + b"and more\n")

    async with serving(chatter) as port:
        report = await load(port, messages=20)
    assert report.errors["unexpected"] + report.errors["wrong"] >= 10
    assert adds_up(report)


async def test_a_slow_reader_gets_everything_in_the_end() -> None:
    async def slow(stream: trio.SocketStream, _: int) -> None:
        while data := await stream.receive_some(1000):
            await stream.send_all(data.upper())

    async with serving(slow) as port:
        report = await load(port, connections=2, pipeline=4, size=(300_000, 400_000), messages=12)
    assert only(report)


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("delay:20ms", set()),
        ("drip:20000", set()),
        ("stall", {"missing"}),
        ("close:200", {"closed", "missing"}),
        ("reset:200", {"reset", "closed", "missing"}),
    ],
)
async def test_each_fault_of_our_own_server_has_its_counter(fault: str, kinds: set[str]) -> None:
    settings = Settings(faults=(Fault.parse(fault),))
    async with running_server(settings) as server:
        # Where every message has its reply, none may be missing on a busy machine either.
        timeout = 0.5 if kinds else 20.0
        report = await load(server.port, connections=3, duration=0.3, timeout=timeout)
    assert adds_up(report)
    assert {kind for kind, count in report.errors.items() if count} <= kinds
    assert bool(report.error_count) == bool(kinds)
    if fault.startswith("delay"):
        assert report.p50 >= 0.02


# Nobody, or nobody who wants us


async def test_where_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(CannotConnect, match="nobody listens"):
            await load(free.getsockname()[1])


async def test_a_host_that_does_not_exist() -> None:
    with pytest.raises(CannotConnect, match="cannot be found"):
        await run_load(LoadSettings(target=Target(host="nobody.invalid")))


async def test_a_full_server() -> None:
    async with running_server(Settings(max_connections=1)) as server:
        occupant = await server.connect()
        await occupant.send_all(b"hola\n")
        await occupant.receive_some(100)
        with pytest.raises(ServerFull, match="does not serve us"):
            await load(server.port, connections=2, duration=60.0)
        await occupant.aclose()


async def test_a_server_that_is_full_for_some() -> None:
    async with running_server(Settings(max_connections=2)) as server:
        report = await load(server.port, connections=4, duration=0.3)
    assert report.replies > 0
    assert report.errors["full"] >= 2
    assert {kind for kind in KINDS if report.errors[kind]} <= {"full", "missing", "reset"}


async def test_no_tls_where_it_was_asked_for() -> None:
    async def plain(stream: trio.SocketStream, _: int) -> None:
        await stream.receive_some(65536)
        await stream.send_all(b"HOLA SERVIDOR\n")

    async with serving(plain) as port:
        target = Target(host="127.0.0.1", port=port, tls=ClientTls(insecure=True))
        with pytest.raises(CannotConnect, match="TLS"):
            await run_load(LoadSettings(target=target))


async def test_a_certificate_that_nobody_vouches_for(certificates: Certificates) -> None:
    async with running_server(tls=Tls(certificates.files)) as server:
        target = Target(host="127.0.0.1", port=server.port, tls=ClientTls(name="localhost"))
        with pytest.raises(CannotConnect, match="cannot be trusted"):
            await run_load(LoadSettings(target=target))


async def test_a_certificate_of_ours_that_cannot_be_read() -> None:
    target = Target(tls=ClientTls(ca="/nowhere"))
    with pytest.raises(CannotRead):
        await run_load(LoadSettings(target=target))


async def test_tls_that_nobody_agrees_to_takes_no_longer_than_the_timeout() -> None:
    async def sleep(stream: trio.SocketStream, _: int) -> None:
        await trio.sleep_forever()

    async with serving(sleep) as port:
        target = Target(host="127.0.0.1", port=port, tls=ClientTls(insecure=True))
        with pytest.raises(TooSlow):
            await run_load(LoadSettings(target=target, timeout=0.2))


async def test_plain_text_to_a_tls_server(certificates: Certificates) -> None:
    async with running_server(tls=Tls(certificates.files)) as server:
        report = await load(server.port, duration=0.2)
    assert report.replies == 0
    assert report.error_count


@pytest.mark.parametrize("host", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1"])
@pytest.mark.parametrize("options", [{"connections": 2}, {"churn": True}], ids=str)
async def test_a_public_address_is_not_loaded(host: str, options: dict[str, Any]) -> None:
    with pytest.raises(LoadRefused, match="private"):
        await run_load(LoadSettings(target=Target(host=host), **options))


# As a library


async def test_a_load_runs_beside_the_block() -> None:
    async with running_server() as server:
        async with open_load(at(server.port, duration=0.3)) as running:
            await until(lambda: running.plan.has_replies)
            report = await running.report()
        assert report.ok
        assert report.p99 < 20
        assert report is await running.report()


async def test_leaving_the_block_ends_the_load() -> None:
    async with running_server() as server:
        async with open_load(at(server.port, duration=1000.0)) as running:
            await until(lambda: running.plan.has_replies)
        assert running.plan.over


async def test_a_load_can_be_stopped_and_still_reports() -> None:
    async with (
        running_server() as server,
        open_load(at(server.port, duration=1000.0, connections=5)) as running,
    ):
        await until(lambda: running.plan.has_replies)
        running.stop()
        report = await running.report()
    assert report.interrupted
    assert report.replies > 0
    assert only(report)


async def test_the_error_of_a_load_is_raised_where_it_was_opened() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        with pytest.raises(CannotConnect):
            async with open_load(at(free.getsockname()[1])) as running:
                await running.report()


async def test_a_ramp_on_a_real_server() -> None:
    async with running_server() as server:
        report = await load(server.port, connections=5, ramp=Ramp(50, 200, 1.0), slo=20.0)
    assert only(report)
    # Which rates were good depends on how busy the machine is.
    assert [step.rate for step in report.steps] == [50, 200]
    assert all(step.p99 > 0 for step in report.steps)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="no /proc")
async def test_no_descriptor_is_left_behind() -> None:
    async with running_server() as server:
        await load(server.port, connections=3)
        before = open_descriptors()
        for options in ({"connections": 30}, {"churn": True}, {"duration": 0.05}):
            await load(server.port, **options)
        assert open_descriptors() <= before + 5  # the server's side of what has just been closed
