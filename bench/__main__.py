"""Fills in the table of docs/performance.md: what a call, an event, a byte and an open stream cost the
gateway with everything on (keys, tags, meter, prices, journal, budgets, rate limits).

What is compared takes turns, round by round; a figure is the median over the rounds, beside the lowest and
the highest. Needs Linux, and two CPUs: the measured servers have the first one, the load and the stand-ins
for Google the second one.
"""

import argparse
import os
import platform
import sys
import time
from collections.abc import Callable
from importlib.metadata import version

from bench import bodies, cpu, open_streams, servers, soak, start, streams, tls, tui, writer
from bench.figures import Figure, table, write

PARTS: dict[str, Callable[[servers.Setting], list[Figure]]] = {
    "cpu": cpu.figures,
    "first-byte": streams.figures,
    "rivals": cpu.rival_figures,
    "bodies": bodies.figures,
    "start": start.figures,
    "open-streams": open_streams.figures,
    "writer": writer.figures,
    "tls": tls.figures,
    "tui": tui.figures,
    "soak": soak.figures,
}
LONG = ("soak",)  # only when asked for


def measure(names: list[str], setting: servers.Setting) -> list[Figure]:
    found: list[Figure] = []
    for name in names:
        began = time.monotonic()
        found += PARTS[name](setting)
        print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return found


def circumstances(options: argparse.Namespace) -> str:
    """What the figures depend on beside the code, in a line."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("trio", "hypercorn", "h11", "duckdb"))
    only = f" Latest part: {', '.join(options.only)}." if options.only else ""
    return f"Python {platform.python_version()}, {packages}, {os.cpu_count()} CPUs, Linux.{only}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=PARTS, help="only this part of it (may be given several times)"
    )
    parser.add_argument("--rounds", type=int, help="of every part, in place of its own number")
    parser.add_argument("--quick", action="store_true", help="small sizes, few rounds: to see that it works")
    parser.add_argument("--no-pin", action="store_true", help="let every process run on any CPU")
    parser.add_argument("--write", action="store_true", help="put the table into docs/performance.md")
    options = parser.parse_args()
    pins = {} if options.no_pin else {"server_cpu": 0, "load_cpu": 1}
    names = options.only or [part for part in PARTS if part not in LONG]
    found = measure(names, servers.Setting(options.rounds, options.quick, **pins))
    print(table(found))
    if options.write:
        write(found, circumstances(options))


main()
