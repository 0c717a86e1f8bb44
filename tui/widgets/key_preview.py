"""The pane below the keys: the limits of the selected one, its recent spend, and its last calls."""

from __future__ import annotations

import asyncio
import textwrap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from datetime import time as time_of_day
from decimal import Decimal

from textual import work
from textual.app import ComposeResult
from textual.containers import Horizontal, Vertical
from textual.content import Content
from textual.reactive import reactive
from textual.timer import Timer
from textual.widget import Widget
from textual.widgets import Static
from textual.worker import Worker

from gatekeeper.client import columns, formats
from gatekeeper.client.admin_api import Client
from gatekeeper.client.api_errors import ApiError
from gatekeeper.client.call_columns import call_columns, tags_cell
from gatekeeper.client.call_types import Call
from gatekeeper.client.columns import Cell, Column, TextRole
from gatekeeper.client.formats import plain_moment
from gatekeeper.client.key_text import key_details
from gatekeeper.client.key_types import Key
from gatekeeper.client.spend import Spend
from tui.session import Session
from tui.terminal import lines, update
from tui.widgets.bars import sparkline
from tui.widgets.rows import Table

# Moving over many keys loads nothing of those that were passed.
PAUSE_SECONDS = 0.15
NAME_WIDTH, MAX_LINES = 12, 2
# What the list or the pane's title shows, and what is long.
LEFT_OUT = ("key", "alias", "id", "last used", "metadata", "created", "state")
CALL_COLUMNS = ("model", "status", "total", "out", "cost")
WIDE_CALLS = 80
MORE: list[Cell] = [("… ", TextRole.DIM), ("i", TextRole.ACCENT), (" shows all", TextRole.DIM)]
HINT: list[Cell] = [("last calls: ", TextRole.DIM), ("tab", TextRole.ACCENT), (" goes to them", TextRole.DIM)]

# Of what a key has done of late.
DAYS = 30
LAST_CALLS = 5
ZERO = Decimal(0)


class LastCalls(Table[Call]):
    """Its cursor is shown only while it has the focus: the keys have one, too."""

    def __init__(self, id: str) -> None:  # noqa: A002 - Textual's name
        super().__init__(lambda call: call.id, id)

    def validate_cursor(self, cursor: int) -> int:
        return super().validate_cursor(cursor) if self.has_focus else -1

    @property
    def selected_identity(self) -> object:
        return super().selected_identity if self.cursor >= 0 else None

    def watch_has_focus(self, _has_focus: bool) -> None:
        super().watch_has_focus(_has_focus)
        self.cursor = 0


class KeyFacts(Widget):
    """What a key may do, in as many lines as there are."""

    key: reactive[Key | None] = reactive(None)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session

    def render(self) -> Content:
        size = self.content_size
        if self.key is None or not size:
            return Content("")
        rows = list(fact_lines(self.key, self._session.clock(), size.width))
        return lines(rows if len(rows) <= size.height else [*rows[: size.height - 1], MORE])


class KeyPreview(Horizontal):
    """Shows at once what is known of a key, and the rest as soon as the cursor has stayed for a moment."""

    DEFAULT_CSS = """
    KeyPreview {
        height: 12;
        border-top: solid $border;
        padding: 0 1;
        display: none;
    }
    KeyPreview KeyFacts { width: 2fr; height: 100%; padding: 0 2 0 0; }
    KeyPreview Vertical { width: 3fr; }
    KeyPreview #spend { height: 3; }
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._key: Key | None = None
        self._activity: KeyActivity | None = None
        self._pause: Timer | None = None
        self._loading: Worker[None] | None = None
        self._facts = KeyFacts(session)
        self._spend = Static(id="spend")
        self.calls = LastCalls("last-calls")

    def compose(self) -> ComposeResult:
        yield self._facts
        with Vertical():
            yield self._spend
            yield self.calls

    def show(self, key: Key | None) -> None:
        """Shows a key; of the one that is shown already, what is new of it."""
        if not self.display:
            return
        if key is None or self._key is None or key.token_id != self._key.token_id:
            if self._loading:
                self._loading.cancel()
            self._activity = None
        self._key = key
        self._facts.key = key
        self._show_activity()
        if self._pause:
            self._pause.stop()
        self._pause = self.set_timer(PAUSE_SECONDS, self._start) if key else None

    def _start(self) -> None:
        self._loading = self._load()

    @work(exclusive=True)
    async def _load(self) -> None:
        session, key = self._session, self._key
        if key is None:
            return
        try:
            found = await load_activity(session.client, key.token_id, session.clock(), session.zone)
        except ApiError as error:
            if self._activity is None:
                self._show_spend([[(f"✗ {error}", TextRole.ERROR)]])
        else:
            self._activity = found
            self._show_activity()

    def _show_activity(self) -> None:
        activity = self._activity
        self.calls.show(activity.calls[:LAST_CALLS] if activity else (), self._columns)
        if activity:
            self._show_spend(spend_lines(activity))
        else:
            self._show_spend([[("◌ loading its calls…", TextRole.PENDING)]] if self._key else [])

    def _show_spend(self, rows: list[list[Cell]]) -> None:
        update(self._spend, lines(rows))

    def _columns(self, width: int) -> list[Column[Call]]:
        return last_call_columns(width, self._session.clock)


def fact_lines(key: Key, now: datetime, width: int) -> Iterator[list[Cell]]:
    """The key's name and what it may do, each in a line or two of so many cells."""
    yield [(columns.padded(key.label, width, right=False), TextRole.ACCENT)]
    room = max(width - NAME_WIDTH, 1)
    for name, value in key_details(key, now, lambda at: plain_moment(at, now)):
        if value and name not in LEFT_OUT:
            parts = textwrap.wrap(value, room, max_lines=MAX_LINES, placeholder=" …")
            for number, part in enumerate(parts):
                title = "" if number else name
                yield [(title.ljust(NAME_WIDTH), TextRole.DIM), (part, TextRole.PLAIN)]


def spend_lines(activity: KeyActivity) -> list[list[Cell]]:
    """The spend of the last days, each day's as a bar; and what the sum leaves out."""
    total = activity.sums.total
    if not total.calls:
        return [[(f"no calls in the last {DAYS} days", TextRole.DIM)]]
    trend = sparkline([float(amount) for amount in activity.spent])
    first: list[Cell] = [
        (f"last {DAYS} days  ", TextRole.DIM),
        (formats.money(total.known_cost), TextRole.ACCENT),
        (f"  {formats.pluralized(total.calls, 'call')}", TextRole.PLAIN),
    ]
    if activity.partial:
        first.append(("  ? older calls are missing", TextRole.WARNING))
    elif total.unpriced_calls:
        first.append((f"  ? {total.unpriced_calls:,} of unknown cost", TextRole.WARNING))
    return [first, [(f"{'each day':<14}", TextRole.DIM), (trend, TextRole.ACCENT)], HINT]


def last_call_columns(width: int, now: Callable[[], datetime]) -> list[Column[Call]]:
    """As in the log, less the key; and how long ago, as a key may have been unused for long."""
    known = {column.title: column for column in call_columns(WIDE_CALLS, now)}
    ago: Column[Call] = Column(
        "ago", 6, lambda call: (formats.ago(call.started_at, now()), TextRole.DIM), right=True
    )
    columns = [ago, *(known[title] for title in CALL_COLUMNS if title in known)]
    if width < WIDE_CALLS:
        return columns
    return [*columns, Column("tags", 20, tags_cell, stretch=2)]


@dataclass(frozen=True, slots=True)
class KeyActivity:
    """The last calls, newest first; the sums of the last days with the spend of each, 0 where it made no
    calls. `partial`: older calls are missing."""

    calls: Sequence[Call]
    sums: Spend
    days: Sequence[str]
    partial: bool

    @property
    def spent(self) -> list[Decimal]:
        by_day = {row.day: row.spent for row in self.sums.rows}
        return [by_day.get(day, ZERO) for day in self.days]


def last_days(now: datetime, zone: tzinfo) -> list[datetime]:
    """The start of each of the last days in a zone, today last."""
    today = now.astimezone(zone).date()
    return [
        datetime.combine(today - timedelta(days=back), time_of_day(), zone) for back in reversed(range(DAYS))
    ]


async def load_activity(client: Client, token_id: str, now: datetime, zone: tzinfo) -> KeyActivity:
    """Of the key with this id, by any alias; `zone` is that of the gateway's days. Raises ApiError."""
    q, starts = f"key:{token_id}", last_days(now, zone)
    since = starts[0].astimezone(UTC).isoformat().replace("+00:00", "Z")
    # Until now by the gateway's clock.
    calls, sums = await asyncio.gather(
        client.calls(q, limit=LAST_CALLS), client.spend("day", since=since, until="0s", q=q)
    )
    days = [f"{start:%Y-%m-%d}" for start in starts]
    return KeyActivity(calls.value.calls, sums.value, days, calls.value.partial or sums.value.partial)
