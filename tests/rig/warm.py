"""Processes of `gatekeeper` without their start-up: each is forked from one that has imported everything.

Importing costs half a second of CPU, and the suite starts some hundred gateways and commands. A forked one is
a process like any other: its own folder, environment, standard streams, signals and end. What only a program
that was executed shows (how it is found, what it imports, closed streams) is tested with
`rig.process.COMMAND`.
"""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import itertools
import json
import os
import pkgutil
import select
import signal
import socket
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import trio

from rig.routes import compile_routes_once

if TYPE_CHECKING:
    from gatekeeper.gateway import Gateway

MOST = 2**16  # bytes of a request: words and environment
# What a process comes to by the first request that it sends, gets or logs; the tests of these have their own.
IMPORTED_LATER = ("anyio._backends._asyncio", "duckdb", "encodings.idna", "httpcore2", "rich.progress")
NOT_IMPORTED = ("gatekeeper.__main__", "gatekeeper.web")
ROOT = Path(__file__).parents[1]
PYTHONPATH = os.pathsep.join(filter(None, sys.path))


class Process:
    """What the tests use of a `trio.Process`."""

    def __init__(self, pid: int, ending: socket.socket) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self._ending = ending

    def poll(self) -> int | None:
        """Its exit status, or minus the signal that ended it; None while it runs."""
        if self.returncode is None:
            try:
                self._end(self._ending.recv(16))
            except BlockingIOError:
                return None
        return self.returncode

    async def wait(self) -> int:
        while self.poll() is None:
            await trio.lowlevel.wait_readable(self._ending)
        assert self.returncode is not None
        return self.returncode

    def join(self, seconds: float) -> int:
        """Its exit status, without an event loop. Raises TimeoutError."""
        if self.returncode is None and not select.select([self._ending], [], [], seconds)[0]:
            raise TimeoutError
        status = self.poll()
        assert status is not None
        return status

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _end(self, told: bytes) -> None:
        self.returncode = int(told)
        self._ending.close()


def start(
    words: list[str], folder: Path, environment: dict[str, str], stdout: BinaryIO, stderr: BinaryIO
) -> Process:
    """`gatekeeper` with these words, started in `folder`."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    request = json.dumps([words, str(folder.absolute()), environment]).encode()
    with theirs:
        socket.send_fds(_parent(), [request], [stdout.fileno(), stderr.fileno(), theirs.fileno()])
    pid = int(ours.recv(16))
    ours.setblocking(False)
    return Process(pid, ours)


@functools.cache
def _parent() -> socket.socket:
    """The socket of the process that is forked: one for each process that tests, ended with it."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        number = theirs.fileno()
        parent = subprocess.Popen(
            [sys.executable, "-c", f"from rig.warm import forked; forked({number})"],
            cwd=ROOT,
            env=os.environ | {"PYTHONPATH": PYTHONPATH},
            stdin=subprocess.DEVNULL,
            pass_fds=[number],
        )

    @atexit.register
    def ended() -> None:
        ours.close()
        parent.wait()

    return ours


def forked(number: int) -> None:
    """In that process: takes requests until its socket is closed. Each child runs the program and exits."""
    main = import_all()
    endings: dict[int, socket.socket] = {}
    woken, wake = socket.socketpair()
    wake.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno())
    requests = socket.socket(fileno=number)
    while request := _next(requests, woken, endings):
        words, folder, environment, numbers = request
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for each in (requests, woken, wake, *endings.values()):
                each.close()
            _become(words, folder, environment, numbers)
            _run(main)
        ending = socket.socket(fileno=numbers.pop())
        for each in numbers:
            os.close(each)
        ending.send(str(pid).encode())
        endings[pid] = ending


def _run(main: Callable[[], None]) -> None:
    """The program to its end. An interpreter would then take all of its objects apart, and by that copy the
    memory that this process shares with its parent: most of what a command costs."""
    try:
        main()
    except SystemExit as ended:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(int(ended.code or 0))


def repeated(*words: str) -> None:
    """In a terminal: the program with these words, killed and started anew at each SIGUSR1, with the terminal
    as it was at first. The terminal's title is the number of starts."""
    main = import_all()
    importlib.import_module("tui.app")
    gc.freeze()
    sys.argv = ["gatekeeper", *words]
    before = termios.tcgetattr(1)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    for number in itertools.count(1):
        termios.tcsetattr(1, termios.TCSAFLUSH, before)
        os.write(1, b"\033c\033]2;%d\007" % number)
        if not (pid := os.fork()):
            main()
        signal.sigwait({signal.SIGUSR1})
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def import_all() -> Callable[[], None]:
    """What each of the children would import, and the prices and routes that it would read and compile. All
    that is kept out of their garbage collections, which would copy it. Returns the program."""
    import gatekeeper
    from gatekeeper.admin.app import AdminApi
    from gatekeeper.cli.main import main
    from gatekeeper.startup import load_catalogue

    for module in pkgutil.walk_packages(gatekeeper.__path__, "gatekeeper."):
        if not module.name.startswith(NOT_IMPORTED):
            importlib.import_module(module.name)
    for name in IMPORTED_LATER:
        importlib.import_module(name)
    load_catalogue()
    compile_routes_once()
    AdminApi(cast("Gateway", None))
    gc.collect()
    gc.freeze()
    return main


def _next(
    requests: socket.socket, woken: socket.socket, endings: dict[int, socket.socket]
) -> tuple[list[str], str, dict[str, str], list[int]] | None:
    """The next request; meanwhile it tells how children end."""
    while True:
        ready = select.select([requests, woken], [], [])[0]
        if woken in ready:
            woken.recv(4096)
            _tell_endings(endings)
        if requests in ready:
            request, numbers, *_ = socket.recv_fds(requests, MOST, 3)
            return (*json.loads(request), list(numbers)) if request else None


def _tell_endings(endings: dict[int, socket.socket]) -> None:
    while endings:
        pid, status = os.waitpid(-1, os.WNOHANG)
        if not pid:
            return
        with endings.pop(pid) as ending:
            ending.send(str(os.waitstatus_to_exitcode(status)).encode())


def _become(words: list[str], folder: str, environment: dict[str, Any], numbers: list[int]) -> None:
    """Another program's arguments, folder, environment and streams."""
    os.dup2(numbers[0], 1)
    os.dup2(numbers[1], 2)
    for each in numbers:
        os.close(each)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    time.tzset()
    sys.argv = ["gatekeeper", *words]
    # Those of the interpreter remember what kind of file they once had before them.
    sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stderr = open(2, "w", 1, encoding="utf-8", errors="backslashreplace", closefd=False)  # noqa: SIM115
