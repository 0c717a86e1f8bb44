"""The event stream as a key without a role sees it: nothing of other keys, not in sums either."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.ledger.events import CallEvent, Event, Gap, Tick
from gatekeeper.money import usd


class OwnEvents:
    """Replaces the sums of each tick by those of this key's calls, and the number of missed events, which
    are everybody's, by "unknown". The events are those of a subscription to this key's calls."""

    def __init__(self, key_id: str, in_flight: Mapping[str, CallRecord]) -> None:
        self._key_id = key_id
        self._in_flight = in_flight
        self._finished: list[CallRecord] = []

    def of(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            match event:
                case Tick():
                    yield self._tick()
                case Gap():
                    # How many others there were would tell how busy other keys are.
                    yield Gap(event.id, None)
                case CallEvent():
                    if event.kind == "call.finished":
                        self._finished.append(event.call)
                    yield event

    def _tick(self) -> Tick:
        finished, self._finished = self._finished, []
        return Tick(
            calls=len(finished),
            errors=sum(call.outcome is not Outcome.OK for call in finished),
            in_flight=sum(call.key_id == self._key_id for call in self._in_flight.values()),
            tokens=sum(call.total_tokens or 0 for call in finished),
            cost_usd=usd(sum(call.cost_pico or 0 for call in finished)),
        )
