"""What a server says before its first reply: perhaps a greeting, or that it does not serve us.

:mod:`tcpecho_trio.client.opening` is the same for a client that waits; a load cannot wait, and has
to know of each byte whether it may already be a reply.
"""

from __future__ import annotations

from tcpecho_trio.client.opening import LONGEST_REFUSAL, REFUSAL
from tcpecho_trio.dialects import DIALECTS

GREETINGS = tuple(known.greeting.encode() for known in DIALECTS.values() if known.greeting)
"""What servers of this kind say before a client has spoken. It is no reply."""


def past_opening(held: bytes, reply: bytes | None, *, anything: bool) -> bytes | None:
    """What of the first bytes of a connection is certain to be neither greeting nor refusal.

    Args:
      held: all that has come.
      reply: the reply that is due; None if none is, or if any will do.
      anything: whether any reply will do.

    Returns:
      None while it is not known yet.
    """
    if reply is not None and (reply.startswith(held) or held.startswith(reply)):
        return held
    for greeting in GREETINGS:
        if held.startswith(greeting):
            return held[len(greeting) :]
    if any(greeting.startswith(held) for greeting in GREETINGS):
        return None
    return None if _may_be_refusal(held) and not anything else held


def _may_be_refusal(held: bytes) -> bool:
    """Whether this is how a server begins to say why it does not serve us: in one line."""
    line, _, rest = held.partition(b"\n")
    begins = line.startswith(REFUSAL) or REFUSAL.startswith(line)
    return begins and not rest and len(line) <= LONGEST_REFUSAL


def refusal(held: bytes) -> str:
    """The sentence of a refusal; empty if it is none."""
    if not held.startswith(REFUSAL):
        return ""
    return held.removeprefix(REFUSAL).decode("utf-8", "replace").strip().rstrip(".")
