"""A raw byte relay on trio: accepts, connects, and copies bytes both ways. No HTTP, no keys, no ledger.

The lower bound of any proxy on this stack: what passes is read once by `receive_some` and written once by
`os.write`. Every client connection has an upstream connection of its own, for as long as it lasts.
"""

import argparse
import os
from contextlib import suppress
from functools import partial

import trio

READ_SIZE = 65536  # bytes


async def copy(source: trio.SocketStream, target: trio.SocketStream) -> None:
    """Until the end of `source`, which becomes the end of `target`."""
    descriptor = target.socket.fileno()
    while data := await source.receive_some(READ_SIZE):
        try:
            written = os.write(descriptor, data)
        except BlockingIOError:
            written = 0
        if written < len(data):
            await target.send_all(memoryview(data)[written:])
    await target.send_eof()


async def relay(host: str, port: int, client: trio.SocketStream) -> None:
    """One connection of a client. A side that breaks ends both."""
    with suppress(OSError):
        async with await trio.open_tcp_stream(host, port) as upstream:
            with suppress(ExceptionGroup):
                async with trio.open_nursery() as both:
                    both.start_soon(copy, client, upstream)
                    both.start_soon(copy, upstream, client)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    parser.add_argument("upstream", help="HOST:PORT")
    given = parser.parse_args()
    host, _, port = given.upstream.rpartition(":")
    handler = partial(relay, host, int(port))
    trio.run(partial(trio.serve_tcp, handler, given.port, host="127.0.0.1", backlog=4096))
