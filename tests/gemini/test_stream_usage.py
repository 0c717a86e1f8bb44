"""read_stream_usage: which usages report nothing but a growing output, and what else they report."""

from __future__ import annotations

import json

import pytest
from rig.cases import cases

from gatekeeper.gemini.usage import MAX_USAGE_BYTES, read_stream_usage

PLAIN = {"promptTokenCount": 1000, "candidatesTokenCount": 20, "totalTokenCount": 1020}
THINKING = {**PLAIN, "thoughtsTokenCount": 5, "totalTokenCount": 1025}


def encoded(**members: object) -> bytes:
    return json.dumps({name: value for name, value in members.items() if value is not None}).encode()


@cases(
    ("usage", "output"),
    [
        (encoded(**PLAIN), 20),
        (encoded(**THINKING), 25),
        (encoded(**{**PLAIN, "toolUsePromptTokenCount": 9, "totalTokenCount": 1029}), 20),
        pytest.param(encoded(**{**PLAIN, "totalTokenCount": 1021}), None, id="a total of its own"),
        pytest.param(encoded(**{**PLAIN, "totalTokenCount": None}), None, id="no total"),
        pytest.param(encoded(**{**PLAIN, "promptTokenCount": None}), None, id="no prompt"),
        pytest.param(encoded(promptTokenCount=7, totalTokenCount=7), None, id="no output yet"),
        pytest.param(
            encoded(**PLAIN, candidatesTokensDetails=[{"modality": "AUDIO", "tokenCount": 20}]),
            None,
            id="details of the output",
        ),
        pytest.param(encoded(**{**PLAIN, "promptTokenCount": -1}), None, id="a count that is none"),
        pytest.param(b"[]", None, id="a list"),
        pytest.param(encoded(**PLAIN).ljust(MAX_USAGE_BYTES), 20, id="as long as one may be"),
        pytest.param(encoded(**PLAIN).ljust(MAX_USAGE_BYTES + 1), None, id="too long"),
        pytest.param(encoded(prompt_tokens=1, completion_tokens=2, total_tokens=3), None, id="OpenAI's"),
    ],
)
def test_the_output_of_a_usage_that_reports_only_that(usage: bytes, output: int | None) -> None:
    found = read_stream_usage(usage)
    assert (found and found.output) == output


@cases(
    ("other", "is_same"),
    [
        ({**THINKING, "candidatesTokenCount": 90, "totalTokenCount": 1095}, True),
        ({**THINKING, "thoughtsTokenCount": 6, "totalTokenCount": 1026}, True),
        pytest.param(PLAIN, False, id="without thoughts"),
        pytest.param({**THINKING, "promptTokenCount": 1001, "totalTokenCount": 1026}, False, id="prompt"),
        pytest.param({**THINKING, "cachedContentTokenCount": 1}, False, id="cached"),
        pytest.param({**THINKING, "serviceTier": "flex"}, False, id="tier"),
        pytest.param(
            {**THINKING, "promptTokensDetails": [{"modality": "IMAGE", "tokenCount": 1000}]},
            False,
            id="details of the prompt",
        ),
    ],
)
def test_whether_all_else_is_the_same(other: dict[str, object], is_same: bool) -> None:
    one, another = read_stream_usage(encoded(**THINKING)), read_stream_usage(encoded(**other))
    assert one is not None
    assert another is not None
    assert (one.rest == another.rest) is is_same


@cases(("usage", "thoughts"), [(PLAIN, None), (THINKING, 1)])
def test_the_rest_tells_whether_there_were_thoughts(usage: dict[str, object], thoughts: int | None) -> None:
    found = read_stream_usage(encoded(**usage))
    assert found is not None
    assert found.rest.thoughts_token_count == thoughts
