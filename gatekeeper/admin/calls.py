"""Calls: `/calls`, `/calls/{id}` and the event stream `/calls/stream`; and the analytics file: `/sql` queries
it, `/sql/lend` and `/sql/return` let another process open it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from http import HTTPStatus

import trio
from quart import Blueprint, Response, request

from gatekeeper.admin import call_schemas
from gatekeeper.admin.access import current_caller, current_gateway, revalidation
from gatekeeper.admin.audit import record_change
from gatekeeper.admin.call_cost import cost_breakdown
from gatekeeper.admin.parameters import DEFAULT_LIMIT, MAX_LIMIT
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import Document, json_response, read_fields, read_query
from gatekeeper.data_dir import ANALYTICS_FILE
from gatekeeper.keys.repriced_spend import charge_repriced
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.ledger.analytics.call_pages import NEWEST_FIRST, parse_id, parse_order, split_page
from gatekeeper.ledger.analytics.messages import AnalyticsError, AnalyticsResult
from gatekeeper.ledger.call import CallRecord, Outcome, call_document
from gatekeeper.ledger.events import CallEvent, Event, EventSubscription, Gap, Tick, encode_sse
from gatekeeper.ledger.filters import Filter
from gatekeeper.money import usd
from gatekeeper.openapi.document import describe

blueprint = Blueprint("calls", __name__)

COMMENT = b":\n\n"
COMMENT_INTERVAL = 15.0  # seconds
MAX_LOAN_SECONDS = 3600  # seconds
MAX_BATCH_EVENTS = 256  # events sent in one go
CALLS_IN_ONE_GO = 256  # calls in flight between two checkpoints


@blueprint.get("/calls")
@describe(call_schemas.LIST)
async def list_calls() -> Response:
    """Finished calls, newest first or sorted by `sort`; or, with `running=true`, those in flight.
    `next_cursor` is null on the last page; it is only valid for the same `sort`. It has the sorted value and
    id of the last call of the page, so calls that end or change meanwhile do not shift the pages.
    """
    query = read_query()
    order = NEWEST_FIRST if query.sort is None else parse_order(query.sort)
    limit = query.limit or DEFAULT_LIMIT
    if query.running:
        if query.sort:
            raise invalid("sort", "`sort`: calls in flight are newest first", "leave it out with `running`")
        result = AnalyticsResult(await running_calls(query.filter(), limit + 1, query.cursor), None)
    else:
        # One more than the page size, to know whether there is a next page.
        result = await current_gateway().ledger.analytics.calls(
            query.filter(), limit + 1, query.cursor, order
        )
    calls, next_cursor = split_page(result.value, limit, order)
    return json_response({"calls": calls, "next_cursor": next_cursor, **result.partial_fields})


async def running_calls(wanted: Filter, limit: int, cursor: str | None) -> list[Document]:
    """At most `limit` calls in flight with their current state, newest first, started before the call
    `cursor`."""
    gateway = current_gateway()
    before = None if cursor is None else parse_id(cursor)
    running, snapshots = gateway.ledger.events.in_flight, gateway.proxy.snapshots()
    found: list[Document] = []
    # Ids increase with the start time (UUIDv7). A copy, because calls start and end during a checkpoint.
    for number, call_id in enumerate(sorted(running, reverse=True)):
        if number % CALLS_IN_ONE_GO == 0:
            await trio.lowlevel.checkpoint()
        # It may have ended during a checkpoint.
        if (before is None or call_id < before) and (live := running.get(call_id)):
            call = snapshots[call_id]() if call_id in snapshots else live
            if wanted.matches(call):
                found.append(call_document(call))
        if len(found) == limit:
            break
    return found


@blueprint.get("/calls/<call_id>")
@describe(call_schemas.SHOW)
async def get_call(call_id: str) -> Response:
    """The call, finished or in flight (with its bytes and tokens so far). `cost` is the breakdown of its
    cost: null in flight; if it is 0 or unknown, there are no lines, but a note with the reason. A call of a
    long decode has all of its calls in `chain`, and their sums in `chain_total`."""
    read_query()
    # First, because a call in flight has no row in the analytics file.
    in_flight = current_gateway().ledger.events.in_flight.get(call_id)
    if in_flight and is_visible(in_flight.key_id):
        return json_response(
            {**call_document(current_gateway().proxy.snapshot(call_id) or in_flight), "cost": None}
        )
    result = await current_gateway().ledger.analytics.call(call_id)
    if result.value is None or not is_visible(result.value["key_id"]):
        # The call may be in the file, which cannot be read at the moment.
        held = f", or it is in the analytics file: {result.missing_reason}" if result.missing_reason else ""
        raise Problem(404, f"There is no call {call_id!r}{held}; an id is what x-gatekeeper-call-id said")
    cost = cost_breakdown(result.value, current_gateway().catalogue)
    chain = await current_gateway().ledger.analytics.chain(call_id)
    return json_response({**result.value, "cost": cost, **chain})


def is_visible(key_id: str | None) -> bool:
    """Whether the caller may read the calls of this key. Otherwise the response is the same as for a call
    that does not exist."""
    return current_caller().own_id in (None, key_id)


@blueprint.get("/calls/stream")
@describe(call_schemas.STREAM)
async def stream_calls() -> Response:
    """Server-Sent Events until the client leaves or the gateway stops."""
    query = read_query()
    stream, own_id = current_gateway().ledger.events, current_caller().own_id
    subscription = stream.subscribe(query.filter().matches if query.q or own_id else None, last_event_id())
    own = OwnEvents(own_id, stream.in_flight) if own_id else None
    # A stream does not end by itself, but a response to HEAD must.
    body = b"" if request.method == "HEAD" else event_bytes(subscription, own, revalidation())
    response = Response(body, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # so that a proxy does not buffer events
    # Quart would otherwise end the response after a minute.
    response.timeout = None
    return response


async def event_bytes(
    subscription: EventSubscription,
    own: OwnEvents | None = None,
    is_allowed: Callable[[], bool] = lambda: True,
) -> AsyncGenerator[bytes]:
    """The bytes of the stream, as long as `is_allowed` returns True. It begins with a comment, so that the
    client knows that it is connected."""
    yield COMMENT
    due = trio.current_time() + COMMENT_INTERVAL
    while True:
        batch: list[Event] | None = None
        # A cancelled wait loses no event: see `EventSubscription`.
        with trio.move_on_at(due):
            batch = await subscription.batch(MAX_BATCH_EVENTS)
        # Checked after the wait and before anything is sent, so that changes in the meantime apply.
        if not is_allowed():
            return
        if batch is None:
            due = trio.current_time() + COMMENT_INTERVAL
            yield COMMENT
        elif batch:
            # One send for all events, because each send is a write to the socket.
            yield b"".join(map(encode_sse, own.of(batch) if own else batch))
        else:
            return


def last_event_id() -> int | None:
    """The event after which a reconnecting client continues. Raises Problem."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    # `isdecimal` also accepts non-ASCII digits; 20 digits can exceed 64 bits.
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise invalid(
            "Last-Event-ID", f"Last-Event-ID: {text[:40]!r} is not an event id", "an `id:` of this stream"
        )
    return int(text)


class OwnEvents:
    """Filters the event stream for a key without a role, which must not reveal anything about other keys, not
    even in sums. It replaces the sums of each tick by those of this key's calls, and the number of missed
    events, which includes those of other keys, by "unknown". The events are those of a subscription to this
    key's calls."""

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
                    # The number would reveal how busy other keys are.
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


@blueprint.post("/sql")
@describe(call_schemas.SQL)
async def query_sql() -> Response:
    """Executes one SELECT on `calls`: `{"columns", "types", "rows", "truncated"}`, at most `limit` rows."""
    body = await read_fields()
    text, limit = body.get("query"), positive_int(body, "limit", MAX_LIMIT, default=MAX_LIMIT)
    if not isinstance(text, str) or not text.strip():
        raise invalid("query", "`query` is missing", "a text with one SELECT on the table calls")
    found = await current_gateway().ledger.analytics.sql(text, limit)
    # Passed on as written by the query's process: decoding and encoding 16 MiB would block the event loop.
    return Response(found, content_type="application/json")


@blueprint.post("/sql/lend")
@describe(call_schemas.LEND)
async def lend_file() -> Response:
    """Flushes and closes the analytics file, for `seconds` or until it is returned. Calls that end meanwhile
    are kept in memory, and queries include only those. 409 if another process has locked the file."""
    seconds = positive_int(await read_fields(), "seconds", MAX_LOAN_SECONDS)
    analytics = current_gateway().ledger.analytics
    if not await analytics.lend(seconds):
        raise Problem(
            HTTPStatus.CONFLICT,
            f"Another program has {ANALYTICS_FILE} open: wait until it is done, or end it",
        )
    try:
        await record_change("file.lend", ANALYTICS_FILE, {"seconds": {"from": None, "to": seconds}})
    # Without an audit entry the file is not lent.
    except StoreFailed:
        analytics.end_loan()
        raise
    return json_response(
        {"file": str((current_gateway().settings.data / ANALYTICS_FILE).resolve()), "seconds": seconds}
    )


@blueprint.post("/sql/return")
@describe(call_schemas.RETURN)
async def end_loan() -> Response:
    """Ends the loan. If rows were repriced meanwhile, the response is sent when the spend of keys is
    adjusted."""
    await read_fields()
    gateway = current_gateway()
    # First, so that nothing has changed if this fails with a 503, and the request may be repeated.
    await record_change("file.return", ANALYTICS_FILE, {})
    gateway.ledger.analytics.end_loan()
    # On an error `poll_repriced_runs` tries again in a second, and logs it.
    with suppress(AnalyticsError, StoreFailed, OSError):
        await charge_repriced(gateway.registry, gateway.ledger.analytics, gateway.settings.data)
    return json_response({"returned": True})


def positive_int(body: Document, field: str, largest: int, default: int | None = None) -> int:
    """A positive integer field of the body. Raises Problem."""
    value = body.get(field, default)
    # In Python, JSON's true is an int.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 < value <= largest:
        allowed = f"a whole number from 1 to {largest}"
        raise invalid(field, f"`{field}` is {allowed}", allowed)
    return value
