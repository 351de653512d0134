"""What each client of the soak does, and what it must hear: a function of the seed and its number.

Nothing here depends on time or on what the server does, so one client's life can be repeated
(``--client``) however long the run was in which something was lost.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

from tcpecho_trio.dialects import SALUTATION
from tcpecho_trio.protocol import Foreign, Request
from tests.soak.fault_proxy import Direction, Faults, Side
from tests.support.naive_model import NaiveModel, upper

DIALECT = SALUTATION
"""The servers' dialect: it has a word that is answered and a word that disconnects."""
FAREWELL = DIALECT.words[b"DESCONEXION"].text.encode()

MODELLED = 3_000
"""Bytes up to which the naive model, which takes quadratic time, says what is due. Longer
streams have no commands in them, and ``upper`` does."""

SEGMENTS = 200
"""Into how many segments a stream is sliced, roughly and at most; each is a send of its own."""
SLOWED = 1.0
"""Seconds that delays or a stall may cost one direction of a connection, roughly. Well below
what a server may take for a peer that is gone."""


@dataclass(frozen=True)
class Say:
    """Send all of this."""

    data: bytes


@dataclass(frozen=True)
class Hear:
    """Wait until so many bytes have come in since the beginning."""

    total: int


@dataclass(frozen=True)
class Pause:
    """Do nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class HalfClose:
    """Close the sending direction."""


@dataclass(frozen=True)
class Reset:
    """Break the connection off."""


Step = Say | Hear | Pause | HalfClose | Reset


@dataclass(frozen=True)
class Plan:
    """A client's whole life.

    Args:
      number: of the client; it is in every message, so a reply that reaches somebody else shows.
      kind: of client.
      steps: what it does, one after the other, while it listens.
      due: what it hears at most.
      whole: it must hear all of `due` and then the end of the stream; else, having been broken
        off, any beginning of it will do.
      faults: what befalls its connection.
      messages: how many it sends.
      read_size: bytes that it takes at a time.
      read_pause: seconds that it rests between two such.
    """

    number: int
    kind: str
    steps: tuple[Step, ...]
    due: bytes
    whole: bool
    faults: Faults
    messages: int
    read_size: int = 65536
    read_pause: float = 0


class Draft(NamedTuple):
    """A client before its network is known.

    Args:
      steps: as in a plan.
      due: what must be heard, when it is not simply the answer to all that is said.
      whole: as in a plan.
      any_cut: no cut of the stream changes what is due, so it may be sliced and slowed down.
      patient: the server waits for nothing of it but the close, so it may be slowed down.
    """

    steps: list[Step]
    due: bytes | None = None
    whole: bool = True
    any_cut: bool = True
    patient: bool = True
    read_size: int = 65536
    read_pause: float = 0


def answer(stream: bytes) -> bytes:
    """What is due to this stream and its end, wherever it is cut."""
    if len(stream) > MODELLED:
        assert not any(word in stream for word in DIALECT.words)
        return upper(stream)
    model = NaiveModel(DIALECT)
    model.data(stream)
    model.eof()
    due = b""
    for output in model.outputs:
        assert not isinstance(output, Foreign)  # in this dialect nothing is
        if isinstance(output, Request):
            due += output.command.text.encode() + output.terminator
        else:
            due += output
    return due


TEXTS = [
    *(
        text.encode()
        for text in ("hola", "año nuevo", "straße", "€ 20", "😀", "ŉ ΐ", "deſconexıon")
    ),
    *(b"\xff\xfe", b"\xc0\x8a", b"\xf4\x90\x80\x80", b"\xe2\x82", b"\x80", b"\x1b[2j", b"\x00"),
    *(b"DESCONEXIONES", b"desconexion", b"holaDESCONEXION", b"hola servidores", b" DESCONEXION"),
]


class Talk:
    """What one client says: each message has a token of its own."""

    def __init__(self, number: int, chance: random.Random) -> None:
        self.number = number
        self.chance = chance
        self.messages = 0

    def token(self) -> bytes:
        """Never twice, and never the start of a word."""
        self.messages += 1
        return b"c%dm%d" % (self.number, self.messages)

    def message(self, *, words: bool = True) -> bytes:
        """A message without its terminator; `words` lets it contain those of commands."""
        texts = TEXTS if words else TEXTS[:7]
        some = self.chance.choices(texts, k=self.chance.randint(0, 5))
        return b" ".join([self.token(), *some])

    def line(self, **options: bool) -> bytes:
        """A message with its terminator."""
        return self.message(**options) + self.chance.choice([b"\n", b"\n", b"\r\n"])

    def lines(self, count: int) -> list[bytes]:
        """Many; the first one is but a token, so it can be cut anywhere before there was an LF."""
        return [self.token() + b"\n", *(self.line() for _ in range(count))]


def pipelining(talk: Talk) -> Draft:
    """Many lines at once, then a half-close."""
    some = talk.lines(talk.chance.randint(1, 40))
    return Draft([Say(b"".join(some)), HalfClose()])


def flooding(talk: Talk) -> Draft:
    """The shortest lines there are, by the thousand."""
    return Draft(
        [Say(talk.token() + b"\n" + b"a\n" * talk.chance.randint(100, 30_000)), HalfClose()]
    )


def asking(talk: Talk) -> Draft:
    """A line, its reply, the next line; then a word, or a half-close."""
    steps: list[Step] = []
    said = b""
    for line in talk.lines(talk.chance.randint(1, 12)):
        said += line
        steps += [Say(line), Hear(len(upper(said)))]
        if talk.chance.random() < 0.1:
            steps.append(Pause(talk.chance.uniform(0, 0.3)))
    steps.append(HalfClose() if talk.chance.random() < 0.5 else Say(b"DESCONEXION\r\n"))
    return Draft(steps)


def unframed(talk: Talk) -> Draft:
    """One send a message, no newline, wait for the reply: a client of the exercise."""
    steps: list[Step] = []
    due = b""
    for _ in range(talk.chance.randint(1, 8)):
        if talk.chance.random() < 0.2:
            said, reply = b"hola servidor", b"HOLA CLIENTE"
        else:
            said = talk.message(words=False)
            reply = upper(said)
        due += reply
        steps += [Say(said), Hear(len(due))]
    if talk.chance.random() < 0.5:
        return Draft([*steps, Say(b"DESCONEXION")], due + FAREWELL, any_cut=False)
    return Draft([*steps, HalfClose()], due, any_cut=False)


def bursting(talk: Talk) -> Draft:
    """Unframed messages without waiting for replies."""
    some = [talk.message(words=False) for _ in range(talk.chance.randint(1, 12))]
    return Draft([*map(Say, some), HalfClose()])


def huge(talk: Talk) -> Draft:
    """A line that is longer than anybody would hold."""
    line = talk.message(words=False) * talk.chance.randint(1_000, 10_000)
    return Draft([Say(talk.token() + b"\n" + line + b"\n"), HalfClose()])


def greeting(talk: Talk) -> Draft:
    """Words among pipelined lines, answered in their place."""
    some = talk.lines(talk.chance.randint(1, 8))
    for _ in range(talk.chance.randint(1, 4)):
        some.insert(talk.chance.randint(1, len(some)), b"hola servidor \t\r\n")
    return Draft([Say(b"".join(some)), HalfClose()])


def leaving(talk: Talk) -> Draft:
    """A disconnecting word in the middle: what follows is not answered, and costs nothing."""
    before, after = talk.lines(talk.chance.randint(0, 6)), talk.lines(talk.chance.randint(1, 20))
    return Draft([Say(b"".join([*before, b"DESCONEXION\n", *after]))], patient=False)


def leaving_with_much_to_come(talk: Talk) -> Draft:
    """The farewell behind a long reply, of which much is still to come when the server closes."""
    line = talk.message(words=False) * 300
    due = talk.token() + b"\n" + (line + b"\n") * talk.chance.randint(20, 60)
    steps: list[Step] = [Say(due + b"DESCONEXION\n"), Say(talk.line())]
    return Draft(steps, upper(due) + FAREWELL + b"\n", patient=False, read_pause=0.002)


def abrupt(talk: Talk) -> Draft:
    """Breaks off: at once, amid what it says, or amid the replies."""
    said = b"".join(talk.lines(talk.chance.randint(0, 30)))
    said = said[: talk.chance.randint(0, len(said))]
    steps: list[Step] = [Say(said)] if said else []
    if said and talk.chance.random() < 0.5:
        steps.append(Hear(1))
    return Draft([*steps, Reset()], answer(said), whole=False)


def slow(talk: Talk) -> Draft:
    """Says much, and reads little at a time."""
    line = talk.message(words=False) * 100
    said = talk.token() + b"\n" + (line + b"\n") * talk.chance.randint(50, 200)
    size = talk.chance.choice([8_192, 16_384, 30_000])
    return Draft([Say(said), HalfClose()], read_size=size, read_pause=0.003)


def silent(talk: Talk) -> Draft:
    """Says nothing; stays for a while, and leaves."""
    pause = Pause(talk.chance.uniform(0, 1.5))
    if talk.chance.random() < 0.5:
        return Draft([pause, HalfClose()])
    return Draft([pause, Reset()], whole=False)


KINDS: dict[Callable[[Talk], Draft], int] = {
    pipelining: 6,
    flooding: 1,
    asking: 6,
    unframed: 5,
    bursting: 3,
    huge: 1,
    greeting: 3,
    leaving: 3,
    leaving_with_much_to_come: 1,
    abrupt: 4,
    slow: 1,
    silent: 2,
}
"""Every kind of client, and how common it is."""


def plan(seed: int, number: int) -> Plan:
    """What this client does in the run of this seed."""
    chance = random.Random(f"{seed}/{number}")
    talk = Talk(number, chance)
    (kind,) = chance.choices(list(KINDS), weights=list(KINDS.values()))
    draft = kind(talk)
    said = b"".join(step.data for step in draft.steps if isinstance(step, Say))
    due = answer(said) if draft.due is None else draft.due
    up, cut = _direction(chance, len(said), draft, up=True)
    down, broken = _direction(chance, len(due), draft, up=False)
    if up.half_close is not None:
        due = answer(said[: up.half_close])
    return Plan(
        number,
        kind.__name__.replace("_", " "),
        tuple(draft.steps),
        due,
        draft.whole and not cut and not broken,
        Faults(up, down),
        talk.messages,
        draft.read_size,
        draft.read_pause,
    )


TLS_SLICE = 150
"""Bytes by which a segment is longer where there is TLS: the handshake has some 4 KiB, and seconds
to be over."""


def over_tls(decided: Plan) -> Plan | None:
    """The same plan over TLS; None if its network counts the bytes of the text.

    A connection may break off wherever it likes.
    """
    if decided.faults.up.half_close is not None:
        return None
    ways = [
        replace(way, slice=way.slice and way.slice + TLS_SLICE)
        for way in (decided.faults.up, decided.faults.down)
    ]
    return replace(decided, faults=Faults(*ways))


def _direction(
    chance: random.Random, size: int, draft: Draft, *, up: bool
) -> tuple[Direction, bool]:
    """What befalls a direction in which so many bytes go, and whether that breaks it off."""
    fate = Direction(seed=chance.getrandbits(32))
    if not size or chance.random() < 0.4:
        return fate, False
    cuttable = draft.any_cut or not up
    kind = chance.choice(["slice", "slice", "slice", "delay", "stall", "half-close", "reset"])
    if kind == "reset":
        at, side = chance.randint(0, size), chance.choice([*Side, Side.BOTH])
        return replace(fate, reset=at, side=side), True
    if kind == "half-close" and cuttable and up and draft.due is None:
        fate = replace(fate, half_close=chance.randint(0, size))
    elif kind == "stall" and cuttable and draft.patient:
        fate = replace(fate, stall=(chance.randint(0, size), chance.uniform(0, SLOWED)))
    segments = 20  # a guess at how the network cuts
    if cuttable and kind != "delay":
        shortest = max(1, 2 * size // SEGMENTS)
        fate = replace(fate, slice=chance.randint(shortest, 4 * shortest))
        segments = SEGMENTS
    if draft.patient and kind != "stall" and chance.random() < 0.5:
        fate = replace(fate, delay=2 * SLOWED / segments * chance.random())
    return fate, False
