"""Many paced streams at once: what the gateway adds to the first event, what breaks, what memory it takes.

Direct to the upstream, through the raw relay, the bare proxy and the gateway, in turn. Times in ms, memory
in MiB, `cpu` in seconds of CPU per second, `added_*` against the direct run of the same round.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

from bench import servers
from bench.figures import Figure, ratios

Row = dict[str, Any]
COLUMNS = (
    "round", "server", "broken", "first_p50", "first_p99", "added_p50", "added_p99", "gap_p99", "events_s",
    "cpu", "rss",
)  # fmt: skip


class Crowd(NamedTuple):
    """The streams of a round."""

    streams: int = 500  # open at once
    rate: float = 2500.0  # opened a second
    events: int = 40  # of a stream
    interval: float = 0.05  # seconds between two events


def run(crowd: Crowd, rounds: int, setting: servers.Setting) -> Iterator[Row]:
    """A row for each server and round; round 0 is before any stream."""
    at = setting.server_cpu
    with ExitStack() as stack:
        pace = {"events": crowd.events, "interval": crowd.interval}
        upstream = stack.enter_context(servers.upstream(setting.load_cpu, **pace))
        contenders = {
            "direct": upstream,
            "raw": stack.enter_context(servers.relay(upstream, at)),
            "bare": stack.enter_context(servers.bare(upstream, at)),
            "gateway": stack.enter_context(servers.gateway(upstream, at)),
        }
        for name, server in contenders.items():
            yield {"round": 0, "server": name, "rss": server.rss()}
        for number in range(1, rounds + 1):
            direct: Row = {}
            for name, server in contenders.items():
                before = server.cpu()
                row = server.load("streams", setting.load_cpu, count=crowd.streams, rate=crowd.rate)
                direct = direct or row
                row |= {
                    f"added_{q}": round(row[f"first_{q}"] - direct[f"first_{q}"], 1) for q in ("p50", "p99")
                }
                row["events_s"] = round(row["events"] / row["seconds"])
                row["cpu"] = round((server.cpu() - before) / row["seconds"], 2)
                yield {"round": number, "server": name, "rss": server.rss()} | row


def figures(setting: servers.Setting) -> list[Figure]:
    """What is added to the first byte of streams that are opened together. The first round warms up."""
    rounds = setting.rounds or (2 if setting.quick else 5)
    rows = list(run(Crowd(events=20), rounds + 1, setting))
    added: dict[str, list[float]] = {name: [] for name in ("gateway", "bare", "raw")}
    for row in rows:
        if row["round"] > 1 and row["server"] in added:
            added[row["server"]].append(row["added_p50"])
    work = "first byte of 500 streams opened within 0.2 s, p50"
    broken = sum(row.get("broken", 0) for row in rows)
    return [
        Figure(work, "added × bare h11", ratios(added["gateway"], added["bare"]), at_most=0.12),
        Figure(work, "added by the gateway, ms", added["gateway"]),
        Figure(work, "added by bare h11, ms", added["bare"]),
        Figure(work, "added by the raw relay, ms", added["raw"]),
        Figure(work, "broken streams, all together", [broken], at_most=0),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500, help="open at once")
    parser.add_argument("--events", type=int, default=40, help="events of a stream")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between two events")
    parser.add_argument("--rate", type=float, default=2500.0, help="streams opened a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    parser.add_argument("--json", action="store_true", help="one row a line")
    given = parser.parse_args()
    if not given.json:
        print("".join(f"{name:>10}" for name in COLUMNS))
    asked = Crowd(given.streams, given.rate, given.events, given.interval)
    where = servers.PINNED if given.pin else servers.Setting()
    for found in run(asked, given.rounds, where):
        line = "".join(f"{found.get(name, ''):>10}" for name in COLUMNS)
        print(json.dumps(found) if given.json else line, flush=True)
