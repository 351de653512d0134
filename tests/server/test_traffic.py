"""One turn of a client behind TLS, with everything that can come between two plain records."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator

import pytest
import trio

from tcpecho_trio.dialects import STANDARD
from tcpecho_trio.protocol import Protocol, Request
from tcpecho_trio.server import Events
from tcpecho_trio.server import traffic as traffic_module
from tcpecho_trio.server.connection_info import ConnectionInfo
from tcpecho_trio.server.events import Event, MessagesReceived, RepliesSent
from tcpecho_trio.server.sockets import receive, send
from tcpecho_trio.server.sockets import write as os_write
from tcpecho_trio.server.stats import ConnectionStats
from tcpecho_trio.server.traffic import RECEIVE, Handoff, is_plain, move_bare, move_tls
from tcpecho_trio.tls.context import HALF_CLOSE
from tcpecho_trio.tls.stream import TlsStream
from tests.support.certificates import Certificates
from tests.support.running import read_exactly
from tests.support.tls_pairs import VERSIONS, Ends, key_updates, sockets


class Carried:
    """What a turn knows of a client that has sent a line before."""

    def __init__(self) -> None:
        self.info = ConnectionInfo(1, "peer", "peer", "here")
        self.stats = ConnectionStats(0.0)
        self.protocol = Protocol(STANDARD)
        self.protocol.receive_data(b"\n")
        self.watched = False


class Talk:
    """A server's and a client's end, and the turns on the server's side."""

    def __init__(self, server: TlsStream, client: TlsStream) -> None:
        self.server, self.client = server, client
        self.events, self.carried = Events(), Carried()

    async def segment(self, *texts: bytes, more: bytes = b"") -> None:
        """Records that arrive together."""
        for text in texts:
            self.client.encrypt(text)
        await self.client.below.send_all(self.client.outgoing.read() + more)

    def turn(self) -> Handoff | None:
        assert isinstance(self.server.below, trio.SocketStream)
        fd = self.server.below.socket.fileno()
        return move_tls(fd, self.server, self.carried, self.events, 1.0)

    @property
    def counted(self) -> tuple[int, int, int | None, int | None]:
        stats = self.carried.stats
        return stats.bytes_in, stats.bytes_out, stats.messages_in, stats.messages_out


@pytest.fixture(params=VERSIONS, ids=lambda version: str(version.name))
async def talk(certificates: object, request: pytest.FixtureRequest) -> AsyncGenerator[Talk, None]:
    ends = Ends(certificates, request.param)  # type: ignore[arg-type]
    async with ends.connected() as (server, client):
        if request.param is ssl.TLSVersion.TLSv1_3:  # the tickets come with the first read
            await server.send_all(b"hola")
            await client.receive_some()
        yield Talk(server, client)


def taking(monkeypatch: pytest.MonkeyPatch, *sizes: int | None) -> None:
    """Sockets take so many bytes in the next writes; None: whatever the socket takes."""
    real, left = os_write, list(sizes)

    def write(fd: int, data: bytes | memoryview) -> int:
        size = left.pop(0) if left else None
        if size == 0:
            raise BlockingIOError
        return real(fd, data[:size])

    monkeypatch.setattr(traffic_module, "write", write)


async def test_records_that_come_together_are_answered_together(
    talk: Talk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.segment(b"uno\n", b"dos\n", b"tres\n")
    taking(monkeypatch, None, 0)  # a second write would be told of
    assert talk.turn() is None
    assert await read_exactly(talk.client, 13) == b"UNO\nDOS\nTRES\n"
    assert talk.counted == (13, 13, 3, 3)
    assert is_plain(talk.server)


async def test_half_a_record_waits_for_its_rest(talk: Talk) -> None:
    talk.client.encrypt(b"uno\n")
    talk.client.encrypt(b"dos\n")
    records = talk.client.outgoing.read()
    for half in (records[: len(records) * 3 // 4], records[len(records) * 3 // 4 :]):
        await talk.client.below.send_all(half)
        assert talk.turn() is None
        assert is_plain(talk.server)
    assert await read_exactly(talk.client, 8) == b"UNO\nDOS\n"
    assert talk.counted == (8, 8, 2, 2)


@pytest.mark.parametrize("size", [0, 1, 30])
async def test_what_the_socket_does_not_take_is_kept_and_so_is_what_comes_behind_it(
    talk: Talk, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    await talk.segment(b"uno\n", b"dos\n", b"DESCONEXION\n", b"never\n")
    taking(monkeypatch, size)
    handoff = talk.turn()
    assert handoff == Handoff((b"UNO\nDOS\n",), 8)
    assert talk.carried.stats.bytes_out == 0  # it is counted when all of it is sent
    assert not is_plain(talk.server)
    await talk.server.send_all(b"")
    assert await read_exactly(talk.client, 8) == b"UNO\nDOS\n"
    assert await talk.server.receive_some() == b"DESCONEXION\n"
    assert await talk.server.receive_some() == b"never\n"
    assert is_plain(talk.server)


async def test_a_word_behind_a_line_is_handed_off_once_the_line_is_answered(talk: Talk) -> None:
    await talk.segment(b"uno\n", b"DESCONEXION\n")
    handoff = talk.turn()
    assert handoff is not None
    (word,) = handoff.outputs
    assert isinstance(word, Request)
    assert await read_exactly(talk.client, 4) == b"UNO\n"
    assert talk.counted == (16, 4, 2, 1)


async def test_a_line_in_two_records_is_answered_in_two_pieces(talk: Talk) -> None:
    await talk.segment(b"hola ", b"mundo\n", b"adios\n")
    assert talk.turn() is None
    assert await read_exactly(talk.client, 17) == b"HOLA MUNDO\nADIOS\n"
    assert talk.counted == (17, 17, 2, 2)


@pytest.mark.parametrize("polite", [True, False])
async def test_an_end_behind_a_line_is_handed_off_once_the_line_is_answered(
    talk: Talk, polite: bool
) -> None:
    talk.client.encrypt(b"uno\n")
    if polite:
        with pytest.raises(ssl.SSLError):
            talk.client.ssl_object.unwrap()
    await talk.segment()
    handoff = talk.turn()
    if not polite:
        assert handoff is None
        await talk.client.below.send_eof()
        handoff = talk.turn()
    assert handoff == Handoff(ended=True)
    assert await read_exactly(talk.client, 4) == b"UNO\n"


async def test_an_end_that_openssl_takes_for_an_error_is_an_end(certificates: Certificates) -> None:
    ends = Ends(certificates, ssl.TLSVersion.TLSv1_2)
    ends.server.options &= ~HALF_CLOSE  # what OpenSSL 1.1.1 does not know
    async with ends.connected() as (server, client):
        talk = Talk(server, client)
        await talk.segment(b"uno\n")
        assert talk.turn() is None
        await client.below.send_eof()
        assert talk.turn() == Handoff(ended=True)


async def test_what_is_no_tls_breaks_the_connection_behind_the_replies(talk: Talk) -> None:
    await talk.segment(b"uno\n", more=b"GET / HTTP/1.1\r\n\r\n")
    with pytest.raises(ssl.SSLError):
        talk.turn()
    assert await read_exactly(talk.client, 4) == b"UNO\n"


async def test_messages_and_replies_are_told_in_turn(talk: Talk) -> None:
    told: list[tuple[type[Event], bytes]] = []

    def tell(event: Event) -> None:
        if isinstance(event, MessagesReceived | RepliesSent):
            told.append((type(event), event.data))

    talk.events.subscribe(tell, messages=True)
    await talk.segment(b"uno\n", b"tres\n", b"dos ", b"y\n")
    assert talk.turn() is None
    assert told == [
        (MessagesReceived, b"uno\n"),
        (RepliesSent, b"UNO\n"),
        (MessagesReceived, b"tres\n"),
        (RepliesSent, b"TRES\n"),
        (MessagesReceived, b"dos "),
        (RepliesSent, b"DOS "),
        (MessagesReceived, b"y\n"),
        (RepliesSent, b"Y\n"),
    ]


@pytest.mark.parametrize("counted", [True, False])
@pytest.mark.parametrize("behind", ["nothing", "a line", "a word", "the end", "no TLS"])
async def test_whoever_has_heard_enough_hears_the_reply_to_what_it_was_told(
    talk: Talk, behind: str, counted: bool
) -> None:
    talk.carried.stats = ConnectionStats(0.0, messages=counted)
    told: list[bytes] = []

    def tell(event: Event) -> None:
        if isinstance(event, MessagesReceived | RepliesSent):
            told.append(event.data)
            talk.events.stop_asking(tell)

    talk.events.subscribe(tell, messages=True)
    lines = {"a line": b"dos\n", "a word": b"DESCONEXION\n"}
    talk.client.encrypt(b"uno\n")
    if behind == "the end":
        with pytest.raises(ssl.SSLError):
            talk.client.ssl_object.unwrap()
    if behind == "no TLS":
        await talk.segment(more=b"GET / HTTP/1.1\r\n\r\n")
        with pytest.raises(ssl.SSLError):
            talk.turn()
    else:
        await talk.segment(*([lines[behind]] if behind in lines else []))
        talk.turn()
    assert told == [b"uno\n", b"UNO\n"]
    if behind == "nothing":
        await talk.segment(b"dos\n", b"tres\n")
        assert talk.turn() is None
        assert told == [b"uno\n", b"UNO\n"]


async def test_a_request_for_new_keys_is_left_to_the_stream(talk: Talk) -> None:
    if talk.server.ssl_object.version() != "TLSv1.3":
        pytest.skip("there are none in TLS 1.2")
    await talk.segment(more=key_updates(talk.client, 2))
    assert talk.turn() is RECEIVE
    assert talk.server.outgoing.pending
    await talk.segment(b"uno\n")
    assert talk.turn() is None
    assert not talk.server.outgoing.pending
    assert await read_exactly(talk.client, 4) == b"UNO\n"


async def test_without_something_to_read_a_turn_does_nothing(talk: Talk) -> None:
    assert talk.turn() is None
    ours, theirs = sockets()
    async with ours, theirs:
        assert move_bare(ours.socket.fileno(), talk.carried, talk.events, 1.0) is None
    assert talk.counted == (0, 0, 0, 0)


async def test_a_socket_that_is_no_file_is_read_and_written_the_same() -> None:
    ours, theirs = sockets()
    async with ours, theirs:
        fd = ours.socket.fileno()
        with pytest.raises(BlockingIOError):
            receive(fd, 10)
        assert send(fd, b"hola") == 4
        assert await theirs.receive_some() == b"hola"
        await theirs.send_all(b"adios")
        assert receive(fd, 10) == b"adios"
        assert ours.socket.fileno() == fd  # it still belongs to its owner
