"""A client's trial: all its operations twice, then one of them while the gateway refuses it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import trio
from e2e.clients.comparison import OF_THE_GATEWAY, Performed, differences
from e2e.clients.randomness import Normaliser
from e2e.clients.refusals import Refused, refusals
from e2e.clients.relay import Change, Relay, unchanged
from e2e.clients.rows import row_faults
from e2e.clients.session import Script, ScriptEnded, Session
from e2e.clients.stage import PREFIX, STRAIGHT_KEY, Google, Guarded
from rig.gateway import GOOGLE_KEY

OPERATION_SECONDS = 180.0  # for a large client on a busy machine


@dataclass
class Compared:
    """One operation; `faults` are differences, rows that are wrong, and secrets that got out."""

    operation: str
    requests: int
    faults: list[str]


@dataclass
class Report:
    compared: list[Compared] = field(default_factory=list)
    refused: list[Refused] = field(default_factory=list)

    @property
    def counted(self) -> list[Compared]:
        """Those that made a request, or should have."""
        return [item for item in self.compared if item.requests or item.faults]

    @property
    def equal(self) -> bool:
        return bool(self.counted) and not any(item.faults for item in self.counted)


async def performed(at_work: Session, google: Relay, front: Relay) -> dict[str, Performed]:
    """Every operation of the script, one after the other."""
    done: dict[str, Performed] = {}
    for operation in at_work.operations:
        before = len(google.log), len(front.log)
        try:
            outcome = await at_work.perform(operation, OPERATION_SECONDS)
        except trio.TooSlowError:
            raise ScriptEnded(f"`{operation}` took longer than {OPERATION_SECONDS:.0f} s") from None
        done[operation] = Performed(outcome, google.log[before[0] :], front.log[before[1] :])
    return done


def compared(
    one: dict[str, Performed], other: dict[str, Performed], fronts: tuple[Relay, Relay], key: str
) -> Iterable[Compared]:
    """The operations of both runs side by side; ids are followed through all of a run."""
    left, right = (
        Normaliser({f"{url}{prefix}": "<base>" for url in (front.url, front.secure_url)}, OF_THE_GATEWAY)
        for front, prefix in zip(fronts, ("", PREFIX), strict=True)
    )
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
    report, certificate = Report(), script.certificate
    async with Google.fresh(certificate) as google, script.session(google.relay, "", STRAIGHT_KEY) as at_work:
        one = await performed(at_work, google.relay, google.relay)
    async with Guarded.fresh(certificate, script.folder / "data", request, response) as guarded:
        async with script.session(guarded.front, PREFIX, guarded.key) as at_work:
            other = await performed(at_work, guarded.google.relay, guarded.front)
        report.compared = list(compared(one, other, (google.relay, guarded.front), guarded.key))
        rows = await guarded.rows()
        for item in report.compared:
            item.faults += row_faults(other[item.operation].answered, rows)
        if refusal_seconds:
            report.refused = [item async for item in refusals(script, guarded, refusal_seconds)]
    return report
