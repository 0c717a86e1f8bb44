"""The Files API: uploads in one go, in parts (multipart/related) and resumable ones; get, list, delete,
download (https://ai.google.dev/api/files).

A file lives 48 hours. Up to 32 MiB of each are kept for download, 256 MiB in all; larger ones are counted and
hashed only, so that uploads of gigabytes cost no memory.
"""

from __future__ import annotations

import base64
import re
import secrets
from dataclasses import dataclass, field

from gatekeeper.sandbox.errors import ApiError, invalid, no_file
from gatekeeper.sandbox.resources import Clock, Store, page, random_id, timestamp
from gatekeeper.sandbox.wire import Answer, Content, Json, Request, answer, json_answer, message, text
from gatekeeper.sandbox.wire import field as json_field

# Google's own address, wherever the sandbox is: clients take it for opaque and send it back.
HOME = "https://generativelanguage.googleapis.com/v1beta/"
LIFE = 48 * 3600.0
KEPT = 32 * 1024 * 1024
ROOM = 256 * 1024 * 1024
# Weight of a file or session without its bytes: bounds how many there are
OVERHEAD = 64 * 1024
SESSION_LIFE = 7 * 24 * 3600.0
GRANULARITY = b"8388608"
# What an address elsewhere (a film's) counts as: ten seconds
LINKED = ("video/mp4", 10 * 250_000)


@dataclass(frozen=True, slots=True)
class File:
    name: str
    title: str
    mime: str
    content: Content
    created: float

    @property
    def expires(self) -> float:
        return self.created + LIFE

    @property
    def weight(self) -> int:
        return self.content.kept + OVERHEAD

    def resource(self) -> Json:
        title: Json = {"displayName": self.title} if self.title else {}
        return {
            "name": self.name,
            **title,
            "mimeType": self.mime,
            "sizeBytes": str(self.content.size),
            "createTime": timestamp(self.created),
            "updateTime": timestamp(self.created),
            "expirationTime": timestamp(self.expires),
            # Google's own oddity: base64 of the hexadecimal digest.
            "sha256Hash": base64.b64encode(self.content.sha256.encode()).decode(),
            "uri": HOME + self.name,
            "state": "ACTIVE",
            "source": "UPLOADED",
        }


@dataclass(slots=True)
class Session:
    """A resumable upload: opened by `start`, fed by `upload`, a file once finalized."""

    name: str
    about: Json
    mime: str
    expires: float
    content: Content = field(default_factory=lambda: Content(KEPT))
    file: File | None = None

    @property
    def weight(self) -> int:
        return self.content.kept + OVERHEAD

    def accepts(self, request: Request) -> bool:
        """Whether the body continues where the last one ended."""
        # Bytes that do not go on where the last ones ended would make another file of it.
        offset = request.headers.get("x-goog-upload-offset", "0")
        return "upload" in command(request) and self.file is None and offset == str(self.content.size)


def command(request: Request) -> list[str]:
    return [word.strip() for word in request.headers.get("x-goog-upload-command", "").split(",")]


class Files:
    """All files and open uploads."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._files = Store[File](ROOM, clock)
        self._sessions = Store[Session](ROOM, clock)

    def sink(self, request: Request) -> Content:
        """Where the body of an upload goes as it arrives: bytes that belong to a session are part of it at
        once, so that an upload which breaks off can be resumed."""
        session = self.session(request)
        return session.content if session and session.accepts(request) else Content(KEPT)

    def session(self, request: Request) -> Session | None:
        return self._sessions.get(request.query.get("upload_id", ""))

    def upload(self, request: Request) -> Answer:
        """POST or PUT on the upload path, whichever protocol. Raises ApiError."""
        if request.query.get("upload_id"):
            return self.resume(request)
        if "start" in command(request):
            return self.start(request)
        about, mime, content = parts(request)
        return json_answer({"file": self.add(about, mime, content).resource()})

    def start(self, request: Request) -> Answer:
        about = request.json()
        self.free_name(about)
        mime = request.headers.get("x-goog-upload-header-content-type", "")
        session = Session(secrets.token_urlsafe(48), about, mime, self._clock() + SESSION_LIFE)
        self._sessions.put(session)
        address = (
            f"{request.origin}{request.path}?upload_id={session.name}&upload_protocol=resumable".encode()
        )
        return answer(
            200,
            b"text/plain; charset=utf-8",
            b"",
            (b"x-goog-upload-status", b"active"),
            (b"x-goog-upload-url", address),
            (b"x-goog-upload-control-url", address),
            (b"x-goog-upload-chunk-granularity", GRANULARITY),
        )

    def resume(self, request: Request) -> Answer:
        session, commands = self.session(request), command(request)
        if session is None:
            raise ApiError(404, "Upload session not found or expired.")
        # `sink` has given the request the content of the session only if it goes on where that ends.
        if "upload" in commands and session.content is not request.content:
            raise invalid(f"The upload is final or goes on at offset {session.content.size}.")
        # A second `finalize` makes no second file: a client repeats it when the answer was lost.
        if "finalize" in commands and session.file is None:
            session.file = self.add(session.about, session.mime, session.content)
            return json_answer({"file": session.file.resource()}, (b"x-goog-upload-status", b"final"))
        if "cancel" in commands:
            self._sessions.drop(session.name)
            return progress(session, b"cancelled")
        return progress(session, b"final" if session.file else b"active")

    def add(self, about: Json, mime: str, content: Content) -> File:
        name = self.free_name(about)
        described = message(json_field(about, "file"))
        title = text(json_field(described, "displayName"))
        kind = text(json_field(described, "mimeType")) or mime or "application/octet-stream"
        file = File(name, title, kind, content, self._clock())
        self._files.put(file)
        return file

    def free_name(self, about: Json) -> str:
        """The name wished for, or a random one. Raises ApiError for a bad (400) or taken one (409)."""
        wish = text(json_field(message(json_field(about, "file")), "name"))
        name = f"files/{wish.removeprefix('files/')}" if wish else f"files/{random_id(12)}"
        # Google's own rule for names.
        if not re.fullmatch(r"files/[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", name):
            raise invalid(f"Invalid file name: {name}. Use up to 40 lower-case letters, digits and dashes.")
        if self._files.get(name):
            raise ApiError(409, "Requested entity already exists")
        return name

    def find(self, uri: str) -> tuple[str, int]:
        """MIME type and size of what a request's `fileData` points at. Raises ApiError (403)."""
        place = re.search(r"(?:^|/v1(?:beta|alpha)?/)(files/[^/:?]+)$", uri)
        if place is None:
            return LINKED
        file = self.held(place[1])
        return file.mime, file.content.size

    def held(self, name: str) -> File:
        file = self._files.get(name)
        if file is None:
            raise no_file(name.removeprefix("files/"))
        return file

    def get(self, name: str) -> Answer:
        return json_answer(self.held(name).resource())

    def list(self, request: Request) -> Answer:
        some, more = page(self._files.all(), request.query.get("pageSize"), request.query.get("pageToken"))
        files: Json = {"files": [file.resource() for file in some]} if some else {}
        return json_answer(files | more)

    def delete(self, name: str) -> Answer:
        self._files.drop(self.held(name).name)
        return json_answer({})

    def download(self, name: str) -> Answer:
        """The bytes. Google hands out generated files only; here every file can be had back."""
        file = self.held(name)
        if file.content.data is None:
            raise invalid(f"The sandbox keeps files of up to {KEPT} bytes for download; {name} is larger.")
        return answer(200, file.mime.encode(), file.content.data)


def progress(session: Session, status: bytes) -> Answer:
    received = (b"x-goog-upload-size-received", b"%d" % session.content.size)
    granularity = (b"x-goog-upload-chunk-granularity", GRANULARITY)
    return answer(
        200, b"text/plain; charset=utf-8", b"", (b"x-goog-upload-status", status), received, granularity
    )


def parts(request: Request) -> tuple[Json, str, Content]:
    """Metadata, MIME type and bytes of an upload in one request."""
    kind = request.headers.get("content-type", "")
    if not kind.startswith("multipart/related"):
        return {}, kind, request.content
    boundary = re.search(r'boundary="?([^";]+)', kind)
    _, *sections = request.body().split(b"--" + boundary[1].encode()) if boundary else [b""]
    if len(sections) < 2:
        raise invalid("Multipart upload needs a boundary and two parts: metadata and media.")
    # Metadata are read, so they are kept whole; media only as far as a download would have them.
    about, media = Content(), Content(KEPT)
    about.feed(section(sections[0])[1])
    mime, data = section(sections[1])
    media.feed(data)
    return Request("POST", request.path, content=about).json(), mime, media


def section(raw: bytes) -> tuple[str, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    kind = re.search(rb"(?im)^content-type:\s*([^\r\n]+)", head)
    return (kind[1].decode(errors="replace") if kind else ""), body.removesuffix(b"\r\n")
