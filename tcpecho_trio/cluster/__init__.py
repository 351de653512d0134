"""Past one process, past one machine: several workers behind one listener, several servers as one.

The server knows nothing of either. Both hang on the roster (:mod:`tcpecho_trio.server.roster`), on
the events and on the life cycle.
"""
