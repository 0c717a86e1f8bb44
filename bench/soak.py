"""Half load with faults for a long time: whether memory and open descriptors stay as they are.

Calls and streams, of which some meet an upstream that answers with an error, resets the connection or
breaks off in the middle of a stream, and clients that leave in the middle of one. The rate is found first,
as that at which the gateway's process uses half of a CPU. Memory and descriptors are read every ten
seconds; both are flat if a line through those of the second half rises by next to nothing. The exit status
is 1 where they are not.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from statistics import linear_regression
from typing import NamedTuple

from bench import servers
from bench.figures import Figure, table
from bench.load import Client

EVENTS, INTERVAL = 20, 0.05  # of a stream; seconds between two
SAMPLE_INTERVAL = 10.0  # seconds
FIRST_RATE = 100.0  # calls a second
CALIBRATIONS, CALIBRATION_SECONDS = 2, 15.0
RSS_AT_MOST, DESCRIPTORS_AT_MOST = 5.0, 10.0  # by which a line may rise in the second half: MiB, descriptors


class Kind(NamedTuple):
    """A kind of call, and whether it is to come to its proper end with 200."""

    name: str
    target: str
    well: bool = True
    leaves: bool = False


CALL = Kind("call", servers.UNARY)
STREAM = Kind("stream", servers.STREAM)
FAULTS = (
    Kind("upstream's error", servers.UNARY + "fault=error", well=False),
    Kind("upstream resets", servers.UNARY + "fault=reset", well=False),
    Kind("upstream breaks off", servers.STREAM + "&fault=cut", well=False),
    Kind("client leaves", servers.STREAM, well=False, leaves=True),
)
MIX = (CALL, CALL, CALL, STREAM) * 4 + FAULTS


class LeavingClient(Client):
    """Goes away without a word when the first bytes have come."""

    def data_received(self, _: bytes) -> None:
        self.transport.abort()


class Traffic:
    """Calls of all kinds, so many a second, whatever becomes of them."""

    def __init__(self, gateway: servers.Server) -> None:
        self.gateway = gateway
        self.rate = FIRST_RATE
        self.done: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()
        self.idle: dict[str, list[Client]] = {}
        self.running: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        due = time.monotonic()
        for kind in itertools.cycle(MIX):
            due += 1 / self.rate
            await asyncio.sleep(due - time.monotonic())
            task = asyncio.create_task(self.call(kind))
            self.running.add(task)
            task.add_done_callback(self.running.discard)

    async def call(self, kind: Kind) -> None:
        idle = self.idle.setdefault(kind.target, [])
        client = idle.pop() if idle and not kind.leaves else await self.connect(kind)
        well = await client.call() is not None
        if well:
            idle.append(client)
        else:
            client.transport.abort()
        self.done[kind.name] += 1
        if well != kind.well:
            self.unexpected[kind.name] += 1

    async def connect(self, kind: Kind) -> Client:
        client = (LeavingClient if kind.leaves else Client)(self.gateway.url + kind.target, self.gateway.key)
        await client.connect()
        return client


class Sample(NamedTuple):
    """`seconds` since the start; memory in MiB; `cpu` in seconds a second since the last one."""

    seconds: float
    rss: float
    descriptors: int
    cpu: float


async def samples(gateway: servers.Server, seconds: float) -> AsyncIterator[Sample]:
    start, cpu = time.monotonic(), gateway.cpu()
    for number in range(1, round(seconds / SAMPLE_INTERVAL) + 1):
        await asyncio.sleep(start + number * SAMPLE_INTERVAL - time.monotonic())
        used, cpu = gateway.cpu() - cpu, gateway.cpu()
        now = time.monotonic() - start
        yield Sample(now, gateway.rss(), gateway.descriptors(), used / SAMPLE_INTERVAL)


class Result(NamedTuple):
    samples: list[Sample]
    done: Counter[str]
    unexpected: Counter[str]

    def rise(self, field: str) -> float:
        """By how much a line through the second half of the samples rises."""
        half = self.samples[len(self.samples) // 2 :]
        times = [each.seconds for each in half]
        slope, _ = linear_regression(times, [getattr(each, field) for each in half])
        return slope * (times[-1] - times[0])

    def is_flat(self) -> bool:
        return self.rise("rss") <= RSS_AT_MOST and self.rise("descriptors") <= DESCRIPTORS_AT_MOST


async def soak(gateway: servers.Server, seconds: float, load: float) -> Result:
    traffic = Traffic(gateway)
    making = asyncio.create_task(traffic.run())
    for _ in range(CALIBRATIONS):  # a call is cheaper at a higher rate
        before = gateway.cpu()
        await asyncio.sleep(CALIBRATION_SECONDS)
        traffic.rate *= load / ((gateway.cpu() - before) / CALIBRATION_SECONDS)
    print(f"{traffic.rate:.0f} calls a second", file=sys.stderr)
    found: list[Sample] = []
    async for sample in samples(gateway, seconds):
        found.append(sample)
        print(
            f"{sample.seconds:6.0f} s {sample.rss:7.1f} MiB {sample.descriptors:6} descriptors "
            f"{sample.cpu:5.2f} CPU {traffic.done.total():9,} calls",
            file=sys.stderr,
        )
    making.cancel()
    await asyncio.gather(*traffic.running)
    return Result(found, traffic.done, traffic.unexpected)


def run(minutes: float, load: float, setting: servers.Setting) -> Result:
    with (
        servers.upstream(setting.load_cpu, events=EVENTS, interval=INTERVAL) as upstream,
        servers.gateway(upstream, setting.server_cpu) as gateway,
        servers.pinned(setting.load_cpu),
    ):
        return asyncio.run(soak(gateway, minutes * 60, load))


def figures(setting: servers.Setting) -> list[Figure]:
    minutes = 2 if setting.quick else 20
    return figures_of(minutes, run(minutes, 0.5, setting))


def figures_of(minutes: float, result: Result) -> list[Figure]:
    work = f"{minutes:g} minutes at half load with faults"
    second_half = result.samples[len(result.samples) // 2 :]
    return [
        Figure(work, "rise of RSS in the second half, MiB", [result.rise("rss")], at_most=RSS_AT_MOST),
        Figure(work, "rise of open descriptors", [result.rise("descriptors")], at_most=DESCRIPTORS_AT_MOST),
        Figure(work, "RSS in the second half, MiB", [each.rss for each in second_half]),
        Figure(work, "open descriptors", [each.descriptors for each in second_half]),
        Figure(work, "calls", [result.done.total()]),
        Figure(work, "calls that ended otherwise than meant", [result.unexpected.total()], at_most=0),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=20.0, help="at least 1")
    parser.add_argument("--load", type=float, default=0.5, help="seconds of the gateway's CPU a second")
    parser.add_argument("--pin", action="store_true", help="gateway on CPU 0, load and upstream on CPU 1")
    given = parser.parse_args()
    result = run(given.minutes, given.load, servers.PINNED if given.pin else servers.Setting())
    print(table(figures_of(given.minutes, result)))
    print(f"ended: {dict(result.done)}; otherwise than meant: {dict(result.unexpected)}")
    raise SystemExit(0 if result.is_flat() else "memory or descriptors are not flat")
