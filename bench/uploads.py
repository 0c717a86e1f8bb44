"""A resumable upload of gigabytes, in one request and in an SDK's chunks: whether it is whole, what memory it
takes, whether other calls suffer, and whether the client waits for an upstream that does not read. Prints
JSON."""

import argparse
import hashlib
import http.client
import json
import multiprocessing
import socket
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.synchronize import Event
from statistics import quantiles
from urllib.parse import urlsplit

import servers
from downloads import Watch, in_thread

PIECE = bytes(range(256)) * 4096  # 1 MiB
CHUNK = 8  # MiB, as google-genai sends them
FILES = "/upload/v1beta/files"
START = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
UNREAD_SECONDS = 3.0
USAGE = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'


class Google(BaseHTTPRequestHandler):
    """Takes one upload after the other, and answers any other POST with usage."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # a head goes out with its body
    digest = hashlib.sha256()
    unread: Event  # while set an upload is not read

    def do_POST(self) -> None:
        length = int(self.headers["content-length"])
        command = self.headers.get("x-goog-upload-command", "")
        if "upload" in command:
            while Google.unread.is_set():
                time.sleep(0.1)
            with suppress(ConnectionError):
                self.take(length)
                done = "finalize" in command
                body = json.dumps({"file": {"name": f"files/{Google.digest.hexdigest()}"}}).encode()
                self.respond(body if done else b"", ("X-Goog-Upload-Status", "final" if done else "active"))
            return
        self.rfile.read(length)
        if command == "start":
            Google.digest = hashlib.sha256()
            url = f"http://{self.headers['host']}{FILES}?upload_id=bench&upload_protocol=resumable"
            self.respond(b"", ("X-Goog-Upload-URL", url), ("X-Goog-Upload-Status", "active"))
        else:
            self.respond(USAGE)

    def take(self, length: int) -> None:
        while length:
            piece = self.rfile.read(min(length, 1 << 20))
            if not piece:
                return
            Google.digest.update(piece)
            length -= len(piece)

    def respond(self, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(200)
        length = ("Content-Length", str(len(body)))
        for header in (("Content-Type", "application/json"), length, *headers):
            self.send_header(*header)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


def serve(port: int, unread: Event) -> None:
    Google.unread = unread
    ThreadingHTTPServer(("127.0.0.1", port), Google).serve_forever()


def start(gateway: servers.Server) -> tuple[http.client.HTTPConnection, str]:
    """A started upload: a connection, and the target on it."""
    url = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("POST", url.path + FILES, b"{}", START | {"x-goog-api-key": gateway.key})
    response = connection.getresponse()
    response.read()
    address = urlsplit(response.headers["x-goog-upload-url"])
    return connection, f"{address.path}?{address.query}"


def upload(gateway: servers.Server, size: int, chunk: int) -> tuple[str, float]:
    """The SHA-256 of what has arrived, and the seconds that it took. Sizes in MiB."""
    connection, target = start(gateway)
    since, answer = time.perf_counter(), b""
    for offset in range(0, size, chunk):
        count = min(chunk, size - offset)
        command = "upload, finalize" if offset + count == size else "upload"
        headers = {
            "x-goog-upload-command": command, "x-goog-upload-offset": str(offset << 20),
            "content-length": str(count << 20),
        }  # fmt: skip
        connection.request("POST", target, (PIECE for _ in range(count)), headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"a chunk: {response.status} {answer!r}")
    seconds = time.perf_counter() - since
    return json.loads(answer)["file"]["name"].removeprefix("files/"), seconds


def leave_unread(gateway: servers.Server, unread: Event) -> float:
    """MiB that a client can send to an upstream that reads nothing for a while."""
    connection, target = start(gateway)
    connection.close()
    unread.set()
    url, sent = urlsplit(gateway.url), 0
    fields = f"Host: x\r\nX-Goog-Upload-Command: upload\r\nContent-Length: {1 << 40}"
    head = f"POST {target} HTTP/1.1\r\n{fields}\r\n\r\n"
    with socket.create_connection((url.hostname, url.port)) as client, suppress(TimeoutError):
        client.sendall(head.encode())
        client.settimeout(UNREAD_SECONDS)
        while True:
            sent += client.send(PIECE)
    unread.clear()
    return round(sent / 2**20, 1)


class Beside(Watch):
    """With the times' quantiles."""

    def figures(self) -> dict[str, float]:
        hundredths = quantiles(self.times, n=100, method="inclusive")
        return super().figures() | {"p99_ms": round(hundredths[98], 1)}


def measure(gateway: servers.Server, unread: Event, size: int) -> dict[str, object]:
    def beside(work: object, *arguments: object) -> tuple[object, Beside]:
        watch = Beside(gateway)
        with in_thread(threading.Thread(target=watch.run)):
            found = work(*arguments)  # type: ignore[operator]
            watch.over.set()
        return found, watch

    expected = hashlib.sha256()
    for _ in range(size):
        expected.update(PIECE)
    upload(gateway, CHUNK, CHUNK)
    _, idle = beside(time.sleep, 3)
    figures: dict[str, object] = {"size_mib": size, "rss_before_mib": (before := gateway.rss())}
    for name, chunk in (("one_request", size), ("chunks", CHUNK)):
        (digest, seconds), busy = beside(upload, gateway, size, chunk)  # type: ignore[misc]
        figures[name] = {
            "sha256_equal": digest == expected.hexdigest(), "mib_per_second": round(size / seconds),
            "rss_added_mib": round(busy.peak - before, 1), "other_calls": busy.figures(),
        }  # fmt: skip
    sent, waiting = beside(leave_unread, gateway, unread)
    figures["unread"] = {
        "sent_mib": sent, "rss_added_mib": round(waiting.peak - before, 1), "other_calls": waiting.figures()
    }  # fmt: skip
    return figures | {"other_calls_before": idle.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB")
    options = parser.parse_args()
    port, unread = servers.free_port(), multiprocessing.Event()
    google = multiprocessing.Process(target=serve, args=(port, unread), daemon=True)
    google.start()
    upstream = servers.Server(None, f"http://127.0.0.1:{port}")  # type: ignore[arg-type]
    with servers.gateway(upstream, None) as gateway:
        print(json.dumps(measure(gateway, unread, options.size), indent=2))
    google.terminate()


if __name__ == "__main__":
    main()
