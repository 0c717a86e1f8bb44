"""What the terminal application takes while it follows many calls a second: CPU, memory, the time from a key
press to the screen, and the time to the first rows.

`gatekeeper tui` runs in a pseudo-terminal of 120 × 40 cells in front of a stand-in for a gateway
(`tui_source.py`). CPU is that of its process, all threads. A key press is `f`, which pauses the log: until
the terminal is told so. Memory is read before and after so many calls, sent faster than they are paced.
"""

import argparse
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import quantiles

from bench import servers
from bench.figures import Figure, table

WIDTH, HEIGHT = 120, 40
RATE, FAST_RATE, QUIET_RATE = 500.0, 4000.0, 1.0  # calls a second
STARTED, ROW, PAUSED = b"Overview", b"web-frontend", b"paused"
FULL = 20_000  # calls after which the log has as many lines as it keeps
PATIENCE = 20.0


class Terminal:
    """The application in a terminal of its own."""

    def __init__(self, url: str, cpu: int | None) -> None:
        self.screen, inner = pty.openpty()
        fcntl.ioctl(inner, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
        env = servers.ENVIRONMENT | {"TERM": "xterm-256color", "HOME": "/nonexistent"}
        self.began = time.monotonic()
        with servers.pinned(cpu):
            process = subprocess.Popen(
                [servers.GATEKEEPER, "tui", "--url", url], stdin=inner, stdout=inner, stderr=inner, env=env
            )
        os.close(inner)
        self.server = servers.Server(process, url)

    def press(self, key: str) -> None:
        os.write(self.screen, key.encode())

    def drawn(self, text: bytes) -> float:
        """Seconds until it draws this text."""
        began, seen = time.monotonic(), b""
        while text not in seen:
            left = began + PATIENCE - time.monotonic()
            if left < 0 or not select.select([self.screen], [], [], left)[0]:
                raise SystemExit(f"{text!r} was not drawn in {PATIENCE:g} s")
            # A text can be in two reads.
            seen = seen[-len(text) :] + os.read(self.screen, 1 << 16)
        return time.monotonic() - began

    def watch(self, seconds: float) -> None:
        """Reads what it draws, as a terminal does."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if select.select([self.screen], [], [], left)[0]:
                os.read(self.screen, 1 << 16)


@contextmanager
def opened(rate: float, setting: servers.Setting) -> Iterator[tuple[Terminal, float]]:
    """The application with its log open, and the seconds to its first rows."""
    port = servers.free_port()
    source = [sys.executable, servers.HERE / "tui_source.py", port, rate]
    with servers.running(source, setting.load_cpu) as process:
        servers.await_port(process, port)
        terminal = Terminal(f"http://127.0.0.1:{port}", setting.server_cpu)
        try:
            # Keys that come before it reads them are lost.
            terminal.drawn(STARTED)
            terminal.press("2")
            terminal.drawn(ROW)
            yield terminal, time.monotonic() - terminal.began
        finally:
            terminal.server.process.kill()
            terminal.server.process.wait()
            os.close(terminal.screen)


def cpu_share(terminal: Terminal, seconds: float) -> float:
    """Per cent of a core."""
    before, began = terminal.server.cpu(), time.monotonic()
    terminal.watch(seconds)
    return 100 * (terminal.server.cpu() - before) / (time.monotonic() - began)


def key_presses(terminal: Terminal, count: int) -> list[float]:
    """Milliseconds from a key to the screen."""
    found: list[float] = []
    for number in range(count):
        # At different moments of the log's own updates.
        terminal.watch(0.3 + 0.013 * (number % 10))
        terminal.press("f")
        found.append(terminal.drawn(PAUSED) * 1000)
        terminal.press("f")
    return found


def grown(calls: int, setting: servers.Setting) -> tuple[float, float]:
    """MiB that so many calls add, from when the log is full; and the calls a second."""
    with opened(FAST_RATE, setting) as (terminal, _):
        await_sent(terminal, FULL)
        before, began = terminal.server.rss(), time.monotonic()
        await_sent(terminal, FULL + calls)
        return terminal.server.rss() - before, calls / (time.monotonic() - began)


def await_sent(terminal: Terminal, calls: int) -> None:
    """Until the source has sent the ends of so many calls: it waits for the application to read them."""
    while sent(terminal.server.url) < calls:
        terminal.watch(0.5)


def sent(url: str) -> int:
    with urllib.request.urlopen(f"{url}/sent") as answer:
        return json.load(answer)


def figures(setting: servers.Setting) -> list[Figure]:
    """Of the log at 500 calls a second, and of an application without calls."""
    rounds = setting.rounds or (1 if setting.quick else 3)
    seconds, presses = (3, 10) if setting.quick else (15, 40)
    first: list[float] = []
    cpu: list[float] = []
    rate: list[float] = []
    p95: list[float] = []
    quiet: list[float] = []
    idle: list[float] = []
    for _ in range(rounds):
        with opened(RATE, setting) as (terminal, rows):
            first.append(rows)
            terminal.watch(2)
            before, began = sent(terminal.server.url), time.monotonic()
            cpu.append(cpu_share(terminal, seconds))
            rate.append((sent(terminal.server.url) - before) / (time.monotonic() - began))
            p95.append(quantiles(key_presses(terminal, presses), n=20)[-1])
        with opened(QUIET_RATE, setting) as (terminal, _):
            terminal.watch(2)
            quiet.append(quantiles(key_presses(terminal, presses), n=20)[-1])
        with opened(0, setting) as (terminal, _):
            terminal.watch(2)
            idle.append(cpu_share(terminal, seconds))
    calls = 20_000 if setting.quick else 1_000_000
    added, reached = grown(calls, setting)
    work = f"terminal application, {RATE:g} calls a second"
    return [
        Figure(work, "calls a second reached", rate),
        Figure(work, "CPU, % of a core", cpu, at_most=20),
        Figure(work, "key press to screen, p95, ms", p95, at_most=50),
        Figure(work, "the same at one call a second", quiet),
        Figure(work, "first rows, s", first, at_most=0.6),
        Figure(work, f"RSS added by {calls:,} calls, MiB", [added], at_most=10),
        Figure(work, "calls a second at full speed", [reached]),
        Figure(work, "CPU without calls, % of a core", idle, at_most=1),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.tui", description=__doc__)
    parser.add_argument("--rounds", type=int)
    parser.add_argument("--quick", action="store_true", help="few seconds and calls: to see that it works")
    parser.add_argument("--pin", action="store_true", help="the application on CPU 0, its source on CPU 1")
    given = parser.parse_args()
    pins = {"server_cpu": 0, "load_cpu": 1} if given.pin else {}
    print(table(figures(servers.Setting(given.rounds, given.quick, **pins))))
