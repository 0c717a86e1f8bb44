"""Calls a gateway and times what comes back; prints one JSON line. Times in milliseconds.

`unary`: a closed loop, each of CONCURRENCY connections asks again once it has been answered; with PACE
no more than so many calls begin in a second.
`streams`: opens COUNT streams, RATE of them a second and each on a connection of its own.
A call is broken unless it is answered with 200 and ends properly.
"""

import argparse
import asyncio
import json
from itertools import pairwise
from time import perf_counter
from urllib.parse import urlsplit

BODY = b'{"contents":[{"role":"user","parts":[{"text":"Tell me a story of a lighthouse."}]}]}'
PATIENCE = 120.0  # seconds for one call


class Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, url: str, key: str) -> None:
        self.address = urlsplit(url)
        self.request = (
            f"POST {self.address.path}?{self.address.query} HTTP/1.1\r\nhost: {self.address.netloc}\r\n"
            f"user-agent: bench\r\ntags: bench,paced\r\nx-goog-api-key: {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        ).encode() + BODY

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        await loop.create_connection(lambda: self, self.address.hostname, self.address.port)

    async def call(self) -> list[float] | None:
        """When each event came; None for a broken call, after which the connection is no good."""
        self.times: list[float] = []
        self.tail, self.missing = b"", -1  # bytes of a body of known length; -1 before the head has come
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        overdue = loop.call_later(PATIENCE, self.end, False)
        self.transport.write(self.request)
        well = await self.ended
        overdue.cancel()
        return self.times if well else None

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.end(False)

    def end(self, well: bool) -> None:
        if not self.ended.done():
            self.ended.set_result(well)

    def data_received(self, data: bytes) -> None:
        now = perf_counter()
        if self.missing < 0:
            data = self.begin(data)
        text = self.tail + data
        self.times += [now] * text.count(b"data: ")
        self.tail = text[-5:]  # one byte less than what is counted, and as long as a chunked body's end
        if self.missing:
            self.missing -= len(data)
        if self.tail == b"0\r\n\r\n" if self.chunked else self.missing == 0:
            self.end(self.ok)

    def begin(self, data: bytes) -> bytes:
        """Reads the head, which our peers send in one piece, and returns what follows."""
        head, _, rest = data.partition(b"\r\n\r\n")
        self.ok = head.startswith(b"HTTP/1.1 200")
        _, _, length = head.lower().partition(b"content-length:")
        self.chunked, self.missing = not length, int(length.partition(b"\r\n")[0] or 0)
        return rest


def quantile(values: list[float], share: float) -> float | None:
    """In milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2) if ordered else None


async def unary(options: argparse.Namespace) -> dict[str, object]:
    times: list[float] = []
    started, start = 0, perf_counter()

    async def ask() -> None:
        nonlocal started
        client = Client(options.url, options.key)
        await client.connect()
        while started < options.requests:
            started += 1
            if options.pace:
                await asyncio.sleep(start + started / options.pace - perf_counter())
            began = perf_counter()
            if await client.call() is None:
                return
            times.append(perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(options.concurrency)))
    broken = options.requests - len(times)
    return {"calls": len(times), "broken": broken, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}


async def streams(options: argparse.Namespace) -> dict[str, object]:
    first: list[float] = []
    gaps: list[float] = []

    async def ask(due: float) -> int:
        await asyncio.sleep(due - perf_counter())
        began = perf_counter()
        client = Client(options.url, options.key)
        await client.connect()
        if not (times := await client.call()):
            return 0
        first.append(times[0] - began)
        gaps.extend(after - before for before, after in pairwise(times))
        return len(times)

    start = perf_counter()
    events = await asyncio.gather(*(ask(start + i / options.rate) for i in range(options.count)))
    quantiles = {"first_p50": quantile(first, 0.5), "first_p99": quantile(first, 0.99)}
    quantiles["gap_p99"] = quantile(gaps, 0.99)
    return {"streams": len(events), "broken": events.count(0), "events": sum(events)} | quantiles


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["unary", "streams"])
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--pace", type=float, default=0.0)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1000.0)
    given = parser.parse_args()
    began = perf_counter()
    result = asyncio.run(unary(given) if given.kind == "unary" else streams(given))
    print(json.dumps(result | {"seconds": round(perf_counter() - began, 3)}))
