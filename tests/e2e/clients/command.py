"""`python -m tests.e2e.clients`: tries clients out, says what is not equal, and writes docs/clients.md."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import trio
from e2e.clients.browser.trial import chromium, try_out_page
from e2e.clients.document import Entry, entry, untested, update
from e2e.clients.installation import NotInstallable, cache_folder, installed
from e2e.clients.roster import Client, roster
from e2e.clients.trial import Report, try_out

MOST_FAULTS = 6  # of one operation that are printed
DOCUMENT = Path(__file__).parents[3] / "docs" / "clients.md"


@dataclass
class Run:
    """All that was asked for in one go."""

    cache: Path
    refusal_seconds: float
    limit: trio.CapacityLimiter
    document: Path | None
    clients: dict[str, Client]
    unequal: list[str] = field(default_factory=list)

    async def client(self, client: Client) -> None:
        async with self.limit:
            started = time.monotonic()
            try:
                browser = chromium() if client.page else ""
                script = await installed(client, self.cache)
            except NotInstallable as error:
                _say(f"{client.name} {client.version}: skipped: {error}")
                self._write(client, untested(client, f"it could not be installed ({error})", _today()))
                return
            shutil.rmtree(script.folder / "data", ignore_errors=True)
            (script.folder / "stderr.txt").unlink(missing_ok=True)
            try:
                if browser:
                    report = await try_out_page(browser, script)
                else:
                    report = await try_out(script, refusal_seconds=self.refusal_seconds)
            except* Exception as errors:  # noqa: BLE001 - whatever is wrong with one, the others have their turn
                told = "; ".join(repr(error) for error in _single(errors))
                _say(f"{client.name} {client.version}: {told}: see {script.folder / 'stderr.txt'}")
                self.unequal.append(client.name)
            else:
                self._keep(client, report, time.monotonic() - started)

    def _keep(self, client: Client, report: Report, seconds: float) -> None:
        self._write(client, entry(client, report, _today()))
        equal = sum(not item.faults for item in report.counted)
        _say(f"{client.name} {client.version}: {equal} of {len(report.counted)} equal ({seconds:.0f} s)")
        for item in report.counted:
            for fault in item.faults[:MOST_FAULTS]:
                _say(f"  {item.operation}: {fault}")
        if not report.equal:
            self.unequal.append(client.name)

    def _write(self, client: Client, seen: Entry) -> None:
        """At once: a run of all takes a while."""
        if self.document:
            update(self.document, {client.name: seen}, self.clients)


def main() -> int:
    """0 where all is equal, or skipped; 1 where something is not."""
    arguments = _arguments()
    clients = roster()
    wanted = arguments.names or [client.name for client in clients.values() if client.ci or not arguments.ci]
    if unknown := [name for name in wanted if name not in clients]:
        _say(f"no such client: {', '.join(unknown)}; there are {', '.join(clients)}")
        return 2
    document = None if arguments.ci else DOCUMENT
    limit = trio.CapacityLimiter(arguments.jobs)
    with cache_folder() as cache:
        run = Run(cache, arguments.refusals, limit, document, clients)
        trio.run(_all, run, [clients[name] for name in wanted])
    return 1 if run.unequal else 0


async def _all(run: Run, clients: list[Client]) -> None:
    async with trio.open_nursery() as nursery:
        for client in clients:
            nursery.start_soon(partial(run.client, client))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.clients", description=__doc__)
    parser.add_argument("names", nargs="*", help="clients of clients.toml; all without any")
    parser.add_argument(
        "--ci", action="store_true", help="those that are tried out at each change; no document"
    )
    parser.add_argument("--jobs", type=int, default=2, help="clients at a time")
    parser.add_argument(
        "--refusals", type=float, default=20, help="seconds to watch a refused client; 0: none"
    )
    return parser.parse_args()


def _single(errors: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in errors.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _single(error)
        else:
            yield error


def _today() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d}"


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()
