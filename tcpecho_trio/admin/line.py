"""What the supervisor's endpoint and a worker say to each other, and how.

They use the line that joins the two anyway (:mod:`tcpecho_trio.cluster.channel`). A worker tells by
itself once a second how it is (``sample``), and what happens while somebody looks (``feed``); it is
told what is looked for (``look``, ``leave``) and gets conversations (``converse``, with a socket).
The rest are questions, each with a deadline.

================== ============================================= ==================================
to the supervisor  fields                                        meaning
================== ============================================= ==================================
``sample``         ``fields``, ``figures``                       how it is, and all that it counted
``feed``           ``contains``, ``events``, ``count``, ``lost`` events for those who look for this
``omit``           ``contains``, ``messages``, ``connections``   what was not told to them
================== ============================================= ==================================

================== ============================================= ==================================
to a worker        fields                                        meaning
================== ============================================= ==================================
``look``           ``contains``                                  somebody looks for these clients
``leave``          ``contains``                                  nobody does any more
``converse``       ``peer``, ``introduced``; a descriptor        talk to a browser
``suffer``         ``faults``                                    what newcomers suffer from now on
================== ============================================= ==================================

================== ================================ ===============================================
asked of a worker  about                            value
================== ================================ ===============================================
``figures``        –                                as in ``sample``
``list``           ``contains``, ``after``, ``most`` clients with higher numbers than `after`
``count``          ``contains``                     how many clients match
``let_go``         ``number``                       whether there was such a client
``suffer``         ``faults``                       what newcomers suffer from now on
================== ================================ ===============================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

CLIENTS_AT_A_TIME = 200
"""Clients in one answer: some 80 KB, and a few milliseconds of each side's time."""

SAMPLE, FEED, OMIT = "sample", "feed", "omit"
LOOK, LEAVE, CONVERSE, SUFFER = "look", "leave", "converse", "suffer"

FROM_WORKERS = frozenset({SAMPLE, FEED, OMIT})
"""Kinds of messages for the supervisor's endpoint."""

TO_WORKERS = frozenset({LOOK, LEAVE, CONVERSE, SUFFER})
"""Kinds of messages for a worker's part of it."""


class Line(Protocol):
    """One end of the line, as far as the endpoint needs it."""

    def put(
        self, message: dict[str, Any], *, droppable: bool = False, descriptors: Sequence[int] = ()
    ) -> bool:
        """Queue a message; False if it is lost."""

    async def ask(self, what: str, seconds: float, /, **about: Any) -> Any:
        """Ask the other side; whatever goes wrong is an :class:`Exception`."""
