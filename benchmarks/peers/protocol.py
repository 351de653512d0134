"""asyncio's and uvloop's callback API, the fastest they have.

``protocol.py asyncio|uvloop bare|full``: bare is ``data.upper()``; full does the work of the
exercise as one would write it there: lines, DESCONEXION, and UTF-8 across chunks. Over TLS if the
environment names a certificate: TLS_CERT, TLS_KEY.
"""

import asyncio
import os
import ssl
import sys


class Bare(asyncio.Protocol):
    __slots__ = ("transport", "write")

    def connection_made(self, transport):
        self.transport = transport
        self.write = transport.write

    def data_received(self, data):
        self.write(data.upper())


class Full(asyncio.Protocol):
    __slots__ = ("rest", "transport", "write")

    def connection_made(self, transport):
        self.transport = transport
        self.write = transport.write
        self.rest = b""

    def data_received(self, data):
        *lines, self.rest = (self.rest + data).split(b"\n")
        replies = []
        for line in lines:
            if line.rstrip(b" \t\r") == b"DESCONEXION":
                replies.append("Conexión cerrada".encode())
                self.transport.close()
                break
            text = line.decode("utf-8", "surrogateescape").upper()
            replies.append(text.encode("utf-8", "surrogateescape"))
        if replies:
            replies.append(b"")
            self.write(b"\n".join(replies))


async def main(protocol):
    context = None
    if "TLS_CERT" in os.environ:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(os.environ["TLS_CERT"], os.environ["TLS_KEY"])
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", 0, backlog=4096, ssl=context
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


protocol = {"bare": Bare, "full": Full}[sys.argv[2]]
if sys.argv[1] == "uvloop":
    import uvloop

    uvloop.run(main(protocol))
else:
    asyncio.run(main(protocol))
