"""Starts the processes of a measurement on free loopback ports, and asks Linux what they use."""

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
GATEKEEPER = Path(sys.executable).with_name("gatekeeper")
ENVIRONMENT = {"PATH": os.environ["PATH"]}  # and nothing that could set the gateway up otherwise
MASTER = "bench-master-key"
KEY = {
    "key_alias": "bench", "models": ["gemini-*"], "tags": ["bench"], "max_budget": 1_000_000,
    "budget_duration": "30d", "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10**6,
}  # fmt: skip
UNARY = "/v1beta/models/gemini-2.5-flash:generateContent?"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


class Server(NamedTuple):
    """A running process, the address that clients call, and the key that they show."""

    process: subprocess.Popen[bytes]
    url: str
    key: str = "none"

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of all its threads up to now."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # the kernel's name for a process's CPU clock

    def rss(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

    def load(self, kind: str, cpu: int | None, **options: float) -> dict[str, float]:
        """Runs load.py against it and returns what it measured."""
        url = self.url + (STREAM if kind == "streams" else UNARY)
        command = [sys.executable, HERE / "load.py", kind, url, self.key, *flags(options)]
        with pinned(cpu):
            return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def flags(options: dict[str, float]) -> list[str]:
    return [f"--{name}={value}" for name, value in options.items()]


@contextmanager
def pinned(cpu: int | None) -> Iterator[None]:
    """What starts inside runs on that CPU only; None: wherever it likes."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, before if cpu is None else {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def running(command: list[object], cpu: int | None = None, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process, in a folder of its own, until the end of the block."""
    with tempfile.TemporaryDirectory() as folder:
        with pinned(cpu):
            process = subprocess.Popen(
                [str(part) for part in command], cwd=folder, env=ENVIRONMENT | env, stdout=subprocess.DEVNULL
            )
        try:
            yield process
        finally:
            process.terminate()
            process.wait(10)


def await_port(process: subprocess.Popen[bytes], port: int) -> None:
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.01)
    raise SystemExit(f"{process.args} ended with {process.returncode}")


@contextmanager
def upstream(cpu: int | None, **options: float) -> Iterator[Server]:
    port = free_port()
    with running([sys.executable, HERE / "upstream.py", port, *flags(options)], cpu) as process:
        await_port(process, port)
        yield Server(process, f"http://127.0.0.1:{port}")


@contextmanager
def bare(upstream: Server, cpu: int | None, *variant: str) -> Iterator[Server]:
    port = free_port()
    with running([sys.executable, HERE / "bare.py", port, upstream.url, *variant], cpu) as process:
        await_port(process, port)
        yield Server(process, f"http://127.0.0.1:{port}/gemini")


@contextmanager
def relay(upstream: Server, cpu: int | None) -> Iterator[Server]:
    port = free_port()
    address = upstream.url.removeprefix("http://")
    with running([sys.executable, HERE / "relay.py", port, address], cpu) as process:
        await_port(process, port)
        yield Server(process, f"http://127.0.0.1:{port}")


@contextmanager
def gateway(upstream: Server, cpu: int | None) -> Iterator[Server]:
    """`gatekeeper serve` with a master key, and a virtual key that has every kind of limit."""
    port = free_port()
    command = [GATEKEEPER, "serve", "--port", port, "--upstream", upstream.url]
    with running(command, cpu, GEMINI_API_KEY="bench", GATEKEEPER_MASTER_KEY=MASTER) as process:
        await_port(process, port)
        headers = {"authorization": f"Bearer {MASTER}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{port}"
        asked = urllib.request.Request(f"{url}/key/generate", json.dumps(KEY).encode(), headers)
        with urllib.request.urlopen(asked) as answer:
            yield Server(process, f"{url}/gemini", json.load(answer)["key"])
