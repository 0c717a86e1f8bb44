"""The Files API: raw, multipart (multipart/related) and resumable uploads; get, list, delete, download
(https://ai.google.dev/api/files).

A file expires after 48 hours. Files of up to 32 MiB are kept for download, 256 MiB in all; larger ones are
only counted and hashed, so that uploads of gigabytes cost no memory.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field

from gatekeeper.sandbox.errors import GoogleError, file_not_found, invalid
from gatekeeper.sandbox.resources import Clock, ExpiringStore, format_timestamp, page, random_id
from gatekeeper.sandbox.wire import (
    BodyBuffer,
    HttpResponse,
    Json,
    Request,
    json_response,
    message,
    response,
    text,
)
from gatekeeper.sandbox.wire import field as json_field

# Google's own address, wherever the sandbox runs: clients treat it as opaque and send it back.
API_BASE = "https://generativelanguage.googleapis.com/v1beta/"
FILE_TTL = 48 * 3600.0
MAX_KEPT_BYTES = 32 * 1024 * 1024
MAX_TOTAL_BYTES = 256 * 1024 * 1024
# Size of a file or session without its content: limits their number.
OVERHEAD_BYTES = 64 * 1024
SESSION_TTL = 7 * 24 * 3600.0
GRANULARITY = b"8388608"
# A file at another address (a video's) counts as ten seconds of video.
EXTERNAL_FILE = ("video/mp4", 10 * 250_000)


@dataclass(frozen=True, slots=True)
class File:
    name: str
    display_name: str
    mime: str
    content: BodyBuffer
    created: float

    @property
    def expires(self) -> float:
        return self.created + FILE_TTL

    @property
    def size(self) -> int:
        return self.content.kept_bytes + OVERHEAD_BYTES

    def resource(self) -> Json:
        display_name: Json = {"displayName": self.display_name} if self.display_name else {}
        return {
            "name": self.name,
            **display_name,
            "mimeType": self.mime,
            "sizeBytes": str(self.content.size),
            "createTime": format_timestamp(self.created),
            "updateTime": format_timestamp(self.created),
            "expirationTime": format_timestamp(self.expires),
            # As Google does it: base64 of the hexadecimal digest.
            "sha256Hash": base64.b64encode(self.content.sha256.encode()).decode(),
            "uri": API_BASE + self.name,
            "state": "ACTIVE",
            "source": "UPLOADED",
        }


@dataclass(slots=True)
class UploadSession:
    """A resumable upload: opened by `start`, extended by `upload`, a file after `finalize`."""

    name: str
    metadata: Json
    mime: str
    expires: float
    content: BodyBuffer = field(default_factory=lambda: BodyBuffer(MAX_KEPT_BYTES))
    file: File | None = None

    @property
    def size(self) -> int:
        return self.content.kept_bytes + OVERHEAD_BYTES

    def accepts(self, request: Request) -> bool:
        """Whether the body continues where the last one ended: at any other offset it would corrupt the
        file."""
        offset = request.headers.get("x-goog-upload-offset", "0")
        return "upload" in upload_commands(request) and self.file is None and offset == str(self.content.size)


def upload_commands(request: Request) -> list[str]:
    return [word.strip() for word in request.headers.get("x-goog-upload-command", "").split(",")]


class Files:
    """All files and open uploads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files = ExpiringStore[File](MAX_TOTAL_BYTES, clock)
        self._sessions = ExpiringStore[UploadSession](MAX_TOTAL_BYTES, clock)

    def body_buffer(self, request: Request) -> BodyBuffer:
        """The buffer for the body of an upload as it arrives: bytes of a session are stored in the session at
        once, so that an interrupted upload can be resumed."""
        session = self.session(request)
        return session.content if session and session.accepts(request) else BodyBuffer(MAX_KEPT_BYTES)

    def session(self, request: Request) -> UploadSession | None:
        return self._sessions.get(request.query.get("upload_id", ""))

    def upload(self, request: Request) -> HttpResponse:
        """POST or PUT on the upload path, for all three protocols. Raises GoogleError."""
        if request.query.get("upload_id"):
            return self.resume(request)
        if "start" in upload_commands(request):
            return self.start(request)
        metadata, mime, content = parse_upload(request)
        return json_response({"file": self.add(metadata, mime, content).resource()})

    def start(self, request: Request) -> HttpResponse:
        metadata = request.json()
        self.new_file_name(metadata)
        mime = request.headers.get("x-goog-upload-header-content-type", "")
        session = UploadSession(secrets.token_urlsafe(48), metadata, mime, self._clock() + SESSION_TTL)
        self._sessions.put(session)
        address = (
            f"{request.origin}{request.path}?upload_id={session.name}&upload_protocol=resumable".encode()
        )
        return response(
            200,
            b"text/plain; charset=utf-8",
            b"",
            (b"x-goog-upload-status", b"active"),
            (b"x-goog-upload-url", address),
            (b"x-goog-upload-control-url", address),
            (b"x-goog-upload-chunk-granularity", GRANULARITY),
        )

    def resume(self, request: Request) -> HttpResponse:
        session, commands = self.session(request), upload_commands(request)
        if session is None:
            raise GoogleError(404, "Upload session not found or expired.")
        # The request has the session's content (`body_buffer`) only if it continues where that ends.
        if "upload" in commands and session.content is not request.content:
            raise invalid(f"The upload is final or goes on at offset {session.content.size}.")
        # A second `finalize` creates no second file: a client repeats it if the response was lost.
        if "finalize" in commands and session.file is None:
            session.file = self.add(session.metadata, session.mime, session.content)
            return json_response({"file": session.file.resource()}, (b"x-goog-upload-status", b"final"))
        if "cancel" in commands:
            self._sessions.drop(session.name)
            return progress_response(session, b"cancelled")
        return progress_response(session, b"final" if session.file else b"active")

    def add(self, metadata: Json, mime: str, content: BodyBuffer) -> File:
        name = self.new_file_name(metadata)
        described = message(json_field(metadata, "file"))
        display_name = text(json_field(described, "displayName"))
        kind = text(json_field(described, "mimeType")) or mime or "application/octet-stream"
        file = File(name, display_name, kind, content, self._clock())
        self._files.put(file)
        return file

    def new_file_name(self, metadata: Json) -> str:
        """The requested name, or a random one. Raises GoogleError if it is invalid (400) or exists (409)."""
        wanted = text(json_field(message(json_field(metadata, "file")), "name"))
        name = f"files/{wanted.removeprefix('files/')}" if wanted else f"files/{random_id(12)}"
        # Google's own rule for names.
        if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            raise invalid(f"Invalid file name: {name}. Use up to 40 lower-case letters, digits and dashes.")
        if self._files.get(name):
            raise GoogleError(409, "Requested entity already exists")
        return name

    def find(self, uri: str) -> tuple[str, int]:
        """MIME type and size of the file that a request's `fileData` refers to. Raises GoogleError (403)."""
        match = re.search(r"(?:^|/v1(?:beta|alpha)?/)(files/[^/:?]+)$", uri)
        if match is None:
            return EXTERNAL_FILE
        file = self.require(match[1])
        return file.mime, file.content.size

    def require(self, name: str) -> File:
        file = self._files.get(name)
        if file is None:
            raise file_not_found(name.removeprefix("files/"))
        return file

    def get(self, name: str) -> HttpResponse:
        return json_response(self.require(name).resource())

    def list(self, request: Request) -> HttpResponse:
        some, more = page(self._files.all(), request.query.get("pageSize"), request.query.get("pageToken"))
        files: Json = {"files": [file.resource() for file in some]} if some else {}
        return json_response(files | more)

    def delete(self, name: str) -> HttpResponse:
        self._files.drop(self.require(name).name)
        return json_response({})

    def download(self, name: str) -> HttpResponse:
        """The content. Google returns generated files only; the sandbox returns every file."""
        file = self.require(name)
        if file.content.data is None:
            raise invalid(
                f"The sandbox keeps files of up to {MAX_KEPT_BYTES} bytes for download; {name} is larger."
            )
        return response(200, file.mime.encode(), file.content.data)


def progress_response(session: UploadSession, status: bytes) -> HttpResponse:
    received = (b"x-goog-upload-size-received", b"%d" % session.content.size)
    granularity = (b"x-goog-upload-chunk-granularity", GRANULARITY)
    return response(
        200, b"text/plain; charset=utf-8", b"", (b"x-goog-upload-status", status), received, granularity
    )


def parse_upload(request: Request) -> tuple[Json, str, BodyBuffer]:
    """Metadata, MIME type and bytes of an upload in one request."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/related"):
        return {}, kind, request.content
    boundary = re.search(r'boundary="?([^";]+)', kind)
    _, *sections = request.body().split(b"--" + boundary[1].encode()) if boundary else [b""]
    if len(sections) < 2:
        raise invalid("Multipart upload needs a boundary and two parts: metadata and media.")
    # Metadata is parsed, so it is kept whole; media only up to the size kept for download.
    metadata, media = BodyBuffer(), BodyBuffer(MAX_KEPT_BYTES)
    metadata.feed(parse_part(sections[0])[1])
    mime, data = parse_part(sections[1])
    media.feed(data)
    return Request("POST", request.path, content=metadata).json(), mime, media


def parse_part(raw: bytes) -> tuple[str, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    kind = re.search(rb"(?im)^content-type:\s*([^\r\n]+)", head)
    return (kind[1].decode(errors="replace") if kind else ""), body.removesuffix(b"\r\n")
