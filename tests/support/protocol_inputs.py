"""Hypothesis strategies for what a peer can send: mostly things that nearly are commands."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st

from tcpecho_trio.dialects import ADMIN, ECHO, SALUTATION, STANDARD, Action, Command, Dialect

# Words that are prefixes of one another, and one with letters outside ASCII.
TANGLED = Dialect(
    "tangled",
    {
        b"sal": Command(Action.DISCONNECT, "bye"),
        b"sal ya": Command(Action.REPLY, "now"),
        "adiós".encode(): Command(Action.REPLY, "hasta luego"),
    },
)
UPPERCASING = [STANDARD, SALUTATION, ADMIN, TANGLED]
EVERY_DIALECT = [*UPPERCASING, ECHO]

dialects = st.sampled_from(EVERY_DIALECT)
uppercasing_dialects = st.sampled_from(UPPERCASING)

_words = sorted({word for dialect in EVERY_DIALECT for word in dialect.words})

fragments = st.one_of(
    st.sampled_from(_words),
    st.sampled_from(_words).flatmap(
        lambda word: st.integers(0, len(word)).flatmap(
            lambda cut: st.sampled_from([word[:cut], word[cut:]])
        )
    ),
    st.sampled_from([b"\n", b"\n", b"\r\n", b"\r", b" ", b"\t", b" " * 15, b" " * 17, b"\r" * 16]),
    st.sampled_from([b"hola", b"a\n", b"\x00", b"\xc2\xa0", b"\xef\xbb\xbf", b"\xe2\x80\xa8"]),
    st.sampled_from(
        [*"ñ € ß 😀 ΐ ı".encode().split(), b"\xff", b"\xc0\x8a", b"\xed\xa0\x80", b"\xf4\x90"]
    ),
    st.sampled_from([b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xac"]),
    st.binary(max_size=4),
    st.text(max_size=4).map(lambda text: text.encode("utf-8", "surrogatepass")),
)
openings = st.sampled_from(
    [
        *(b"POST / HTTP/1.1\r\n", b"x HTTP/1.0\n", b" HTTP/2.0\r\n", b"GET /\n", b" HTTP/1.1 \n"),
        *(b"\x16\x03\x01\x02", b"\x16", b"\x03"),
    ]
)
chunks = st.lists(fragments, max_size=6).map(b"".join)
streams = st.lists(fragments, max_size=20).map(b"".join)
unframed_messages = chunks.map(
    lambda chunk: chunk.decode(errors="ignore").replace("\n", "").encode()
).filter(bool)

words = st.sampled_from(_words)
# Whole lines in one chunk, each a word, nearly one, or any text.
lines_together = st.lists(
    st.one_of(words, chunks).flatmap(
        lambda text: st.sampled_from([text + b"\n", text + b" \r\n", b"\n" + text + b"\n"])
    ),
    min_size=1,
    max_size=4,
).map(b"".join)


@st.composite
def cuts(draw: st.DrawFn, stream: bytes) -> list[bytes]:
    """The stream in pieces, cut anywhere."""
    places = draw(st.lists(st.integers(0, len(stream)), max_size=8))
    edges = [0, *sorted(places), len(stream)]
    return [stream[a:b] for a, b in itertools.pairwise(edges) if a < b]
