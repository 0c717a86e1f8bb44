"""Runs user-supplied SQL, each query in a subprocess that is killed when it exceeds a limit.

So a query cannot affect the gateway: calls, other queries and shutdown never wait for one. Meanwhile the file
is open read-only in the gateway and in the subprocess, which DuckDB allows for any number of processes.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import msgspec
import trio

from gatekeeper.ledger.analytics.messages import (
    TEMP_DIR,
    QueryRefused,
    QueryRequest,
    QueryUnavailable,
    SharedSnapshot,
    out_of_memory,
    too_large,
)
from gatekeeper.logs import log

MIB = 1024 * 1024
STARTUP_SECONDS = 4.0  # seconds that a process may take to start, in addition to the query's limit
READ_SIZE = 64 * 1024
# -P: no module of the current folder in place of one of ours.
COMMAND = (sys.executable, "-P", "-m", "gatekeeper.ledger.analytics.sql_guard")
ENV_PREFIXES = ("PYTHON", "COVERAGE", "LD_", "LC_", "LANG", "PATH", "TMPDIR")
"""Prefixes of the environment variables that a subprocess gets; none of them contains a key."""
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Limits:
    """The limits of one query: seconds, bytes of memory, bytes of its response."""

    seconds: float = 20.0
    memory: int = 768 * MIB
    response: int = 16 * MIB


class SqlRunner:
    """Executes one query at a time. `shared` provides the calls while a query reads them; it raises
    trio.TooSlowError if another query takes long."""

    def __init__(
        self, shared: Callable[[], AbstractAsyncContextManager[SharedSnapshot]], folder: Path
    ) -> None:
        self.limits = Limits()
        self._shared = shared
        self._folder = folder
        self._scopes: set[trio.CancelScope] = set()
        self._stopped = False

    def stop(self) -> None:
        """Cancels the running query and those that wait, and refuses others."""
        self._stopped = True
        for scope in self._scopes:
            scope.cancel()

    async def execute(self, query: str, limit: int) -> bytes:
        """The JSON of `columns`, `types`, at most `limit` `rows` and `truncated`; with `partial` and
        `partial_reason` if calls are missing. Raises QueryRefused, QueryUnavailable."""
        with trio.CancelScope() as scope:
            self._scopes.add(scope)
            try:
                if not self._stopped:
                    return await self._execute(query, limit)
            finally:
                self._scopes.remove(scope)
        raise QueryUnavailable("The gateway is stopping")

    async def _execute(self, query: str, limit: int) -> bytes:
        try:
            async with self._shared() as share:
                # In a thread: the rows that are not in the file may be 8 MiB of JSON.
                line = await trio.to_thread.run_sync(self._request, query, limit, share)
                return await self._run_process(line)
        except trio.TooSlowError:
            raise QueryUnavailable("Another query is running: try again in some seconds") from None

    def _request(self, query: str, limit: int, share: SharedSnapshot) -> bytes:
        request = QueryRequest(
            folder=str(self._folder.resolve()),
            query=query,
            limit=limit,
            seconds=self.limits.seconds,
            memory=self.limits.memory,
            max_response_bytes=self.limits.response,
            attached=share.attached,
            missing_reason=share.missing_reason,
            rows=share.rows,
        )
        return msgspec.json.encode(request) + b"\n"

    async def _run_process(self, line: bytes) -> bytes:
        process = await trio.lowlevel.open_process(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # a Ctrl+C in the terminal must reach the gateway only
        )
        try:
            with trio.move_on_after(self.limits.seconds + STARTUP_SECONDS):
                output = await self._read_output(process, line)
                return parse_result(output, await process.wait(), self.limits)
            raise QueryRefused(f"The query took longer than {self.limits.seconds:g} s and was ended")
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                await trio.to_thread.run_sync(self._remove_temp_dir)

    async def _read_output(self, process: trio.Process, line: bytes) -> bytes:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        output = bytearray()
        # stdin is closed at the end, not before: the subprocess exits when it is closed.
        async with process.stdin, process.stdout:
            try:
                await process.stdin.send_all(line)
            except trio.BrokenResourceError:
                return b""
            while chunk := await process.stdout.receive_some(READ_SIZE):
                output += chunk
                # The process refuses such a result itself. Some more than that, as its kind comes before it.
                if len(output) > self.limits.response + READ_SIZE:
                    raise QueryRefused(too_large(self.limits.response))
        return bytes(output)

    def _remove_temp_dir(self) -> None:
        """Removes the temporary files of a killed query."""
        shutil.rmtree(self._folder / TEMP_DIR, ignore_errors=True)


def parse_result(output: bytes, status: int, limits: Limits) -> bytes:
    """The result in the output of a process that has exited. Raises QueryRefused, QueryUnavailable."""
    kind, _, text = output.partition(b"\n")
    match kind, status:
        case b"answer", 0:
            return text
        case b"refused", 0:
            raise QueryRefused(text.decode())
        case b"failed", 0:
            raise QueryUnavailable(text.decode())
        case _:
            # How a process dies when an allocation fails depends on the library.
            log.warning("query_process_died", status=status)
            raise QueryRefused(out_of_memory(limits.memory))


def environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name.startswith(ENV_PREFIXES)}
    path = [str(ROOT), *filter(None, [known.get("PYTHONPATH")])]
    return known | {"PYTHONPATH": os.pathsep.join(path)}
