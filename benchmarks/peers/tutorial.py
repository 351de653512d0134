"""The server of the Trio tutorial, without its prints. Bare."""

import trio


async def echo_server(server_stream):
    try:
        async for data in server_stream:
            await server_stream.send_all(data.upper())
    except trio.BrokenResourceError:
        pass


async def main():
    async with trio.open_nursery() as nursery:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        print(listeners[0].socket.getsockname()[1], flush=True)
        nursery.start_soon(trio.serve_listeners, echo_server, listeners)


trio.run(main)
