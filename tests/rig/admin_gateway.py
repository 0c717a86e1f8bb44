"""A small real gateway for clients of the admin API: HTTP on a loopback port, with the contract's documents.

It answers what it is told to, keeps what it was asked, and streams what is published; it can be stopped and
started again on the same port, and made to hold its answers back.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from rig.audit_changes import changes
from rig.overview_sums import overview

SAMPLE = json.loads(Path(__file__).with_name("sample.json").read_text())
NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)


@dataclass
class Request:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = None


Answer = tuple[int, Any]
Respond = Callable[[Request], Answer]


@dataclass
class Gateway:
    """`answers` maps "METHOD /path" to a document, an (status, document) pair, or what makes one."""

    answers: dict[str, Any] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    events: list[tuple[int, str, Any]] = field(default_factory=list)
    released: asyncio.Event = field(default_factory=asyncio.Event)
    arrival: asyncio.Event = field(default_factory=asyncio.Event)
    streaming: asyncio.Event = field(default_factory=asyncio.Event)
    port: int = 0
    _server: asyncio.Server | None = None
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hold(self) -> None:
        """No answer from now on, until `released` is set."""
        self.released.clear()

    def publish(self, kind: str, data: Any) -> None:
        self.events.append((len(self.events) + 1, kind, data))
        self._tell()

    def _tell(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    def asked(self, path: str) -> list[Request]:
        return [request for request in self.requests if request.path == path]

    async def start(self) -> None:
        self.released.set()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Lets go of the port and of every connection."""
        assert self._server
        self._server.close()
        for writer in set(self._writers):
            writer.close()
        self.released.set()
        self._tell()
        await asyncio.gather(*self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while request := await read_request(reader):
                self.requests.append(request)
                self.arrival.set()
                await self.released.wait()
                if request.path == "/calls/stream" and "GET /calls/stream" not in self.answers:
                    await self._stream(request, writer)
                    break
                writer.write(self._answer(request))
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, request: Request) -> bytes:
        answer = self._answer_to(request.method, request.path, request)
        if request.path == "/calls" and not isinstance(answer, tuple):
            answer = self._some_calls(request) or answer
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        head = f"HTTP/1.1 {status} X\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
        return head.encode() + body

    def _answer_to(self, method: str, path: str, request: Request) -> Any:
        answer = self.answers.get(f"{method} {path}", (404, {"title": "Not found"}))
        return answer(request) if callable(answer) else answer

    def _some_calls(self, request: Request) -> Any:
        """Calls by their ids, and those in flight: of what single calls are answered with."""
        q, running = request.query.get("q", ""), "running" in request.query
        ids = [name for term in q.split(" ") if term.startswith("id:") for name in term[3:].split(",")]
        if not ids and not running and "outcome:interrupted" not in q:
            return None
        names = ids or [path.removeprefix("GET /calls/") for path in self.answers if "GET /calls/0" in path]
        found = [self._answer_to("GET", f"/calls/{name}", request) for name in names]
        calls = [call for call in found if not isinstance(call, tuple)]
        calls = [call for call in calls if (call.get("outcome") is None) == running]
        if not ids and not running:
            calls = [call for call in calls if call["outcome"] == "interrupted"]
        return {"calls": sorted(calls, key=lambda call: call["id"])[::-1], "next_cursor": None}

    async def _stream(self, request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n: here\n\n"
        )
        last = request.headers.get("last-event-id")
        sent = int(last) if last else len(self.events)
        self.streaming.set()
        while not writer.is_closing():
            for number, kind, data in self.events[sent:]:
                writer.write(f"id: {number}\nevent: {kind}\ndata: {json.dumps(data)}\n\n".encode())
            sent = len(self.events)
            news = self._news
            await writer.drain()
            if sent == len(self.events):
                await news.wait()


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    line, *fields = head.decode("latin-1").strip().split("\r\n")
    method, target, _ = line.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (item.partition(":") for item in fields)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    parts = urlsplit(target)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return Request(method, parts.path, query, headers, json.loads(body) if body else None)


def sample_answers() -> dict[str, Any]:
    """What a gateway with a little of everything answers."""
    detail = {**SAMPLE["calls"][0], **SAMPLE["detail"]}
    return {
        "GET /": {
            "name": "gatekeeper",
            "version": "0.1.0",
            "mode": "open",
            "sandbox": True,
            "timezone": "UTC",
        },
        "GET /calls": {"calls": SAMPLE["calls"][::-1], "next_cursor": None},
        **{
            f"GET /calls/{call['id']}": {**call, "cost": {"lines": [], "notes": []}}
            for call in SAMPLE["calls"]
        },
        f"GET /calls/{detail['id']}": detail,
        f"GET /calls/{SAMPLE['started']['id']}": SAMPLE["started"],
        "GET /key/list": {"keys": deepcopy(SAMPLE["keys"]), "next_cursor": None},
        "GET /readyz": {
            "ready": True,
            "google_keys": [{"label": "#1", "state": "ok"}],
            "analytics_lag_seconds": 0.4,
        },
        "GET /spend": spend,
        "GET /audit": audit,
    }


def empty_answers() -> dict[str, Any]:
    """What a gateway answers that nobody has called yet."""
    return {
        "GET /": {"name": "gatekeeper", "version": "0.1.0", "mode": "open"},
        "GET /calls": {"calls": [], "next_cursor": None},
        "GET /key/list": {"keys": [], "next_cursor": None},
        "GET /audit": {"changes": [], "next_cursor": None},
        "GET /readyz": {"ready": True, "google_keys": [{"label": "#1", "state": "ok"}]},
        "GET /spend": {"rows": [], "total": {"calls": 0, "cost_usd": "0.000000000000"}},
    }


def sorted_keys(request: Request) -> Any:
    """All keys; if asked so, those with the fullest budgets first, and last those that may not call."""
    found = SAMPLE["keys"]
    if request.query.get("sort") == "-budget_used":
        found = sorted(found, key=budget_used, reverse=True)
    return {"keys": found, "next_cursor": None}


def budget_used(key: dict[str, Any]) -> float:
    if key.get("blocked"):
        return -2
    return float(key["spend"]) / float(key["max_budget"]) if key.get("max_budget") else -1


def audit(request: Request) -> Any:
    """A page of the audit log; an action that there is not is refused."""
    query = request.query
    if query.get("action") == "nonsense":
        detail = '`action`: there is no action "nonsense"; there are create, update, block'
        return 400, {"title": "Bad Request", "detail": detail, "field": "action"}
    found = changes(query.get("action"), query.get("by"), int(query.get("cursor", "999999")))
    limit = int(query["limit"])
    more = len(found) > limit
    return {"changes": found[:limit], "next_cursor": str(found[limit - 1]["id"]) if more else None}


def spend(request: Request) -> Any:
    """Sums by tag, and by day in a pattern of their own; other groups are the tags under another name."""
    if request.query["by"] == "none" and "since" not in request.query:
        # Of the calls that `GET /calls` answers with.
        return {"total": {"calls": len(SAMPLE["calls"]), "cost_usd": "12.403606600000", "unpriced_calls": 1}}
    since, until = request.query["since"], request.query["until"]
    if since == "60s":
        return {"total": {"calls": 42, "errors": 3, "cost_usd": "0.120000000000"}}
    bounds = {"since": since, "until": NOW.isoformat() if until == "0s" else until, "timezone": "UTC"}
    models = {"unpriced_models": SAMPLE["spend"]["unpriced_models"]}
    if found := overview(request.query["by"], since):
        return {**found, **(models if found["total"]["unpriced_calls"] else {}), **bounds}
    unit, _, group = request.query["by"].rpartition(",")
    rows = [{**row, group: row["tag"]} for row in SAMPLE["spend"]["tag"]]
    if group in ("day", "hour"):
        rows = [
            {group: label, "cost_usd": f"{20 + day % 7 * 3}.5"}
            for day, label in enumerate(labels(group, since))
        ]
    elif unit:
        sizes = enumerate((8, 12, 4, 2))
        rows = [
            {unit: label, group: SAMPLE["spend"]["tag"][number]["tag"], "cost_usd": str(most - day % 3)}
            for number, most in sizes
            for day, label in enumerate(labels(unit, since))
        ]
    total = SAMPLE["spend"]["total"]
    total = {**total, "cost_usd": "1075.000000000000"} if group == "none" else total
    return {"rows": rows, "total": total, "unpriced_models": SAMPLE["spend"]["unpriced_models"], **bounds}


def labels(unit: str, since: str) -> list[str]:
    step, shape = (3600, "%Y-%m-%dT%H:00:00Z") if unit == "hour" else (86400, "%Y-%m-%d")
    count = int((NOW - datetime.fromisoformat(since)).total_seconds() // step) + 1
    return [f"{NOW - timedelta(seconds=back * step):{shape}}" for back in range(count)]


@asynccontextmanager
async def gateway(answers: dict[str, Any] | None = None) -> AsyncIterator[Gateway]:
    served = Gateway(dict(answers or {}))
    await served.start()
    try:
        yield served
    finally:
        await served.stop()
