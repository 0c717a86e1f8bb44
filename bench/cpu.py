"""CPU per call and per event of the gateway with everything on, against two bare proxies on the same stack.

The three take turns, round by round, so that what else the machine does falls on all of them. A ratio is that of
two servers in the same round; shown is the median of the rounds, with the lowest and the highest.
"""

import argparse
import json
from contextlib import ExitStack
from statistics import median

import servers


def measure(server: servers.Server, options: argparse.Namespace, cpu: int | None) -> tuple[float, float]:
    """Milliseconds a unary call, microseconds an event (its share of the stream's call included)."""
    before = server.cpu()
    calls = server.load("unary", cpu, requests=options.calls)
    between = server.cpu()
    streams = server.load("streams", cpu, count=options.streams, rate=options.streams * 2)
    after = server.cpu()
    if calls["broken"] or streams["broken"]:
        raise SystemExit(f"{server.url}: broken calls, no figures: {calls} {streams}")
    return (between - before) * 1e3 / calls["calls"], (after - between) * 1e6 / streams["events"]


def run(options: argparse.Namespace) -> dict[str, list[tuple[float, float]]]:
    server_cpu, load_cpu = (0, 1) if options.pin else (None, None)
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream(load_cpu, events=options.events, interval=0.02))
        contenders = {
            "gateway": stack.enter_context(servers.gateway(upstream, server_cpu)),
            "bare h11": stack.enter_context(servers.bare(upstream, cpu=server_cpu)),
            "bare httpcore2": stack.enter_context(servers.bare(upstream, "--httpcore", cpu=server_cpu)),
        }
        rounds: dict[str, list[tuple[float, float]]] = {name: [] for name in contenders}
        for number in range(options.rounds + 1):
            for name, server in contenders.items():
                result = measure(server, options, load_cpu)
                if number:  # the first round warms up
                    rounds[name].append(result)
    return rounds


def summary(rounds: dict[str, list[tuple[float, float]]]) -> dict[str, dict[str, list[float]]]:
    """Of each server: the median of each figure, and the gateway's ratio to it as median, lowest, highest."""
    found = {}
    for name, results in rounds.items():
        found[name] = {}
        for column, unit in enumerate(("call_ms", "event_us")):
            own = [result[column] for result in results]
            ratios = [ours[column] / theirs for ours, theirs in zip(rounds["gateway"], own, strict=True)]
            found[name][unit] = round(median(own), 3)
            found[name][f"{unit}_ratio"] = [round(f(ratios), 3) for f in (median, min, max)]
    return found


def table(found: dict[str, dict]) -> None:
    print(f"{'':16}{'ms a call':>10}  {'gateway is':20}{'µs an event':>12}  gateway is")
    for name, row in found.items():
        call, event = (
            "" if name == "gateway" else "{:.2f} × ({:.2f}–{:.2f})".format(*row[unit])
            for unit in ("call_ms_ratio", "event_us_ratio")
        )
        print(f"{name:16}{row['call_ms']:10.3f}  {call:20}{row['event_us']:12.1f}  {event}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1000, help="unary calls of a round")
    parser.add_argument("--streams", type=int, default=60, help="streams of a round")
    parser.add_argument("--events", type=int, default=50, help="events of a stream, one each 20 ms")
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    parser.add_argument("--json", action="store_true", help="with every round")
    given = parser.parse_args()
    results = run(given)
    if given.json:
        print(json.dumps({"summary": summary(results), "rounds": results}))
    else:
        table(summary(results))
