"""Runs `gatekeeper ARGUMENTS` and samples what its threads do: `sampler.py OUT ARGUMENTS…`.

SIGUSR1 starts the sampling, SIGUSR2 ends it and writes OUT: a line of JSON for each stack, with the
microseconds of CPU that were found there, and its frames from the outermost to the innermost. A sample is
taken each time that the process has used some milliseconds of CPU; the exact CPU that a thread has used since
the last one goes to the stack in which it is found. The sampling itself is not counted.
"""

import json
import signal
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from types import FrameType

from gatekeeper.cli.main import main

current_frames = sys._current_frames  # noqa: SLF001  the only way to see other threads

INTERVAL = 0.001  # seconds of CPU; the kernel rounds it up to its tick
# Frames up to the innermost one of these say only where a thread began.
OUTERMOST = {
    "trio._core._run.unrolled_run": "event loop",
    "trio._core._thread_cache.WorkerThread._handle_job": "worker threads",
    "threading.Thread._bootstrap_inner": "worker threads",
}
NATIVE = ("worker threads", "threads that are not Python's")

Stack = tuple[str, ...]


def name(frame: FrameType) -> str:
    return f"{frame.f_globals.get('__name__', '?')}.{frame.f_code.co_qualname}"


def stack(frame: FrameType | None) -> Stack:
    found: list[str] = []
    while frame:
        if root := OUTERMOST.get(name(frame)):
            return (root, *reversed(found))
        found.append(name(frame))
        frame = frame.f_back
    return tuple(reversed(found))


class Sampler:
    def __init__(self, out: Path) -> None:
        self.out = out
        self.microseconds: Counter[Stack] = Counter()
        self.seen: dict[int, float] = {}  # seconds of CPU of each thread at the last sample
        self.process = 0.0

    def start(self, *_: object) -> None:
        self.remember(current_frames())
        signal.setitimer(signal.ITIMER_PROF, INTERVAL, INTERVAL)

    def sample(self, _: int, interrupted: FrameType | None) -> None:
        frames = current_frames()
        frames[threading.get_ident()] = interrupted or frames[threading.get_ident()]
        missing = time.process_time() - self.process
        for thread, frame in frames.items():
            used = self.clock(thread) - self.seen.get(thread, 0.0)
            self.microseconds[stack(frame)] += round(used * 1e6)
            missing -= used
        self.microseconds[NATIVE] += max(0, round(missing * 1e6))
        self.remember(frames)

    def remember(self, threads: dict[int, FrameType]) -> None:
        self.seen = {thread: self.clock(thread) for thread in threads}
        self.process = time.process_time()

    def clock(self, thread: int) -> float:
        return time.clock_gettime(time.pthread_getcpuclockid(thread))

    def stop(self, *_: object) -> None:
        signal.setitimer(signal.ITIMER_PROF, 0)
        lines = (json.dumps([spent, *frames]) for frames, spent in self.microseconds.items() if spent)
        part = self.out.with_suffix(".part")
        part.write_text("\n".join(lines) + "\n")
        part.rename(self.out)


if __name__ == "__main__":
    sampler = Sampler(Path(sys.argv[1]))
    signal.signal(signal.SIGUSR1, sampler.start)
    signal.signal(signal.SIGUSR2, sampler.stop)
    signal.signal(signal.SIGPROF, sampler.sample)
    # trio has each signal wake its loop: each sample would add a turn of it.
    signal.set_wakeup_fd = lambda *_, **__: -1  # type: ignore[assignment]
    sys.argv = ["gatekeeper", *sys.argv[2:]]
    main()
