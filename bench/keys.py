"""How long it takes to create many keys over HTTP, one `POST /key/generate` each: by one client after the
other, and by many at once, each on a connection of its own that it keeps; then all of them by one
`POST /key/bulk`. For each kind a gateway of its own, whose CPU is counted too, and which has loaded its admin
API before.
"""

import argparse
import json
import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

from bench import servers
from bench.servers import MASTER, Server

FIELDS = {
    "models": ["gemini-2.5-*"], "tags": ["bench"], "max_budget": 50, "budget_duration": "30d",
    "rpm_limit": 600,
}  # fmt: skip


@contextmanager
def gateway(cpu: int | None) -> Iterator[Server]:
    port = servers.free_port()
    command = [servers.GATEKEEPER, "serve", "--sandbox", "--port", port]
    with servers.running(command, cpu, GATEKEEPER_MASTER_KEY=MASTER) as process:
        servers.await_port(process, port)
        url = f"http://127.0.0.1:{port}"
        post_all(url, iter([request("/key/bulk", {"keys": [{}], "dry_run": True})]), clients=1)
        yield Server(process, url, MASTER)


def request(path: str, document: object) -> bytes:
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nhost: bench\r\nauthorization: Bearer {MASTER}\r\n"
    return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body


def keys(count: int) -> list[dict[str, object]]:
    return [{"key_alias": f"app-{number}"} | FIELDS for number in range(count)]


class Client:
    """One connection. The gateway's responses have a length, and come one at a time."""

    def __init__(self, url: str) -> None:
        host, port = url.removeprefix("http://").split(":")
        self.socket = socket.create_connection((host, int(port)))
        self.received = b""

    def is_answered(self) -> bool:
        """Reads what has come; whether that is a whole response. Any but a 200 ends the measurement."""
        data = self.socket.recv(1 << 20)
        self.received += data
        head, end, body = self.received.partition(b"\r\n\r\n")
        if not data or (end and not head.startswith(b"HTTP/1.1 200")):
            raise SystemExit(f"no key was created: {self.received[:500]!r}")
        length = head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
        if not end or len(body) < int(length):
            return False
        self.received = b""
        return True


def post_all(url: str, requests: Iterator[bytes], clients: int) -> None:
    """Each client sends the next request once its last one was answered."""
    with selectors.DefaultSelector() as selector:
        for client, data in zip([Client(url) for _ in range(clients)], requests, strict=False):
            client.socket.sendall(data)
            selector.register(client.socket, selectors.EVENT_READ, client)
        while selector.get_map():
            for ready, _ in selector.select():
                if not ready.data.is_answered():
                    continue
                if data := next(requests, None):
                    ready.data.socket.sendall(data)
                else:
                    selector.unregister(ready.data.socket)
                    ready.data.socket.close()


def measured(requests: list[bytes], clients: int, count: int, *, pin: bool) -> dict[str, float]:
    with gateway(0 if pin else None) as server, servers.pinned(1 if pin else None):
        cpu, began = server.cpu(), time.perf_counter()
        post_all(server.url, iter(requests), clients)
        seconds, cpu = time.perf_counter() - began, server.cpu() - cpu
    return {"seconds": round(seconds, 2), "cpu_ms_per_key": round(cpu / count * 1000, 3)}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--keys", type=int, default=10_000)
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], help="at once")
    parser.add_argument("--pin", action="store_true", help="server and client each on a CPU of its own")
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    made = keys(given.keys)
    single = [request("/key/generate", fields) for fields in made]
    found = {
        f"{clients} at once": measured(single, clients, given.keys, pin=given.pin)
        for clients in given.clients
    }
    found["bulk"] = measured([request("/key/bulk", {"keys": made})], 1, given.keys, pin=given.pin)
    if given.json:
        print(json.dumps(found))
        return
    for name, run in found.items():
        print(f"{name:<12}{run['seconds']:>8.2f} s{run['cpu_ms_per_key']:>9.3f} ms of CPU for each key")


if __name__ == "__main__":
    main()
