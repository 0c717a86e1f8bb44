"""A stand-in for Google with large bodies: it takes uploads, sends a file, and answers any other POST with a
document that can be of any size. Threads of this process serve it, as `FileServer.size` and its like say."""

import hashlib
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from bench import servers

PIECE = bytes(range(256)) * 4096  # 1 MiB
UPLOADS = "/upload/v1beta/files"
DOWNLOAD = "/v1beta/files/bench:download?alt=media"
DOCUMENT = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'


class FileServer(ThreadingHTTPServer):
    """What it is to do, and what it has done."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Google)
        self.size = 0  # MiB of the file
        self.sent = 0  # MiB of the file, in the latest download so far
        self.document = DOCUMENT  # the answer of a unary call
        self.unread = threading.Event()  # while set an upload is not read
        self.hashed = True  # whether an upload's digest is asked for; else its name is of no meaning
        self.digest = hashlib.sha256()  # of the latest upload


class Google(BaseHTTPRequestHandler):
    """Redirects the download to another path of its own, which has the file."""

    server: FileServer
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # a head goes out with its body

    def do_GET(self) -> None:
        if self.path == DOWNLOAD:
            self.respond(b"", ("Location", f"/download{DOWNLOAD}"), status=302)
            return
        size = self.server.size
        self.begin(200, ("Content-Type", "video/mp4"), ("Content-Length", str(size * len(PIECE))))
        self.server.sent = 0
        with suppress(ConnectionError):  # the gateway's client has gone
            for _ in range(size):
                self.wfile.write(PIECE)
                self.server.sent += 1

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        command = self.headers.get("x-goog-upload-command", "")
        if "upload" in command:
            with suppress(ConnectionError):
                self.take(length, final="finalize" in command)
            return
        self.rfile.read(length)
        if command == "start":
            self.server.digest = hashlib.sha256()
            url = f"http://{self.headers['host']}{UPLOADS}?upload_id=bench&upload_protocol=resumable"
            self.respond(b"", ("X-Goog-Upload-URL", url), ("X-Goog-Upload-Status", "active"))
        else:
            self.respond(self.server.document)

    def take(self, length: int, *, final: bool) -> None:
        """A part of an upload."""
        while self.server.unread.is_set():
            time.sleep(0.1)
        while length:
            piece = self.rfile.read(min(length, 1 << 20))
            if not piece:
                return
            if self.server.hashed:
                self.server.digest.update(piece)
            length -= len(piece)
        body = json.dumps({"file": {"name": f"files/{self.server.digest.hexdigest()}"}}).encode()
        self.respond(body if final else b"", ("X-Goog-Upload-Status", "final" if final else "active"))

    def respond(self, body: bytes, *headers: tuple[str, str], status: int = 200) -> None:
        length = ("Content-Length", str(len(body)))
        self.begin(status, ("Content-Type", "application/json"), length, *headers)
        self.wfile.write(body)

    def begin(self, status: int, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def serving() -> Iterator[tuple[FileServer, servers.Server]]:
    """The stand-in, and it as the upstream of a proxy; it has no process of its own."""
    server = FileServer()
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server, servers.Server(None, f"http://127.0.0.1:{server.server_address[1]}")  # type: ignore[arg-type]
    server.shutdown()
    server.server_close()
