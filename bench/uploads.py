"""A resumable upload of gigabytes, in one request and in an SDK's chunks: whether it is whole, what memory it
takes, whether other calls suffer, and whether the client waits for an upstream that does not read. Prints
JSON."""

import argparse
import hashlib
import http.client
import json
import socket
import threading
import time
from contextlib import suppress
from statistics import quantiles
from urllib.parse import urlsplit

from bench import files, servers
from bench.downloads import Watch, in_thread

CHUNK = 8  # MiB, as google-genai sends them
START = {"x-goog-upload-protocol": "resumable", "x-goog-upload-command": "start"}
UNREAD_SECONDS = 3.0


def start(gateway: servers.Server) -> tuple[http.client.HTTPConnection, str]:
    """A started upload: a connection, and the target on it."""
    url = urlsplit(gateway.url)
    connection = http.client.HTTPConnection(url.hostname, url.port)
    connection.request("POST", url.path + files.UPLOADS, b"{}", START | {"x-goog-api-key": gateway.key})
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
        connection.request("POST", target, (files.PIECE for _ in range(count)), headers)
        response = connection.getresponse()
        answer = response.read()
        if response.status != 200:
            raise SystemExit(f"a chunk: {response.status} {answer!r}")
    seconds = time.perf_counter() - since
    return json.loads(answer)["file"]["name"].removeprefix("files/"), seconds


def leave_unread(gateway: servers.Server, google: files.FileServer) -> float:
    """MiB that a client can send to an upstream that reads nothing for a while."""
    connection, target = start(gateway)
    connection.close()
    google.unread.set()
    url, sent = urlsplit(gateway.url), 0
    fields = f"Host: x\r\nX-Goog-Upload-Command: upload\r\nContent-Length: {1 << 40}"
    head = f"POST {target} HTTP/1.1\r\n{fields}\r\n\r\n"
    with socket.create_connection((url.hostname, url.port)) as client, suppress(TimeoutError):
        client.sendall(head.encode())
        client.settimeout(UNREAD_SECONDS)
        while True:
            sent += client.send(files.PIECE)
    google.unread.clear()
    return round(sent / 2**20, 1)


class Beside(Watch):
    """With the times' quantiles."""

    def figures(self) -> dict[str, float]:
        hundredths = quantiles(self.times, n=100, method="inclusive")
        return super().figures() | {"p99_ms": round(hundredths[98], 1)}


def measure(gateway: servers.Server, google: files.FileServer, size: int) -> dict[str, object]:
    def beside(work: object, *arguments: object) -> tuple[object, Beside]:
        watch = Beside(gateway)
        with in_thread(threading.Thread(target=watch.run)):
            found = work(*arguments)  # type: ignore[operator]
            watch.over.set()
        return found, watch

    expected = hashlib.sha256()
    for _ in range(size):
        expected.update(files.PIECE)
    upload(gateway, CHUNK, CHUNK)
    _, idle = beside(time.sleep, 3)
    figures: dict[str, object] = {"size_mib": size, "rss_before_mib": (before := gateway.rss())}
    for name, chunk in (("one_request", size), ("chunks", CHUNK)):
        (digest, seconds), busy = beside(upload, gateway, size, chunk)  # type: ignore[misc]
        figures[name] = {
            "sha256_equal": digest == expected.hexdigest(), "mib_per_second": round(size / seconds),
            "rss_added_mib": round(busy.peak - before, 1), "other_calls": busy.figures(),
        }  # fmt: skip
    sent, waiting = beside(leave_unread, gateway, google)
    figures["unread"] = {
        "sent_mib": sent, "rss_added_mib": round(waiting.peak - before, 1), "other_calls": waiting.figures()
    }  # fmt: skip
    return figures | {"other_calls_before": idle.figures()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size", type=int, default=2048, help="MiB")
    options = parser.parse_args()
    with files.serving() as (google, upstream), servers.gateway(upstream, None) as gateway:
        print(json.dumps(measure(gateway, google, options.size), indent=2))


if __name__ == "__main__":
    main()
