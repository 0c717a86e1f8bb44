"""What is read of Interactions' and OpenAI-style documents, in the order in which they come."""

from __future__ import annotations

import json
from typing import Any

import pytest
from rig.cases import cases

from gatekeeper.gemini.response_parser import ResponseParser, ResponseSummary
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE

PART = {"total_tokens": 40, "total_input_tokens": 16}
MORE = {"total_tokens": 60, "total_input_tokens": 16}
WHOLE = {"total_tokens": 213, "total_input_tokens": 10}
BEGUN = {"id": "v1_x", "status": "in_progress", "model": "models/gemini-3.8-pro"}
CREATED = {"event_type": "interaction.created", "interaction": BEGUN, "metadata": {"total_usage": PART}}
STEP = {"event_type": "step.stop", "index": 0, "usage": MORE, "step_usage": {"total_tokens": 20}}
UPDATE = {"event_type": "interaction.status_update", "interaction_id": "v1_x", "status": "requires_action"}
COMPLETED = {
    "event_type": "interaction.completed",
    "interaction": {**BEGUN, "status": "completed", "usage": WHOLE, "service_tier": "PRIORITY"},
}


def parsed(*documents: Any, collection: str | None = None) -> ResponseSummary:
    parser = ResponseParser(collection)
    assert all(parser.read(json.dumps(document).encode()) for document in documents)
    return parser.summary(complete=True, truncated=False)


@cases(
    ("documents", "usage", "status", "tier"),
    [
        pytest.param([CREATED], PART, "in_progress", None, id="cut at once"),
        pytest.param([CREATED, STEP], MORE, "in_progress", None, id="steps are not added"),
        pytest.param([CREATED, STEP, UPDATE], MORE, "requires_action", None, id="a status of its own"),
        pytest.param([CREATED, {**UPDATE, "usage": MORE}], MORE, "requires_action", None, id="with usage"),
        pytest.param([CREATED, STEP, COMPLETED], WHOLE, "completed", "priority", id="the last total"),
        pytest.param(
            [{**COMPLETED, "event_type": "interaction.complete", "metadata": {"total_usage": PART}}],
            WHOLE, "completed", "priority", id="the interaction's own comes first",
        ),
        pytest.param(
            [{**CREATED, "usage": None, "metadata": {"total_usage": [1]}}],
            None, "in_progress", None, id="none",
        ),
        pytest.param([{**BEGUN, "status": 7, "service_tier": 7}], None, None, None, id="no words"),
    ],
)  # fmt: skip
def test_an_interaction_reports_its_last_total(
    documents: list[Any], usage: Any, status: str | None, tier: str | None
) -> None:
    summary = parsed(*documents, collection="interactions")
    assert (None if summary.usage is None else json.loads(summary.usage)) == usage
    assert (summary.finish_reason, summary.service_tier) == (status, tier)
    assert (summary.model_version, summary.resource) == ("gemini-3.8-pro", "interactions/v1_x")


CHUNK = {"object": "chat.completion.chunk", "model": "gemini-3.8-pro", "choices": [{"index": 0}]}


@cases(
    ("told", "tier"),
    [
        (["flex"], "flex"), (["PRIORITY"], "priority"), (["standard"], "standard"), (["flex", None], "flex"),
        ([None], None), (["default"], None), (["auto"], None), (["unspecified"], None), ([7], None),
    ],
)  # fmt: skip
def test_an_openai_style_response_tells_its_tier(told: list[Any], tier: str | None) -> None:
    assert parsed(*({**CHUNK, "service_tier": each} for each in told)).service_tier == tier
    last = {**CHUNK, "choices": [], "service_tier": told[0], "usage": {"total_tokens": 7}}
    assert parsed(CHUNK, last).service_tier == tier
    interaction = {**BEGUN, "service_tier": told[0]}
    assert parsed(interaction, collection="interactions").service_tier == tier


def test_an_interaction_s_error_event_is_the_call_s() -> None:
    error = {
        "event_type": "error",
        "error": {"code": "internal_error", "message": "Try again"},
        "event_id": "e",
    }
    found = parsed(CREATED, error, collection="interactions").error
    assert found
    assert (found.code, found.status, found.message) == (None, "internal_error", "Try again")
    # One that a resource tells of itself is not
    for own in ({"id": "v", "error": error["error"]}, {"name": "operations/o", "error": error["error"]}):
        assert parsed(own, collection="videos").error is None


def chat(*reasons: str | None, **more: Any) -> dict[str, Any]:
    choices = [{"index": index, "finish_reason": reason} for index, reason in enumerate(reasons)]
    return {
        "id": "c",
        "object": "chat.completion.chunk",
        "model": "gemini-2.5-pro",
        "choices": choices,
        **more,
    }


@cases(
    ("documents", "usage", "reason"),
    [
        pytest.param([chat(None), chat("stop"), chat(usage=PART)], PART, "stop", id="a last chunk"),
        pytest.param([chat(None), chat("tool_calls", usage=None)], None, "tool_calls", id="not asked for"),
        pytest.param([chat("stop", "length", "stop", usage=PART)], PART, "stop|length", id="several choices"),
        pytest.param([chat(None, usage=PART), chat(None, usage=MORE)], MORE, None, id="in every chunk"),
        pytest.param([{"data": [], "model": "gemini-2.5-pro", "usage": PART}], PART, None, id="embeddings"),
    ],
)  # fmt: skip
def test_openai_style_answers_are_read_by_their_own_words(
    documents: list[Any], usage: Any, reason: str | None
) -> None:
    summary = parsed(*documents)
    assert (None if summary.usage is None else json.loads(summary.usage)) == usage
    assert (summary.finish_reason, summary.model_version) == (reason, "gemini-2.5-pro")
    assert summary.resource is None


def test_the_model_of_a_resource_has_not_answered() -> None:
    cache = {"name": "cachedContents/c", "model": "models/gemini-2.5-flash"}
    assert parsed(cache).model_version is None


@pytest.mark.parametrize(
    "document", [b'{"usage": {"total_tokens": 1, "x": "\xff"}}', b'{"interaction": {"usage": {"x": "\xff"}}}']
)
def test_usage_that_is_no_text_is_not_taken(document: bytes) -> None:
    parser = ResponseParser()
    assert not parser.read(document)
    assert parser.summary(complete=False, truncated=False) == ResponseSummary(usage_note=UNREADABLE_NOTE)


@cases(
    "odd",
    [
        {"metadata": "text"},
        {"metadata": ["text"]},
        {"interaction": "v1_x"},
        {"promptFeedback": "SAFETY"},
        {"candidates": {}},
        {"candidates": [None]},
        {"choices": ["text"], "metadata": 7},
    ],
)
def test_a_member_of_another_type_does_not_invalidate_the_others(odd: dict[str, Any]) -> None:
    summary = parsed({**odd, "modelVersion": "models/gemini-3.8-pro", "usage": WHOLE})
    assert (summary.model_version, json.loads(summary.usage or b"")) == ("gemini-3.8-pro", WHOLE)


@cases("document", [b"[1]", b"1", b"[[{}]]", b"[DONE]", b"[" * 2000])
def test_what_is_no_object_is_no_response(document: bytes) -> None:
    assert not ResponseParser().read(document)


def test_an_error_may_be_in_a_list() -> None:
    summary = parsed({"usage": PART}, [{"error": {"code": 429, "status": "RESOURCE_EXHAUSTED"}}])
    assert summary.error is not None
    assert (summary.error.reason, json.loads(summary.usage or b"")) == ("RESOURCE_EXHAUSTED", PART)


def test_a_blocked_prompt_may_have_candidates() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "candidates": [{"finishReason": "SAFETY"}]}
    summary = parsed(blocked)
    assert (summary.block_reason, summary.finish_reason) == ("SAFETY", "SAFETY")
