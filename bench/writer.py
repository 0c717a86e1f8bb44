"""What the gateway's threads take beside its event loop, at a thousand calls a second: DuckDB's, which writes
the analytics file, before all; also the journal's syncs and SQLite."""

import argparse
import os
import time
from typing import NamedTuple

from bench import servers
from bench.figures import Figure, table


class Share(NamedTuple):
    """Of one round."""

    threads: float  # seconds of CPU a second, beside the event loop's thread
    loop: float  # seconds of CPU a second of that
    rate: float  # calls a second that were reached


def measure(gateway: servers.Server, rate: float, seconds: float, cpu: int | None) -> Share:
    gateway.load("unary", cpu, requests=50)
    time.sleep(gateway.settles)
    since, all_before, loop_before = time.monotonic(), gateway.cpu(), gateway.main_thread_cpu()
    done = gateway.load("unary", cpu, requests=round(rate * seconds), concurrency=64, pace=rate)
    took, loop = time.monotonic() - since, gateway.main_thread_cpu() - loop_before
    if done["broken"]:
        raise SystemExit(f"broken calls, so no figures: {done}")
    threads = gateway.cpu() - all_before - loop
    return Share(threads / took, loop / took, done["calls"] / done["seconds"])


def run(rate: float, seconds: float, rounds: int, setting: servers.Setting) -> list[Share]:
    """The first round warms up. The gateway is not pinned: its threads are to have both CPUs."""
    with servers.upstream(setting.load_cpu) as upstream, servers.gateway(upstream, None) as gateway:
        return [measure(gateway, rate, seconds, setting.load_cpu) for _ in range(rounds + 1)][1:]


def figures(setting: servers.Setting) -> list[Figure]:
    seconds = 4.0 if setting.quick else 12.0
    return figures_of(1000, run(1000, seconds, setting.rounds or (2 if setting.quick else 5), setting))


def figures_of(rate: float, shares: list[Share]) -> list[Figure]:
    work = f"{rate:,.0f} calls a second"
    machine = [100 * share.threads / (os.cpu_count() or 1) for share in shares]
    return [
        Figure(work, "threads beside the event loop, % of the machine", machine, at_most=5),
        Figure(work, "the same, % of one CPU", [100 * s.threads for s in shares]),
        Figure(work, "the same, µs a call", [1e6 * s.threads / s.rate for s in shares]),
        Figure(work, "event loop, % of one CPU", [100 * s.loop for s in shares]),
        Figure(work, "calls a second reached", [s.rate for s in shares]),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--rate", type=float, default=1000.0, help="calls a second")
    parser.add_argument("--seconds", type=float, default=12.0, help="of a round")
    parser.add_argument("--pin", action="store_true", help="load and upstream on CPU 1")
    given = parser.parse_args()
    where = servers.PINNED if given.pin else servers.Setting()
    print(table(figures_of(given.rate, run(given.rate, given.seconds, given.rounds, where))))
