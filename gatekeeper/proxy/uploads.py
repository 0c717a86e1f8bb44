"""Resumable uploads: the upload URL in Google's response to the start is replaced by one of this gateway's.

Google's URL is secret and needs no key, so a client that knew it would bypass the gateway. It is stored in a
session that belongs to the key of the start; the client gets an upload id of the gateway's, by which later
requests find the session. They are sent to the stored URL, whatever else they name.
"""

from __future__ import annotations

from collections.abc import Mapping
from secrets import token_urlsafe
from typing import NamedTuple
from urllib.parse import quote

from gatekeeper.gemini.evasion import normalized_path
from gatekeeper.gemini.meter import NO_METER, meter_for, meter_options
from gatekeeper.gemini.sessions import upload_ids, without_upload_ids
from gatekeeper.http_fields import Headers
from gatekeeper.keys.sealing import seal, unseal
from gatekeeper.keys.secrets import MIN_SECRET_LENGTH
from gatekeeper.keys.sessions import TooManySessions, UploadSession
from gatekeeper.keys.sqlite_file import StoreFailed
from gatekeeper.ledger.call import CallRecord
from gatekeeper.proxy.authenticate import session_not_found
from gatekeeper.proxy.call import ProxyCall
from gatekeeper.proxy.failures import Refused, foreign_upload_address
from gatekeeper.proxy.redirects import (
    AbsoluteUrl,
    is_google_origin,
    is_same_host,
    resolve,
    without_credentials,
)
from gatekeeper.proxy.relay import Relay
from gatekeeper.proxy.transport import PREFIX
from gatekeeper.proxy.upstream_response import NextChunk
from gatekeeper.public_url import public_base
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.server.client_stream import ClientStream
from gatekeeper.upstream.connection import ResponseHead, UpstreamRequest
from gatekeeper.upstream.pool import Origin

SECOND = 1_000_000  # microseconds
UPLOAD_URL_HEADER = b"x-goog-upload-url"
ADDRESS_HEADERS = (UPLOAD_URL_HEADER, b"location")
STATUS_HEADER = b"x-goog-upload-status"
# Cloud Storage's limit ("must be completed within a week of being initiated"); the Gemini API publishes none.
LIFETIME = 7 * 24 * 3600 * SECOND
# After its end: a client that has lost the last response sends the request again.
LIFETIME_ENDED = 600 * SECOND
ENDED = (b"final", b"cancelled")
# Without this header Google's SDKs repeat the chunk after an error, three times in seven seconds.
UPLOAD_ENDED = (STATUS_HEADER, b"final")


def has_upload_id(call: ProxyCall) -> bool:
    return bool(upload_ids(call.credential.query))


async def find_upload(call: ProxyCall) -> UploadSession | None:
    """The upload that a request continues; None for a request without an upload id. Raises Refused for an
    unknown id, or one of another path."""
    ids = upload_ids(call.credential.query)
    if not ids:
        return None
    found = None
    try:
        # With several ids the gateway and the next server might choose different ones.
        if len(ids) == 1:
            found = await call.context.sessions.find_upload(ids[0], call.row.started_at)
    except StoreFailed as error:
        raise call.context.store_failure(error) from None
    if found is None or normalized_path(found.path.encode("latin-1")) != normalized_path(call.head.path):
        # So that the row has the request's key.
        if call.credential.secret or call.context.settings.open_mode:
            call.authenticate()
        raise Refused(session_not_found())
    # The query is not sent upstream, so nothing in it can affect how the call is metered.
    call.find_route(b"")
    return found


class UploadRelay(Relay):
    """Relays the requests of uploads: those in one request, starts, and continuations."""

    def __init__(self, call: ProxyCall, stream: ClientStream) -> None:
        super().__init__(call, stream)
        self.upload_headers: Headers = []
        self.session = call.session if isinstance(call.session, UploadSession) else None
        self.upload_id = ""
        if self.session is not None:
            # Exactly one: `find_upload` has refused any other number.
            (self.upload_id,) = upload_ids(call.credential.query)
            self.upstream = call.context.upstream_at(self.session.host)

    def target(self) -> bytes:
        if self.session is None:
            return super().target()
        return unseal(self.upload_id, self.session.sealed_target).encode("latin-1")

    def request(self) -> UpstreamRequest:
        """Asks for an uncompressed response, in which Google's upload id can be found and masked."""
        request = super().request()
        return request if self.session is None else request.uncompressed()

    async def forward(self, head: ResponseHead, first: bytes | None, source: NextChunk) -> None:
        # Google's error pages quote the requested URL, which is secret.
        if self.session is not None and head.status // 100 != 2 and first:
            first = without_secrets(first, self.target())
        await super().forward(head, first, source)

    def attach_meter(self, head: ResponseHead) -> None:
        """Also meters the response to a PUT: the last one names the file."""
        super().attach_meter(head)
        if self.call.meter is NO_METER:
            media_type = head.fields.get(b"content-type")
            if reading := meter_options("POST", self.call.route, head.status, media_type):
                self.call.meter = meter_for(media_type, head.fields.get(b"content-encoding"), *reading)

    def is_followed(self, head: ResponseHead) -> bool:
        """A 308 asks for the rest of the file."""
        return self.session is None and super().is_followed(head)

    def local_location(self, location: bytes) -> Headers:  # noqa: ARG002
        """None: the Location of an upload is replaced in `begin_upload`."""
        return []

    async def send_response_head(self, head: ResponseHead, *, coalesce_with_body: bool) -> None:
        # Before the client has a byte: its next request may come after a restart of the gateway.
        if self.session is not None:
            await self.end_upload(head)
        elif head.status // 100 == 2:
            await self.begin_upload(head)
        await super().send_response_head(head, coalesce_with_body=coalesce_with_body)

    def response_headers(self, head: ResponseHead) -> Headers:
        return [*super().response_headers(head), *self.upload_headers]

    # The session

    async def begin_upload(self, head: ResponseHead) -> None:
        """Stores the URL of a started upload, and sets the headers with its URL at this gateway. Raises
        CallFailed."""
        given = {name: head.fields[name] for name in ADDRESS_HEADERS if name in head.fields}
        url = upload_url(given)
        if url is None:
            return
        context, row, upload_id = self.call.context, self.call.row, token_urlsafe(32)
        address = self.address(url)
        session = self.new_session(address, upload_id)
        try:
            await context.sessions.add(upload_id, session, row.started_at)
        except TooManySessions:
            raise Refused(too_many_uploads(row, context.sessions.limit)) from None
        except StoreFailed as error:
            raise context.store_failure(error) from None
        self.upload_headers = [(name, self.gateway_url(address, upload_id)) for name in given]

    def new_session(self, address: UploadAddress, upload_id: str) -> UploadSession:
        row = self.call.row
        return UploadSession(
            key_id=row.key_id or "",
            google_key=row.upstream_key or "",
            user_id=row.user_id,
            tags=tuple(row.tags),
            user_agent=row.user_agent,
            expires_at=row.started_at + LIFETIME,
            path=self.call.head.path.decode("latin-1"),
            sealed_target=seal(upload_id, address.target.decode("latin-1")),
            host=address.host,
        )

    def address(self, url: bytes) -> UploadAddress:
        """Where the upload's requests are sent. Raises RedirectRefused for a URL that is neither the
        upstream's nor Google's: it would be sent the Google key."""
        upstream = self.upstream
        address = resolve(url, AbsoluteUrl(upstream.origin, self.target()))
        if address is not None:
            address = AbsoluteUrl(address.origin, without_credentials(address.target))
        if address is not None and is_same_host(address.origin.host, upstream.origin.host):
            return UploadAddress(None, address.target)
        if address is None or not is_google_api(address.origin):
            # Its host only: the rest is a secret.
            host = address and address.origin.host[:255]
            self.call.context.upload_errors.record("foreign_host" if host else "no_plain_url", host=host)
            raise foreign_upload_address(host)
        if upstream.may_be_gateway:
            # The upstream is used in place of Google, even if its response has Google's URL.
            return UploadAddress(None, upstream.prefix + address.target)
        return UploadAddress(address.origin.host, address.target)

    def gateway_url(self, address: UploadAddress, upload_id: str) -> bytes:
        """The upload's URL at this gateway, with the same path as the start's."""
        base = public_base(self.call.head.scope, self.call.context.settings)
        others = without_upload_ids(address.target.partition(b"?")[2])
        query = b"&".join(filter(None, (b"upload_id=" + upload_id.encode(), others)))
        return base.encode() + PREFIX + self.call.head.path + b"?" + query

    async def end_upload(self, head: ResponseHead) -> None:
        """Lets the session expire soon if the response ends the upload."""
        status = head.fields.get(STATUS_HEADER)
        # The older protocol has no such header: a 308 asks for more.
        if status in ENDED or (status is None and head.status in (200, 201)):
            context = self.call.context
            try:
                await context.sessions.expire(self.upload_id, self.call.row.started_at + LIFETIME_ENDED)
            except StoreFailed as error:
                # The upload is complete all the same.
                context.session_errors.record_exception(error)


def without_secrets(text: bytes, target: bytes) -> bytes:
    """The text, with the upload ids of a URL masked by stars."""
    for upload_id in upload_ids(target.partition(b"?")[2]):
        for form in (upload_id, quote(upload_id, safe="")):
            # A shorter one is none of Google's, and may be a word.
            if len(form) >= MIN_SECRET_LENGTH:
                text = text.replace(form.encode(), b"*" * len(form))
    return text


class UploadAddress(NamedTuple):
    """Where an upload's requests are sent: another host of Google's or the configured upstream (None), and
    path and query there."""

    host: str | None
    target: bytes


def is_google_api(origin: Origin) -> bool:
    """Whether it is one of Google's APIs, and not a host for Google's users' content."""
    return is_google_origin(origin) and origin.host.endswith(".googleapis.com")


def upload_url(given: Mapping[bytes, bytes]) -> bytes | None:
    """The URL of an upload in a response's headers."""
    if url := given.get(UPLOAD_URL_HEADER):
        return url
    # Any other response may have a `Location`.
    location = given.get(b"location", b"")
    return location if upload_ids(location.partition(b"?")[2]) else None


def too_many_uploads(row: CallRecord, limit: int) -> Refusal:
    return Refusal(
        Reason.TOO_MANY_PARALLEL,
        f"The key {row.key_alias or row.key_id} has {limit:,} unfinished uploads, and may have no more: "
        "finish some of them, or end them by X-Goog-Upload-Command: cancel. Each expires a week after its "
        "start.",
    )
