"""The wire contract written down as slowly and plainly as possible.

It keeps the whole history, looks at one byte at a time, and recomputes everything from the
definitions. It shares no code with the protocol but the dialect's words.
"""

from __future__ import annotations

from tcpecho_trio.dialects import Action, Command, Dialect
from tcpecho_trio.protocol import Foreign, Output, Request

LONGEST_BLANKS = 16


def upper(data: bytes) -> bytes:
    return data.decode("utf-8", "surrogateescape").upper().encode("utf-8", "surrogateescape")


def command_in(message: bytes, dialect: Dialect) -> Command | None:
    for word, command in dialect.words.items():
        blanks = message[len(word) :]
        if (
            message.startswith(word)
            and len(blanks) <= LONGEST_BLANKS
            and not blanks.strip(b" \t\r")
        ):
            return command
    return None


def may_become_command(start: bytes, dialect: Dialect) -> bool:
    return command_in(start, dialect) is not None or any(
        word.startswith(start) for word in dialect.words
    )


def foreign(history: bytes, dialect: Dialect) -> str:
    """Which other protocol a client speaks whose last byte has just made that certain."""
    if any(c.action in (Action.LIST, Action.SHUTDOWN) for c in dialect.words.values()):
        if history == b"\x16\x03":
            return "TLS"
        if history.endswith(b"\n") and history.count(b"\n") == 1:
            *before, last = history[:-1].removesuffix(b"\r").split(b" ")
            versions = [b"%d" % n for n in range(10)]
            versions += [b"%d.%d" % (n, m) for n in range(10) for m in range(10)]
            if before and last in [b"HTTP/" + version for version in versions]:
                return "HTTP"
    return ""


def unfinished(data: bytes) -> int:
    """How many bytes at the end are a UTF-8 sequence whose rest may still come."""
    for size in (3, 2, 1):
        try:
            data[-size:].decode()
        except UnicodeDecodeError as error:
            if error.start == 0 and error.reason == "unexpected end of data":
                return min(size, len(data))
    return 0


def merged(outputs: list[Output]) -> list[Output]:
    """The same outputs with replies that touch each other joined."""
    result: list[Output] = []
    for output in outputs:
        if isinstance(output, bytes) and result and isinstance(result[-1], bytes):
            result[-1] += output
        elif output != b"":
            result.append(output)
    return result


class NaiveModel:
    def __init__(self, dialect: Dialect) -> None:
        self.dialect = dialect
        self.history = b""
        self.answered = 0  # history[:answered] is dealt with
        self.line = 0  # where the line candidate starts
        self.burst = 0  # where the burst candidate starts
        self.settled = True
        self.lines = False
        self.finished = False
        self.outputs: list[Output] = []

    def answer(self, end: int) -> None:
        if end > self.answered:
            text = self.history[self.answered : end]
            self.outputs.append(upper(text) if self.dialect.upper else text)
            self.answered = end

    def obey(self, command: Command, start: int, terminator: bytes) -> None:
        self.answer(start)
        self.outputs.append(Request(command, terminator))
        self.answered = self.line = self.burst = len(self.history)
        self.settled = True
        self.finished = command.action is Action.DISCONNECT

    def certain(self) -> int:
        """How far the history can be answered without touching a living candidate."""
        now = len(self.history)
        living = []
        if may_become_command(self.history[self.line :], self.dialect):
            living.append(self.line)
        if not self.lines and may_become_command(self.history[self.burst :], self.dialect):
            living.append(self.burst)
        living = [start for start in living if start < now]
        if living:
            return min(living)
        return now - (unfinished(self.history[self.answered :]) if self.dialect.upper else 0)

    def data(self, chunk: bytes) -> None:
        if not self.finished and self.answered == len(self.history):
            self.settled = True
        for byte in chunk:
            if self.finished:
                return
            if self.settled:
                self.burst, self.settled = len(self.history), False
            self.history += bytes([byte])
            if spoken := foreign(self.history, self.dialect):
                self.answer(len(self.history) - 1)
                self.outputs.append(Foreign(spoken))
                self.answered, self.finished = len(self.history), True
            elif byte == 0x0A:
                self.lines = True
                message = self.history[self.line : -1]
                command = command_in(message, self.dialect)
                if command:
                    start = max(self.line, self.answered)
                    self.obey(command, start, b"\r\n" if message.endswith(b"\r") else b"\n")
                else:
                    self.answer(len(self.history))
                    self.line = len(self.history)
            else:
                self.answer(max(self.answered, self.certain()))

    @property
    def awaits_quiet(self) -> bool:
        return not (self.lines or self.finished or self.settled or not self.unanswered)

    @property
    def unanswered(self) -> bytes:
        return b"" if self.finished else self.history[self.answered :]

    def burst_command(self) -> Command | None:
        if self.lines or self.settled:
            return None
        return command_in(self.history[self.burst :], self.dialect)

    def quiet(self) -> None:
        if not self.awaits_quiet:
            return
        command = self.burst_command()
        if command:
            self.obey(command, self.burst, b"")
        else:
            kept = unfinished(self.unanswered) if self.dialect.upper else 0
            self.answer(len(self.history) - kept)
            self.settled = True

    def eof(self) -> None:
        if self.finished:
            return
        command = self.burst_command()
        if command:
            self.obey(command, self.burst, b"")
        else:
            self.answer(len(self.history))
        self.finished = True
