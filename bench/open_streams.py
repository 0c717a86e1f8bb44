"""Thousands of open streams, with an event every two seconds each: what breaks, and the memory of a stream.

A fresh process each round, since memory that was used once is kept. Its memory is read before the first
stream, once the analytics file has been closed, and while all of them are open.
"""

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import NamedTuple

from bench import servers
from bench.figures import Figure, table

INTERVAL = 2.0  # seconds between two events of a stream
EVENTS = 25  # of a stream
RATE = 200.0  # streams opened a second: all of them are open well before the first one ends
LEAD_IN_CALLS = 200
POLL_INTERVAL = 0.5  # seconds


class Result(NamedTuple):
    """Of one round."""

    broken: int
    kib_a_stream: float
    gap_p99: float  # seconds between two events; INTERVAL, if none is late
    cpu: float  # seconds a second, while all of them are open


Start = Callable[[servers.Server, int | None], AbstractContextManager[servers.Server]]


def measure(start: Start, streams: int, setting: servers.Setting) -> Result:
    pace = {"events": EVENTS, "interval": INTERVAL}
    with (
        servers.upstream(setting.load_cpu, **pace) as upstream,
        start(upstream, setting.server_cpu) as server,
    ):
        await_rest(server, setting.load_cpu)
        before = server.rss()
        with server.loading("streams", setting.load_cpu, count=streams, rate=RATE) as load:
            memory, cpu = while_all_open(server, streams)
            found = json.loads(load.communicate()[0])
    return Result(found["broken"], (memory - before) * 1024 / streams, found["gap_p99"] / 1000, cpu)


def await_rest(server: servers.Server, cpu: int | None) -> None:
    """After some calls, until the analytics file is closed."""
    server.load("unary", cpu, requests=LEAD_IN_CALLS)
    time.sleep(server.settles)
    while server.has_open("gatekeeper.duckdb"):
        time.sleep(POLL_INTERVAL)


def while_all_open(server: servers.Server, streams: int) -> tuple[float, float]:
    """From the moment that each stream has its two connections, until the first one ends: the memory in MiB
    at its highest, and seconds of CPU a second."""
    until = time.monotonic() + EVENTS * INTERVAL
    memory, first, last = 0.0, (0.0, 0.0), (0.0, 0.0)
    while time.monotonic() < until:
        if server.descriptors() >= 2 * streams:
            memory, last = max(memory, server.rss()), (time.monotonic(), server.cpu())
            first = first if first[0] else last
        time.sleep(POLL_INTERVAL)
    if last[0] == first[0]:
        raise SystemExit("the streams were not all open at once: the machine is too slow, or too busy")
    return memory, (last[1] - first[1]) / (last[0] - first[0])


def run(streams: int, rounds: int, setting: servers.Setting) -> dict[str, list[Result]]:
    servers.raise_descriptor_limit()
    starts: dict[str, Start] = {"gateway": servers.gateway, "raw relay": servers.relay}
    found: dict[str, list[Result]] = {name: [] for name in starts}
    for _ in range(rounds):
        for name, start in starts.items():
            found[name].append(measure(start, streams, setting))
    return found


def figures(setting: servers.Setting) -> list[Figure]:
    streams = 1000 if setting.quick else 5000
    return figures_of(streams, run(streams, setting.rounds or (1 if setting.quick else 2), setting))


def figures_of(streams: int, found: dict[str, list[Result]]) -> list[Figure]:
    work = f"{streams:,} open streams, an event each {INTERVAL:g} s"
    ours, theirs = found["gateway"], found["raw relay"]
    return [
        Figure(work, "broken", [each.broken for each in ours], at_most=0),
        Figure(work, "KiB a stream", [each.kib_a_stream for each in ours], at_most=40),
        Figure(work, "KiB a stream of the raw relay", [each.kib_a_stream for each in theirs]),
        Figure(work, "gap between events, p99, s", [each.gap_p99 for each in ours]),
        Figure(work, "CPU, s a second", [each.cpu for each in ours]),
        Figure(work, "CPU of the raw relay, s a second", [each.cpu for each in theirs]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--streams", type=int, default=5000)
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    given = parser.parse_args()
    where = servers.PINNED if given.pin else servers.Setting()
    print(table(figures_of(given.streams, run(given.streams, given.rounds, where))))
