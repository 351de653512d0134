"""asyncio streams, a coroutine a client: ``streams.py bare|full``, as in protocol.py."""

import asyncio
import sys


async def bare(reader, writer):
    while data := await reader.read(65536):
        writer.write(data.upper())
        await writer.drain()
    writer.close()


async def full(reader, writer):
    while line := await reader.readline():
        if line.rstrip(b" \t\r\n") == b"DESCONEXION":
            writer.write("Conexión cerrada\n".encode())
            break
        text = line.decode("utf-8", "surrogateescape").upper()
        writer.write(text.encode("utf-8", "surrogateescape"))
        await writer.drain()
    writer.close()


async def main(handler):
    server = await asyncio.start_server(handler, "127.0.0.1", 0, backlog=4096, limit=1 << 20)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


asyncio.run(main({"bare": bare, "full": full}[sys.argv[1]]))
