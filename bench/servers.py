"""Starts the processes of a measurement on free loopback ports and asks Linux what they use."""

import json
import os
import shutil
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
MASTER = "bench-master-key"
KEY = {
    "key_alias": "bench", "models": ["gemini-*"], "tags": ["bench"], "max_budget": 1_000_000,
    "budget_duration": "30d", "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10**6,
}  # fmt: skip
UNARY = "/v1beta/models/gemini-2.5-flash:generateContent?"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


class Server(NamedTuple):
    """A running process and the address that clients call; `key` is what they show."""

    process: subprocess.Popen[bytes]
    url: str
    key: str = "bench-no-key"

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of all its threads up to now."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # the kernel's name for a process's CPU clock

    def rss(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    def load(self, kind: str, cpu: int | None = None, **options: float) -> dict[str, float]:
        """Runs load.py against it and returns what it measured."""
        path = STREAM if kind == "streams" else UNARY
        flags = [f"--{name}={value}" for name, value in options.items()]
        with pinned(cpu):
            done = subprocess.run(
                [sys.executable, HERE / "load.py", kind, self.url + path, self.key, *flags],
                check=True,
                stdout=subprocess.PIPE,
            )
        return json.loads(done.stdout)


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
def running(command: list[object], port: int, cpu: int | None, **where: object) -> Iterator[subprocess.Popen]:
    """The process, from when its port answers until the block's end."""
    with pinned(cpu):
        process = subprocess.Popen([str(part) for part in command], stdout=subprocess.DEVNULL, **where)
    try:
        while process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.01)
        yield process
    finally:
        process.terminate()
        process.wait(10)


@contextmanager
def upstream(cpu: int | None = None, **options: float) -> Iterator[Server]:
    port = free_port()
    flags = [f"--{name}={value}" for name, value in options.items()]
    with running([sys.executable, HERE / "upstream.py", port, *flags], port, cpu) as process:
        yield Server(process, f"http://127.0.0.1:{port}")


@contextmanager
def bare(upstream: Server, *flags: str, cpu: int | None = None) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, HERE / "bare.py", port, upstream.url, *flags]
    with running(command, port, cpu) as process:
        yield Server(process, f"http://127.0.0.1:{port}/gemini")


def gateway_program() -> Path:
    return Path(sys.executable).with_name("gatekeeper")


def environment(**added: str) -> dict[str, str]:
    """Ours without the settings of a gateway, so that a measurement is of the defaults."""
    kept = {name: value for name, value in os.environ.items() if name not in SETTINGS}
    kept.pop("DATABASE_URL", None)
    return kept | added


@contextmanager
def gateway(upstream: Server, cpu: int | None = None) -> Iterator[Server]:
    """`gatekeeper serve` with a master key, and a virtual key that has every kind of limit."""
    port, folder = free_port(), tempfile.mkdtemp()
    command = [gateway_program(), "serve", "--port", port, "--data", folder, "--upstream", upstream.url]
    env = environment(GEMINI_API_KEY="bench-google-key", GATEKEEPER_MASTER_KEY=MASTER)
    try:
        with running(command, port, cpu, cwd=folder, env=env) as process:
            yield Server(process, f"http://127.0.0.1:{port}/gemini", generated_key(port))
    finally:
        shutil.rmtree(folder)


def generated_key(port: int) -> str:
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/key/generate",
        json.dumps(KEY).encode(),
        {"authorization": f"Bearer {MASTER}", "content-type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["key"]
