"""Google's resumable uploads, as a script of the stand-in: both protocols, its headers, its states. And a
client of them, which sends what SDKs send."""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

from rig.standin import Reply
from rig.wire import Answer, exchange

START = ["X-Goog-Upload-Protocol: resumable", "X-Goog-Upload-Command: start"]
STARTER = ["User-Agent: sdk/1", "tags: a,b", "x-gatekeeper-user: joe"]
FILES = "/upload/v1beta/files"

GRANULARITY = 262144
COMMAND = "x-goog-upload-command"
RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)")


class GoogleUploads:
    """`origin` is what its addresses begin with; `files` are the bytes of each upload by Google's id."""

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.files: dict[str, bytes] = {}
        self.ended: dict[str, str] = {}
        self.more = ""  # parameters of its addresses

    async def __call__(self, reply: Reply) -> None:
        asked = reply.asked
        parts = urlsplit(asked.target.decode())
        (upload_id,) = parse_qs(parts.query).get("upload_id", [""])
        if upload_id and upload_id not in self.files:
            await reply.json(b'{"error": {"code": 404, "message": "Not here.", "status": "NOT_FOUND"}}', 404)
        elif upload_id and asked.header("content-range"):
            await self.put(reply, upload_id)
        elif upload_id:
            await self.go_on(reply, upload_id, asked.header(COMMAND)[0])
        elif "uploadType=resumable" in parts.query:
            await reply.json(b"", headers=(f"Location: {self.begin(parts.path)}&uploadType=resumable",))
        elif "start" in asked.header(COMMAND):
            url = f"{self.begin(parts.path)}&upload_protocol=resumable"
            await reply.json(b"", headers=(f"X-Goog-Upload-URL: {url}", *self.common(url, "active")))
        else:
            await reply.json(b'{"file": {"name": "files/at-once"}}')

    def begin(self, path: str) -> str:
        upload_id = f"GoogleSecretId-{len(self.files)}"
        self.files[upload_id] = b""
        return f"{self.origin}{path}?upload_id={upload_id}{self.more}"

    def common(self, url: str, status: str) -> tuple[str, ...]:
        return (
            f"X-Goog-Upload-Status: {status}",
            f"X-Goog-Upload-Control-URL: {url}",
            f"X-Goog-Upload-Chunk-Granularity: {GRANULARITY}",
            "X-GUploader-UploadID: GoogleSecret",
        )

    async def go_on(self, reply: Reply, upload_id: str, command: str) -> None:
        asked = reply.asked
        words = command.split(", ")
        if "upload" in words:
            assert int(asked.header("x-goog-upload-offset")[0]) == len(self.files[upload_id])
            self.files[upload_id] += asked.body
        if "finalize" in words:
            self.ended[upload_id] = "final"
        if "cancel" in words:
            self.ended[upload_id] = "cancelled"
        status = self.ended.get(upload_id, "active")
        size = f"X-Goog-Upload-Size-Received: {len(self.files[upload_id])}"
        body = b'{"file": {"name": "files/in-pieces"}}' if status == "final" else b""
        await reply.json(body, headers=(size, *self.common("https://x.googleapis.com/", status)))

    async def put(self, reply: Reply, upload_id: str) -> None:
        """Of the older protocol: 308 until all bytes are there."""
        found = RANGE.fullmatch(reply.asked.header("content-range")[0])
        assert found is not None
        if found[1] is not None:
            assert int(found[1]) == len(self.files[upload_id])
            self.files[upload_id] += reply.asked.body
        received = len(self.files[upload_id])
        if found[2] == str(received):
            await reply.json(b'{"file": {"name": "files/in-pieces"}}')
        else:
            await reply.json(b"", 308, (f"Range: bytes=0-{received - 1}",) if received else ())


class Upload(NamedTuple):
    """A started upload. `url` is what the client was given."""

    url: str

    @property
    def target(self) -> str:
        parts = urlsplit(self.url)
        return f"{parts.path}?{parts.query}"

    async def send(self, command: str, body: bytes = b"", *more: str, offset: int = 0) -> Answer:
        """A request as SDKs send it: without a key."""
        fields = [f"X-Goog-Upload-Command: {command}", f"X-Goog-Upload-Offset: {offset}", *more]
        return await exchange(self.url, f"POST {self.target}", body=body, headers=fields)


async def start(url: str, *headers: str, target: str = FILES) -> Upload:
    line = f"POST /gemini{target}"
    answer = await exchange(url, line, body=b"{}", headers=[*START, *STARTER, *headers])
    assert answer.status == 200
    port = url.rpartition(":")[2]
    # The wire client says `Host: localhost`, whatever its port.
    return Upload(answer.headers["x-goog-upload-url"].replace("localhost", f"127.0.0.1:{port}"))
