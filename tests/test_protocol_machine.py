"""Random sequences of data, quiet and eof: the protocol against the naive model."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tcpecho_trio.dialects import STANDARD, Dialect
from tcpecho_trio.protocol import Output, Protocol, State
from tests.support.naive_model import NaiveModel, merged
from tests.support.protocol_inputs import chunks, dialects, lines_together, openings, words

# It waits for nothing, so it cannot hang; it works, and on a busy machine for long.
pytestmark = pytest.mark.timeout(3600)


class ProtocolAgainstModel(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.start(STANDARD)

    @initialize(dialect=dialects)
    def start(self, dialect: Dialect) -> None:
        self.protocol = Protocol(dialect)
        self.model = NaiveModel(dialect)
        self.outputs: list[Output] = []

    def take(self, outputs: tuple[Output, ...]) -> None:
        assert b"" not in outputs
        assert merged(list(outputs)) == list(outputs), "replies in a row belong together"
        self.outputs += outputs

    @rule(chunk=chunks)
    def data(self, chunk: bytes) -> None:
        self.take(self.protocol.receive_data(chunk))
        self.model.data(chunk)

    @rule(chunk=lines_together)
    def whole_lines(self, chunk: bytes) -> None:
        self.data(chunk)

    @rule(opening=openings, cut=st.integers(0, 20))
    def opening_of_another_protocol(self, opening: bytes, cut: int) -> None:
        self.data(opening[:cut])
        self.data(opening[cut:])

    @rule(word=words)
    def unframed_word(self, word: bytes) -> None:
        self.data(word)
        self.quiet()

    @rule()
    def quiet(self) -> None:
        self.take(self.protocol.receive_quiet())
        self.model.quiet()

    @rule(rare=st.integers(0, 5))
    def eof(self, rare: int) -> None:
        if rare == 0:
            self.take(self.protocol.receive_eof())
            self.model.eof()

    @invariant()
    def agree(self) -> None:
        assert merged(self.outputs) == merged(self.model.outputs)
        assert (self.protocol.state is State.FINISHED) == self.model.finished
        assert self.protocol.awaits_quiet == self.model.awaits_quiet
        if not self.model.finished:
            assert (self.protocol.state is State.LINES) == self.model.lines


TestProtocolAgainstModel = ProtocolAgainstModel.TestCase
