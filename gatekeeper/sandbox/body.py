"""Bodies of requests as they arrive: counted, hashed, and kept up to a limit, so that uploads of gigabytes
take no memory. A multipart upload is taken apart on the way, for the same reason.
"""

from __future__ import annotations

import hashlib
import re

# Google's limit for a request body; larger files have to be uploaded.
MAX_BODY_BYTES = 100 * 1024 * 1024
# Of a part's head, and of the metadata.
MAX_PART_BYTES = 1024 * 1024
BLANK_LINE = re.compile(rb"\n\r?\n")


class BodyBuffer:
    """Bytes as they arrive: all are counted and hashed, but kept only up to `limit`."""

    def __init__(self, limit: int = MAX_BODY_BYTES) -> None:
        self.size = 0
        self.limit = limit
        self._kept: list[bytes] = []
        self._hash = hashlib.sha256()

    def feed(self, data: bytes) -> None:
        self.size += len(data)
        self._hash.update(data)
        if self.size <= self.limit:
            self._kept.append(data)
        else:
            # Half of a body is useless.
            self._kept.clear()

    @property
    def data(self) -> bytes | None:
        """All bytes; None if they exceeded the limit."""
        return b"".join(self._kept) if self.size <= self.limit else None

    @property
    def kept_bytes(self) -> int:
        return self.size if self.size <= self.limit else 0

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class MultipartBody(BodyBuffer):
    """A multipart/related body (RFC 2387) of two parts, metadata and media; the media is kept up to `limit`.
    `complete` once the last delimiter has arrived."""

    def __init__(self, boundary: bytes, limit: int) -> None:
        super().__init__(0)
        self.metadata = BodyBuffer(MAX_PART_BYTES)
        self.media = BodyBuffer(limit)
        self.media_type = ""
        self.complete: bool = False
        # Google takes both line ends: its own client in Python sends LF.
        self._delimiter = b"\n--" + boundary
        # A delimiter begins with a line end, which the first one lacks.
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
        """Takes a part's head from the pending bytes; False if it has not arrived yet."""
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
        """Takes what has arrived of a part's body; False if its end has not."""
        body, delimiter, rest = self._pending.partition(self._delimiter)
        if delimiter:
            body = body.removesuffix(b"\r")
        else:
            # The last bytes may be the beginning of a delimiter, or the return before it.
            cut = max(0, len(self._pending) - len(self._delimiter))
            body, rest = self._pending[:cut], self._pending[cut:]
        if body and self._parts:
            (self.metadata if self._parts == 1 else self.media).feed(body)
        self._pending, self._in_head = rest, bool(delimiter)
        self.complete = self._in_head and self._parts == 2
        return self._in_head
