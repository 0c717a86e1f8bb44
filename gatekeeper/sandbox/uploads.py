"""Uploads of media (https://ai.google.dev/api/files#method:-media.upload): raw, multipart and resumable, the
latter in either of Google's protocols.

With `X-Goog-Upload-Command`: `start` returns a URL; bytes are sent there by `upload` with their offset, the
last ones by `upload, finalize`; `query` returns how many have arrived, `cancel` ends it. With
`uploadType=resumable`: the URL is the `Location`, bytes are PUT there with their `Content-Range`, and a 308
requests more. The upload id authorizes a URL, so it needs no key.

A multipart upload is parsed as it arrives, so that one of gigabytes takes no memory. The sandbox accepts
chunks of any size; Google requires multiples of 256 KiB, except for the last.
"""

from __future__ import annotations

import re
import secrets
from dataclasses import dataclass
from typing import Protocol

from gatekeeper.sandbox.errors import GoogleError, invalid
from gatekeeper.sandbox.google_json import Json
from gatekeeper.sandbox.http import BodyBuffer, Headers, HttpResponse, Request, json_response, response
from gatekeeper.sandbox.routing import Parameters, Route
from gatekeeper.sandbox.store import MAX_KEPT_BYTES, MAX_TOTAL_BYTES, OVERHEAD_BYTES, Clock, ExpiringStore

SESSION_TTL = 7 * 24 * 3600.0
GRANULARITY = b"8388608"
# Limit of the headers of a part, and of the metadata.
MAX_PART_BYTES = 1024 * 1024
BLANK_LINE = re.compile(rb"\n\r?\n")
PLAIN = b"text/plain; charset=utf-8"
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")


class MultipartBody(BodyBuffer):
    """A multipart/related body (RFC 2387) of two parts, metadata and media; the media is kept up to `limit`.
    `complete` once the last delimiter has arrived."""

    def __init__(self, boundary: bytes, limit: int) -> None:
        super().__init__(0)
        self.metadata = BodyBuffer(MAX_PART_BYTES)
        self.media = BodyBuffer(limit)
        self.media_type = ""
        self.complete: bool = False
        # Google accepts both line endings: its own Python client sends LF.
        self._delimiter = b"\n--" + boundary
        # A delimiter begins with a line break, which the first one does not have.
        self._pending = b"\r\n"
        self._parts: int = 0
        self._in_head = False

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._pending += data
        while not self.complete and (self._take_head() if self._in_head else self._take_body()):
            pass
        if self.complete or len(self._pending) > MAX_PART_BYTES:
            self._pending = b""

    def _take_head(self) -> bool:
        """Parses the headers of a part; False if they have not arrived yet."""
        blank_line = BLANK_LINE.search(self._pending)
        if not blank_line:
            return False
        head, rest = self._pending[: blank_line.start()], self._pending[blank_line.end() :]
        self._pending, self._in_head, self._parts = rest, False, self._parts + 1
        kind = re.search(rb"(?im)^content-type:\s*([^\r\n]+)", head)
        if self._parts == 2 and kind:
            self.media_type = kind[1].decode(errors="replace")
        return True

    def _take_body(self) -> bool:
        """Reads the available bytes of a part's body; False if its end has not arrived yet."""
        body, delimiter, rest = self._pending.partition(self._delimiter)
        if delimiter:
            body = body.removesuffix(b"\r")
        else:
            # The last bytes may be the beginning of a delimiter, or the CR before it.
            cut = max(0, len(self._pending) - len(self._delimiter))
            body, rest = self._pending[:cut], self._pending[cut:]
        if body and self._parts:
            (self.metadata if self._parts == 1 else self.media).feed(body)
        self._pending, self._in_head = rest, bool(delimiter)
        self.complete = self._in_head and self._parts == 2
        return self._in_head


class UploadTarget(Protocol):
    """The resource that an upload creates."""

    def check(self, at: Parameters, metadata: Json, /) -> None:
        """Raises GoogleError if the parent does not exist or cannot accept the upload."""
        ...

    def finish(self, at: Parameters, metadata: Json, mime: str, content: BodyBuffer, /) -> Json:
        """Creates the resource; returns the document of the upload's last response. Raises GoogleError."""
        ...


@dataclass(slots=True)
class UploadSession:
    """A resumable upload; `document` is set when it is complete."""

    name: str
    target: UploadTarget
    at: Parameters
    metadata: Json
    mime: str
    expires: float
    content: BodyBuffer
    document: Json | None = None

    @property
    def size(self) -> int:
        return self.content.kept_bytes + OVERHEAD_BYTES

    def accepts(self, request: Request) -> bool:
        """Whether the body continues where the last one ended; any other offset would corrupt the file."""
        return self.document is None and body_offset(request) == self.content.size

    def finish(self) -> Json:
        """Completes the upload; returns the document. Idempotent, because a client repeats it if the response
        was lost."""
        if self.document is None:
            self.document = self.target.finish(self.at, self.metadata, self.mime, self.content)
        return self.document


def upload_commands(request: Request) -> list[str]:
    return [word.strip() for word in request.headers.get("x-goog-upload-command", "").split(",")]


def body_offset(request: Request) -> int | None:
    """The offset of the request's bytes; None if it has none."""
    if "x-goog-upload-command" in request.headers:
        offset = request.headers.get("x-goog-upload-offset", "0")
        return int(offset) if "upload" in upload_commands(request) and offset.isdecimal() else None
    if "content-range" not in request.headers:
        # A PUT without a range has the whole file.
        return 0 if request.method == "PUT" else None
    place = CONTENT_RANGE.fullmatch(request.headers["content-range"])
    return int(place[1]) if place and place[1] else None


class Uploads:
    """All open uploads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._sessions = ExpiringStore[UploadSession](MAX_TOTAL_BYTES, clock)

    def routes(self, path: str, target: UploadTarget) -> tuple[Route, ...]:
        """The routes for uploads to `path`, which are passed to `target`."""

        def respond(request: Request, at: Parameters) -> HttpResponse:
            return self.upload(request, at, target)

        return tuple(
            Route(method, f"{prefix}{path}", respond)
            for prefix in ("/upload", "/resumable/upload")
            for method in ("POST", "PUT", "DELETE")
        )

    def body_buffer(self, request: Request) -> BodyBuffer:
        """The buffer for the body of an upload as it arrives: bytes of a session are stored in the session at
        once, so that an interrupted upload can be resumed."""
        session = self.session(request)
        if session and session.accepts(request):
            return session.content
        boundary = re.search(r'boundary="?([^";]+)', request.headers.get("content-type", ""))
        buffer = media_buffer(request.headers.get("content-length"))
        if boundary and is_multipart(request):
            return MultipartBody(boundary[1].encode(), buffer.limit)
        return buffer

    def authorizes(self, request: Request) -> bool:
        """Whether the request is for an open upload, whose URL needs no key."""
        return "/upload/" in request.path and self.session(request) is not None

    def session(self, request: Request) -> UploadSession | None:
        return self._sessions.get(request.query.get("upload_id", ""))

    def upload(self, request: Request, at: Parameters, target: UploadTarget) -> HttpResponse:
        """Raises GoogleError."""
        if request.query.get("upload_id"):
            return self.resume(request)
        if "start" in upload_commands(request) or request.query.get("uploadType") == "resumable":
            return self.start(request, at, target)
        metadata, mime, content = parse_upload(request)
        target.check(at, metadata)
        return json_response(target.finish(at, metadata, mime, content))

    def start(self, request: Request, at: Parameters, target: UploadTarget) -> HttpResponse:
        metadata, headers = request.json(), request.headers
        target.check(at, metadata)
        mime = headers.get("x-goog-upload-header-content-type") or headers.get("x-upload-content-type", "")
        session = UploadSession(
            secrets.token_urlsafe(48),
            target,
            at,
            metadata,
            mime,
            self._clock() + SESSION_TTL,
            media_buffer(headers.get("x-goog-upload-header-content-length")),
        )
        self._sessions.put(session)
        address = f"{request.origin}{request.path}?upload_id={session.name}"
        if "x-goog-upload-command" not in headers:
            return response(200, PLAIN, b"", (b"location", f"{address}&uploadType=resumable".encode()))
        url = f"{address}&upload_protocol=resumable".encode()
        opened = (b"x-goog-upload-url", url), (b"x-goog-upload-control-url", url)
        return response(200, PLAIN, b"", *progress(session, b"active"), *opened)

    def resume(self, request: Request) -> HttpResponse:
        session = self.session(request)
        if session is None:
            raise GoogleError(404, "Upload session not found or expired.")
        # It was empty when it was stored: put it again, so that its bytes count towards the total limit.
        self._sessions.put(session)
        # The request has the session's content (`body_buffer`) only if it continues where that ends.
        if body_offset(request) is not None and session.content is not request.content:
            raise invalid(f"The upload is final or goes on at offset {session.content.size}.")
        by_command = "x-goog-upload-command" in request.headers
        return self.run_commands(request, session) if by_command else self.put(request, session)

    def run_commands(self, request: Request, session: UploadSession) -> HttpResponse:
        commands = upload_commands(request)
        if "finalize" in commands:
            return json_response(session.finish(), *progress(session, b"final"))
        if "cancel" in commands:
            self._sessions.drop(session.name)
            return response(200, PLAIN, b"", *progress(session, b"cancelled"))
        status = b"final" if session.document else b"active"
        return response(200, PLAIN, b"", *progress(session, status))

    def put(self, request: Request, session: UploadSession) -> HttpResponse:
        """Handles the protocol of `uploadType=resumable`; 499 is Google's response to a DELETE, which
        cancels."""
        if request.method == "DELETE":
            self._sessions.drop(session.name)
            return response(499, PLAIN, b"")
        place = CONTENT_RANGE.fullmatch(request.headers.get("content-range", ""))
        received = session.content.size
        # Complete: a repeated request, one without a range, or all bytes up to the size in the range.
        if session.document or place is None or place[3] == str(received):
            return json_response(session.finish())
        return response(308, PLAIN, b"", *([(b"range", b"bytes=0-%d" % (received - 1))] if received else []))


def media_buffer(announced: str | None) -> BodyBuffer:
    """A buffer that keeps nothing if the announced size is too large to be kept completely."""
    too_large = announced is not None and announced.isdecimal() and int(announced) > MAX_KEPT_BYTES
    return BodyBuffer(0 if too_large else MAX_KEPT_BYTES)


def progress(session: UploadSession, status: bytes) -> Headers:
    return (
        (b"x-goog-upload-status", status),
        (b"x-goog-upload-size-received", b"%d" % session.content.size),
        (b"x-goog-upload-chunk-granularity", GRANULARITY),
    )


def is_multipart(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith("multipart/related")


def parse_upload(request: Request) -> tuple[Json, str, BodyBuffer]:
    """Metadata, MIME type and bytes of a single-request upload."""
    content = request.content
    if not is_multipart(request):
        return {}, request.headers.get("content-type", ""), content
    if not isinstance(content, MultipartBody) or not content.complete:
        raise invalid("Multipart upload needs a boundary and two parts: metadata and media.")
    metadata = Request("POST", request.path, content=content.metadata).json()
    return metadata, content.media_type, content.media
