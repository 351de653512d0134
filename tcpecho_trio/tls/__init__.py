"""TLS as server and client share it.

=============== ================================================================
context         what both sides' contexts have in common
stream          a TLS stream that can be half-closed, over two ``ssl.MemoryBIO``
client_hello    the server's name that a client asks for (SNI)
=============== ================================================================
"""
