"""systemd's two small protocols: sockets that were opened for us, and what we tell about us."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from tcpecho_trio.cli import service_manager
from tcpecho_trio.cli.service_manager import Notifier, inherited_listeners
from tests.support.processes import PROGRAM, ROOT
from tests.support.running import running_server


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """Where a service manager would listen."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.setblocking(False)
        yield listening


def notifying(address: str) -> contextlib.closing[Notifier]:
    """A notifier whose service manager listens there; if there is none, without an address."""
    return contextlib.closing(Notifier({"NOTIFY_SOCKET": address} if address else {}))


def told(manager: socket.socket) -> list[bytes]:
    said = []
    while True:
        try:
            said.append(manager.recv(1024))
        except BlockingIOError:
            return said


# What we tell


def test_ready_and_stopping_are_a_datagram_each(manager: socket.socket) -> None:
    with notifying(manager.getsockname()) as notifier:
        notifier.ready()
        notifier.stopping()
    assert told(manager) == [b"READY=1", b"STOPPING=1"]


@pytest.mark.skipif(not hasattr(socket, "SO_PEERCRED"), reason="abstract names are Linux's")
def test_an_address_without_a_file_begins_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("")  # the kernel chooses an abstract name
        name = listening.getsockname()
        listening.setblocking(False)
        with notifying(f"@{name[1:].decode()}") as notifier:
            notifier.ready()
        assert told(listening) == [b"READY=1"]


@pytest.mark.parametrize("address", ["", "/nowhere/at/all", "@nobody", "vsock:2:1", "x" * 200])
def test_nobody_who_listens_is_no_reason_to_fail(address: str) -> None:
    with notifying(address) as notifier:
        notifier.ready()
        notifier.stopping()


async def test_a_notification_for_which_there_is_no_descriptor_is_lost_and_no_other(
    manager: socket.socket,
) -> None:
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with notifying(manager.getsockname()) as late, notifying(manager.getsockname()) as early:
        early.ready()
        used = os.dup(0)
        os.close(used)  # the next one's number: from there on there is none
        resource.setrlimit(resource.RLIMIT_NOFILE, (used, limits[1]))
        try:
            with pytest.raises(OSError, match="Too many open files"):
                os.dup(0)
            late.ready()
            early.stopping()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)
        assert told(manager) == [b"READY=1", b"STOPPING=1"]
        late.stopping()  # and now there is one again
        assert told(manager) == [b"STOPPING=1"]


async def test_whoever_stops_being_watched_leaves_no_descriptor_behind(
    manager: socket.socket,
) -> None:
    before = os.listdir("/dev/fd")  # noqa: PTH208  names are all that is asked for
    notifier = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    async with trio.open_nursery() as nursery:
        notifier.ready()
        nursery.start_soon(notifier.run)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert os.listdir("/dev/fd") == before  # noqa: PTH208


def test_a_full_mailbox_does_not_hold_us_up(manager: socket.socket) -> None:
    with notifying(manager.getsockname()) as notifier:
        for _ in range(10_000):
            notifier.ready()
    assert 0 < len(told(manager)) < 10_000


@pytest.mark.parametrize("named", [False, True])
async def test_alive_is_said_twice_in_each_period(
    manager: socket.socket, autojump_clock: MockClock, named: bool
) -> None:
    environ = {"NOTIFY_SOCKET": manager.getsockname(), "WATCHDOG_USEC": "30000000"}
    if named:
        environ["WATCHDOG_PID"] = str(os.getpid())
    with trio.move_on_after(61):
        await Notifier(environ).run()
    assert told(manager) == [b"WATCHDOG=1"] * 5  # at 0, 15, 30, 45 and 60 s


@pytest.mark.parametrize(
    "watchdog",
    [
        {},
        {"WATCHDOG_USEC": ""},
        {"WATCHDOG_USEC": "0"},
        {"WATCHDOG_USEC": "-5"},
        {"WATCHDOG_USEC": "soon"},
        {"WATCHDOG_USEC": "9" * 5000},
        {"WATCHDOG_USEC": "-" + "9" * 5000},
        {"WATCHDOG_USEC": "9" * 18},
        {"WATCHDOG_USEC": "١"},
        {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"},
    ],
)
async def test_without_a_watchdog_nothing_is_said(
    manager: socket.socket, autojump_clock: MockClock, watchdog: dict[str, str]
) -> None:
    with trio.move_on_after(3600) as waiting:
        await Notifier({"NOTIFY_SOCKET": manager.getsockname(), **watchdog}).run()
    assert waiting.cancelled_caught
    assert told(manager) == []


async def test_a_watchdog_without_a_manager_is_none(autojump_clock: MockClock) -> None:
    with trio.move_on_after(3600) as waiting:
        await Notifier({"WATCHDOG_USEC": "30000000"}).run()
    assert waiting.cancelled_caught


# What we are given


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5))
def test_sockets_for_another_process_are_left_alone_and_the_variables_go(pid: str) -> None:
    environ = {"LISTEN_PID": pid, "LISTEN_FDS": "1", "LISTEN_FDNAMES": "echo", "HOME": "/"}
    if pid != str(os.getpid()):
        assert inherited_listeners(environ) == []
        assert environ == {"HOME": "/"}


@pytest.mark.parametrize(
    "count",
    ["", "0", "-1", "x", "1.0", "9" * 5000, "-" + "9" * 5000, "9" * 18, str(2**31 - 3), "¹"],
    ids=lambda count: count[:20],
)
def test_no_number_of_sockets_is_none(count: str) -> None:
    assert inherited_listeners({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": count}) == []


def given_to_us(monkeypatch: pytest.MonkeyPatch, fd: int, count: int = 1) -> dict[str, str]:
    """The environment of a process that found its sockets from that descriptor on."""
    monkeypatch.setattr(service_manager, "FIRST_DESCRIPTOR", fd)
    return {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(count)}


async def test_a_socket_that_was_opened_for_us_is_served(monkeypatch: pytest.MonkeyPatch) -> None:
    opened = socket.create_server(("127.0.0.1", 0))
    os.set_inheritable(opened.fileno(), True)
    environ = given_to_us(monkeypatch, opened.detach())
    listeners = inherited_listeners(environ)
    async with running_server(listeners=listeners) as server:
        assert not os.get_inheritable(listeners[0].socket.fileno())
        assert await server.ask(b"hola") == b"HOLA"
        assert server.told.named("listening") == [{"listener": f"127.0.0.1:{server.port}"}]
    assert listeners[0].socket.fileno() == -1  # closed at the end


@pytest.mark.parametrize("kind", ["nothing", "a file", "datagrams", "not listening"])
def test_a_descriptor_that_is_no_listening_socket_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    file = (tmp_path / "file").open("w")
    given = {
        "nothing": lambda: os.dup(file.fileno()),
        "a file": lambda: os.dup(file.fileno()),
        "datagrams": lambda: socket.socket(type=socket.SOCK_DGRAM).detach(),
        "not listening": lambda: socket.socket().detach(),
    }[kind]()
    if kind == "nothing":
        os.close(given)
    with file, pytest.raises(OSError, match=rf"descriptor {given}\b"):
        inherited_listeners(given_to_us(monkeypatch, given))
    if kind == "a file":
        os.close(given)


def test_when_one_is_wrong_the_others_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    first = os.dup(0)
    pair = [first + 50, first + 51]
    with socket.create_server(("127.0.0.1", 0)) as good, socket.socket() as bad:
        os.dup2(good.fileno(), pair[0])
        os.dup2(bad.fileno(), pair[1])
    os.close(first)
    with pytest.raises(OSError, match=f"descriptor {pair[1]}"):
        inherited_listeners(given_to_us(monkeypatch, pair[0], 2))
    for fd in pair:
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


def activated(fd: int, *options: str) -> subprocess.Popen[bytes]:
    """The server as its manager starts it: a socket for descriptor 3, its number, our address."""
    script = f'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@" 3<&{fd}'
    return subprocess.Popen(
        ["bash", "-c", script, "bash", *PROGRAM, "serve", "--no-console", *options],
        pass_fds=[fd],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=ROOT,
    )


def test_a_service_is_activated_by_its_socket_and_tells_how_it_is(
    manager: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.getsockname())
    manager.setblocking(True)
    with socket.create_server(("127.0.0.1", 0)) as opened, activated(opened.fileno()) as service:
        address = opened.getsockname()
        opened.close()
        with socket.create_connection(address) as client:
            client.sendall(b"hola\n")
            assert client.recv(100) == b"HOLA\n"
            assert manager.recv(100) == b"READY=1"
            service.send_signal(signal.SIGTERM)
            assert manager.recv(100) == b"STOPPING=1"
            assert client.recv(100) == b""
        out, err = service.communicate()
    assert f"127.0.0.1:{address[1]}".encode() in out
    assert (service.returncode, err) == (0, b"")


def test_a_useless_descriptor_is_one_clear_line_and_code_3() -> None:
    with Path(os.devnull).open() as useless:
        service = activated(useless.fileno(), "--lang", "en")
        _, err = service.communicate()
    (line,) = err.decode().splitlines()
    assert line.startswith("Error: ")
    assert "descriptor 3" in line
    assert "LISTEN_FDS" in line
    assert service.returncode == 3
