"""How soon the gateway answers, how long `--help` takes, and what an idle gateway holds in memory.

Medians.
"""

import argparse
import http.client
import json
import subprocess
import time
from statistics import median

from bench import servers
from bench.figures import Figure


def serve() -> tuple[float, float]:
    """Milliseconds from the start of the process to its first healthy answer; MiB a second later."""
    port = servers.free_port()
    began = time.perf_counter()
    with servers.running([servers.GATEKEEPER, "serve", "--sandbox", "--port", port]) as process:
        while not is_healthy(port) and process.poll() is None:
            time.sleep(0.002)
        ready = time.perf_counter() - began
        time.sleep(1)
        return ready * 1000, servers.Server(process, "").rss()


def is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()


def ask_for_help() -> float:
    began = time.perf_counter()
    subprocess.run(
        [servers.GATEKEEPER, "--help"], check=True, stdout=subprocess.DEVNULL, env=servers.ENVIRONMENT
    )
    return (time.perf_counter() - began) * 1000


def run(rounds: int) -> dict[str, list[float]]:
    """The values of all rounds, by name, without the first start of all, which may have to compile."""
    starts = [(*serve(), ask_for_help()) for _ in range(rounds + 1)][1:]
    names = ("ready_ms", "idle_rss_mib", "help_ms")
    return {name: list(column) for name, column in zip(names, zip(*starts, strict=True), strict=True)}


def figures(setting: servers.Setting) -> list[Figure]:
    with servers.pinned(setting.server_cpu):
        found = run(setting.rounds or (2 if setting.quick else 7))
    work = "start"
    return [
        Figure(work, "idle RSS, MiB", found["idle_rss_mib"], at_most=50),
        Figure(work, "ready, s", [ms / 1000 for ms in found["ready_ms"]], at_most=0.35),
        Figure(work, "`--help`, ms", found["help_ms"], at_most=65),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    found = {name: round(median(column), 1) for name, column in run(given.rounds).items()}
    print(json.dumps(found) if given.json else "\n".join(f"{n:14}{v:>8}" for n, v in found.items()))
