"""A real `gatekeeper` in a process of its own: started, listened to, and ended by its process id."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple, TextIO

import duckdb
import httpx2
import trio

from rig import warm

SETTINGS = ("GATEKEEPER_", "LITELLM_", "GEMINI_", "GOOGLE_", "DATABASE_URL")
Process = trio.Process | warm.Process
COMMAND = (sys.executable, "-m", "gatekeeper")
PATIENCE = 20.0  # seconds for whatever must happen in the end, on a machine that has other things to do


class Served:
    """A `gatekeeper serve` that answers. `folder` is where it was started: its data, and what it said."""

    def __init__(self, process: Process, folder: Path, url: str, client: httpx2.AsyncClient) -> None:
        self.process = process
        self.folder = folder
        self.url = url
        self.client = client

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    def printed(self) -> str:
        return (self.folder / "stdout.txt").read_text()

    def logged(self) -> str:
        return (self.folder / "stderr.txt").read_text()

    async def has_logged(self, text: str) -> None:
        """Returns once its log has the text."""
        with trio.fail_after(PATIENCE):
            while text not in self.logged():
                await trio.sleep(0.01)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Its exit status after one signal."""
        self.process.send_signal(number)
        return await self.ended()

    async def kill(self) -> None:
        """As a loss of power to the process: nothing of it runs any more."""
        self.process.kill()
        await self.ended()

    async def ended(self) -> int:
        with trio.fail_after(PATIENCE):
            return await self.process.wait()

    async def get(self, path: str, **parameters: Any) -> Any:
        """The JSON of an answer of the admin API."""
        answer = await self.client.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: object) -> Any:
        answer = await self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        return answer.json()


def environment(settings: dict[str, str]) -> dict[str, str]:
    """This process's, but with no other settings of the gateway than these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(SETTINGS)}
    return kept | settings


def free_port() -> int:
    """A port below those that the system gives out by itself, so that nobody is given it meanwhile."""
    while True:
        port = secrets.choice(range(20_000, 32_000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port


async def command(folder: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[bytes]:
    """One run of `gatekeeper`, started in `folder`, to its end."""
    with trio.fail_after(PATIENCE), TemporaryFile() as stdout, TemporaryFile() as stderr:
        process = warm.start(list(words), folder, environment(settings), stdout, stderr)
        try:
            status = await process.wait()
        finally:
            await end(process)
        stdout.seek(0)
        stderr.seek(0)
        return subprocess.CompletedProcess([*COMMAND, *words], status, stdout.read(), stderr.read())


class Started(NamedTuple):
    """A command that runs: what it says is read from `stdout` and `stderr`."""

    process: warm.Process
    stdout: TextIO
    stderr: TextIO

    def ended(self) -> int:
        """Its exit status."""
        return self.process.join(PATIENCE)


@contextmanager
def started(*words: str, stdout: BinaryIO | None = None, **settings: str) -> Iterator[Started]:
    """`gatekeeper` with these words in the current folder, for a test without an event loop; killed at the
    end if it still runs. What it prints goes to `stdout` where that is given."""
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    with open(out) as from_out, open(err) as from_err:  # noqa: PTH123 - file descriptors
        with open(to_out, "wb") as own_stdout, open(to_err, "wb") as stderr:  # noqa: PTH123
            given = environment(settings)
            process = warm.start([*words], Path.cwd(), given, stdout or own_stdout, stderr)
        try:
            yield Started(process, from_out, from_err)
        finally:
            process.kill()
            process.join(PATIENCE)


async def start(folder: Path, port: int, *flags: str, **settings: str) -> Process:
    """`gatekeeper serve` in `folder`, where it keeps its data and what it says. `settings` are environment
    variables."""
    await trio.Path(folder).mkdir(exist_ok=True)
    words = ["serve", "--port", str(port), "--data", "data", *flags]
    with (folder / "stdout.txt").open("ab") as stdout, (folder / "stderr.txt").open("ab") as stderr:
        return warm.start(words, folder, environment(settings), stdout, stderr)


@asynccontextmanager
async def serving(folder: Path, *flags: str, **settings: str) -> AsyncIterator[Served]:
    """The same from when it answers; stopped at the end unless it has ended by then.

    Raises AssertionError with what it said where it does not start, or does not stop as it should.
    """
    port = free_port()
    url = f"{'https' if 'GATEKEEPER_TLS_CERT' in settings else 'http'}://127.0.0.1:{port}"
    master = settings.get("GATEKEEPER_MASTER_KEY") or settings.get("LITELLM_MASTER_KEY")
    headers = {"Authorization": f"Bearer {master}"} if master else {}
    process = await start(folder, port, *flags, **settings)
    try:
        # Reading the system's certificates, for nothing, would be most of what a small test costs.
        client = httpx2.AsyncClient(base_url=url, headers=headers, timeout=PATIENCE, verify=False)
        async with client:
            served = Served(process, folder, url, client)
            await answers(served)
            yield served
        if process.poll() is None:
            assert await served.stop() == 0, served.logged()
    finally:
        await end(process)


async def end(process: Process) -> None:
    """Kills it if it runs."""
    if process.poll() is None:
        process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()


async def answers(served: Served) -> None:
    """Returns once it does. The socket is there before the gateway is, so a request may wait a little."""
    with trio.fail_after(PATIENCE):
        while served.process.poll() is None:
            try:
                await served.client.get("/healthz")
            except httpx2.TransportError:
                await trio.sleep(0.01)
            else:
                return
    raise AssertionError(served.logged())


def rows_in_file(data: Path, columns: str = "*") -> list[dict[str, Any]]:
    """The rows of the analytics file, oldest first, as any other program reads them."""
    with duckdb.connect(str(data / "gatekeeper.duckdb"), read_only=True) as file:
        file.execute(f"SELECT {columns} FROM calls ORDER BY id")
        names = [column[0] for column in file.description or ()]
        return [dict(zip(names, row, strict=True)) for row in file.fetchall()]
