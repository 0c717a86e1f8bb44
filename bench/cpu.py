"""CPU per call and per event of the gateway with everything on, against a raw byte relay on trio and two bare
proxies on the same stack.

They take turns, round by round, so that what else the machine does falls on all of them. Each turn leads
in with calls that do not count, so that a gateway has open what it opens for work. A ratio is of two servers
in the same round; shown are its median, lowest and highest over the rounds.
"""

import argparse
import json
import time
from contextlib import ExitStack
from statistics import median

import servers

LEAD_IN = 1.5  # seconds; the gateway takes one to write the first calls into its analytics file

Rounds = dict[str, list[tuple[float, float]]]


def measure(server: servers.Server, options: argparse.Namespace, cpu: int | None) -> tuple[float, float]:
    """Milliseconds of CPU a unary call, microseconds an event (with its share of what the call costs)."""
    server.load("unary", cpu, requests=50)
    time.sleep(LEAD_IN)
    before = server.cpu()
    calls = server.load("unary", cpu, requests=options.calls)
    between = server.cpu()
    streams = server.load("streams", cpu, count=options.streams, rate=options.streams * 2)
    after = server.cpu()
    if calls["broken"] or streams["broken"]:
        raise SystemExit(f"{server.url}: broken calls, so no figures: {calls} {streams}")
    return (between - before) * 1e3 / calls["calls"], (after - between) * 1e6 / streams["events"]


def run(options: argparse.Namespace) -> Rounds:
    server_cpu, load_cpu = (0, 1) if options.pin else (None, None)
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream(load_cpu, events=options.events, interval=0.02))
        contenders = {
            "gateway": stack.enter_context(servers.gateway(upstream, server_cpu)),
            "raw relay": stack.enter_context(servers.relay(upstream, server_cpu)),
            "bare h11": stack.enter_context(servers.bare(upstream, server_cpu)),
            "bare httpcore2": stack.enter_context(servers.bare(upstream, server_cpu, "--httpcore")),
        }
        rounds: Rounds = {name: [] for name in contenders}
        for _ in range(options.rounds + 1):
            for name, server in contenders.items():
                rounds[name].append(measure(server, options, load_cpu))
    return {name: results[1:] for name, results in rounds.items()}  # the first round warms up


def summary(rounds: Rounds, name: str, column: int) -> dict[str, float]:
    own = [result[column] for result in rounds[name]]
    ratios = [ours[column] / theirs for ours, theirs in zip(rounds["gateway"], own, strict=True)]
    return {"median": median(own), "ratio": median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def show(rounds: Rounds) -> None:
    print(f"{'':16}{'ms a call':>10}   gateway is ×      {'µs an event':>12}   gateway is ×")
    form = "{median:{width}.{digits}f}   {ratio:.2f} ({lowest:.2f}–{highest:.2f})"
    for name in rounds:
        call = form.format(**summary(rounds, name, 0), width=10, digits=3)
        event = form.format(**summary(rounds, name, 1), width=12, digits=1)
        print(f"{name:16}{call}  {event}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", type=int, default=1000, help="unary calls of a round")
    parser.add_argument("--streams", type=int, default=60, help="streams of a round")
    parser.add_argument("--events", type=int, default=50, help="events of a stream, one each 20 ms")
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    parser.add_argument("--json", action="store_true", help="with every round")
    given = parser.parse_args()
    found = run(given)
    if given.json:
        columns = {"call_ms": 0, "event_us": 1}
        medians = {n: {c: summary(found, n, i) for c, i in columns.items()} for n in found}
        print(json.dumps({"summary": medians, "rounds": found}))
    else:
        show(found)
