"""What a request's body names, looked at beside its relay: `ProxyCall.request_parser`, and the row."""

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

CONTINUING = PATH_MODEL_ACTIONS | INTERACTIONS  # actions that may go on with a long decode
LOOK_AHEAD_BYTES = 256 * 1024  # bytes
# Bytes that are parsed between two turns of other calls, of a body and of a compressed one: DEFLATE makes at
# most 1,032 bytes of each.
PARSE_STEP, INFLATE_STEP = 16 * 1024, 256


def attach_parser(call: ProxyCall) -> None:
    """To be called before the body is fed to it."""
    call.request_parser = new_parser(call)


def new_parser(call: ProxyCall) -> RequestParser:
    """For the call's body."""
    return request_parser(call.route.action, call.head.content_encoding, call.fields.get(b"content-type"))


def needs_parsing(call: ProxyCall, body: bytes) -> bool:
    """Whether a buffered body may name something that the path does not: prompts are long, and seldom do."""
    if call.route.action not in PATH_MODEL_ACTIONS or b"content-encoding" in call.fields:
        return True
    # With keys of several projects a file is asked for where it is.
    if call.google_key.has_several_projects and b"file" in body:
        return True
    limits = [account.record for account in call.accounts if account.record.needs_body]
    # What budgets and rates miss there only makes them more careful; what a policy misses passes it.
    if limits and (may_name_settings(body) or any(record.has_policies for record in limits)):
        return True
    may_refer = names_a_file(body) or b"voice_" in body or call.route.action == "generateAnswer"
    if may_refer and has_reference_rules(call):
        return True
    return may_name_model(body) if limits else may_name_more(body)


async def parse_body(call: ProxyCall, body: bytes) -> None:
    """Parses a buffered body, so that all of it is known before its first byte goes upstream."""
    attach_parser(call)
    await parse_cooperatively(call.request_parser, body, is_compressed=call.head.is_compressed)
    apply_body(call)


async def parse_cooperatively(parser: RequestParser, body: bytes, *, is_compressed: bool = False) -> None:
    """Feeds all of it to the parser, and lets other calls have their turns."""
    step = INFLATE_STEP if is_compressed else PARSE_STEP
    for start in range(0, len(body), step):
        # None before the first piece: most bodies have only one.
        if start:
            await trio.lowlevel.checkpoint()
        parser.feed(body[start : start + step])


async def check_buffered(call: ProxyCall, body: bytes) -> None:
    """The second step of admission, by a buffered body: models, policies and references. Raises Refused."""
    if body and needs_parsing(call, body):
        await parse_body(call, body)
    check_body(call)
    if call.request_parser is not EMPTY_BODY:
        unread = UnreadReferences(call)
        unread.feed(body)
        await check_references(call, unread)


async def look_ahead(call: ProxyCall, receive: Callable[[], Awaitable[bytes]]) -> list[bytes]:
    """The beginning of a body that is not buffered, where the Google key depends on what it names. Raises
    Refused, and what `receive` raises."""
    if call.route.upload or not call.google_key.depends_on_body:
        return []
    # One of its own: that of the call is fed as the chunks go up.
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
    """Whether a limit depends on what the call's body says."""
    return not call.route.upload and any(account.record.needs_body for account in call.accounts)


class BodyGate:
    """Between the chunks of a body as they come, and as they go upstream. Where a limit needs the body,
    the last one stays here until all of it is admitted: a request that is refused is never complete."""

    def __init__(self, call: ProxyCall) -> None:
        self._call = call
        self._holds = needs_body(call) or has_reference_rules(call) or bool(call.rate_reservations)
        self._is_checked = False
        self._path_has_model = bool(call.route.model)  # which the body's may become
        self._held = b""
        self._unread = UnreadReferences(call)

    async def send(self, connection: UpstreamConnection, chunk: bytes) -> None:
        """Sends a chunk as soon as the next one is there, or at once; then looks at it. Raises Refused where
        it turns out that the rest will not be seen."""
        call = self._call
        if call.head.is_compressed:
            # Before it is sent: others have their turns meanwhile, and so would this call's response, which
            # is read by what the body names.
            await parse_cooperatively(call.request_parser, chunk, is_compressed=True)
        # One chunk behind: a body that is refused then lacks its end, and Google runs nothing.
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
        """Sends what is left, once all was received and admitted. Raises Refused."""
        self._check_body()
        await check_references(self._call, self._unread)
        await reserve(self._call, None)
        correct_rates(self._call, path_has_model=self._path_has_model)
        if self._held:
            await connection.send_body(self._held)

    def _check_body(self) -> None:
        """Once, by what is known by now."""
        if not self._is_checked:
            self._is_checked = True
            # The response, which may come at once, is read by what the row says.
            apply_body(self._call)
            check_body(self._call)


def apply_body(call: ProxyCall) -> None:
    """What the body has named goes into the row, with the call whose long decode this one goes on."""
    summary, row = call.request_parser.summary, call.row
    apply_request(row, summary)
    if summary.continuation and row.key_id and row.action in CONTINUING:
        row.continues = call.context.long_decodes.find(row.key_id, summary.continuation, row.started_at)
