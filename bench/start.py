"""How long until the gateway answers, how long `--help` takes, and what an idle gateway holds in memory.

Medians; the first start of all, which may compile, does not count.
"""

import argparse
import http.client
import json
import subprocess
import tempfile
import time
from statistics import median

import servers


def serve() -> tuple[float, float]:
    """Seconds from the start of the process to its first healthy answer, and its memory a second later."""
    port = servers.free_port()
    with tempfile.TemporaryDirectory() as folder:
        command = [servers.gateway_program(), "serve", "--sandbox", "--port", str(port), "--data", folder]
        began = time.perf_counter()
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=servers.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            while not is_healthy(port):
                time.sleep(0.002)
            ready = time.perf_counter() - began
            time.sleep(1)
            return ready, servers.Server(process, "").rss()
        finally:
            process.terminate()
            process.wait(10)


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
    subprocess.run([servers.gateway_program(), "--help"], check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    serve(), ask_for_help()
    starts, memory = zip(*(serve() for _ in range(given.rounds)), strict=True)
    found = {
        "ready_ms": round(median(starts) * 1000),
        "help_ms": round(median(ask_for_help() for _ in range(given.rounds)) * 1000),
        "idle_rss_mib": round(median(memory), 1),
    }
    print(
        json.dumps(found)
        if given.json
        else "\n".join(f"{name:14}{value:>8}" for name, value in found.items())
    )
