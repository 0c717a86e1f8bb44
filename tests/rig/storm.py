"""Calls without a pause through a gateway that is killed again and again, and the books that must be right.

`storm` runs the rounds and returns a Storm: what the clients saw, what the upstream charged, and what the
journal had said at each kill. None of it comes from the gateway's own code.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import trio

from rig.process import PATIENCE, Served, end, free_port, serving, start
from rig.standin import Reply, StandIn
from rig.wire import Answer, exchange

MODEL = "gemini-2.5-flash"
USD_PER_TOKEN = {"prompt": Decimal("0.3e-6"), "output": Decimal("2.5e-6")}
ALIASES = ("first", "second")
MASTER = "master-of-the-storm"
SETTINGS = {"GEMINI_API_KEY": "AIzaOfTheStorm", "GATEKEEPER_MASTER_KEY": MASTER}
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@dataclass
class Storm:
    """`answers` and `charges` (dollars) by the call's number, which is also its end user; `begun` and `ended`
    are the ids of the journal's lines."""

    numbers: itertools.count[int] = field(default_factory=itertools.count)
    answers: dict[int, Answer] = field(default_factory=dict)
    charges: dict[int, Decimal] = field(default_factory=dict)
    reached_upstream: set[int] = field(default_factory=set)
    begun: set[str] = field(default_factory=set)
    ended: set[str] = field(default_factory=set)

    @property
    def seen(self) -> set[str]:
        """The ids that clients were told."""
        told = (answer.headers.get("x-gatekeeper-call-id") for answer in self.answers.values())
        return {call_id for call_id in told if call_id}

    def read_journal(self, data: Path) -> None:
        """Takes down what the journal says now: later it may have been discarded."""
        for segment in (data / "journal").glob("*.ndjson"):
            for line in segment.read_bytes().splitlines(keepends=True):
                record = json.loads(line[9:]) if line.endswith(b"\n") else {}
                if call := record.get("begin"):
                    self.begun.add(call["id"])
                elif call := record.get("end"):
                    self.ended.add(call["id"])


class Upstream:
    """Answers each call with a usage of its own, and notes what it has charged for it."""

    def __init__(self, storm: Storm, dice: Random) -> None:
        self._storm = storm
        self._dice = dice

    async def answer(self, reply: Reply) -> None:
        number = int(reply.asked.header("x-number")[0])
        self._storm.reached_upstream.add(number)
        events = [self._document(number, output) for output in (1, 2, number % 50 + 3)]
        await trio.sleep(self._dice.uniform(0, 0.01))
        if b"alt=sse" in reply.asked.target:
            await reply.raw(STREAM_HEAD)
            for event in events:
                await reply.raw(b"%x\r\ndata: %b\r\n\r\n\r\n" % (len(event) + 10, event))
                await trio.sleep(self._dice.uniform(0, 0.01))
            await reply.raw(b"0\r\n\r\n")
        else:
            await reply.json(events[-1])
        usage = {"prompt": number + 100, "output": number % 50 + 3}
        self._storm.charges[number] = sum(
            (USD_PER_TOKEN[kind] * count for kind, count in usage.items()), Decimal()
        )

    def _document(self, number: int, output: int) -> bytes:
        usage = {
            "promptTokenCount": number + 100,
            "candidatesTokenCount": output,
            "totalTokenCount": number + 100 + output,
        }
        return json.dumps({"candidates": [], "usageMetadata": usage, "modelVersion": MODEL}).encode()


async def storm(folder: Path, google: StandIn, *, rounds: int, calls: int, seed: int) -> Storm:
    """So many rounds of so many callers, who call until the gateway is killed after a number of answers that
    is drawn anew each round. Every second round begins with a gateway that is killed while it recovers; in
    the others the answers count from when calls have been moved into the analytics file."""
    dice = Random(seed)
    found = Storm()
    google.script = Upstream(found, dice).answer
    flags = ("--upstream", google.url)
    secrets: list[str] = []
    for number in range(rounds):
        if number % 2:
            await be_killed_at_start(folder, *flags)
        async with serving(folder, *flags, **SETTINGS) as served:
            secrets = secrets or [MASTER, *[await make_key(served, alias) for alias in ALIASES]]
            counts = moved(served.data) if number % 2 == 0 else always
            await Round(served, found, secrets, dice.randrange(1, 10 * calls), counts).run(calls)
        found.read_journal(served.data)
    return found


def always() -> bool:
    return True


def moved(data: Path) -> Callable[[], bool]:
    """Whether rows have been moved into the analytics file from now on: its own log has grown."""

    def written() -> list[int]:
        return [path.stat().st_mtime_ns for path in data.glob("gatekeeper.duckdb.wal")]

    before = written()
    return lambda: written() not in ([], before)


async def make_key(served: Served, alias: str) -> str:
    return (await served.post("/key/generate", {"key_alias": alias}))["key"]


async def be_killed_at_start(folder: Path, *flags: str) -> None:
    """A gateway that lives no longer than to its first own segment of the journal."""
    journal = folder / "data" / "journal"
    before = len(list(journal.iterdir()))
    process = await start(folder, free_port(), *flags, **SETTINGS)
    with trio.fail_after(PATIENCE):
        while len(list(journal.iterdir())) == before:
            await trio.sleep(0.001)
    await end(process)


class Round:
    """Calls until the gateway is killed: at the answer number `enough` of those that come while `counts`."""

    def __init__(
        self, served: Served, found: Storm, secrets: list[str], enough: int, counts: Callable[[], bool]
    ) -> None:
        self.served = served
        self.found = found
        self.secrets = secrets
        self.left = enough
        self.counts = counts
        self.killed = False

    async def run(self, callers: int) -> None:
        with trio.fail_after(10 * PATIENCE):
            async with trio.open_nursery() as nursery:
                for _ in range(callers):
                    nursery.start_soon(self.call_until_killed)

    async def call_until_killed(self) -> None:
        while not self.killed:
            number = next(self.found.numbers)
            try:
                self.found.answers[number] = answer = await self.call(number)
            except OSError:
                return
            self.left -= answer.whole and self.counts()
            if self.left == 0 and not self.killed:
                self.killed = True
                await self.served.kill()

    async def call(self, number: int) -> Answer:
        action = "streamGenerateContent?alt=sse" if number % 2 else "generateContent"
        secret = self.secrets[number % len(self.secrets)]
        headers = [f"x-goog-api-key: {secret}", f"x-number: {number}", f"x-gatekeeper-user: {number}"]
        return await exchange(
            self.served.url, f"POST /gemini/v1beta/models/{MODEL}:{action}", body=b"{}", headers=headers
        )


def spend_of(rows: list[dict[str, Any]], alias: str) -> Decimal:
    """Dollars that the rows of a key add up to."""
    return sum((row["cost_usd"] or Decimal() for row in rows if row["key_alias"] == alias), Decimal())
