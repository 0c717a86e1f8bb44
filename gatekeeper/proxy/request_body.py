"""Parsing of a request's body while it is relayed (`ProxyCall.request_parser`), and the checks that need
it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import trio

from gatekeeper.gemini.actions import INTERACTIONS, PATH_MODEL_ACTIONS
from gatekeeper.gemini.request_parser import (
    EMPTY_BODY,
    RequestParser,
    may_name_model,
    may_name_more,
    may_name_settings,
    request_parser,
)
from gatekeeper.gemini.request_summary import names_a_file
from gatekeeper.proxy.admission import UnreadReferences, check_body, check_references, has_reference_rules
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.call_accounting import apply_request
from gatekeeper.proxy.call_budget import reserve
from gatekeeper.proxy.call_rates import correct_rates
from gatekeeper.upstream.connection import UpstreamConnection

CONTINUING = PATH_MODEL_ACTIONS | INTERACTIONS  # actions that may continue a long decode
LOOK_AHEAD_BYTES = 256 * 1024  # bytes
# Bytes of a body that are parsed before other tasks run; fewer of a compressed one, as DEFLATE expands a byte
# to at most 1,032.
PARSE_STEP, INFLATE_STEP = 16 * 1024, 256


def attach_parser(call: ProxyCall) -> None:
    """Attaches a new parser to the call; to be called before the body is fed to it."""
    call.request_parser = new_parser(call)


def new_parser(call: ProxyCall) -> RequestParser:
    """A new parser for the call's body."""
    return request_parser(call.route.action, call.head.content_encoding, call.fields.get(b"content-type"))


def needs_parsing(call: ProxyCall, body: bytes) -> bool:
    """Whether a buffered body may name something that the path does not. Most do not, and prompts are long: a
    search for a few words is cheaper than parsing."""
    if call.route.action not in PATH_MODEL_ACTIONS or b"content-encoding" in call.fields:
        return True
    # With Google keys of several projects, a file decides on the key.
    if call.google_key.has_several_projects and b"file" in body:
        return True
    limits = [account.record for account in call.accounts if account.record.needs_body]
    # For budgets and rates an unparsed body only means higher estimates; policies would miss violations.
    if limits and (may_name_settings(body) or any(record.has_policies for record in limits)):
        return True
    may_refer = names_a_file(body) or b"voice_" in body or call.route.action == "generateAnswer"
    if may_refer and has_reference_rules(call):
        return True
    return may_name_model(body) if limits else may_name_more(body)


async def parse_body(call: ProxyCall, body: bytes) -> None:
    """Parses a buffered body before its first byte goes upstream."""
    attach_parser(call)
    await parse_cooperatively(call.request_parser, body, is_compressed=call.head.is_compressed)
    apply_body(call)


async def parse_cooperatively(parser: RequestParser, body: bytes, *, is_compressed: bool = False) -> None:
    """Feeds the whole body to the parser, with a checkpoint after each step."""
    step = INFLATE_STEP if is_compressed else PARSE_STEP
    for start in range(0, len(body), step):
        # None before the first piece: most bodies have only one.
        if start:
            await trio.lowlevel.checkpoint()
        parser.feed(body[start : start + step])


async def check_buffered(call: ProxyCall, body: bytes) -> None:
    """Checks a buffered body: models, policies and references. Raises Refused."""
    if body and needs_parsing(call, body):
        await parse_body(call, body)
    check_body(call)
    if call.request_parser is not EMPTY_BODY:
        unread = UnreadReferences(call)
        unread.feed(body)
        await check_references(call, unread)


async def look_ahead(call: ProxyCall, receive: Callable[[], Awaitable[bytes]]) -> list[bytes]:
    """Reads the beginning of a body that is not buffered if the choice of the Google key depends on the body;
    returns its chunks, which are still to be sent. Raises Refused, and what `receive` raises."""
    if call.route.upload or not call.google_key.depends_on_body:
        return []
    # A separate parser: the call's own is fed as the chunks are sent.
    parser = new_parser(call)
    chunks: list[bytes] = []
    size = 0
    while size < LOOK_AHEAD_BYTES and (chunk := await receive()):
        await parse_cooperatively(parser, chunk, is_compressed=call.head.is_compressed)
        chunks.append(chunk)
        size += len(chunk)
    call.google_key.choose_by_body(call.row, parser.summary)
    return chunks


def needs_body(call: ProxyCall) -> bool:
    """Whether a limit of the call's accounts depends on its body."""
    return not call.route.upload and any(account.record.needs_body for account in call.accounts)


class BodyGate:
    """Sends a streamed body upstream, chunk by chunk. If a check needs the body, the last chunk is held back
    until all of it was checked: a request that is refused is never complete."""

    def __init__(self, call: ProxyCall) -> None:
        self._call = call
        self._holds = needs_body(call) or has_reference_rules(call) or bool(call.rate_reservations)
        self._is_checked = False
        self._path_has_model = bool(call.route.model)  # which the body's may become
        self._held = b""
        self._unread = UnreadReferences(call)

    async def send(self, connection: UpstreamConnection, chunk: bytes) -> None:
        """Sends a chunk, or, if chunks are held back, the one before; then parses it. Raises Refused if it is
        refused, once the rest cannot be parsed."""
        call = self._call
        if call.head.is_compressed:
            # Before it is sent: parsing yields to other tasks, and one of them reads the response, for which
            # it needs what the body names.
            await parse_cooperatively(call.request_parser, chunk, is_compressed=True)
        # One chunk late: a body that is refused lacks its end, so Google does not run the request.
        ready, self._held = (self._held, chunk) if self._holds else (chunk, b"")
        if ready:
            await connection.send_body(ready)
        if not call.head.is_compressed:
            call.request_parser.feed(chunk)
        call.exchange.size.feed(chunk)
        self._unread.feed(chunk)
        if self._holds and call.request_parser.failed:
            self._check_body()

    async def send_last(self, connection: UpstreamConnection) -> None:
        """Sends the last chunk, once all of the body was received and checked. Raises Refused."""
        self._check_body()
        await check_references(self._call, self._unread)
        await reserve(self._call, None)
        correct_rates(self._call, path_has_model=self._path_has_model)
        if self._held:
            await connection.send_body(self._held)

    def _check_body(self) -> None:
        """Checks the body, once, by what has been parsed of it."""
        if not self._is_checked:
            self._is_checked = True
            # The response may come at once, and how it is read depends on the row.
            apply_body(self._call)
            check_body(self._call)


def apply_body(call: ProxyCall) -> None:
    """Fills in the row with what the body names, and with the call whose long decode this one continues."""
    summary, row = call.request_parser.summary, call.row
    apply_request(row, summary)
    if summary.continuation and row.key_id and row.action in CONTINUING:
        row.continues = call.context.long_decodes.find(row.key_id, summary.continuation, row.started_at)
