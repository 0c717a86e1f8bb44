"""Half load with faults for a long time: whether memory and open descriptors stay as they are.

Calls and streams, of which some meet an upstream that answers with an error, resets the connection or
breaks off in the middle of a stream, and clients that leave in the middle of one. The rate is found first,
as that at which the gateway's process uses half of a CPU. Memory and descriptors are read every ten
seconds; both are flat if a line through those of the second half rises by next to nothing beyond what their
scatter explains. The exit status is 1 where they are not.
"""

import argparse
import asyncio
import itertools
import math
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from statistics import linear_regression, pstdev
from typing import NamedTuple

from bench import servers
from bench.figures import Figure, table
from bench.load import Client

EVENTS, INTERVAL = 20, 0.05  # of a stream; seconds between two
SAMPLE_INTERVAL = 10.0  # seconds
CLIENTS = 250
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
    """Calls of all kinds by CLIENTS, so many a second. Where that is more than can be done, they are late,
    and do not make up for it."""

    def __init__(self, gateway: servers.Server) -> None:
        self.gateway = gateway
        self.rate = FIRST_RATE
        self.kinds = itertools.cycle(MIX)
        self.due = 0.0
        self.over = False
        self.done: Counter[str] = Counter()
        self.unexpected: Counter[str] = Counter()
        self.idle: dict[str, list[Client]] = {}

    async def run(self) -> None:
        await asyncio.gather(*(self.be_client() for _ in range(CLIENTS)))

    async def be_client(self) -> None:
        while not self.over:
            kind = next(self.kinds)
            self.due = max(self.due + 1 / self.rate, time.monotonic())
            await asyncio.sleep(self.due - time.monotonic())
            try:
                well = await self.call(kind)
            except OSError as error:
                self.unexpected[str(error)] += 1
            else:
                self.done[kind.name] += 1
                if well != kind.well:
                    self.unexpected[kind.name] += 1

    async def call(self, kind: Kind) -> bool:
        """Whether it came to its proper end. Raises OSError."""
        idle = self.idle.setdefault(kind.target, [])
        while idle and idle[-1].transport.is_closing():  # the gateway has closed it after its keep-alive time
            idle.pop()
        client = idle.pop() if idle and not kind.leaves else await self.connect(kind)
        well = await client.call() is not None
        if well:
            idle.append(client)
        else:
            client.transport.abort()
        return well

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


class Rise(NamedTuple):
    """By how much a line rises, and the standard error of that."""

    value: float
    error: float

    def certain(self) -> float:
        """What is not explained by the scatter of the samples."""
        return self.value - 2 * self.error


class Result(NamedTuple):
    samples: list[Sample]
    done: Counter[str]
    unexpected: Counter[str]

    def rise(self, field: str) -> Rise:
        """Of a line through the second half of the samples."""
        half = self.samples[len(self.samples) // 2 :]
        times = [each.seconds for each in half]
        values = [getattr(each, field) for each in half]
        slope, start = linear_regression(times, values)
        errors = [value - start - slope * at for at, value in zip(times, values, strict=True)]
        scatter = math.sqrt(sum(error**2 for error in errors) / max(len(half) - 2, 1))
        length = times[-1] - times[0]
        return Rise(slope * length, length * scatter / (pstdev(times) * math.sqrt(len(half))))

    def is_flat(self) -> bool:
        rss, descriptors = self.rise("rss"), self.rise("descriptors")
        return rss.certain() <= RSS_AT_MOST and descriptors.certain() <= DESCRIPTORS_AT_MOST


async def soak(gateway: servers.Server, seconds: float, load: float) -> Result:
    traffic = Traffic(gateway)
    making = asyncio.create_task(traffic.run())
    for _ in range(CALIBRATIONS):  # a call is cheaper at a higher rate
        cpu, calls = gateway.cpu(), traffic.done.total()
        await asyncio.sleep(CALIBRATION_SECONDS)
        traffic.rate = load * (traffic.done.total() - calls) / (gateway.cpu() - cpu)
    print(f"{traffic.rate:.0f} calls a second", file=sys.stderr)
    found: list[Sample] = []
    async for sample in samples(gateway, seconds):
        found.append(sample)
        print(
            f"{sample.seconds:6.0f} s {sample.rss:7.1f} MiB {sample.descriptors:6} descriptors "
            f"{sample.cpu:5.2f} CPU {traffic.done.total():9,} calls",
            file=sys.stderr,
        )
    traffic.over = True
    await making
    return Result(found, traffic.done, traffic.unexpected)


def run(minutes: float, load: float, setting: servers.Setting) -> Result:
    servers.raise_descriptor_limit()
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
    rss, descriptors = result.rise("rss"), result.rise("descriptors")
    second_half = result.samples[len(result.samples) // 2 :]
    return [
        Figure(work, "rise of RSS in the second half, MiB", [rss.value]),
        Figure(work, "the same less two standard errors", [rss.certain()], at_most=RSS_AT_MOST),
        Figure(work, "rise of open descriptors", [descriptors.value]),
        Figure(work, "rise less two standard errors", [descriptors.certain()], at_most=DESCRIPTORS_AT_MOST),
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
