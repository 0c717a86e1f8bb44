"""What a client does when the gateway refuses its call: how often it asks, and what it tells its user."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import trio
from e2e.clients.relay import Relay
from e2e.clients.session import Script, Session
from e2e.clients.stage import ALIAS, PREFIX, Guarded
from rig.registry import block_key, unblock_key

FIRST_REQUEST_SECONDS = 60.0


@dataclass
class Refused:
    """What a client did about a refusal: `waiting` where it was still at it when the time was over.

    `told` are the statuses that it was sent: to a key with a budget a route that cannot be charged is a 403.
    """

    status: int
    told: list[str]
    requests: int
    seconds: float
    waiting: bool
    raised: str


async def refusals(script: Script, guarded: Guarded, seconds: float) -> AsyncIterator[Refused]:
    """One refusal after the other; a client that was still waiting is started anew for the next one."""
    left = list(REFUSALS)
    while left:
        async with script.session(guarded.front, PREFIX, guarded.key) as at_work:
            waiting = False
            while left and not waiting:
                async with REFUSALS[left[0]](guarded):
                    one = await refused(at_work, guarded.front, left.pop(0), seconds)
                waiting = one.waiting
                yield one


async def refused(at_work: Session, front: Relay, status: int, seconds: float) -> Refused:
    """The time counts from the first request: some programs take long to start."""
    before, outcome, started = len(front.log), None, trio.current_time()
    with trio.move_on_after(FIRST_REQUEST_SECONDS) as patience:
        async with trio.open_nursery() as watching:
            watching.start_soon(_shorten, patience, front, before, seconds)
            outcome = await at_work.perform(at_work.operations[0], math.inf)
            watching.cancel_scope.cancel()
    asked = front.log[before:]
    if asked:
        started = asked[0].at
    told = sorted({exchange.response.line[:3] for exchange in asked if exchange.response})
    took = trio.current_time() - started
    return Refused(status, told, len(asked), took, outcome is None, raised(outcome))


async def _shorten(patience: trio.CancelScope, front: Relay, before: int, seconds: float) -> None:
    while len(front.log) == before:
        await trio.sleep(0.02)
    patience.deadline = trio.current_time() + seconds


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
    await block_key(registry, ALIAS, now=0, by="test")
    yield
    await unblock_key(registry, ALIAS, now=0, by="test")


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
    await guarded.gateway.gateway.registry.delete([ALIAS], now=0, by="test")
    yield


REFUSALS: dict[int, Refusal] = {403: key_blocked, 429: budget_used_up, 503: draining, 401: key_unknown}
