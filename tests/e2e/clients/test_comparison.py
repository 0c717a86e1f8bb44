"""The comparison of clients, compared with itself: it must be able to fail, and say what for. No client is
installed: the standard library makes the calls."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import pytest
from e2e.clients.comparison import Performed, differences
from e2e.clients.document import entry, update
from e2e.clients.randomness import Normaliser
from e2e.clients.refusals import Refused
from e2e.clients.roster import FOLDER, Client, roster
from e2e.clients.rows import row_faults
from e2e.clients.session import Script
from e2e.clients.transcript import ConnectionTranscript, Exchange, Message, WebSocketTranscript
from e2e.clients.trial import Compared, Report, leaks, try_out
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

# What a relay between the gateway and Google does to one operation, and what is then said of it.
ON_THE_WAY_UP = {
    "value of a header": (b"application/json", b"application/jsom", "request 1 headers: [('content-type'"),
    "header lost": (b"x-mark: one\r\n", b"", "request 1 headers: [('x-mark', 'one')] became nothing"),
    "header added": (
        b"x-mark: one",
        b"x-more: two\r\nx-mark: one",
        "request 1 headers: nothing became",
    ),
    "header moved": (b"x-mark: one\r\nx-next: 1", b"x-next: 1\r\nx-mark: one", "request 1 headers: "),
    "byte of the body": (b"of bees", b"of beez", "request 1 body: "),
    "byte of the query": (b"&mark=a", b"&mark=b", "request 1 line: "),
}
ON_THE_WAY_DOWN = {
    "status": (b"HTTP/1.1 200 ", b"HTTP/1.1 201 ", "response 1 status: …'200 OK' became …'201 OK'"),
    "reason phrase": (b"HTTP/1.1 200 OK", b"HTTP/1.1 200 Ok", "response 1 status: "),
    "value of a header of the response": (b"nosniff", b"noskiff", "response 1 headers: [('x-content-type"),
    "header of the response lost": (b"x-frame-options: SAMEORIGIN\r\n", b"", "response 1 headers: "),
    "byte of the response": (b'"totalTokens": 4', b'"totalTokens": 5', "response 1 body: "),
}
PINNED = re.compile(r".[=@]=?\d[\w.]*$")
CASES = {**ON_THE_WAY_UP, **ON_THE_WAY_DOWN}
CALLS = f"""
from urllib.request import Request, urlopen
from driver import BASE, KEY, OPERATIONS, run

def call(number):
    headers = {{"x-goog-api-key": KEY, "content-type": "application/json", "x-mark": "one", "x-next": "1"}}
    url = f"{{BASE}}/v1beta/models/gemini-2.5-flash:countTokens?case={{number}}&mark=a"
    body = b'{{"contents": [{{"parts": [{{"text": "Tell me of bees"}}]}}]}}'
    with urlopen(Request(url, body, headers)) as answer:
        return [answer.status, answer.read().decode()]

for number, name in enumerate({["nothing", *CASES]!r}):
    OPERATIONS[name] = lambda number=number: call(number)
run()
"""


class Tampering:
    """Changes what belongs to one operation as its case says; operations come one after the other."""

    def __init__(self) -> None:
        self.case = "nothing"

    def request(self, data: bytes) -> bytes:
        if found := re.search(rb"\?case=(\d+)", data):
            self.case = ["nothing", *CASES][int(found[1])]
        old, new, _ = ON_THE_WAY_UP.get(self.case, (b"", b"", ""))
        return data.replace(old, new) if old else data

    def response(self, data: bytes) -> bytes:
        old, new, _ = ON_THE_WAY_DOWN.get(self.case, (b"", b"", ""))
        return data.replace(old, new) if old else data


async def test_whatever_is_changed_on_the_way_is_told(tmp_path: Path) -> None:
    calls = tmp_path / "calls.py"
    calls.write_text(CALLS)
    tampering = Tampering()
    script = Script([sys.executable, str(calls)], tmp_path, {"PYTHONPATH": str(FOLDER / "python")})
    report = await try_out(script, refusal_seconds=0, request=tampering.request, response=tampering.response)
    told = {item.operation: item.faults for item in report.compared}
    assert told.pop("nothing") == []
    for name, (_, _, start) in CASES.items():
        assert any(fault.startswith(start) for fault in told[name]), (name, told[name])
    assert not report.equal


async def test_equal_refused_and_written_down(tmp_path: Path) -> None:
    client = roster()["standard-library"]
    script = Script([sys.executable, str(FOLDER / client.script)], tmp_path)
    report = await try_out(script)
    assert report.equal, [item.faults for item in report.compared]
    assert {item.status: item.requests for item in report.refused} == {401: 1, 403: 1, 429: 1, 503: 1}
    assert all(item.told == [str(item.status)] for item in report.refused)
    text = entry(client, report, "2026-11-28").text
    assert "urlopen(Request(" in text
    assert "Not equal" not in text


def test_the_document_keeps_what_was_not_run_again(tmp_path: Path) -> None:
    file = tmp_path / "clients.md"
    old, new, later = (
        Client(name, "Python", (f"{name}==1.0",), "python/standard_library.py")
        for name in ("old", "@n/w", "later")
    )
    done = [Compared("generate", 1, []), Compared("dream", 0, [])]
    report = Report(done, [Refused(429, ["403"], 7, 20.4, True, "")])
    unequal = Report([Compared("embed", 2, ["a byte"])])
    update(file, {"old": entry(old, report, "2026-01-01")}, {"old": old, "gone": later})
    update(file, {"@n/w": entry(new, unequal, "2026-02-02")}, {"old": old, "@n/w": new, "later": later})
    text = file.read_text()
    assert "| [old](#old) | 1.0 | 2026-01-01 | 1 of 1 |  |  | 7 in 20 s… (403) |  |" in text
    assert "| [@n/w](#nw) | 1.0 | 2026-02-02 | 0 of 1 |" in text
    assert "Not equal: embed: a byte" in text
    assert "without a request: dream." in text
    assert "| [later](#later) | 1.0 |  | not run |" in text
    assert "gone" not in text


def performed(outcome: Any, body: bytes = b"{}", target: str = "/v1/files") -> Performed:
    request = Message(f"GET {target}", [], whole=True)
    answered = Exchange(request, Message("200", [("content-length", str(len(body)))], body, whole=True))
    return Performed(outcome, [answered], [answered])


def compare(one: list[Performed], other: list[Performed]) -> list[str]:
    left, right = (Normaliser({}, frozenset({"x-gatekeeper-call-id"})) for _ in range(2))
    pairs = zip(one, other, strict=True)
    return [fault for a, b in pairs for fault in differences(a.facts(left), b.facts(right))]


def test_an_id_that_comes_back_must_be_the_one_that_was_given() -> None:
    def run(given: str, sent: str) -> list[Performed]:
        return [performed(given, given.encode()), performed("", target=f"/v1/{sent}")]

    first, second, third = (f"files/{letter * 12}" for letter in "abc")
    assert compare(run(first, first), run(second, second)) == []
    assert compare(run(first, first), run(second, third)) != []


def test_times_and_call_ids_may_differ_and_nothing_else() -> None:
    one, other = ({"at": f"2026-11-2{day}T10:00:00Z", "x-gatekeeper-call-id": day} for day in (3, 4))
    assert compare([performed(one)], [performed(other)]) == []
    assert compare([performed({"at": 1})], [performed({"at": 2})]) != []
    assert compare([performed(1), performed(2)], [performed(1), performed(3)]) == [
        "outcome: …'2' became …'3'"
    ]
    assert "requests: " in compare([performed(1)], [Performed(1, [], performed(1).answered)])[0]


def test_secrets_that_get_out_are_told() -> None:
    asked = Exchange(Message("GET /?key=sk-1", []), Message("200", [("x", "AIzaGoogleKeyOfTheTests")]))
    assert len(leaks(Performed(None, [asked], [asked]), "sk-1")) == 2
    assert leaks(performed(1), "sk-1") == []


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, []),
        ({"model": "other"}, ["model"]),
        ({"status": 500}, ["status"]),
        ({"action": "countTokens"}, ["action"]),
        ({"prompt_tokens": None, "total_tokens": 8}, ["prompt_tokens", "total_tokens"]),
    ],
)
def test_a_wrong_row_is_told(change: dict[str, Any], told: list[str]) -> None:
    usages = (b'{"promptTokenCount": 1}', b'{"promptTokenCount": 3, "totalTokenCount": 7}', b'{"promptTok')
    body = b"".join(b'data: {"usageMetadata": %b}\n\n' % usage for usage in usages)
    request = Message("POST /gemini/v1/models/m:generateContent", [])
    exchange = Exchange(request, Message("200 OK", [("x-gatekeeper-call-id", "1")], body))
    row = {"id": "1", "status": 200, "action": "generateContent", "model": "m"}
    row |= {"prompt_tokens": 3, "total_tokens": 7}
    faults = row_faults([exchange], [row | change])
    assert [fault.split()[1] for fault in faults] == told
    assert "no row" in row_faults([exchange], [])[0]


@given(st.data())
def test_a_transcript_reads_what_passed_however_it_came(data: st.DataObject) -> None:
    up = (
        b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc"
        b"HEAD /b HTTP/1.1\r\nHost: x\r\n\r\n"
        b"PUT /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nde\r\n0\r\n\r\n"
    )
    down = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Fine\r\nContent-Length: 2\r\n\r\nok"
        b"HTTP/1.1 404 \r\nContent-Length: 9\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n"
    )
    log: list[Exchange] = []
    transcript = ConnectionTranscript(log)
    for stream, feed in ((up, transcript.from_client), (down, transcript.from_server)):
        for piece in pieces(data, stream):
            feed(piece)
    transcript.from_server(b"")
    assert [(item.request.line, item.request.body, item.request.whole) for item in log] == [
        ("POST /a", b"abc", True),
        ("HEAD /b", b"", True),
        ("PUT /c", b"de", True),
    ]
    assert [
        (item.response.line, item.response.body, item.response.whole) for item in log if item.response
    ] == [
        ("200 Fine", b"ok", True),
        ("404", b"", True),
        ("200 OK", b"x", False),
    ]


@given(st.data())
def test_frames_are_read_however_they_came(data: st.DataObject) -> None:
    """With ping and pong, a message in two frames, and a close that is answered."""
    client, server = FrameProtocol(client=True, extensions=[]), FrameProtocol(client=False, extensions=[])
    up = [client.send_data("be", fin=False), client.send_data("es"), client.ping(b"x")]
    down = [server.send_data(b"\x00\xff"), server.pong(b"x"), server.close(1008, "enough")]
    exchange = Exchange(Message("GET /ws", []), Message("101 Switching Protocols", []))
    transcript = WebSocketTranscript(exchange)
    ends = [client.close(1008, "enough")]
    for stream, feed in (
        (up, transcript.from_client),
        (down, transcript.from_server),
        (ends, transcript.from_client),
    ):
        for piece in pieces(data, b"".join(stream)):
            feed(piece)
    assert exchange.frames == ["> text bees", "< binary \x00\xff", "< close 1008 enough"]
    assert exchange.said(">") == ["> text bees"]


def pieces(data: st.DataObject, stream: bytes) -> list[bytes]:
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)))))
    return [
        stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True) if start < end
    ]


def test_every_client_of_the_list_has_what_it_needs() -> None:
    clients = roster()
    for client in clients.values():
        assert client.recipe, client
        assert client.language == "shell" or all(PINNED.search(item) for item in client.install), client
    assert sum(client.ci for client in clients.values()) == 6
