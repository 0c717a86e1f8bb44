"""The command line as a person meets it: arguments in; exit status, stdout and stderr out.

Most tests run it in this process, against a small real HTTP server that answers what it is told to; what only
a process can show (imports, signals, pipes) is run as one.
"""

from __future__ import annotations

import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from gatekeeper.cli.main import run

SETTINGS = ("GATEKEEPER_", "LITELLM_", "GEMINI_", "GOOGLE_", "DATABASE_URL", "NO_COLOR", "COLUMNS")


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class Answering:
    """`answers` maps "METHOD /path" to a status and a document, or the bytes of a stream; one after the
    other where it is a list."""

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def to(self, asked: Asked) -> tuple[int, str, bytes]:
        self.asked.append(asked)
        answer = self.answers[f"{asked.method} {asked.path}"]
        if callable(answer):
            answer = answer(asked)
        if isinstance(answer, list):
            answer = answer.pop(0)
        status, document = answer if isinstance(answer, tuple) else (200, answer)
        if isinstance(document, bytes):
            return status, "text/event-stream", document
        return status, "application/json", json.dumps(document).encode()


def listener(answering: Answering) -> ThreadingHTTPServer:
    class Exchange(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def answer(self) -> None:
            target = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            query = dict(parse_qsl(target.query, keep_blank_values=True))
            asked = Asked(self.command, target.path, query, headers, json.loads(body) if body else None)
            status, kind, answer = answering.to(asked)
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        do_GET = do_POST = answer  # noqa: N815 - the library's names

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing: what was asked is kept."""

    return Listener(("127.0.0.1", 0), Exchange)


class Listener(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A command that was killed does not read its response. The server would print that to the standard
        error of whatever test runs by then."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@pytest.fixture
def gateway() -> Iterator[Answering]:
    """Answers as a gateway would."""
    answering = Answering()
    with listener(answering) as server:
        answering.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield answering
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def bare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No settings from outside, an empty current folder, and the clocks of Greenwich."""
    for name in list(os.environ):
        if name.startswith(SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    with monkeypatch.context() as zone:
        zone.setenv("TZ", "UTC")
        time.tzset()
        yield
    time.tzset()


Cli = Callable[..., Ended]


@pytest.fixture
def cli(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Runs `gatekeeper` with these arguments; `typed` is its stdin."""

    def ended(*args: str, typed: str = "") -> Ended:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(typed.encode())))
        capfd.readouterr()
        status = run(args)
        out, err = capfd.readouterr()
        return Ended(status, out, err)

    return ended


@pytest.fixture
def on(cli: Cli, gateway: Answering) -> Cli:
    """`cli` with the address of `gateway`."""
    return lambda *args, **options: cli(*args, "--url", gateway.url, **options)
