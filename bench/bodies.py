"""CPU a byte and memory of large bodies through the gateway, against the raw relay.

Documents of 20 MB with an image in them, as a request and as a response, and a file of 2 GiB, downloaded and
uploaded. The two take turns, as in `cpu`.
"""

import argparse
import http.client
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import NamedTuple
from urllib.parse import urlsplit

from bench import files, servers, uploads
from bench.figures import Figure, ratios, table

IMAGE = b"A" * 20_000_000  # bytes of Base64
REQUEST = b'{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","data":"%s"}}]}]}' % IMAGE
RESPONSE = (
    b'{"candidates":[{"content":{"parts":[{"inlineData":{"mimeType":"image/png","data":"%s"}}],"role":"model"},'
    b'"finishReason":"STOP","index":0}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1290,'
    b'"totalTokenCount":1299},"modelVersion":"gemini-2.5-flash"}' % IMAGE
)
AT_MOST, RSS_AT_MOST = 1.2, 40  # × the relay's CPU a byte, MiB


class Sizes(NamedTuple):
    documents: int = 5  # of a turn
    file: int = 2048  # MiB


class Cost(NamedTuple):
    """Of one work in one turn."""

    ns_a_byte: float  # of CPU
    peak_rss: float  # MiB


class Client:
    """One connection, for unary calls and downloads."""

    def __init__(self, server: servers.Server) -> None:
        self.url = urlsplit(server.url)
        self.headers = {"x-goog-api-key": server.key, "content-type": "application/json"}
        self.connection = http.client.HTTPConnection(self.url.hostname, self.url.port)
        self.buffer = bytearray(1 << 20)

    def post(self, body: bytes) -> int:
        return self.ask("POST", servers.UNARY.rstrip("?"), body)

    def ask(self, method: str, target: str, body: bytes = b"") -> int:
        """Bytes of the response's body."""
        self.connection.request(method, self.url.path + target, body, self.headers)
        response = self.connection.getresponse()
        if response.status != 200:
            raise SystemExit(f"{method} {target}: {response.status} {response.read(500)!r}")
        size = 0
        while read := response.readinto(self.buffer):
            size += read
        return size


Work = Callable[[servers.Server], int]  # returns the bytes that have passed


def works(google: files.FileServer, sizes: Sizes) -> dict[str, Work]:
    def up(server: servers.Server) -> int:
        client = Client(server)
        for _ in range(sizes.documents):
            client.post(REQUEST)
        return sizes.documents * len(REQUEST)

    def down(server: servers.Server) -> int:
        google.document = RESPONSE
        client = Client(server)
        received = sum(client.post(b"{}") for _ in range(sizes.documents))
        google.document = files.DOCUMENT
        return received

    def file_down(server: servers.Server) -> int:
        google.size = sizes.file
        return Client(server).ask("GET", "/download" + files.DOWNLOAD)

    def file_up(server: servers.Server) -> int:
        uploads.upload(server, sizes.file, sizes.file)
        return sizes.file << 20

    file = f"{sizes.file / 1024:g} GiB"
    return {
        "20 MB request": up,
        "20 MB response": down,
        f"file of {file}, down": file_down,
        f"file of {file}, up": file_up,
    }


class Turns:
    """One server at one work. `rss_before`: MiB before the first turn, with the analytics file open."""

    def __init__(self, server: servers.Server, work: Work) -> None:
        self.server, self.work = server, work
        self.costs: list[Cost] = []
        self.lead_in()
        self.rss_before = server.rss()

    def lead_in(self) -> None:
        Client(self.server).post(b"{}")
        time.sleep(self.server.settles)

    def take(self) -> None:
        self.lead_in()
        self.server.forget_peak()
        before = self.server.cpu()
        size = self.work(self.server)
        self.costs.append(Cost((self.server.cpu() - before) * 1e9 / size, self.server.peak_rss()))

    def ns_a_byte(self) -> list[float]:
        return [cost.ns_a_byte for cost in self.costs[1:]]  # the first turn warms up

    def rss_added(self) -> list[float]:
        return [cost.peak_rss - self.rss_before for cost in self.costs]


Found = dict[str, dict[str, Turns]]


def run(sizes: Sizes, rounds: int, setting: servers.Setting) -> Found:
    """For each work and server the costs of the rounds."""
    with ExitStack() as stack:
        stack.enter_context(servers.pinned(setting.load_cpu))
        google, upstream = stack.enter_context(files.serving())
        google.hashed = False
        contenders = {
            "gateway": stack.enter_context(servers.gateway(upstream, setting.server_cpu)),
            "raw relay": stack.enter_context(servers.relay(upstream, setting.server_cpu)),
        }
        found: Found = {}
        for name, work in works(google, sizes).items():
            found[name] = {each: Turns(server, work) for each, server in contenders.items()}
            for _ in range(rounds + 1):
                for turns in found[name].values():
                    turns.take()
    return found


def figures(setting: servers.Setting) -> list[Figure]:
    sizes = Sizes(documents=2, file=256) if setting.quick else Sizes()
    return figures_of(run(sizes, setting.rounds or (2 if setting.quick else 4), setting))


def figures_of(found: Found) -> list[Figure]:
    lines: list[Figure] = []
    for name, by in found.items():
        ours, theirs = by["gateway"].ns_a_byte(), by["raw relay"].ns_a_byte()
        lines += [
            Figure(name, "CPU a byte × raw relay", ratios(ours, theirs), at_most=AT_MOST),
            Figure(name, "CPU of the gateway, ns a byte", ours),
            Figure(name, "RSS added, MiB", by["gateway"].rss_added(), at_most=RSS_AT_MOST),
        ]
    return lines


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--documents", type=int, default=5, help="documents of 20 MB in a round, each way")
    parser.add_argument("--file", type=int, default=2048, help="MiB of the file")
    parser.add_argument("--pin", action="store_true", help="servers on CPU 0, client and upstream on CPU 1")
    given = parser.parse_args()
    where = servers.PINNED if given.pin else servers.Setting()
    print(table(figures_of(run(Sizes(given.documents, given.file), given.rounds, where))))
