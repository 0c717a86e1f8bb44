"""Calls a gateway and times what comes back; prints one JSON line. Times in milliseconds.

`unary`: a closed loop, each of CONCURRENCY connections asks again once it has been answered.
`streams`: opens COUNT streams, RATE of them a second and each on a connection of its own, all open at once.
A call is broken unless it is answered with 200 and ends properly.
"""

import argparse
import asyncio
import json
from time import perf_counter
from urllib.parse import urlsplit

BODY = b'{"contents":[{"role":"user","parts":[{"text":"Tell me a story of a lighthouse."}]}]}'
PATIENCE = 60.0  # seconds for one call


class Client(asyncio.Protocol):
    """One connection. `call` returns when each event came, or None for a broken call."""

    def __init__(self, url: str, key: str) -> None:
        self.address = urlsplit(url)
        self.request = (
            f"POST {self.address.path}?{self.address.query} HTTP/1.1\r\nhost: {self.address.netloc}\r\n"
            f"user-agent: bench\r\ntags: bench,paced\r\nx-goog-api-key: {key}\r\n"
            f"content-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        ).encode() + BODY
        self.transport: asyncio.Transport | None = None

    async def call(self) -> list[float] | None:
        self.times: list[float] = []
        self.tail, self.missing = b"", -1  # bytes of a body of known length; -1 before the head has come
        loop = asyncio.get_running_loop()
        self.ended = loop.create_future()
        overdue = loop.call_later(PATIENCE, self.end, False)
        try:
            if self.transport is None:
                await loop.create_connection(lambda: self, self.address.hostname, self.address.port)
            self.transport.write(self.request)
            if await self.ended:
                return self.times
            if self.transport:
                self.transport.abort()
            return None
        except OSError:
            return None
        finally:
            overdue.cancel()

    def connection_made(self, transport: asyncio.Transport) -> None:
        self.transport = transport

    def connection_lost(self, _: Exception | None) -> None:
        self.transport = None
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
        self.tail = text[-5:]  # too short to hold the six bytes that were counted, long enough for the end
        if self.missing:
            self.missing -= len(data)
            well_ended = self.missing == 0
        else:
            well_ended = self.tail == b"0\r\n\r\n"
        if well_ended:
            self.end(self.ok)

    def begin(self, data: bytes) -> bytes:
        """Reads the head, which our peers send in one piece, and returns what follows."""
        head, _, rest = data.partition(b"\r\n\r\n")
        self.ok = head.startswith(b"HTTP/1.1 200")
        _, _, length = head.lower().partition(b"content-length:")
        self.missing = int(length.partition(b"\r\n")[0] or 0)
        return rest


def quantile(values: list[float], share: float) -> float | None:
    """In milliseconds."""
    ordered = sorted(values)
    return round(ordered[min(len(ordered) - 1, int(len(ordered) * share))] * 1000, 2) if ordered else None


async def unary(options: argparse.Namespace) -> dict[str, object]:
    left, broken, times = options.requests, 0, []

    async def ask() -> None:
        nonlocal left, broken
        client = Client(options.url, options.key)
        while left > 0:
            left -= 1
            began = perf_counter()
            broken += await client.call() is None
            times.append(perf_counter() - began)

    await asyncio.gather(*(ask() for _ in range(options.concurrency)))
    return {"calls": len(times), "broken": broken, "p50": quantile(times, 0.5), "p99": quantile(times, 0.99)}


async def streams(options: argparse.Namespace) -> dict[str, object]:
    first: list[float] = []
    gaps: list[float] = []

    async def ask(began: float) -> int:
        await asyncio.sleep(began - perf_counter())
        began = perf_counter()
        times = await Client(options.url, options.key).call()
        if not times:
            return 0
        first.append(times[0] - began)
        gaps.extend(after - before for before, after in zip(times, times[1:], strict=False))
        return len(times)

    start = perf_counter()
    events = await asyncio.gather(*(ask(start + i / options.rate) for i in range(options.count)))
    return {
        "streams": options.count,
        "broken": events.count(0),
        "events": sum(events),
        "first_p50": quantile(first, 0.5),
        "first_p99": quantile(first, 0.99),
        "gap_p99": quantile(gaps, 0.99),
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["unary", "streams"])
    parser.add_argument("url")
    parser.add_argument("key")
    parser.add_argument("--concurrency", type=int, default=16)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--rate", type=float, default=1000.0)
    given = parser.parse_args()
    began = perf_counter()
    result = asyncio.run(unary(given) if given.kind == "unary" else streams(given))
    print(json.dumps(result | {"seconds": round(perf_counter() - began, 3)}))
