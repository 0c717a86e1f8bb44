"""Calls: `/calls`, `/calls/{id}` and the live `/calls/stream`."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from datetime import datetime

import trio
from quart import Blueprint, Response, request

from gatekeeper.admin.gateway import gateway
from gatekeeper.admin.problems import Problem, invalid
from gatekeeper.admin.requests import DEFAULT_LIMIT, Document, answer, read_query
from gatekeeper.gemini.usage import read_usage
from gatekeeper.ledger.call import document
from gatekeeper.ledger.events import Event, Subscription, sse
from gatekeeper.pricing.quote import QuoteDocument, quote, quote_document

blueprint = Blueprint("calls", __name__, url_prefix="/calls")

COMMENT = b":\n\n"
COMMENT_PERIOD = 15.0  # seconds
BATCH = 256  # events sent in one go


@blueprint.get("")
async def list_calls() -> Response:
    """Finished calls, newest first. `next_cursor` is null on the last page."""
    query = read_query("q", "since", "until", "limit", "cursor")
    limit = query.limit or DEFAULT_LIMIT
    # One more than a page holds: whether there is a next one costs no question of its own.
    found = await gateway().ledger.analytics.calls(query.filter(), limit + 1, query.cursor)
    calls, more = found.value[:limit], len(found.value) > limit
    return answer({"calls": calls, "next_cursor": calls[-1]["id"] if more else None, **found.gaps})


@blueprint.get("/<call_id>")
async def one_call(call_id: str) -> Response:
    """The call, finished or in flight (with its bytes and tokens so far), with the arithmetic of its cost as
    `cost`: null where it was not priced (it runs, was refused, failed, is free by its kind), without lines
    where a price is unknown."""
    read_query()
    # First, for a call that runs has no row: the analytics file would say that there is none.
    if running := gateway().ledger.live.in_flight.get(call_id):
        return answer({**document(gateway().proxy.peek(call_id) or running), "cost": None})
    found = await gateway().ledger.analytics.call(call_id)
    if found.value is None:
        # "There is none" would be wrong while the file with most of the calls is out of reach.
        held = f", or it is in the analytics file: {found.absence}" if found.absence else ""
        raise Problem(404, f"There is no call {call_id!r}{held}; an id is what x-gatekeeper-call-id said")
    return answer({**found.value, "cost": arithmetic(found.value)})


@blueprint.get("/stream")
async def stream() -> Response:
    """Server-Sent Events until the client leaves or the gateway stops."""
    query = read_query("q")
    subscription = gateway().ledger.live.subscribe(
        query.filter().matches if query.q else None, last_event_id()
    )
    # A stream never ends by itself, and an answer to HEAD has to.
    body = b"" if request.method == "HEAD" else events(subscription)
    response = Response(body, content_type="text/event-stream")
    response.headers["X-Accel-Buffering"] = "no"  # a proxy in between is to pass each event on at once
    # Quart ends an answer after a minute otherwise.
    response.timeout = None
    return response


async def events(subscription: Subscription) -> AsyncGenerator[bytes]:
    """The stream's bytes. It begins with a comment, which tells the client that it is connected."""
    yield COMMENT
    due = trio.current_time() + COMMENT_PERIOD
    while True:
        batch: list[Event] | None = None
        # A wait that is cut off loses no event: see `Subscription`.
        with trio.move_on_at(due):
            batch = await subscription.batch(BATCH)
        if batch is None:
            due = trio.current_time() + COMMENT_PERIOD
            yield COMMENT
        elif batch:
            # All in one send: each one is a write to the socket.
            yield b"".join(map(sse, batch))
        else:
            return


def last_event_id() -> int | None:
    """The event after which a client that comes back wants to go on. Raises Problem."""
    text = request.headers.get("Last-Event-ID", "").strip()
    if not text:
        return None
    # `isdecimal` alone is true of digits of other scripts; 20 of ours would be beyond 64 bits.
    if not (text.isascii() and text.isdecimal() and len(text) < 20):
        raise invalid(
            "Last-Event-ID", f"Last-Event-ID: {text[:40]!r} is no event's id", "an `id:` of this stream"
        )
    return int(text)


def arithmetic(call: Document) -> QuoteDocument | None:
    """How the cost came about, worked out anew from the row's usage by the catalogue in force; where that is
    not the one that priced the call, a note says so."""
    # Without a price there is nothing to work out, and a quote of today would make one up.
    version = call["price_version"]
    if version is None:
        return None
    priced = quote_document(
        quote(
            gateway().catalogue,
            model=call["model"],
            model_version=call["model_version"],
            usage=None if call["usage"] is None else read_usage(bytes(call["usage"])),
            at=datetime.fromisoformat(call["started_at"]),
            tier=call["service_tier"] or "standard",
            action=call["action"] or "",
        )
    )
    if priced["price_version"] != version:
        priced["notes"].append(f"the call was priced by the catalogue {version}: its cost_usd may differ")
    return priced
