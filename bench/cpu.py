"""CPU per call and per event of the gateway with everything on, against a raw byte relay on trio and two bare
proxies on the same stack.

They take turns, round by round, so that what else the machine does falls on all of them. Each turn leads in
with calls that do not count, so that a gateway has open what it opens for work, and ends when the last of
its calls is in the analytics file. A ratio is of two servers in the same round; shown are its median,
lowest and highest over the rounds. A turn's calls take about the four seconds for which the gateway
collects rows, so that they bear the writing of one batch, as they do under a steady load.
"""

import argparse
import json
import time
from contextlib import ExitStack
from statistics import median
from typing import NamedTuple

from bench import rivals, servers
from bench.figures import Figure, ratios

STREAM_RATE = 60.0  # streams opened a second; each takes a second, so as many are open at once


class Load(NamedTuple):
    """What a contender is asked in a turn."""

    calls: int = 4000
    streams: int = 240
    lead_in_calls: int = 50


class Cost(NamedTuple):
    """Of one turn: milliseconds of CPU a unary call, microseconds an event (with its share of what the call
    costs)."""

    call_ms: float
    event_us: float | None


class Contender(NamedTuple):
    server: servers.Server
    load: Load


Rounds = dict[str, list[Cost]]


def measure(contender: Contender, cpu: int | None) -> Cost:
    server, load = contender
    server.load("unary", cpu, requests=load.lead_in_calls)
    time.sleep(server.settles)
    idle = idle_cpu(server)
    calls, call_cpu = cpu_of(server, idle, "unary", cpu, requests=load.calls)
    if not load.streams:
        return Cost(call_cpu * 1e3 / calls["calls"], None)
    streams, stream_cpu = cpu_of(server, idle, "streams", cpu, count=load.streams, rate=STREAM_RATE)
    return Cost(call_cpu * 1e3 / calls["calls"], stream_cpu * 1e6 / streams["events"])


def idle_cpu(server: servers.Server) -> float:
    """Seconds of CPU that it takes while it waits for the last work of its calls."""
    if not server.settles:
        return 0.0
    before = server.cpu()
    time.sleep(1)
    return (server.cpu() - before) * server.settles


def cpu_of(
    server: servers.Server, idle: float, kind: str, cpu: int | None, **options: float
) -> tuple[dict[str, float], float]:
    """What the load found, and the seconds of CPU that it took, with the last work for it and without waiting
    for that."""
    before = server.cpu()
    found = server.load(kind, cpu, **options)
    time.sleep(server.settles)
    if found["broken"]:
        raise SystemExit(f"{server.url}: broken calls, so no figures: {found}")
    return found, server.cpu() - before - idle


def take_turns(contenders: dict[str, Contender], rounds: int, cpu: int | None) -> Rounds:
    found: Rounds = {name: [] for name in contenders}
    for _ in range(rounds + 1):
        for name, contender in contenders.items():
            found[name].append(measure(contender, cpu))
    return {name: costs[1:] for name, costs in found.items()}  # the first round warms up


def run(rounds: int, load: Load, events: int, setting: servers.Setting) -> Rounds:
    at = setting.server_cpu
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream(setting.load_cpu, events=events, interval=0.02))
        started = {
            "gateway": stack.enter_context(servers.gateway(upstream, at)),
            "raw relay": stack.enter_context(servers.relay(upstream, at)),
            "bare h11": stack.enter_context(servers.bare(upstream, at)),
            "bare httpcore2": stack.enter_context(servers.bare(upstream, at, "--httpcore")),
        }
        contenders = {name: Contender(server, load) for name, server in started.items()}
        return take_turns(contenders, rounds, setting.load_cpu)


def column(rounds: Rounds, name: str, field: str) -> list[float]:
    return [getattr(cost, field) for cost in rounds[name]]


def summary(rounds: Rounds, name: str, field: str) -> dict[str, float]:
    own = column(rounds, name, field)
    times = ratios(column(rounds, "gateway", field), own)
    return {"median": median(own), "ratio": median(times), "lowest": min(times), "highest": max(times)}


def figures(setting: servers.Setting) -> list[Figure]:
    """A call and an event, against the raw relay and the bare proxy."""
    load = Load(calls=500, streams=60) if setting.quick else Load()
    found = run(setting.rounds or (2 if setting.quick else 5), load, 50, setting)

    def of(work: str, field: str, unit: str, raw: float, bare: float) -> list[Figure]:
        ours = column(found, "gateway", field)
        theirs = {name: column(found, name, field) for name in ("raw relay", "bare h11")}
        return [
            Figure(work, "CPU × raw relay", ratios(ours, theirs["raw relay"]), at_most=raw),
            Figure(work, "CPU × bare h11", ratios(ours, theirs["bare h11"]), at_most=bare),
            Figure(work, f"CPU of the gateway, {unit}", ours),
            *(Figure(work, f"CPU of the {name}, {unit}", costs) for name, costs in theirs.items()),
        ]

    return of("SSE event", "event_us", "µs", 1.5, 0.5) + of("unary call", "call_ms", "ms", 6, 0.4)


def rival_figures(setting: servers.Setting) -> list[Figure]:
    """A call and an event, against LiteLLM's proxy and nginx, where they can be had."""
    rounds = setting.rounds or (2 if setting.quick else 5)
    loads = {"gateway": Load(2000, 120), "nginx": Load(2000, 120), "LiteLLM": Load(100, 0, lead_in_calls=20)}
    with ExitStack() as stack:
        upstream = stack.enter_context(servers.upstream(setting.load_cpu, events=50, interval=0.02))
        found: dict[str, servers.Server | rivals.Missing] = {
            "gateway": stack.enter_context(servers.gateway(upstream, setting.server_cpu)),
            "LiteLLM": stack.enter_context(rivals.litellm(upstream, setting.server_cpu)),
            "nginx": stack.enter_context(rivals.nginx(upstream, setting.server_cpu)),
        }
        missing = {name: it.why for name, it in found.items() if isinstance(it, rivals.Missing)}
        present = {
            name: Contender(it, loads[name]) for name, it in found.items() if isinstance(it, servers.Server)
        }
        costs = take_turns(present, rounds, setting.load_cpu)
    calls = {name: column(costs, name, "call_ms") for name in costs}
    return [
        *_against_litellm(calls, missing.get("LiteLLM", "")),
        *_against_nginx(calls, costs, missing.get("nginx", "")),
    ]


def _against_litellm(calls: dict[str, list[float]], missing: str) -> list[Figure]:
    work = f"unary call against LiteLLM's proxy {rivals.LITELLM_VERSION}"
    if missing:
        return [Figure(work, "its CPU × ours", [], at_least=60, skipped=missing)]
    times = ratios(calls["LiteLLM"], calls["gateway"])
    return [
        Figure(work, "its CPU × ours", times, at_least=60),
        Figure(work, "its CPU, ms", calls["LiteLLM"]),
        Figure(work, "CPU of the gateway, ms", calls["gateway"]),
    ]


def _against_nginx(calls: dict[str, list[float]], costs: Rounds, missing: str) -> list[Figure]:
    work = "call and event against nginx, which only forwards"
    if missing:
        return [Figure(work, "our CPU × its, a call", [], skipped=missing)]
    events = {name: column(costs, name, "event_us") for name in ("gateway", "nginx")}
    return [
        Figure(work, "our CPU × its, a call", ratios(calls["gateway"], calls["nginx"])),
        Figure(work, "our CPU × its, an event", ratios(events["gateway"], events["nginx"])),
        Figure(work, "its CPU, ms a call", calls["nginx"]),
        Figure(work, "its CPU, µs an event", events["nginx"]),
    ]


def show(rounds: Rounds) -> None:
    print(f"{'':16}{'ms a call':>10}   gateway is ×      {'µs an event':>12}   gateway is ×")
    form = "{median:{width}.{digits}f}   {ratio:.2f} ({lowest:.2f}–{highest:.2f})"
    for name in rounds:
        call = form.format(**summary(rounds, name, "call_ms"), width=10, digits=3)
        event = form.format(**summary(rounds, name, "event_us"), width=12, digits=1)
        print(f"{name:16}{call}  {event}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=4000, help="unary calls of a round")
    parser.add_argument("--streams", type=int, default=240, help="streams of a round")
    parser.add_argument("--events", type=int, default=50, help="events of a stream, one each 20 ms")
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, load and upstream on CPU 1")
    parser.add_argument("--json", action="store_true", help="with every round")
    given = parser.parse_args()
    asked = Load(given.calls, given.streams)
    found = run(given.rounds, asked, given.events, servers.PINNED if given.pin else servers.Setting())
    if given.json:
        medians = {name: {field: summary(found, name, field) for field in Cost._fields} for name in found}
        print(json.dumps({"summary": medians, "rounds": found}))
    else:
        show(found)
