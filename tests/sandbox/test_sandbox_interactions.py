"""Interactions: one after the other, streamed, in the background; with the bytes of recorded ones."""

from __future__ import annotations

import json

import httpx2
import pytest

PATH = "/v1beta/interactions"
ASK = {"model": "gemini-3-flash-preview", "input": "Say hello"}


def events(answer: httpx2.Response) -> list[dict]:
    """The stream's events; each is `event:` and `data:` with LF, the last one [DONE]."""
    *lines, last, rest = answer.text.split("\n\n")
    assert (last, rest) == ("event: done\ndata: [DONE]", "")
    found = []
    for line in lines:
        name, _, data = line.partition("\ndata: ")
        found.append(json.loads(data))
        assert name == f"event: {found[-1]['event_type']}"
    return found


def written(steps: list[dict]) -> str:
    outputs = [step["content"] for step in steps if step["type"] == "model_output"]
    return "".join(item["text"] for contents in outputs for item in contents)


async def test_an_interaction_has_steps_and_usage(google):
    answer = await google.post(PATH, json=ASK)
    made = answer.json()
    assert answer.headers["content-type"] == "application/json"
    assert (made["object"], made["status"], made["model"]) == ("interaction", "completed", ASK["model"])
    assert [step["type"] for step in made["steps"]] == ["thought", "model_output"]
    assert written(made["steps"]) == "hello"
    usage = made["usage"]
    counted = ("total_input_tokens", "total_output_tokens", "total_thought_tokens", "total_tool_use_tokens")
    assert usage["total_tokens"] == sum(usage[name] for name in counted)
    assert usage["input_tokens_by_modality"] == [{"modality": "text", "tokens": 3}]
    assert (await google.get(f"{PATH}/{made['id']}")).json() == made
    assert (await google.delete(f"{PATH}/{made['id']}")).json() == {}
    gone = await google.get(f"{PATH}/{made['id']}")
    assert (gone.status_code, gone.json()["error"]["code"]) == (404, "not_found")


async def test_a_stream_tells_the_same(google):
    ask = ASK | {"input": "Write a story about bees"}
    whole = (await google.post(PATH, json=ask)).json()
    answer = await google.post(PATH, json=ask | {"stream": True})
    found = events(answer)
    assert answer.headers["content-type"] == "text/event-stream"
    kinds = [event["event_type"] for event in found]
    assert kinds[:2] == ["interaction.created", "interaction.status_update"]
    assert kinds.count("step.start") == kinds.count("step.stop") == 2
    deltas = [event["delta"] for event in found if event["event_type"] == "step.delta"]
    assert deltas[0]["type"] == "thought_signature"
    assert "".join(delta.get("text", "") for delta in deltas) == written(whole["steps"])
    assert len(deltas) > 5
    ended = found[-1]["interaction"]
    assert (found[-1]["event_type"], ended["usage"]) == ("interaction.completed", whole["usage"])
    assert "steps" not in ended
    again = events(await google.get(f"{PATH}/{ended['id']}", params={"stream": "true"}))
    assert [event | {"event_id": str(at)} for at, event in enumerate(found, 1)] == again
    rest = await google.get(f"{PATH}/{ended['id']}", params={"stream": "true", "last_event_id": "3"})
    assert events(rest) == again[3:]
    none = {"stream": "true", "last_event_id": "9" * 5000}
    assert events(await google.get(f"{PATH}/{ended['id']}", params=none)) == again


async def test_a_later_one_knows_the_earlier_ones(google):
    first = (await google.post(PATH, json=ASK)).json()
    then = ASK | {"previous_interaction_id": first["id"]}
    second = (await google.post(PATH, json=then)).json()
    assert second["previous_interaction_id"] == first["id"]
    assert second["usage"]["total_input_tokens"] > 2 * first["usage"]["total_input_tokens"]
    assert (await google.post(PATH, json=ASK | {"previous_interaction_id": "v1_none"})).status_code == 404
    kept = (await google.post(PATH, json=ASK | {"store": False})).json()
    assert "id" not in kept


async def test_a_function_is_called_and_its_result_read(google):
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object", "properties": {}}}
    ask = ASK | {"input": "Weather in Oslo?", "tools": [tool]}
    made = (await google.post(PATH, json=ask)).json()
    call = made["steps"][-1]
    assert (made["status"], call["type"], call["name"]) == ("requires_action", "function_call", "get_weather")
    streamed = events(await google.post(PATH, json=ask | {"stream": True}))
    assert [event["delta"]["type"] for event in streamed if "delta" in event][-1] == "arguments_delta"
    result = {"type": "function_result", "name": "get_weather", "call_id": call["id"], "result": "rain"}
    then = {"model": ASK["model"], "input": [result], "previous_interaction_id": made["id"], "tools": [tool]}
    assert (await google.post(PATH, json=then)).json()["status"] == "completed"


async def test_an_agent_works_in_the_background(google):
    ask = {"agent": "deep-research-pro-preview-12-2025", "input": "Research bees", "background": True}
    made = (await google.post(PATH, json=ask)).json()
    assert (made["status"], made["agent"]) == ("in_progress", ask["agent"])
    assert "usage" not in made
    seen = [(await google.get(f"{PATH}/{made['id']}")).json() for _ in range(2)]
    assert [item["status"] for item in seen] == ["in_progress", "completed"]
    assert seen[1]["usage"]["total_tokens"] > 0
    assert (await google.post(f"{PATH}/{made['id']}/cancel")).status_code == 400
    other = (await google.post(PATH, json=ask)).json()
    assert (await google.post(f"{PATH}/{other['id']}/cancel")).json()["status"] == "cancelled"
    assert (await google.get(f"{PATH}/{other['id']}")).json()["status"] == "cancelled"
    assert (await google.post(PATH, json=ask | {"background": False})).status_code == 400


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("four", 1),
        ({"type": "text", "text": "four"}, 1),
        ([{"type": "text", "text": "four"}, "four"], 2),
        (
            [
                {"role": "user", "content": "four"},
                {"role": "model", "content": "x"},
            ],
            2,
        ),
        ([{"type": "user_input", "content": [{"type": "text", "text": "four"}]}], 1),
        ([{"type": "image", "data": "AAAA", "mime_type": "image/png"}], 258),
        ([{"type": "thought", "signature": "x"}, {"type": "user_input", "content": "four"}], 1),
        ([{"type": "video", "uri": "https://example.com/a.mp4"}], 2631),
        ([{"type": "function_call", "name": "f", "arguments": {}}, {"type": "text", "text": "four"}], 12),
    ],
)
async def test_input_comes_in_many_forms(google, given, tokens):
    made = (await google.post(PATH, json=ASK | {"input": given})).json()
    assert made["usage"]["total_input_tokens"] == tokens


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (ASK | {"input": "!429"}, 429, "too_many_requests"),
        (ASK | {"input": "!error"}, 503, "unavailable"),
        (ASK | {"model": "gpt-4"}, 404, "not_found"),
        ({"input": "x"}, 400, "invalid_request"),
        (ASK | {"input": []}, 400, "invalid_request"),
    ],
)
async def test_errors_have_a_word_as_code(google, body, status, code):
    answer = await google.post(PATH, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)


@pytest.mark.parametrize(("command", "kinds"), [("!blocked", []), ("!safety", [])])
async def test_what_is_withheld_has_failed(google, command, kinds):
    made = (await google.post(PATH, json=ASK | {"input": command})).json()
    assert (made["status"], [step["type"] for step in made["steps"]]) == ("failed", kinds)


async def test_thoughts_are_summed_up_if_asked_for(google):
    config = {"thinking_summaries": "auto", "thinking_level": "high"}
    ask = ASK | {"generation_config": config}
    summary = (await google.post(PATH, json=ask)).json()["steps"][0]["summary"]
    assert summary[0]["text"].startswith("**Considering")
    found = events(await google.post(PATH, json=ask | {"stream": True}))
    deltas = [event["delta"] for event in found if "delta" in event]
    assert deltas[0] == {"type": "thought_summary", "content": summary[0]}


@pytest.mark.parametrize("choice", ["any", {"allowed_tools": {"mode": "any", "tools": ["get_weather"]}}])
async def test_a_function_can_be_demanded(google, choice):
    tool = {"type": "function", "name": "get_weather", "parameters": {"type": "object"}}
    ask = ASK | {"tools": [tool], "generation_config": {"tool_choice": choice}}
    assert (await google.post(PATH, json=ask)).json()["status"] == "requires_action"


async def test_a_stream_can_fail(google):
    answer = await google.post(PATH, json=ASK | {"input": "!error", "stream": True})
    assert answer.text.endswith('"event_type":"error"}\n\n')


async def test_an_image(google):
    ask = {"model": "gemini-2.5-flash-image", "input": "a cat"}
    (step,) = (await google.post(PATH, json=ask)).json()["steps"]
    assert [item["mime_type"] for item in step["content"]] == ["image/png"]
    found = events(await google.post(PATH, json=ask | {"stream": True}))
    assert [event["delta"] for event in found if "delta" in event] == step["content"]


async def test_search_and_schemas(google):
    ask = ASK | {"input": "Who won?", "tools": [{"type": "google_search"}]}
    made = (await google.post(PATH, json=ask)).json()
    assert [step["type"] for step in made["steps"]][1:3] == ["google_search_call", "google_search_result"]
    assert made["usage"]["grounding_tool_count"] == [{"type": "google_search", "count": 1}]
    schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
    for wanted in (schema, {"type": "text", "mime_type": "application/json", "schema": schema}):
        made = (await google.post(PATH, json=ASK | {"response_format": wanted})).json()
        assert isinstance(json.loads(written(made["steps"]))["age"], int)
