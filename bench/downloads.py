"""A download of gigabytes by a redirect: whether it is whole, what memory it takes, whether other calls
suffer, and whether the upstream waits for a client that does not read. Prints JSON."""

import argparse
import hashlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median
from urllib.parse import urlsplit

import servers

PIECE = bytes(range(256)) * 4096  # 1 MiB
DOWNLOAD = "/v1beta/files/bench:download?alt=media"
UNREAD_SECONDS = 3.0


class Origin(BaseHTTPRequestHandler):
    """Redirects the download to another path of its own, which has the file; answers any POST with usage."""

    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16  # a head goes out with its body
    size = 0  # MiB
    sent = 0  # MiB of the file, so far

    def do_GET(self) -> None:
        if self.path == DOWNLOAD:
            self.respond(302, [("Location", f"/download{DOWNLOAD}"), ("Content-Length", "0")])
            return
        self.respond(200, [("Content-Type", "video/mp4"), ("Content-Length", str(Origin.size * len(PIECE)))])
        Origin.sent = 0
        with suppress(ConnectionError):  # the gateway's client has gone
            for _ in range(Origin.size):
                self.wfile.write(PIECE)
                Origin.sent += 1

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        body = b'{"candidates": [], "usageMetadata": {"promptTokenCount": 1, "totalTokenCount": 1}}'
        self.respond(200, [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        self.wfile.write(body)

    def respond(self, status: int, headers: list[tuple[str, str]]) -> None:
        self.send_response(status)
        for header in headers:
            self.send_header(*header)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@contextmanager
def in_thread(work: threading.Thread) -> Iterator[threading.Thread]:
    work.start()
    yield work
    work.join()


class Watch:
    """The gateway's memory at its highest, and the time that unary calls take meanwhile."""

    def __init__(self, gateway: servers.Server) -> None:
        self.gateway, self.peak, self.times, self.over = gateway, 0.0, [], threading.Event()

    def run(self) -> None:
        url = urlsplit(self.gateway.url)
        connection = http.client.HTTPConnection(url.hostname, url.port)
        headers = {"x-goog-api-key": self.gateway.key, "content-type": "application/json"}
        while not self.over.wait(0.02):
            since = time.perf_counter()
            connection.request("POST", url.path + servers.UNARY.rstrip("?"), b"{}", headers)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise SystemExit(f"a call beside the download: {response.status}")
            self.times.append((time.perf_counter() - since) * 1e3)
            self.peak = max(self.peak, self.gateway.rss())

    def figures(self) -> dict[str, float]:
        times = self.times
        return {"calls": len(times), "median_ms": round(median(times), 1), "max_ms": round(max(times), 1)}


@contextmanager
def watching(gateway: servers.Server) -> Iterator[Watch]:
    watch = Watch(gateway)
    with in_thread(threading.Thread(target=watch.run)):
        yield watch
        watch.over.set()


def download(gateway: servers.Server) -> tuple[str, float]:
    """The SHA-256 of the file as it arrives, and the seconds that it takes."""
    url = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    digest, since = hashlib.sha256(), time.perf_counter()
    connection.request("GET", url.path + DOWNLOAD, headers={"x-goog-api-key": gateway.key})
    response = connection.getresponse()
    while piece := response.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest(), time.perf_counter() - since


def leave_unread(gateway: servers.Server) -> int:
    """MiB that the upstream has sent to a client that reads nothing for a while."""
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        target = f"{url.path}{DOWNLOAD}&key={gateway.key}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(UNREAD_SECONDS)
        return Origin.sent


def measure(gateway: servers.Server, size: int) -> dict[str, object]:
    Origin.size = 8
    download(gateway)
    with watching(gateway) as idle:
        time.sleep(3)
    Origin.size = size
    expected = hashlib.sha256()
    for _ in range(size):
        expected.update(PIECE)
    before = gateway.rss()
    with watching(gateway) as busy:
        digest, seconds = download(gateway)
    with watching(gateway) as unread:
        sent = leave_unread(gateway)
    return {
        "size_mib": size, "sha256_equal": digest == expected.hexdigest(),
        "mib_per_second": round(size / seconds),
        "rss_before_mib": before, "rss_added_mib": round(busy.peak - before, 1),
        "unread": {"sent_mib": sent, "rss_added_mib": round(unread.peak - before, 1)},
        "other_calls": {"before": idle.figures(), "meanwhile": busy.figures(), "unread": unread.figures()},
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB")
    options = parser.parse_args()
    origin = ThreadingHTTPServer(("127.0.0.1", 0), Origin)
    threading.Thread(target=origin.serve_forever, daemon=True).start()
    upstream = servers.Server(None, f"http://127.0.0.1:{origin.server_address[1]}")  # type: ignore[arg-type]
    with servers.gateway(upstream, None) as gateway:
        print(json.dumps(measure(gateway, options.size), indent=2))


if __name__ == "__main__":
    main()
