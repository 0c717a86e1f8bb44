"""Answers of the real API, replayed through a real gateway: what the client gets and what the row says.

Of all kinds, `live` aside (`test_recorded_sessions`). Tokens are expected where the call used some:

- A POST that generates, embeds, creates a cache or an interaction, or that is OpenAI-style reports them; an
  interaction that runs in the background has none yet, and a stream of chat completions none that was not
  asked for.
- `count_tokens`: the total is what was asked, and free. `models`, `file`: there are none.
- `operation`, and Imagen among `other`: priced by what was asked for or made, without tokens.
- `batch`: the result of a batch has its answers' tokens within (`nested_*`); the call that fetches it did not
  use them, and would count them again each time.
- `cache`: of the read and the updates of caches the same is true. Only their creation reads the tokens.
"""

from __future__ import annotations

import gzip
import json
import re
from itertools import pairwise
from random import Random
from typing import Any

import pytest
import trio
from rig.gateway import Running
from rig.recordings import RECORDINGS, SHARES, Recording, Source, recorded, written
from rig.repriced import priced_otherwise
from rig.standin import Reply, Script, StandIn
from rig.wire import Answer, connect, head, read

CONNECTIONS = 16
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
INTERACTION_ID = re.compile(rb'"interaction": ?{(?:"model": ?"[^"]*", ?)?"id": ?"([^"]+)"')
FINISH_REASONS = {"1": "STOP", "2": "MAX_TOKENS"}


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
                line = f"{recording.method} /gemini{recording.target}"
                await stream.send_all(head(line, fields) + recording.sent)
                answers[recording.id] = await read(stream, recording.method)

    async with trio.open_nursery() as nursery:
        for _ in range(CONNECTIONS):
            nursery.start_soon(work)
    return answers


async def all_rows(gateway: Running, count: int) -> dict[str, dict[str, Any]]:
    """The rows by id, once there are so many: the last answers may be here before they are settled. The
    storage of a cached content is no call's."""
    rows: list[dict[str, Any]] = []
    with trio.fail_after(5):
        while len(rows) < count:
            rows = [row for row in await gateway.rows() if row["action"] != "cache.storage"]
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
    wanted = dict.fromkeys(COLUMNS, "")
    if recording.method == "POST" and recording.indexed["has_usage"] == "true":
        wanted = {column: recording.indexed.get(column, "") for column in COLUMNS}
    if recording.kind == "openai_compat" and wanted["total"]:
        # The completion leaves out the thoughts, the total has them.
        prompt, output, total = (int(wanted[name]) for name in ("prompt", "candidates", "total"))
        wanted["thoughts"] = str(total - prompt - output)
    return {
        column: count
        for column, count in found.items()
        if count != wanted[column]
        and not (wanted[column] == "" and proved and column in PROVABLE and count == "0")
    }


def wrong_words(recording: Recording, answer: Answer, row: dict[str, Any]) -> dict[str, Any]:
    """What else of the row is not as indexed."""
    read = recording.method == "POST" and recording.kind != "count_tokens"
    reason = recording.indexed.get("finish_reasons", "").split("|")[-1]
    failed = recording.indexed.get("error_status") or recording.id in UNINDEXED_ERRORS
    wanted = {
        "status": answer.status,
        "outcome": "upstream_error" if failed else "ok",
        "finish_reason": FINISH_REASONS.get(reason, reason) or None,
        "block_reason": recording.indexed.get("prompt_feedback_block") or None,
        "service_tier": recording.indexed.get("service_tier") or None,
        "request_bytes": len(recording.sent),
        "response_bytes": len(answer.body),
    }
    if read and (made := resource_of(recording)):
        wanted["resource"] = made
    if read and recording.response["status"] == 200 and (pictures := pictures_in(recording)):
        wanted["billed_units"] = {"image_each": pictures}
    found = row | {"billed_units": json.loads(bytes(row["billed_units"] or b"null"))}
    return {name: found[name] for name, value in wanted.items() if found[name] != value}


def pictures_in(recording: Recording) -> int:
    """How many pictures of Imagen's the answer has: only these have bytes in so many words."""
    return recording.body.count(b'"bytesBase64Encoded"')


def resource_of(recording: Recording) -> str | None:
    """What the answer says that the call has made."""
    try:
        document = json.loads(recording.body)
    except ValueError:
        begun = INTERACTION_ID.search(recording.body)
        return f"interactions/{begun[1].decode()}" if begun else None
    if not isinstance(document, dict):
        return None
    if document.get("object") == "interaction" and document.get("id"):
        return f"interactions/{document['id']}"
    name = document.get("file", document).get("name")
    return name if recording.response["status"] == 200 else None


def wrong(recording: Recording, answer: Answer, row: dict[str, Any]) -> dict[str, Any]:
    if recording.of_a_bad_google_key:  # of the gateway's, that is: the client must not take it for its own
        as_promised = (answer.status, row["status"], row["outcome"]) == (502, 502, "upstream_error")
        promised = as_promised and answer.reason == row["reason"] == "GATEKEEPER_UPSTREAM_KEY_INVALID"
        return {} if promised else {"bad key": (answer.status, row)}
    faults = wrong_answer(recording, answer) | ({} if answer.whole else {"whole": False})
    if row["service_tier"] == "batch":  # its result was recorded too, and has completed the row
        return faults
    return faults | wrong_tokens(recording, row) | wrong_words(recording, answer, row)


PLAYED = [(written, 0), *((recorded, share) for share in range(SHARES if RECORDINGS else 0))]


@pytest.mark.parametrize(("source", "share"), PLAYED)
async def test_what_was_recorded_passes_and_is_read(
    gateway: Running, google: StandIn, source: Source, share: int
) -> None:
    recordings = {recording.id: recording for recording in source(share)}
    google.script = play_from(recordings)
    answers = await replay(gateway, list(recordings.values()))
    rows = await all_rows(gateway, len(recordings))
    assert len(rows) == len(answers) == len(recordings) > 20
    catalogue = gateway.gateway.catalogue
    assert not {each: found for each, row in rows.items() if (found := priced_otherwise(row, catalogue))}
    row_of = {each: rows[answer.headers["x-gatekeeper-call-id"]] for each, answer in answers.items()}
    faults = {each: wrong(recordings[each], answers[each], row_of[each]) for each in recordings}
    assert not {each: fault for each, fault in faults.items() if fault}
