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
from contextlib import contextmanager
from statistics import median
from urllib.parse import urlsplit

from bench import files, servers

UNREAD_SECONDS = 3.0


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
    connection.request("GET", url.path + files.DOWNLOAD, headers={"x-goog-api-key": gateway.key})
    response = connection.getresponse()
    while piece := response.read(1 << 20):
        digest.update(piece)
    return digest.hexdigest(), time.perf_counter() - since


def leave_unread(gateway: servers.Server, google: files.FileServer) -> int:
    """MiB that the upstream has sent to a client that reads nothing for a while."""
    url = urlsplit(gateway.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        target = f"{url.path}{files.DOWNLOAD}&key={gateway.key}"
        client.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        time.sleep(UNREAD_SECONDS)
        return google.sent


def measure(gateway: servers.Server, google: files.FileServer, size: int) -> dict[str, object]:
    google.size = 8
    download(gateway)
    with watching(gateway) as idle:
        time.sleep(3)
    google.size = size
    expected = hashlib.sha256()
    for _ in range(size):
        expected.update(files.PIECE)
    before = gateway.rss()
    with watching(gateway) as busy:
        digest, seconds = download(gateway)
    with watching(gateway) as unread:
        sent = leave_unread(gateway, google)
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
    with files.serving() as (google, upstream), servers.gateway(upstream, None) as gateway:
        print(json.dumps(measure(gateway, google, options.size), indent=2))


if __name__ == "__main__":
    main()
