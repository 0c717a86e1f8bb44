"""Starts the processes of a measurement on free loopback ports, and asks Linux what they use."""

import json
import os
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).parent
GATEKEEPER = Path(sys.executable).with_name("gatekeeper")
# The gateway is the one beside this folder; and nothing that could set it up otherwise.
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(HERE.parent)}
MASTER = "bench-master-key"
KEY = {
    "key_alias": "bench", "models": ["gemini-*"], "tags": ["bench"], "max_budget": 1_000_000,
    "budget_duration": "30d", "rpm_limit": 10**9, "tpm_limit": 10**12, "max_parallel_requests": 10**6,
}  # fmt: skip
WRITTEN = 4.5  # seconds after which a finished call is in the gateway's analytics file
UNARY = "/v1beta/models/gemini-2.5-flash:generateContent?"
STREAM = "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse"


class Setting(NamedTuple):
    """How everything is measured in one run."""

    rounds: int | None = None  # None: as many as each measurement takes by itself
    quick: bool = False  # smaller sizes, fewer rounds: to see that it works
    server_cpu: int | None = None  # where the measured servers run; None: wherever they like
    load_cpu: int | None = None  # the load and the stand-ins


PINNED = Setting(server_cpu=0, load_cpu=1)


class Server(NamedTuple):
    """A running process, the address that clients call, and the key that they show."""

    process: subprocess.Popen[bytes]
    url: str
    key: str = "none"
    settles: float = 0.0  # seconds after a call in which the last work for it is done

    def cpu(self) -> float:
        """Seconds of CPU, user and system, of all its threads up to now."""
        return time.clock_gettime(~self.process.pid << 3 | 2)  # the kernel's name for a process's CPU clock

    def main_thread_cpu(self) -> float:
        """Seconds of CPU of the thread that it began with: the one of its event loop."""
        pid = self.process.pid
        return int(Path(f"/proc/{pid}/task/{pid}/schedstat").read_text().split()[0]) / 1e9

    def rss(self) -> float:
        """Resident memory in MiB."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return round(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, 1)

    def forget_peak(self) -> None:
        """`peak_rss` is what it holds at most from now on."""
        Path(f"/proc/{self.process.pid}/clear_refs").write_text("5")

    def peak_rss(self) -> float:
        """Resident memory in MiB at its highest."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return round(int(status.partition("VmHWM:")[2].split()[0]) / 1024, 1)

    def descriptors(self) -> int:
        return sum(1 for _ in Path(f"/proc/{self.process.pid}/fd").iterdir())

    def has_open(self, name: str) -> bool:
        """Whether it has a file of that name open."""
        links = Path(f"/proc/{self.process.pid}/fd").iterdir()
        return any(os.path.basename(os.readlink(link)) == name for link in links)  # noqa: PTH115, PTH119

    def load(self, kind: str, cpu: int | None, **options: float) -> dict[str, float]:
        """Runs load.py against it and returns what it measured."""
        with self.loading(kind, cpu, **options) as process:
            return json.loads(process.communicate()[0])

    @contextmanager
    def loading(self, kind: str, cpu: int | None, **options: float) -> Iterator[subprocess.Popen[bytes]]:
        """load.py against it while the block runs; its line is on the process's standard output."""
        url = self.url + (STREAM if kind == "streams" else UNARY)
        command = [sys.executable, HERE / "load.py", kind, url, self.key, *flags(options)]
        with pinned(cpu):
            process = subprocess.Popen(command, stdout=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


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


def raise_descriptor_limit() -> None:
    """For the processes that this one starts: thousands of streams are as many connections."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:  # it has open calls, whose load has gone
                process.kill()
                process.wait()


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
def tls_upstream(cpu: int | None, cert: Path, key: Path, **options: float) -> Iterator[Server]:
    port = free_port()
    files = [f"--cert={cert}", f"--key={key}"]
    with running([sys.executable, HERE / "upstream.py", port, *files, *flags(options)], cpu) as process:
        await_port(process, port)
        yield Server(process, f"https://127.0.0.1:{port}")


@contextmanager
def bare(upstream: Server, cpu: int | None, *variant: str, **env: str) -> Iterator[Server]:
    port = free_port()
    with running([sys.executable, HERE / "bare.py", port, upstream.url, *variant], cpu, **env) as process:
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
def gateway(
    upstream: Server, cpu: int | None, program: Sequence[object] = (GATEKEEPER,), **env: str
) -> Iterator[Server]:
    """`gatekeeper serve` with a master key, and a virtual key that has every kind of limit."""
    port = free_port()
    command = [*program, "serve", "--port", port, "--upstream", upstream.url]
    keys = {"GEMINI_API_KEY": "bench", "GATEKEEPER_MASTER_KEY": MASTER}
    with running(command, cpu, **keys, **env) as process:
        await_port(process, port)
        headers = {"authorization": f"Bearer {MASTER}", "content-type": "application/json"}
        url = f"http://127.0.0.1:{port}"
        asked = urllib.request.Request(f"{url}/key/generate", json.dumps(KEY).encode(), headers)
        with urllib.request.urlopen(asked) as answer:
            yield Server(process, f"{url}/gemini", json.load(answer)["key"], WRITTEN)
