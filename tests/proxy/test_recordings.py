"""Answers of the real API, replayed through a real gateway: what the client gets and what the row says.

With GATEKEEPER_RECORDINGS set to a folder of recorded exchanges (`recorded.jsonl`, `index.csv`) all of them
that carry content are replayed; without it a few of the same kinds, written here in the same form.
"""

from __future__ import annotations

import csv
import gzip
import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import islice, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest
import trio
from rig.gateway import Running
from rig.standin import Reply, Script, StandIn
from rig.wire import Answer, connect, head, read

from gatekeeper.ledger.filters import Filter

RECORDINGS = os.environ.get("GATEKEEPER_RECORDINGS")
KINDS = ("unary", "sse", "json_array_stream", "embed", "error")
CONNECTIONS = 16
SHARES = 4 if RECORDINGS else 1  # tests that can run side by side
MODEL_PATH = re.compile(r"/v\d\w*/models/[\w.-]+:\w+")
TARGETS = {
    "unary": "generateContent",
    "error": "generateContent",
    "sse": "streamGenerateContent",
    "json_array_stream": "streamGenerateContent",
    "embed": "embedContent",
}
COLUMNS = {
    "prompt": "prompt_tokens",
    "cached": "cached_tokens",
    "candidates": "output_tokens",
    "thoughts": "thoughts_tokens",
    "tool_use": "tool_tokens",
    "total": "total_tokens",
}
PROVABLE = frozenset({"prompt", "candidates", "thoughts", "tool_use"})
UNINDEXED_ERRORS = {"g2282e86bb0090ff"}  # an error within a stream, without the `data:` that the index needs
FINISH_REASONS = {"1": "STOP", "2": "MAX_TOKENS"}


@dataclass(frozen=True)
class Recording:
    """One recorded exchange; `indexed` is what a meter must read of its answer."""

    id: str
    kind: str
    request: dict[str, Any]
    response: dict[str, Any]
    indexed: dict[str, str]

    @property
    def target(self) -> str:
        path = self.request.get("path") or ""
        if not MODEL_PATH.fullmatch(path):
            path = f"/v1beta/models/gemini-2.5-flash:{TARGETS[self.kind]}"
        return path + ("?alt=sse" if self.kind == "sse" else "")

    @cached_property
    def sent(self) -> bytes:
        return json.dumps(self.request.get("body") or {}).encode()

    @cached_property
    def body(self) -> bytes:
        return (self.response["body"] or "").encode()

    @property
    def content_type(self) -> str:
        usual = "text/event-stream" if self.kind == "sse" else "application/json; charset=UTF-8"
        return self.response["content_type"] or usual

    @property
    def of_a_bad_google_key(self) -> bool:
        says = {400: b"API_KEY_INVALID", 401: b"", 403: b"unregistered callers"}
        status = self.response["status"]
        return status in says and says[status] in self.body


Source = Callable[[int], Iterator[Recording]]


def recorded(share: int) -> Iterator[Recording]:
    folder = Path(RECORDINGS or "")
    with (folder / "index.csv").open(newline="") as index:
        rows = {row["id"]: row for row in csv.DictReader(index)}
    with (folder / "recorded.jsonl").open() as lines:
        for each in map(json.loads, islice(lines, share, None, SHARES)):
            if each["kind"] in KINDS:
                request = each["request"] or {}
                yield Recording(each["id"], each["kind"], request, each["response"], rows[each["id"]])


def chunk(text: str, usage: dict[str, int], finish_reason: str = "STOP") -> dict[str, Any]:
    candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "finishReason": finish_reason}
    return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-2.5-flash"}


FIRST = {"promptTokenCount": 8, "candidatesTokenCount": 9, "totalTokenCount": 30, "thoughtsTokenCount": 13}
LAST = {"promptTokenCount": 8, "candidatesTokenCount": 4, "totalTokenCount": 12, "cachedContentTokenCount": 2}
EMBEDDING = {"embedding": {"values": [0.25, -1e-05]}, "usageMetadata": {"promptTokenCount": 3}}
QUOTA = {"error": {"code": 429, "message": "Quota exceeded", "status": "RESOURCE_EXHAUSTED"}}
BAD_KEY = {
    "error": {
        "code": 400,
        "message": "API key not valid. Please pass a valid API key.",
        "status": "INVALID_ARGUMENT",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.ErrorInfo",
                "reason": "API_KEY_INVALID",
                "domain": "googleapis.com",
            }
        ],
    }
}


def events(*documents: dict[str, Any]) -> str:
    return "".join(f"data: {json.dumps(document)}\r\n\r\n" for document in documents)


def written(_: int) -> Iterator[Recording]:
    """What stands in where there are no recordings."""
    last = {"prompt": "8", "cached": "2", "candidates": "4", "total": "12", "finish_reasons": "STOP"}
    spoken = {"prompt": "8", "candidates": "9", "thoughts": "13", "total": "30", "finish_reasons": "STOP"}
    stream = [chunk("Ü\u2028", FIRST), chunk("}]", FIRST, "MAX_TOKENS"), chunk("", LAST)]
    cases: list[tuple[str, int, str, dict[str, str]]] = [
        ("unary", 200, json.dumps(chunk("hi", FIRST), indent=2), spoken),
        ("unary", 200, json.dumps({"candidates": []}), {}),
        ("sse", 200, events(*stream), last),
        ("sse", 200, events(stream[0]) + events(QUOTA), {**spoken, "error_status": "RESOURCE_EXHAUSTED"}),
        ("json_array_stream", 200, "[" + "\n,\r\n".join(map(json.dumps, stream)) + "\n]\n", last),
        ("embed", 200, json.dumps(EMBEDDING), {"prompt": "3"}),
        ("error", 429, json.dumps(QUOTA, indent=2), {"error_status": "RESOURCE_EXHAUSTED"}),
        ("error", 400, json.dumps(BAD_KEY, indent=2), {"error_status": "INVALID_ARGUMENT"}),
        ("error", 404, "", {"error_status": "HTTP_404"}),
    ]
    for number, (kind, status, body, indexed) in enumerate(cases):
        response = {"status": status, "content_type": None, "body": body}
        yield Recording(f"w{number}", kind, {}, response, indexed)


def play_from(recordings: dict[str, Recording]) -> Script:
    """The upstream's script: the recorded bytes, cut anywhere, in one of the framings of HTTP/1.1."""

    async def script(reply: Reply) -> None:
        recording = recordings[reply.asked.header("x-recording")[0]]
        assert reply.asked.body == recording.sent
        dice = Random(recording.id)
        zipped = reply.asked.header("accept-encoding") == ["gzip"]
        body = gzip.compress(recording.body, 1) if zipped else recording.body
        edges = sorted({0, len(body), *(dice.randrange(len(body) + 1) for _ in range(dice.randrange(5)))})
        pieces = [body[start:end] for start, end in pairwise(edges)]
        chunked = dice.random() < 0.5
        framing = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {len(body)}"
        coding = "Content-Encoding: gzip\r\n" if zipped else ""
        await reply.raw(
            f"HTTP/1.1 {recording.response['status']} X\r\nContent-Type: {recording.content_type}\r\n"
            f"{coding}{framing}\r\n\r\n".encode()
        )
        for piece in pieces:
            await reply.raw(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
            await trio.lowlevel.checkpoint()
        if chunked:
            await reply.raw(b"0\r\n\r\n")

    return script


async def replay(gateway: Running, recordings: list[Recording]) -> dict[str, Answer]:
    """Asks for each once, over so many connections that are kept."""
    waiting = iter(recordings)
    answers: dict[str, Answer] = {}

    async def work() -> None:
        async with await connect(gateway.url) as stream:
            for recording in waiting:
                fields = [
                    f"x-recording: {recording.id}",
                    f"Content-Length: {len(recording.sent)}",
                    f"Accept-Encoding: {Random(recording.id).choice(['gzip', 'identity'])}",
                ]
                await stream.send_all(head(f"POST /gemini{recording.target}", fields) + recording.sent)
                answers[recording.id] = await read(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(work)
    return answers


async def all_rows(gateway: Running, count: int) -> dict[str, dict[str, Any]]:
    """The rows by id, once there are so many: the last answers may be here before they are settled."""
    rows: list[dict[str, Any]] = []
    with trio.fail_after(5):
        while len(rows) < count:
            rows = (await gateway.gateway.ledger.analytics.calls(Filter(), count + 1)).value
    return {row["id"]: row for row in rows}


def body_of(answer: Answer) -> bytes:
    return gzip.decompress(answer.body) if "content-encoding" in answer.headers else answer.body


def wrong_answer(recording: Recording, answer: Answer) -> dict[str, Any]:
    """What the client did not get as it was recorded."""
    got = {"status": answer.status, "content_type": answer.headers["content-type"], "body": body_of(answer)}
    wanted = {
        "status": recording.response["status"],
        "content_type": recording.content_type,
        "body": recording.body,
    }
    return {name: got[name] for name in got if got[name] != wanted[name]}


def wrong_tokens(recording: Recording, row: dict[str, Any]) -> dict[str, Any]:
    """Counts that are not as indexed. One that was not reported is NULL, or 0 where the total proves it."""
    proved = sum(row[COLUMNS[column]] or 0 for column in PROVABLE) == row["total_tokens"]
    found = {column: "" if row[name] is None else str(row[name]) for column, name in COLUMNS.items()}
    wanted = {column: recording.indexed.get(column, "") for column in COLUMNS}
    return {
        column: count
        for column, count in found.items()
        if count != wanted[column]
        and not (wanted[column] == "" and proved and column in PROVABLE and count == "0")
    }


def wrong_words(recording: Recording, answer: Answer, row: dict[str, Any]) -> dict[str, Any]:
    """What else of the row is not as indexed."""
    reason = recording.indexed.get("finish_reasons", "").split("|")[-1]
    failed = recording.indexed.get("error_status") or recording.id in UNINDEXED_ERRORS
    wanted = {
        "status": answer.status,
        "outcome": "upstream_error" if failed else "ok",
        "finish_reason": FINISH_REASONS.get(reason, reason) or None,
        "request_bytes": len(recording.sent),
        "response_bytes": len(answer.body),
    }
    return {name: row[name] for name, value in wanted.items() if row[name] != value}


def wrong(recording: Recording, answer: Answer, row: dict[str, Any]) -> dict[str, Any]:
    if recording.of_a_bad_google_key:  # of the gateway's, that is: the client must not take it for its own
        as_promised = (answer.status, row["status"], row["outcome"]) == (502, 502, "upstream_error")
        promised = as_promised and answer.reason == row["reason"] == "GATEKEEPER_UPSTREAM_KEY_INVALID"
        return {} if promised else {"bad key": (answer.status, row)}
    faults = wrong_answer(recording, answer) | wrong_tokens(recording, row)
    return faults | wrong_words(recording, answer, row) | ({} if answer.whole else {"whole": False})


@pytest.mark.parametrize("source", [recorded if RECORDINGS else written])
@pytest.mark.parametrize("share", range(SHARES))
async def test_what_was_recorded_passes_and_is_read(
    gateway: Running, google: StandIn, source: Source, share: int
) -> None:
    recordings = {recording.id: recording for recording in source(share)}
    google.script = play_from(recordings)
    answers = await replay(gateway, list(recordings.values()))
    rows = await all_rows(gateway, len(recordings))
    assert len(rows) == len(answers) == len(recordings) > 5
    row_of = {each: rows[answer.headers["x-gatekeeper-call-id"]] for each, answer in answers.items()}
    faults = {each: wrong(recordings[each], answers[each], row_of[each]) for each in recordings}
    assert not {each: fault for each, fault in faults.items() if fault}
