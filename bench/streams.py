"""Many paced streams at once: what the gateway adds to the first event, what breaks, what memory it takes.

Direct to the upstream, through the bare proxy and through the gateway, in turn. Times in ms, memory in MiB,
`cpu` in seconds of CPU per second, `added_*` against the direct run of the same round.
"""

import argparse
import json
from collections.abc import Iterator
from contextlib import ExitStack

import servers

Row = dict[str, float | str]
COLUMNS = (
    "round", "server", "broken", "first_p50", "first_p99", "added_p50", "added_p99", "gap_p99", "events_s",
    "cpu", "rss",
)  # fmt: skip


def run(options: argparse.Namespace) -> Iterator[Row]:
    """A row for each server and round; round 0 is before any stream."""
    server_cpu, load_cpu = (0, 1) if options.pin else (None, None)
    with ExitStack() as stack:
        pace = {"events": options.events, "interval": options.interval}
        upstream = stack.enter_context(servers.upstream(load_cpu, **pace))
        contenders = {
            "direct": upstream,
            "bare": stack.enter_context(servers.bare(upstream, server_cpu)),
            "gateway": stack.enter_context(servers.gateway(upstream, server_cpu)),
        }
        for name, server in contenders.items():
            yield {"round": 0, "server": name, "rss": server.rss()}
        for number in range(1, options.rounds + 1):
            direct: Row = {}
            for name, server in contenders.items():
                before = server.cpu()
                row = server.load("streams", load_cpu, count=options.streams, rate=options.rate)
                direct = direct or row
                row |= {
                    f"added_{q}": round(row[f"first_{q}"] - direct[f"first_{q}"], 1) for q in ("p50", "p99")
                }
                row["events_s"] = round(row["events"] / row["seconds"])
                row["cpu"] = round((server.cpu() - before) / row["seconds"], 2)
                yield {"round": number, "server": name, "rss": server.rss()} | row


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
    for found in run(given):
        line = "".join(f"{found.get(name, ''):>10}" for name in COLUMNS)
        print(json.dumps(found) if given.json else line, flush=True)
