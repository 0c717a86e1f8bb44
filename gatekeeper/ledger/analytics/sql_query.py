"""People's SQL: each query in a process of its own, which is killed when it passes a limit.

What a query does to its process it cannot do to the gateway, so calls, questions and a stop never wait for
one. The file is open for reading only meanwhile, here and there, which DuckDB allows any number of processes.
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
import structlog
import trio

from gatekeeper.ledger.analytics.messages import (
    TEMPORARY,
    QueryRefused,
    QueryUnavailable,
    Request,
    Share,
    out_of_memory,
    too_large,
)

log = structlog.get_logger()

MIB = 1024 * 1024
START = 4.0  # seconds that a process may take to start, beyond the query's own
CHUNK = 64 * 1024
COMMAND = (sys.executable, "-P", "-m", "gatekeeper.ledger.analytics.sql_guard")
KEPT = ("PYTHON", "COVERAGE", "LD_", "LC_", "LANG", "PATH", "TMPDIR")
"""Beginnings of the variables that a process gets: no key of ours is among them."""
ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Limits:
    """What one query may use: seconds, bytes of memory, bytes of its answer."""

    seconds: float = 20.0
    memory: int = 768 * MIB
    answer: int = 16 * MIB


class Queries:
    """One at a time. `shared` lends out the calls for as long as a query reads them; it raises
    trio.TooSlowError where another query reads for long."""

    def __init__(self, shared: Callable[[], AbstractAsyncContextManager[Share]], folder: Path) -> None:
        self.limits = Limits()
        self._shared = shared
        self._folder = folder
        self._asking: set[trio.CancelScope] = set()
        self._stopped = False

    def stop(self) -> None:
        """Ends the query that runs and those that wait, and takes no other."""
        self._stopped = True
        for scope in self._asking:
            scope.cancel()

    async def answer(self, query: str, limit: int) -> bytes:
        """The JSON of `columns`, `types`, at most `limit` `rows` and `truncated`; with `partial` and
        `partial_reason` where calls are missing. Raises QueryRefused, QueryUnavailable."""
        with trio.CancelScope() as scope:
            self._asking.add(scope)
            try:
                if not self._stopped:
                    return await self._answer(query, limit)
            finally:
                self._asking.remove(scope)
        raise QueryUnavailable("The gateway is stopping")

    async def _answer(self, query: str, limit: int) -> bytes:
        try:
            async with self._shared() as share:
                line = await trio.to_thread.run_sync(self._request, query, limit, share)
                return await self._asked(line)
        except trio.TooSlowError:
            raise QueryUnavailable("Another query is running: try again in some seconds") from None

    def _request(self, query: str, limit: int, share: Share) -> bytes:
        request = Request(
            folder=str(self._folder.resolve()),
            query=query,
            limit=limit,
            seconds=self.limits.seconds,
            memory=self.limits.memory,
            largest_answer=self.limits.answer,
            attached=share.attached,
            absence=share.absence,
            rows=share.rows,
        )
        return msgspec.json.encode(request) + b"\n"

    async def _asked(self, line: bytes) -> bytes:
        process = await trio.lowlevel.open_process(
            COMMAND,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # a ctrl+c in the terminal is the gateway's to deal with
        )
        try:
            with trio.move_on_after(self.limits.seconds + START):
                said = await self._said(process, line)
                return outcome(said, await process.wait(), self.limits)
            raise QueryRefused(f"The query took longer than {self.limits.seconds:g} s and was ended")
        finally:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
                await trio.to_thread.run_sync(self._tidy)

    async def _said(self, process: trio.Process, line: bytes) -> bytes:
        assert process.stdin is not None  # noqa: S101
        assert process.stdout is not None  # noqa: S101
        said = bytearray()
        # Closed at the end, not before: that is how the process knows that there is somebody to answer.
        async with process.stdin, process.stdout:
            try:
                await process.stdin.send_all(line)
            except trio.BrokenResourceError:
                return b""
            while chunk := await process.stdout.receive_some(CHUNK):
                said += chunk
                if len(said) > self.limits.answer + CHUNK:
                    raise QueryRefused(too_large(self.limits.answer))
        return bytes(said)

    def _tidy(self) -> None:
        """One that was killed leaves what it spilt."""
        shutil.rmtree(self._folder / TEMPORARY, ignore_errors=True)


def outcome(said: bytes, status: int, limits: Limits) -> bytes:
    """The answer in what a process said until it ended. Raises QueryRefused, QueryUnavailable."""
    kind, _, text = said.partition(b"\n")
    match kind, status:
        case b"answer", 0:
            return text
        case b"refused", 0:
            raise QueryRefused(text.decode())
        case b"failed", 0:
            raise QueryUnavailable(text.decode())
        case _:
            # Memory that is refused to a library ends the process in as many ways as there are libraries.
            log.warning("query_ended_its_process", status=status)
            raise QueryRefused(out_of_memory(limits.memory))


def environment() -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if name.startswith(KEPT)}
    path = [str(ROOT), *filter(None, [known.get("PYTHONPATH")])]
    return known | {"PYTHONPATH": os.pathsep.join(path)}
