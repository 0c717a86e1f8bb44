"""What an answer says was made by something else, at any chunking, and not what a client or model wrote."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.created_names import MAX_NAMES, CreatedNames

FILE = "https://generativelanguage.googleapis.com/v1beta/files/{}:download?alt=media"
TRAP = {"uri": FILE.format("trap"), "name": "files/trap", "responsesFile": "files/trap"}
ANSWERS: dict[str, tuple[Any, list[str]]] = {
    "a batch": (
        {"name": "batches/b", "done": True, "response": {"responsesFile": "files/batch-b"}},
        ["files/batch-b"],
    ),
    "its responses are a model's": (
        {"response": {"inlinedResponses": {"inlinedResponses": [{"response": TRAP, "metadata": TRAP}]}}},
        [],
    ),
    "an OpenAI-style batch": (
        {"id": "b", "output_file_id": "files/o", "error_file_id": "files/e", "input_file_id": "files/trap"},
        ["files/o", "files/e"],
    ),
    "a client's own words": ({"metadata": TRAP, "displayName": "files/trap", "labels": [TRAP, [TRAP]]}, []),
    "videos": (
        {
            "response": {
                "generateVideoResponse": {
                    "generatedSamples": [{"video": {"uri": FILE.format(n)}} for n in "ab"]
                },
                "videos": [{"uri": FILE.format("c")}],
            }
        },
        ["files/a", "files/b", "files/c"],
    ),
    "an OpenAI-style video": ({"url": FILE.format("v")}, ["files/v"]),
    "an execution": (
        {"interaction_id": "i", "environment_id": "environments/e"},
        ["interactions/i", "environments/e"],
    ),
    "an interaction": (
        {"steps": [{"content": [{"uri": FILE.format("s"), "text": "files/trap"}], "arguments": TRAP}]},
        ["files/s"],
    ),
    "empty": ({"interaction_id": "", "url": "https://example.com", "response": None, "steps": "files/x"}, []),
}


def found(body: bytes, *sizes: int) -> list[str]:
    names, at = CreatedNames(), 0
    for size in (*sizes, len(body)):
        names.feed(body[at : at + size])
        at += size
    return list(names.names)


@cases(("answer", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_what_was_made_is_found(answer: Any, expected: list[str]) -> None:
    assert found(json.dumps(answer).encode()) == expected
    assert found(json.dumps(answer, indent=1).replace("/", "\\/").encode()) == expected


@given(st.sampled_from(list(ANSWERS.values())), st.lists(st.integers(0, 40), max_size=9))
def test_at_any_chunking(case: tuple[Any, list[str]], sizes: list[int]) -> None:
    assert found(json.dumps(case[0]).encode(), *sizes) == case[1]


@given(st.binary(max_size=80))
def test_no_bytes_raise(body: bytes) -> None:
    found(b'{"url": ' + body)
    found(body)


def test_what_is_no_json_ends_it() -> None:
    assert found(b'}{"url": "files/x"}') == []
    assert found(b'event: x\ndata: {"url": "files/x"}\n\n') == []


def test_no_more_names_are_kept_than_some() -> None:
    samples = [{"video": {"uri": f"files/{n}"}} for n in range(MAX_NAMES + 1)]
    body = json.dumps({"response": {"generatedSamples": samples}}).encode()
    assert len(found(body)) == MAX_NAMES
