"""Many paced streams at once: what the gateway adds to the first event, whether any breaks, what memory it takes.

Direct to the upstream, through the bare proxy and through the gateway in turn. Times in ms, memory in MiB.
"""

import argparse
import json
from contextlib import ExitStack

import servers

COLUMNS = ("round", "server", "broken", "first_p50", "first_p99", "added_p50", "added_p99", "gap_p99",
           "events_per_s", "cpu_share", "rss")  # fmt: skip


def run(options: argparse.Namespace) -> list[dict[str, object]]:
    """A row for each server and round; round 0 is before any stream."""
    server_cpu, load_cpu = (0, 1) if options.pin else (None, None)
    with ExitStack() as stack:
        upstream = stack.enter_context(
            servers.upstream(load_cpu, events=options.events, interval=options.interval)
        )
        contenders = {
            "direct": upstream,
            "bare": stack.enter_context(servers.bare(upstream, cpu=server_cpu)),
            "gateway": stack.enter_context(servers.gateway(upstream, server_cpu)),
        }
        rows: list[dict[str, object]] = [
            {"round": 0, "server": name, "rss": round(server.rss(), 1)} for name, server in contenders.items()
        ]
        for number in range(1, options.rounds + 1):
            direct = None
            for name, server in contenders.items():
                before = server.cpu()
                result = server.load("streams", load_cpu, count=options.streams, rate=options.rate)
                direct = direct or result
                used = server.cpu() - before
                rows.append({"round": number, "server": name, "rss": round(server.rss(), 1)})
                rows[-1] |= derived(result, direct, used)
    return rows


def derived(result: dict[str, float], direct: dict[str, float], used: float) -> dict[str, object]:
    added = {f"added_{q}": round(result[f"first_{q}"] - direct[f"first_{q}"], 1) for q in ("p50", "p99")}
    rates = {
        "events_per_s": round(result["events"] / result["seconds"]),
        "cpu_share": round(used / result["seconds"], 2),
    }
    return result | added | rates


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, default=500, help="open at once")
    parser.add_argument("--events", type=int, default=40, help="events of a stream")
    parser.add_argument("--interval", type=float, default=0.05, help="seconds between two events")
    parser.add_argument("--rate", type=float, default=2500.0, help="streams opened a second")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = run(given)
    if given.json:
        print(json.dumps(found))
    else:
        print("".join(f"{name:>13}" for name in COLUMNS))
        for row in found:
            print("".join(f"{row.get(name, ''):>13}" for name in COLUMNS))
