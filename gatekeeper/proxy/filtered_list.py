"""List responses filtered for a key that may see its own resources only: the one place where a response's
body is rewritten.

Other keys' items are left out, and the page is filled from Google's next pages, so that the client sees only
its own items. A response that cannot be parsed is never relayed. HEAD is sent upstream as GET, so that its
Content-Length is that of the filtered list.
"""

from __future__ import annotations

import zlib

import trio

from gatekeeper.gemini.evasion import header_risk
from gatekeeper.gemini.list_paging import BadListQuery, FilteredPage, ListQuery, PageRequest, parse_list_query
from gatekeeper.gemini.resource_list import (
    Item,
    ListKind,
    ListPage,
    UnreadableList,
    list_kind,
    position_name,
    read_page,
    write_page,
)
from gatekeeper.http_fields import Headers
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import CallFailed, ClientGone, GoogleKeyRefused, Refused, UpstreamBroken
from gatekeeper.proxy.list_cursor import ListCursor, ListCursors
from gatekeeper.proxy.relay import Relay
from gatekeeper.proxy.upstream_response import GZIP, NextChunk
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientStream
from gatekeeper.upstream.connection import ResponseHead, UpstreamRequest

# Google's pages for one request, after which its page stays shorter: at least 2,000 items of other keys.
MAX_PAGES = 100
MAX_SECONDS = 20.0
MAX_BYTES = 32 * 1024 * 1024  # decoded, of all pages; also of one
IDENTITY = (b"", b"identity")
# Of a request: they would apply to Google's page.
CONDITIONAL_AND_RANGE_HEADERS = frozenset(
    {b"range", b"if-match", b"if-none-match", b"if-modified-since", b"if-unmodified-since", b"if-range"}
)
# Of a response: they describe Google's page, not the filtered one.
REPRESENTATION_HEADERS = frozenset(
    {
        b"content-length", b"content-encoding", b"content-range", b"accept-ranges", b"etag", b"last-modified",
        b"content-md5", b"digest", b"content-digest", b"repr-digest", b"x-goog-hash",
    }
)  # fmt: skip


def filtered_kind(call: ProxyCall) -> ListKind | None:
    """The kind of list to filter; None for any other call. A virtual key's lists are filtered, and with
    Google keys of several projects the master key's list is merged from all of them, unless it is requested
    in a form that cannot be parsed."""
    if call.session is not None or not (call.key or call.google_key.has_several_projects):
        return None
    kind = list_kind(call.row.method, call.route)
    return kind if kind and (call.key or is_readable(call, kind)) else None


def is_readable(call: ProxyCall, kind: ListKind) -> bool:
    try:
        read_list_query(call, kind)
    except Refused:
        return False
    return True


def read_list_query(call: ProxyCall, kind: ListKind) -> ListQuery:
    """Raises Refused."""
    if header_risk(call.fields.keys(), call.head.media_types()):
        raise not_filterable("a field mask or another format than JSON in the headers")
    try:
        return parse_list_query(call.credential.query, is_openai=kind.is_openai)
    except BadListQuery as error:
        raise not_filterable(str(error)) from None


class FilteredListRelay(Relay):
    """Requests page after page by `Relay.send_buffered`, and sends one response at the end."""

    def __init__(self, call: ProxyCall, stream: ClientStream, kind: ListKind) -> None:
        super().__init__(call, stream)
        self.kind, self.key = kind, call.key
        self.owners = call.context.owners
        scope = (str(call.row.key_id), str(call.row.action), f"{call.route.model}", f"{call.route.resource}")
        self.cursors = ListCursors(call.row, call.google_key, call.context.page_tokens, scope)
        self.query = read_list_query(call, kind)
        self.filtered = FilteredPage(
            self.cursors.beginning, self.query.size, kind.collection, items_are_positions=kind.is_openai
        )
        self.first_head: ResponseHead | None = None
        self.template: ListPage | None = None  # the response is written in this page's form
        self.received_size = 0  # bytes
        self.error_relayed = False  # Google's error was sent to the client

    async def run(self) -> None:
        self.call.record_begin()  # the list may be asked for where its page begins
        if self.query.token is not None:
            self.filtered.next_request = PageRequest(await self.cursor_of(self.query.token), self.query.size)
        await super().run()

    @property
    def cursor(self) -> str:
        """The cursor of the page that is requested now."""
        return self.filtered.next_request.cursor if self.filtered.next_request else self.cursors.beginning

    @property
    def page_token(self) -> str:
        """Google's page token for that page."""
        return ListCursor.of(self.cursor).token

    async def cursor_of(self, token: str) -> str:
        """The cursor of a client's page token. Raises Refused."""
        if self.kind.is_openai:
            name = position_name(token, self.kind)
            await self.load_owners([name] if name else [])
            if name is None or not self.owners.may_see(self.key, name):
                raise Refused(Refusal(Reason.NOT_FOUND, "`after` names nothing in this list."))
            return self.cursors.of_item(name, token)
        cursor = self.cursors.unsealed(token)
        if cursor is None:
            why = "The page token was not given to this key for this list. Begin with the first page again."
            raise Refused(Refusal(Reason.BAD_REQUEST, why))
        return cursor

    # Upstream

    async def send_streaming(self) -> None:
        raise Refused(Refusal(Reason.BAD_REQUEST, "A list takes no body. Send the request without it."))

    async def send_buffered(self) -> None:
        until = trio.current_time() + MAX_SECONDS
        for _ in range(MAX_PAGES):
            if (
                self.filtered.next_request is None
                or trio.current_time() > until
                or self.received_size > MAX_BYTES
            ):
                break
            await self.request_page()
            if self.error_relayed:
                return
        self.filtered.stop()
        await self.send_page()

    async def request_page(self) -> None:
        self.cursors.switch_project(self.cursor)
        try:
            await super().send_buffered()
        except GoogleKeyRefused:
            following = self.cursors.after(self.cursor, None)
            if following is None and self.template is None:
                raise
            # Without a valid key nobody can use that project's resources; the error is logged.
            self.filtered.go_on(following)
        except CallFailed:
            # The client gets the items so far, and the error with its next page.
            if not self.filtered.items:
                raise
            self.filtered.stop()

    def target(self) -> bytes:
        is_snake_case = self.template is not None and self.template.is_snake_case
        size = self.filtered.next_request and self.filtered.next_request.size
        query = self.query.at(size, self.page_token or None, snake_case=is_snake_case)
        return self.upstream.prefix + self.call.head.path + (b"?" + query if query else b"")

    def request(self) -> UpstreamRequest:
        method, target, headers = super().request()
        kept = [
            field for field in headers if field[0] not in CONDITIONAL_AND_RANGE_HEADERS | {b"accept-encoding"}
        ]
        is_head = method == "HEAD"
        return UpstreamRequest("GET" if is_head else method, target, [*kept, (b"accept-encoding", b"gzip")])

    async def forward(self, head: ResponseHead, first: bytes | None, source: NextChunk) -> None:
        """Adds one page, or relays Google's error."""
        if head.status // 100 == 2:
            await self.add_page(head, await self.read_body(head, first, source))
        elif self.filtered.items:
            self.filtered.stop()
        else:
            self.error_relayed = True
            await super().forward(head, first and without_token(first, self.page_token), source)

    async def read_body(self, head: ResponseHead, first: bytes | None, source: NextChunk) -> bytes:
        """Raises CallFailed."""
        body = bytearray()
        chunk = await source() if first is None else first
        while chunk is not None and len(body) <= MAX_BYTES:
            body += chunk
            chunk = await source()
        text = decoded(bytes(body), head.fields.get(b"content-encoding", b""))
        if text is None:
            raise self.unreadable("it is in a Content-Encoding that the gateway does not read")
        self.received_size += len(text)
        if len(text) > MAX_BYTES:
            why = f"A page of this list is over {MAX_BYTES:,} bytes. Ask for fewer items by its page size."
            raise Refused(Refusal(Reason.TOO_LARGE, why))
        return text

    async def add_page(self, head: ResponseHead, text: bytes) -> None:
        """Raises CallFailed."""
        if head.status != 200:
            raise self.unreadable(f"its status is {head.status}")
        try:
            page = read_page(text, self.kind)
        except UnreadableList as error:
            raise self.unreadable(str(error)) from None
        await self.load_owners([item.name for item in page.items])
        own = [self.is_own(item) for item in page.items]
        self.filtered.take(page, own, self.cursors.after(self.cursor, page.next_token))
        self.first_head = self.first_head or head
        # A page without items does not tell how the member is called that has them.
        if self.template is None or (self.template.member is None and page.member is not None):
            self.template = page

    def is_own(self, item: Item) -> bool:
        """Whether an item belongs into this list at the current cursor."""
        if item.is_prebuilt:
            return self.cursors.is_first(self.cursor)
        return self.owners.may_see(self.key, item.name) and self.cursors.has(self.cursor, item.name)

    async def load_owners(self, names: list[str]) -> None:
        """Raises Refused."""
        try:
            await self.owners.prepare(names)
        except StoreFailed as error:
            raise self.call.context.store_failure(error) from None

    def unreadable(self, why: str) -> UpstreamBroken:
        self.call.context.list_errors.record(str(self.call.row.action), why=why)
        return UpstreamBroken(
            Refusal(
                Reason.UPSTREAM_UNREACHABLE,
                "The Gemini API answered with a list that the gateway cannot reduce to your key's resources, "
                f"and so does not pass on: {why}.",
            )
        )

    # To the client

    async def send_page(self) -> None:
        """Raises CallFailed and ClientDisconnected."""
        call, page, template = self.call, self.filtered, self.template
        # In OpenAI's form a page without items cannot be continued.
        is_stuck = self.kind.is_openai and page.next_cursor and not page.items
        if template is None or self.first_head is None or is_stuck:
            raise self.unreadable("none of its first items are your key's")
        token = None if page.next_cursor is None else self.cursors.sealed(page.next_cursor)
        text = write_page(template, page.items, self.kind, token)
        headers: Headers = [
            field for field in self.first_head.headers if field[0] not in REPRESENTATION_HEADERS
        ]
        headers.append((b"content-length", b"%d" % len(text)))
        call.set_deadline(self.settings.read_timeout, ClientGone)
        has_body = call.row.method != "HEAD"
        head = ResponseHead.of(200, headers, self.first_head.reason)
        await self.send_response_head(head, coalesce_with_body=has_body)
        if has_body:
            await self.writer.write(text)
        call.relay_complete = True


def not_filterable(what: str) -> Refused:
    why = f"Your key sees its own resources only, and a list cannot be filtered with {what}. Leave it out."
    return Refused(Refusal(Reason.BAD_REQUEST, why))


def without_token(error: bytes, token: str) -> bytes:
    """Google's error, with stars in place of its page token: that may name another key's resource."""
    return error.replace(token.encode(), b"*" * len(token.encode())) if token else error


def decoded(body: bytes, coding: bytes) -> bytes | None:
    """The body without its Content-Encoding, at most a little longer than MAX_BYTES; None if it has another
    one than gzip, or a damaged one."""
    coding = coding.strip().lower()
    if coding in IDENTITY:
        return body
    if coding not in GZIP:
        return None
    text = b""
    try:
        # A gzip body may have several members (RFC 1952 §2.2).
        while body and len(text) <= MAX_BYTES:
            member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            text += member.decompress(body, MAX_BYTES + 1)
            if not member.eof and len(text) <= MAX_BYTES:
                return None
            body = member.unused_data
    except zlib.error:
        return None
    return text
