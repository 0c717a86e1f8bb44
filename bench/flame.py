"""A flame graph of what a call, or an event of a stream, costs the gateway with everything on.

`python -m bench.flame call OUT.svg` loads a gateway with unary calls (`event`: with paced streams) and
samples the CPU of all its threads (`sampler.py`). The picture has a box for each function, as wide as the CPU
that it and what it calls take; pointing at it shows its name, share and microseconds a call.
"""

import argparse
import json
import signal
import sys
import tempfile
import time
from pathlib import Path

from bench import servers
from bench.flame_svg import Sample, draw

LEAD_IN_CALLS = 200
CONCURRENCY = 16
STREAMS, EVENT_INTERVAL = 60, 0.02  # open at once; seconds: at half of what the gateway can do, about
PATIENCE = 10.0  # seconds for the samples to be written


def sample(kind: str, units: int, setting: servers.Setting) -> tuple[list[Sample], int]:
    """The stacks, and for how many calls or events."""
    events = max(1, units // STREAMS)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "samples"
        program = [sys.executable, servers.HERE / "sampler.py", out]
        with (
            servers.upstream(setting.load_cpu, events=events, interval=EVENT_INTERVAL) as upstream,
            servers.gateway(upstream, setting.server_cpu, program) as gateway,
        ):
            gateway.load("unary", setting.load_cpu, requests=LEAD_IN_CALLS)
            time.sleep(gateway.settles)
            gateway.process.send_signal(signal.SIGUSR1)
            if kind == "call":
                done = gateway.load("unary", setting.load_cpu, requests=units, concurrency=CONCURRENCY)
            else:
                done = gateway.load("streams", setting.load_cpu, count=STREAMS, rate=STREAMS)
            gateway.process.send_signal(signal.SIGUSR2)
            samples = read(out)
    if done["broken"]:
        raise SystemExit(f"broken calls, so no picture: {done}")
    return samples, int(done["calls" if kind == "call" else "events"])


def read(out: Path) -> list[Sample]:
    until = time.monotonic() + PATIENCE
    while not out.exists():
        if time.monotonic() > until:
            raise SystemExit("the samples were not written")
        time.sleep(0.05)
    lines = map(json.loads, out.read_text().splitlines())
    return [Sample(tuple(frames), microseconds) for microseconds, *frames in lines]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.flame", description=__doc__)
    parser.add_argument("kind", choices=["call", "event"])
    parser.add_argument("out", type=Path, help="where the SVG goes")
    parser.add_argument("--units", type=int, default=0, help="how many calls (12,000) or events (60,000)")
    parser.add_argument("--no-pin", action="store_true", help="let every process run on any CPU")
    options = parser.parse_args()
    units = options.units or (12_000 if options.kind == "call" else 60_000)
    setting = servers.Setting() if options.no_pin else servers.PINNED
    samples, counted = sample(options.kind, units, setting)
    options.out.write_text(draw(samples, options.kind, counted), "utf-8")
    cost = sum(each.microseconds for each in samples) / counted
    print(f"{options.out}: {cost:.0f} µs of CPU for each {options.kind}, {counted:,} of them")


if __name__ == "__main__":
    main()
