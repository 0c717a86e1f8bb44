"""A client's script in a process of its own: told one operation after the other, asked what came of each.

The script prints one line of JSON for each line that it is given: first its operations' names, then for each
name `{"result": …}` or `{"error": …}`.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import trio
from e2e.clients.relay import Relay
from rig.certificate import make_certificate

START_SECONDS = 60.0  # to import a large client on a busy machine


class ScriptEnded(Exception):
    """The script ended, or said nothing that could be understood; its stderr says more."""


class Session:
    def __init__(self, process: trio.Process) -> None:
        self._process = process
        self._received = b""
        self.operations: list[str] = []

    async def begin(self) -> None:
        with trio.fail_after(START_SECONDS):
            self.operations = (await self._read())["operations"]

    async def perform(self, operation: str, seconds: float) -> Any:
        """Its outcome. Raises trio.TooSlowError, after which the session is of no more use."""
        assert self._process.stdin
        with trio.fail_after(seconds):
            await self._process.stdin.send_all(f"{operation}\n".encode())
            return await self._read()

    async def _read(self) -> dict[str, Any]:
        assert self._process.stdout
        while b"\n" not in self._received:
            data = await self._process.stdout.receive_some()
            if not data:
                raise ScriptEnded(f"with status {await self._process.wait()}")
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        try:
            return json.loads(line)
        except ValueError as error:
            raise ScriptEnded(f"it said {line[:200]!r}") from error


@asynccontextmanager
async def session(
    command: Sequence[str], environment: dict[str, str], log: BinaryIO
) -> AsyncIterator[Session]:
    """Killed at the end with all that it started, whether or not it has ended."""
    process = await trio.lowlevel.open_process(
        list(command),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        env=environment,
        cwd=environment["HOME"],
        start_new_session=True,
    )
    try:
        started = Session(process)
        await started.begin()
        yield started
    finally:
        _kill_group(process)
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout):
                if stream:
                    await stream.aclose()


def _kill_group(process: trio.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def clean_environment(settings: dict[str, str], folder: Path) -> dict[str, str]:
    """Only what every program needs, so that no setting of this machine's user points a client elsewhere."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    return kept | {"HOME": str(folder), "NO_COLOR": "1"} | settings


@dataclass
class Script:
    """How a client is started: its command, the environment that it needs, a folder of its own."""

    command: Sequence[str]
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @property
    def certificate(self) -> Path:
        """That of the relays, which this script trusts and nobody else."""
        file = self.folder / "certificate.pem"
        if not file.exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            make_certificate(file)
        return file

    @asynccontextmanager
    async def session(self, front: Relay, prefix: str, key: str) -> AsyncIterator[Session]:
        home = self.folder / "home"  # the same in both runs, and empty
        shutil.rmtree(home, ignore_errors=True)
        home.mkdir(parents=True)
        given = {"BASE": f"{front.url}{prefix}", "SECURE_BASE": f"{front.secure_url}{prefix}", "KEY": key}
        trusted = {name: str(self.certificate) for name in ("SSL_CERT_FILE", "NODE_EXTRA_CA_CERTS")}
        environment = clean_environment({**given, **trusted, **self.settings}, home)
        with (self.folder / "stderr.txt").open("ab") as log:
            async with session(self.command, environment, log) as started:
                yield started
