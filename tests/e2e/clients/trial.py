"""A client's trial: all its operations twice, then one of them while the gateway refuses it."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import trio
from e2e.clients.comparison import OF_THE_GATEWAY, Performed, differences
from e2e.clients.randomness import Normaliser
from e2e.clients.relay import Change, Relay, relaying, unchanged
from e2e.clients.rows import row_faults
from e2e.clients.session import Session, clean_environment, session
from rig.gateway import GOOGLE_KEY, Running, running

from gatekeeper.keys.fields import parse_fields
from gatekeeper.sandbox.server import serve_sandbox

OPERATION_SECONDS = 60.0
STRAIGHT_KEY = "AIzaKeyOfTheRunStraightAtGoogle"
ALIAS = "client"
MASTER = "master-of-the-clients-tests"


@dataclass
class Compared:
    """One operation; `faults` are differences, rows that are wrong, and secrets that got out."""

    operation: str
    requests: int
    faults: list[str]


@dataclass
class Refused:
    """What a client did about a refusal: `waiting` where it was still at it when the time was over. `told` are
    the statuses that it was sent: a route that cannot be charged is refused to a key with a budget (403)."""

    status: int
    told: list[str]
    requests: int
    seconds: float
    waiting: bool
    raised: str


@dataclass
class Report:
    compared: list[Compared] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def equal(self) -> bool:
        return bool(self.compared) and not any(item.faults for item in self.compared)


@dataclass
class Script:
    """How a client is started: its command, the environment that it needs, a folder of its own."""

    command: Sequence[str]
    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @asynccontextmanager
    async def session(self, base: str, key: str) -> AsyncIterator[Session]:
        home = self.folder / "home"
        home.mkdir(parents=True, exist_ok=True)
        environment = clean_environment({"BASE": base, "KEY": key, **self.settings}, home)
        with (self.folder / "stderr.txt").open("ab") as log:
            async with session(self.command, environment, log) as started:
                yield started


@dataclass
class Google:
    """A simulated Google with nothing in it, and what reaches it."""

    relay: Relay

    @classmethod
    @asynccontextmanager
    async def fresh(cls, request: Change = unchanged, response: Change = unchanged) -> AsyncIterator[Google]:
        async with trio.open_nursery() as nursery:
            port = await nursery.start(partial(serve_sandbox, "127.0.0.1", 0, time_scale=0))
            async with relaying(Relay(port, request, response)) as relay:
                yield cls(relay)
            nursery.cancel_scope.cancel()


async def performed(at_work: Session, google: Relay, front: Relay) -> dict[str, Performed]:
    """Every operation of the script, one after the other."""
    done: dict[str, Performed] = {}
    for operation in at_work.operations:
        before = len(google.log), len(front.log)
        outcome = await at_work.perform(operation, OPERATION_SECONDS)
        done[operation] = Performed(outcome, google.log[before[0] :], front.log[before[1] :])
    return done


@dataclass
class Guarded:
    """A gateway in front of a fresh Google, a relay in front of both, and one virtual key."""

    google: Google
    gateway: Running
    front: Relay
    key: str

    @property
    def base(self) -> str:
        return f"{self.front.url}/gemini"

    @classmethod
    @asynccontextmanager
    async def fresh(
        cls, data: Path, request: Change = unchanged, response: Change = unchanged
    ) -> AsyncIterator[Guarded]:
        async with (
            Google.fresh(request, response) as google,
            running(data, google.relay.url, master_key=MASTER) as gateway,
            relaying(Relay(int(gateway.url.rpartition(":")[2]))) as front,
        ):
            yield cls(google, gateway, front, await gateway.key(key_alias=ALIAS))

    async def set_key(self, **fields: Any) -> None:
        changes = parse_fields(fields, now=0, update=True)
        await self.gateway.gateway.registry.update(ALIAS, changes, now=time.time_ns() // 1000, by="test")


def compared(
    one: dict[str, Performed], other: dict[str, Performed], bases: tuple[str, str], key: str
) -> Iterable[Compared]:
    """The operations of both runs side by side; ids are followed through all of a run."""
    left, right = (Normaliser({base: "<base>"}, OF_THE_GATEWAY) for base in bases)
    for operation, performed_straight in one.items():
        through = other[operation]
        faults = differences(performed_straight.facts(left), through.facts(right))
        yield Compared(operation, len(through.asked), faults + leaks(through, key))


def leaks(through: Performed, key: str) -> list[str]:
    """Where a virtual key got to Google, or Google's key to the client."""
    asked = (exchange.request for exchange in through.asked)
    answered = (exchange.response for exchange in through.answered if exchange.response)
    found = [f"Google was sent the virtual key: {item.line}" for item in asked if key in _all(item)]
    return found + [
        f"the client was sent Google's key: {item.line}" for item in answered if GOOGLE_KEY in _all(item)
    ]


def _all(message: Any) -> str:
    return f"{message.line} {message.headers} {message.body.decode('latin-1')}"


async def try_out(
    script: Script,
    *,
    refusal_seconds: float = 20.0,
    request: Change = unchanged,
    response: Change = unchanged,
) -> Report:
    """The whole trial. `refusal_seconds`: how long a client may go on about a refusal; 0 for no refusals."""
    report = Report()
    async with Google.fresh() as google, script.session(google.relay.url, STRAIGHT_KEY) as at_work:
        one, base = await performed(at_work, google.relay, google.relay), google.relay.url
    async with Guarded.fresh(script.folder / "data", request, response) as guarded:
        async with script.session(guarded.base, guarded.key) as at_work:
            other = await performed(at_work, guarded.google.relay, guarded.front)
        report.compared = list(compared(one, other, (base, guarded.base), guarded.key))
        rows = await guarded.gateway.rows()
        for item in report.compared:
            item.faults += row_faults(other[item.operation].answered, rows)
        if refusal_seconds:
            report.refused = [item async for item in refusals(script, guarded, refusal_seconds)]
    return report


async def refusals(script: Script, guarded: Guarded, seconds: float) -> AsyncIterator[Refused]:
    """One refusal after the other; a client that was still waiting is started anew for the next one."""
    left = list(REFUSALS)
    while left:
        async with script.session(guarded.base, guarded.key) as at_work:
            waiting = False
            while left and not waiting:
                async with REFUSALS[left[0]](guarded):
                    one = await refused(at_work, guarded.front, left.pop(0), seconds)
                waiting = one.waiting
                yield one


async def refused(at_work: Session, front: Relay, status: int, seconds: float) -> Refused:
    before, started = len(front.log), time.monotonic()
    try:
        outcome = await at_work.perform(at_work.operations[0], seconds)
    except trio.TooSlowError:
        outcome = None
    took, asked = time.monotonic() - started, front.log[before:]
    told = sorted({exchange.response.line[:3] for exchange in asked if exchange.response})
    return Refused(status, told, len(asked), took, outcome is None, raised(outcome))


def raised(outcome: Any) -> str:
    """The kind of the error, or that there was none."""
    if outcome is None:
        return ""
    if "error" in outcome:
        return str(outcome["error"]["kind"])
    return "nothing raised"


Refusal = Callable[[Guarded], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def key_blocked(guarded: Guarded) -> AsyncIterator[None]:
    registry = guarded.gateway.gateway.registry
    await registry.block(ALIAS, now=0, by="test")
    yield
    await registry.unblock(ALIAS, now=0, by="test")


@asynccontextmanager
async def budget_used_up(guarded: Guarded) -> AsyncIterator[None]:
    await guarded.set_key(max_budget=0, budget_duration="30d")
    yield
    await guarded.set_key(max_budget=None, budget_duration=None)


@asynccontextmanager
async def draining(guarded: Guarded) -> AsyncIterator[None]:
    """As in the seconds after SIGTERM, while calls that run are waited for."""
    context = guarded.gateway.gateway.proxy.context
    context.draining = True
    yield
    context.draining = False


@asynccontextmanager
async def key_unknown(guarded: Guarded) -> AsyncIterator[None]:
    """The last one: it is not undone."""
    await guarded.gateway.gateway.registry.delete(ALIAS, now=0, by="test")
    yield


REFUSALS: dict[int, Refusal] = {403: key_blocked, 429: budget_used_up, 503: draining, 401: key_unknown}
