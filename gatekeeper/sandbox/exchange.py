"""One request as it came in and one answer as it goes out: values, without a connection."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import cast

import msgspec

from gatekeeper.sandbox import wire
from gatekeeper.sandbox.errors import ApiError, invalid, payload
from gatekeeper.sandbox.wire import Json

KEPT_BYTES = 100 * 1024 * 1024  # Google's limit for a request body; larger files are uploaded

Headers = tuple[tuple[bytes, bytes], ...]
Piece = tuple[float, bytes]
"""Seconds to wait, then bytes to send."""

GOOGLE_HEADERS: Headers = (
    (b"vary", b"Origin"),
    (b"vary", b"X-Origin"),
    (b"vary", b"Referer"),
    (b"server", b"scaffolding on HTTPServer2"),
    (b"x-xss-protection", b"0"),
    (b"x-frame-options", b"SAMEORIGIN"),
    (b"x-content-type-options", b"nosniff"),
)
JSON_TYPE = b"application/json; charset=UTF-8"


class Content:
    """Bytes as they arrive: all counted and hashed, kept only while they are few."""

    def __init__(self, limit: int = KEPT_BYTES) -> None:
        self.size = 0
        self._limit = limit
        self._kept: list[bytes] = []
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)
        if self.size <= self._limit:
            self._kept.append(data)
        else:
            self._kept.clear()

    @property
    def data(self) -> bytes | None:
        """All of it; None if it was too much to keep."""
        return b"".join(self._kept) if self.size <= self._limit else None

    @property
    def kept(self) -> int:
        return self.size if self.size <= self._limit else 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


@dataclass(frozen=True, slots=True)
class Request:
    """`path` is decoded, header names are in lower case, `origin` is scheme and host as the client wrote
    them; `content` is filled once the body has arrived."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    origin: str = "http://localhost"
    content: Content = field(default_factory=Content)

    @property
    def key(self) -> str | None:
        """The API key, wherever Google takes it from; an OAuth token passes for one."""
        scheme, _, token = self.headers.get("authorization", "").partition(" ")
        bearer = token if scheme.lower() == "bearer" else ""
        return self.headers.get("x-goog-api-key") or self.query.get("key") or bearer or None

    @property
    def form(self) -> str:
        """`json`, `sse` or `media`: how the answer is to be written."""
        return self._alt.partition(";")[0]

    @property
    def integers(self) -> bool:
        """Whether enums are asked for as numbers, as google-generativeai's REST client does."""
        return "enum-encoding=int" in self._alt

    @property
    def _alt(self) -> str:
        return self.query.get("alt") or self.query.get("$alt") or "json"

    def body(self) -> bytes:
        """Raises ApiError (400) for more than Google takes."""
        data = self.content.data
        if data is None:
            raise invalid(f"Request payload size exceeds the limit: {KEPT_BYTES} bytes.")
        return data

    def json(self) -> Json:
        """The body as an object; an empty one counts as `{}`. Raises ApiError (400)."""
        body = self.body()
        try:
            document = wire.decode(body or b"{}")
        except (ValueError, RecursionError) as error:
            raise payload(problem(body, error)) from error
        if not isinstance(document, dict):
            raise payload('Unknown name "": Root element must be a message.')
        return cast("Json", document)


def problem(body: bytes, error: Exception) -> str:
    """What is wrong, the line where it is and a caret under it, as Google prints it."""
    place = re.search(r"byte (\d+)", str(error)) if isinstance(error, msgspec.DecodeError) else None
    if place is None:
        return "Expected a value.\n\n^"
    at = int(place[1])
    start = max(body.rfind(b"\n", 0, at) + 1, at - 30)
    line = body[start : at + 30].partition(b"\n")[0].decode(errors="replace")
    return f"Unexpected token.\n{line}\n{' ' * (at - start)}^"


@dataclass(frozen=True, slots=True)
class Answer:
    """`whole` is False where the connection breaks after the last piece."""

    status: int
    headers: Headers
    pieces: Sequence[Piece]
    whole: bool = True

    def delayed(self, seconds: float) -> Answer:
        (first, data), *rest = self.pieces
        return replace(self, pieces=[(first + seconds, data), *rest])

    def broken(self) -> Answer:
        """The first two pieces at most and half of the next: it ends within an event, never at its edge."""
        kept = min(2, len(self.pieces) - 1)
        seconds, data = self.pieces[kept]
        return replace(self, pieces=[*self.pieces[:kept], (seconds, data[: len(data) // 2])], whole=False)


def answer(status: int, kind: bytes, body: bytes, *extra: tuple[bytes, bytes], seconds: float = 0) -> Answer:
    """A body that is known whole, after `seconds`."""
    about = (b"content-type", kind), (b"content-length", b"%d" % len(body))
    return Answer(status, (*about, *extra, *timing(seconds), *GOOGLE_HEADERS), [(seconds, body)])


def timing(seconds: float) -> Headers:
    return ((b"server-timing", b"gfet4t7; dur=%d" % (seconds * 1000)),)


def json_answer(
    document: object, *extra: tuple[bytes, bytes], seconds: float = 0, status: int = 200
) -> Answer:
    return answer(status, JSON_TYPE, wire.indented(document) + b"\n", *extra, seconds=seconds)


def error_answer(error: ApiError, request: Request) -> Answer:
    """An error in the form that the call asked its answer in: plain, as the only element of an array, or
    (also plain, only called so) as an event stream."""
    if not request.path.endswith(":streamGenerateContent"):
        return json_answer(error.document(), status=error.code)
    if request.form == "sse":
        return answer(error.code, b"text/event-stream", wire.indented(error.document()) + b"\n")
    return answer(error.code, JSON_TYPE, b"[" + wire.indented(error.document()) + b"\n]")


def nothing() -> Answer:
    """Google's 404 for a path that it does not know: no JSON, nothing at all."""
    return answer(404, b"text/html; charset=UTF-8", b"")
