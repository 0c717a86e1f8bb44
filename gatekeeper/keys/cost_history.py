"""Recent costs of calls by key and model, from which the reservation for the next call is estimated. In
memory; the registry of keys loads and stores it.

The rule: the likely cost is the largest recent cost; if the request is longer than the longest recent one,
each additional byte adds a token. The expected cost is `MARGIN` times that. If only other keys have called
the model, it is `MARGIN_OF_OTHERS` times their likely cost. The maximum decays by 1/50 with each call, so
that an outlier is forgotten after a hundred calls or so.
"""

from __future__ import annotations

import sqlite3
from collections import OrderedDict
from collections.abc import Iterable

import msgspec

from gatekeeper.ledger.call import CallRecord, Outcome

MARGIN, MARGIN_OF_OTHERS = (5, 4), (2, 1)
DECAY_PER_CALL = (49, 50)
MAX_ENTRIES = 20_000  # about 300 bytes of memory each


CostName = tuple[str, str, str]
"""Key (empty for all keys together), model, action."""


def cost_name(row: CallRecord) -> CostName:
    """The entry of the history for a call of its key."""
    return row.key_id or "", row.model or "", row.action or ""


class RecentMaximum(msgspec.Struct):
    """The decaying maxima of one kind of call."""

    cost_pico: int = 0
    request_bytes: int = 0
    excess: float = 1.0
    """The largest ratio of cost to bound, at least 1."""
    calls: int = 0
    first_pico: int = 0
    step_pico: int = 0
    """Of streams: the cost at the first event with usage, and the largest increase from one event to the
    next."""


class CostStatistics(msgspec.Struct, frozen=True, gc=False):
    """The recent costs of one model and action: the key's own calls, and those of all keys."""

    own: RecentMaximum | None
    others: RecentMaximum | None

    def expected(self, request_bytes: int, input_pico: int) -> int | None:
        """The expected cost of a call in pico-dollars; None without any history. `input_pico` is the price of
        an input token."""
        if own := _likely(self.own, request_bytes, input_pico):
            return own * MARGIN[0] // MARGIN[1]
        if others := _likely(self.others, request_bytes, input_pico):
            return others * MARGIN_OF_OTHERS[0] // MARGIN_OF_OTHERS[1]
        return None

    def likely(self, request_bytes: int, input_pico: int) -> int | None:
        """The expected cost without margin, and only from the key's own calls: costs of other keys must not
        prevent the first call of a key."""
        return _likely(self.own, request_bytes, input_pico)

    @property
    def excess(self) -> float:
        """The largest ratio of cost to bound, at least 1."""
        found = self.own or self.others
        return found.excess if found else 1.0

    @property
    def calls(self) -> int:
        """How many such calls of the key are in the history."""
        return self.own.calls if self.own else 0

    @property
    def first_event(self) -> tuple[int, int]:
        """The largest cost of such streams of the key at the first event with usage, and the largest increase
        from one event to the next."""
        return (self.own.first_pico, self.own.step_pico) if self.own else (0, 0)


def _likely(largest: RecentMaximum | None, request_bytes: int, input_pico: int) -> int | None:
    if largest is None or not largest.cost_pico:
        return None
    return largest.cost_pico + max(0, request_bytes - largest.request_bytes) * input_pico


def _faded(amount: int) -> int:
    return amount * DECAY_PER_CALL[0] // DECAY_PER_CALL[1]


class CostHistory:
    """The history of one gateway. Calls of the same model and action share an entry."""

    def __init__(self) -> None:
        self._largest: OrderedDict[CostName, RecentMaximum] = OrderedDict()
        self._changed: set[CostName] = set()

    def load(self, known: Iterable[tuple[CostName, RecentMaximum]]) -> None:
        """Adds the stored entries, the latest last."""
        self._largest.update(known)

    def take_changed(self) -> list[tuple[CostName, RecentMaximum]]:
        """The entries that have changed since the last call of this method."""
        changed = [(name, self._largest[name]) for name in self._changed if name in self._largest]
        self._changed.clear()
        return changed

    def mark_changed(self, entries: Iterable[tuple[CostName, RecentMaximum]]) -> None:
        """Marks entries as changed again, because storing them has failed."""
        self._changed.update(name for name, _ in entries)

    def of(self, key_id: str, model: str, action: str) -> CostStatistics:
        """The recent costs of such calls."""
        find = self._largest.get
        return CostStatistics(find((key_id, model, action)), find(("", model, action)))

    def note_call(self, row: CallRecord, bound_pico: int) -> None:
        """Records a call that has ended, if its response was complete and its cost is known."""
        if row.outcome is Outcome.OK and row.cost_pico:
            # Without a budget only other keys may need the history.
            key_id = row.key_id or "" if bound_pico else ""
            model, action, size = row.model or "", row.action or "", row.request_bytes
            self.note(key_id, model, action, size, row.cost_pico, bound_pico)

    def note_events(self, name: CostName, first_pico: int, step_pico: int) -> None:
        """Records the cost of a stream at its first event, and the largest increase after that."""
        # Stored when the call ends: `note` marks the entry as changed.
        largest = self._largest.get(name) or self._largest.setdefault(name, RecentMaximum())
        if first_pico != largest.first_pico:
            largest.first_pico = max(first_pico, _faded(largest.first_pico))
        if step_pico != largest.step_pico:
            largest.step_pico = max(step_pico, _faded(largest.step_pico))

    @staticmethod
    def _names(key_id: str, model: str, action: str) -> tuple[tuple[str, str, str], ...]:
        everybody = ("", model, action)
        return ((key_id, model, action), everybody) if key_id else (everybody,)

    def note(
        self, key_id: str, model: str, action: str, request_bytes: int, cost_pico: int, bound_pico: int
    ) -> None:
        """Records the cost of a call that has ended, and its bound."""
        for name in self._names(key_id, model, action):
            if largest := self._largest.get(name):
                self._largest.move_to_end(name)
            else:
                largest = self._largest[name] = RecentMaximum()
            if cost_pico != largest.cost_pico:
                largest.cost_pico = max(cost_pico, _faded(largest.cost_pico))
            if request_bytes != largest.request_bytes:
                largest.request_bytes = max(request_bytes, _faded(largest.request_bytes))
            largest.calls += 1
            if bound_pico:
                # Unlike the others it does not decay: a bound that was exceeded once is not a bound
                # (test_cost_history.py).
                largest.excess = max(largest.excess, cost_pico / bound_pico)
            self._changed.add(name)
        while len(self._largest) > MAX_ENTRIES:
            self._largest.popitem(last=False)


def load_costs(db: sqlite3.Connection) -> list[tuple[CostName, RecentMaximum]]:
    """Loads the entries, the latest last, and deletes the oldest beyond `MAX_ENTRIES`."""
    db.execute(
        "DELETE FROM costs WHERE rowid NOT IN (SELECT rowid FROM costs ORDER BY rowid DESC LIMIT ?)",
        (MAX_ENTRIES,),
    )
    rows = db.execute("SELECT key_id, model, action, largest FROM costs ORDER BY rowid")
    return [
        ((key_id, model, action), msgspec.json.decode(largest, type=RecentMaximum))
        for key_id, model, action, largest in rows
    ]


def put_costs(db: sqlite3.Connection, costs: Iterable[tuple[CostName, RecentMaximum]]) -> None:
    db.executemany(
        # A replaced row gets a new rowid, the highest one.
        "INSERT OR REPLACE INTO costs (key_id, model, action, largest) VALUES (?, ?, ?, ?)",
        [(*name, msgspec.json.encode(largest).decode()) for name, largest in costs],
    )
