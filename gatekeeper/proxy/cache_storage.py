"""The cost of storing a cached content: tokens x hours, by the second, from its creation to its deletion or
expiry.

It accrues: each full hour, and the part of an hour at its end, becomes a row of its own with the action
`cache.storage`, which belongs to no request. Its `billed_units` are token-seconds. Until when it is charged
is in the row (`pending`), so that a gateway that was killed or stopped continues where the journal ends. A
row never spans midnight (UTC), because prices change then. No I/O: the clock is a parameter.
"""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

import uuid_utils
from msgspec.structs import replace

from gatekeeper.gemini.actions import CACHE_STORAGE_ACTION
from gatekeeper.gemini.billed_resources import CachedContent
from gatekeeper.ledger.call import CallRecord, Outcome, PendingCharge
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.price_components import CACHE_TOKEN_SECONDS
from gatekeeper.proxy.call_price import call_quote
from gatekeeper.times import DAY

SECOND = 1_000_000  # microseconds
PERIOD = 3600 * SECOND
UNKNOWN_TOKENS_NOTE = "its storage cannot be charged: the response does not say its tokens and times"


def pending_storage(call: CallRecord, content: CachedContent) -> PendingCharge | None:
    """The pending charge of a cached content that a call has created; None if its tokens or times are
    unknown."""
    if content.tokens is None or content.created_at is None or content.expires_at is None:
        return None
    return PendingCharge(
        begun_by=call.id,
        resource=content.name,
        tokens=content.tokens,
        charged_until=content.created_at,
        expires_at=content.expires_at,
    )


def is_storage_charge(pending_row: CallRecord) -> bool:
    """Whether a pending charge is the storage of a cached content."""
    return pending_row.pending is not None and pending_row.pending.tokens is not None


def is_due(pending_row: CallRecord, now: int) -> bool:
    """Whether a full hour is uncharged, or the cached content has expired."""
    pending = pending_row.pending
    if pending is None or pending.charged_until is None or pending.expires_at is None:
        return False
    return now >= min(pending.charged_until + PERIOD, pending.expires_at)


def storage_rows(
    pending_row: CallRecord, now: int, catalogue: Catalogue, *, ended: bool = False
) -> Iterator[CallRecord]:
    """The rows for the storage that is not charged yet, up to `now` (microseconds since 1970). `pending_row`
    is the row that was written last. `ended`: the cached content was deleted; then, and once it has expired,
    the last row has nothing pending any more. If there is nothing left to charge, that row is `pending_row`
    itself."""
    pending = pending_row.pending
    if pending is None or pending.charged_until is None or pending.expires_at is None:
        return
    stop = min(now, pending.expires_at)
    ended = ended or now >= pending.expires_at
    pieces = list(_periods(pending.charged_until, stop, ended=ended))
    settled = PendingCharge(begun_by=pending.begun_by)
    for number, (start, seconds) in enumerate(pieces, 1):
        is_last = ended and number == len(pieces)
        rest = settled if is_last else replace(pending, charged_until=start + seconds * SECOND)
        yield _row(pending_row, start, seconds, rest, catalogue)
    if ended and not pieces:
        yield replace(pending_row, pending=settled)


def _periods(start: int, stop: int, *, ended: bool) -> Iterator[tuple[int, int]]:
    """Start and whole seconds of each period of at most a day. Parts of a second wait for the next one; at
    the end they are rounded."""
    while (left := stop - start) > 0:
        # Rounded up: in the last second of a day the period would be empty, and nothing be charged any more.
        to_midnight = -(-(DAY - start % DAY) // SECOND)
        seconds = min(to_midnight, (left + SECOND // 2) // SECOND if ended else left // SECOND)
        if not seconds:
            return
        yield start, seconds
        start += seconds * SECOND


def _call_id(start: int) -> str:
    """A new UUID version 7 with the start as its time, as every call's id has: lists are sorted by id."""
    # The time is in the upper 48 bits, in milliseconds (RFC 9562 §5.7).
    rest = UUID(str(uuid_utils.uuid7())).int & (1 << 80) - 1
    return str(UUID(int=(start // 1000) << 80 | rest))


def _row(
    pending_row: CallRecord, start: int, seconds: int, rest: PendingCharge, catalogue: Catalogue
) -> CallRecord:
    tokens = (pending_row.pending and pending_row.pending.tokens) or 0
    units: dict[str, int | None] = {CACHE_TOKEN_SECONDS: tokens * seconds}
    stored = CallRecord(
        id=_call_id(start),
        started_at=start,
        duration_ms=seconds * 1000.0,
        key_id=pending_row.key_id,
        key_alias=pending_row.key_alias,
        user_id=pending_row.user_id,
        tags=pending_row.tags,
        method="",
        path="",
        action=CACHE_STORAGE_ACTION,
        model=pending_row.model,
        outcome=Outcome.OK,
        upstream_key=pending_row.upstream_key,
        resource=rest.resource or (pending_row.pending and pending_row.pending.resource),
        billed_units=units,
        pending=rest,
    )
    priced = call_quote(stored, None, catalogue)
    if priced.cost_pico is None:
        return replace(stored, usage_note="; ".join(priced.notes))
    return replace(stored, cost_pico=priced.cost_pico, price_version=priced.price_version)
