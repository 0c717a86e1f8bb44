"""What generate calls say, and how it is written."""

from __future__ import annotations

import json

import pytest

FLASH, OLD = "gemini-3.8-flash", "gemini-2.0-flash"
WEATHER = {
    "name": "get_weather",
    "parameters": {"type": "OBJECT", "properties": {"city": {"type": "STRING"}}, "required": ["city"]},
}


def prompt(text: str, **rest: object) -> dict:
    return {"contents": [{"role": "user", "parts": [{"text": text}]}], **rest}


def test_the_same_question_gets_the_same_answer_and_another_seed_another(offline):
    asked = prompt("Write a story about a lighthouse")
    assert offline.text_of(offline.generate(asked)) == offline.text_of(offline.generate(asked))
    seeded = {
        offline.text_of(offline.generate(asked | {"generationConfig": {"seed": seed}})) for seed in range(4)
    }
    assert len(seeded) > 1


def test_fields_may_be_spelt_in_snake_case(offline):
    camel = prompt("hi", generationConfig={"maxOutputTokens": 4, "candidateCount": 2})
    snaky = prompt("hi", generation_config={"max_output_tokens": "4", "candidate_count": 2.0})
    assert offline.generate(snaky)["usageMetadata"] == offline.generate(camel)["usageMetadata"]
    assert len(offline.generate(snaky)["candidates"]) == 2


def test_a_text_ends_before_a_stop_sequence(offline):
    asked = prompt("Say one two three", generationConfig={"stopSequences": ["three", "two"]})
    assert offline.text_of(offline.generate(asked)) == "one "
    assert offline.generate(asked)["candidates"][0]["finishReason"] == "STOP"


def test_a_text_that_is_cut_says_so(offline):
    answer = offline.generate(prompt("Say one two three", generationConfig={"maxOutputTokens": 2}), OLD)
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert offline.text_of(answer) == "one two "
    assert answer["usageMetadata"]["candidatesTokenCount"] == 2


def test_thoughts_are_shown_when_asked_for(offline):
    shown = prompt("Why?", generationConfig={"thinkingConfig": {"includeThoughts": True}})
    assert offline.text_of(offline.generate(shown), thought=True)
    assert not offline.text_of(offline.generate(prompt("Why?")), thought=True)
    assert offline.stream(shown)[0]["candidates"][0]["content"]["parts"][0]["thought"] is True


@pytest.mark.parametrize(
    ("prompt_text", "rest", "calls"),
    [
        ("What is the weather in Paris?", {}, True),
        ("Use get_weather now", {}, True),
        ("Tell me a joke", {}, False),
        ("Tell me a joke", {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}}, True),
        ("weather?", {"toolConfig": {"functionCallingConfig": {"mode": "NONE"}}}, False),
    ],
)
def test_a_function_is_called_when_the_prompt_names_it(offline, prompt_text, rest, calls):
    part = offline.generate(prompt(prompt_text, tools=[{"functionDeclarations": [WEATHER]}], **rest))[
        "candidates"
    ][0]["content"]["parts"][0]
    assert ("functionCall" in part) is calls
    if calls:
        assert part["functionCall"]["name"] == "get_weather"
        assert isinstance(part["functionCall"]["args"]["city"], str)


def test_a_function_is_called_with_what_the_prompt_says(offline):
    part = offline.generate(prompt("weather in Buenos Aires?", tools=[{"functionDeclarations": WEATHER}]))
    assert part["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"city": "Buenos Aires"}


def test_a_function_s_result_is_answered_in_words(offline):
    body = prompt("weather in Paris?", tools=[{"functionDeclarations": [WEATHER]}])
    body["contents"] += [
        {"role": "model", "parts": [{"functionCall": {"name": "get_weather", "args": {"city": "Paris"}}}]},
        {
            "role": "user",
            "parts": [{"functionResponse": {"name": "get_weather", "response": {"sky": "clear"}}}],
        },
    ]
    assert offline.text_of(offline.generate(body))


def test_a_search_is_told_and_its_results_counted(offline):
    answer = offline.generate(prompt("Who won?", tools=[{"google_search": {}}]))
    assert answer["candidates"][0]["groundingMetadata"]["webSearchQueries"] == ["Who won?"]
    assert answer["usageMetadata"]["toolUsePromptTokenCount"] > 0


def test_pages_that_were_read_are_told(offline):
    answer = offline.generate(prompt("Read https://example.com/a now", tools=[{"urlContext": {}}]))
    [page] = answer["candidates"][0]["urlContextMetadata"]["urlMetadata"]
    assert page["retrievedUrl"] == "https://example.com/a"
    assert answer["usageMetadata"]["toolUsePromptTokenCount"] > 0


def test_only_an_allowed_function_is_called(offline):
    tools = [{"functionDeclarations": [WEATHER, {"name": "get_time"}]}]
    allowed = {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["get_time"]}}
    answer = offline.generate(prompt("weather?", tools=tools, toolConfig=allowed), OLD)
    [part] = answer["candidates"][0]["content"]["parts"]
    assert part == {"functionCall": {"name": "get_time", "args": {}}}


def test_a_function_call_that_does_not_fit_is_not_made(offline):
    config = {"maxOutputTokens": 3}
    answer = offline.generate(
        prompt("weather?", tools=[{"functionDeclarations": [WEATHER]}], generationConfig=config)
    )
    assert answer["candidates"][0]["finishReason"] == "MAX_TOKENS"
    assert answer["candidates"][0]["content"] == {}


def test_an_enum_is_answered_by_one_of_its_values(offline):
    config = {
        "responseMimeType": "text/x.enum",
        "responseSchema": {"type": "STRING", "enum": ["red", "blue"]},
    }
    assert offline.text_of(offline.generate(prompt("Which?", generationConfig=config))) in ("red", "blue")


def test_the_tier_asked_for_is_the_tier_billed(offline):
    assert offline.generate(prompt("hi", serviceTier="flex"))["usageMetadata"]["serviceTier"] == "flex"
    assert offline.generate(prompt("hi"))["usageMetadata"]["serviceTier"] == "standard"


def test_an_array_stream_is_written_as_google_writes_it(offline):
    answer = offline.post(
        f"/v1/models/{OLD}:streamGenerateContent",
        prompt("Write a story"),
        **{"$alt": "json;enum-encoding=int"},
    )
    responses = json.loads(offline.said(answer))
    pieces = [data for _, data in answer.pieces]
    assert pieces[0].startswith(b"[{\n  ")
    assert all(piece.startswith(b"\n,\r\n{") for piece in pieces[1:-1])
    assert pieces[-1] == b"\n]"
    assert len(responses) == len(pieces) - 1 > 3
    assert responses[-1]["candidates"][0]["finishReason"] == 1
    assert responses[0]["usageMetadata"]["promptTokensDetails"][0]["modality"] == 1


def test_numbers_for_enums_leave_the_users_words_alone(offline):
    schema = {"type": "object", "properties": {"modality": {"const": "TEXT"}}}
    body = prompt(
        "call it", tools=[{"functionDeclarations": [{"name": "call_it", "parametersJsonSchema": schema}]}]
    )
    answer = offline.post(
        f"/v1beta/models/{FLASH}:generateContent", body, **{"$alt": "json;enum-encoding=int"}
    )
    candidate = offline.document(answer)["candidates"][0]
    assert candidate["content"]["parts"][0]["functionCall"]["args"] == {"modality": "TEXT"}
    assert candidate["finishReason"] == 1


def test_angle_brackets_are_escaped_as_google_escapes_them(offline):
    raw = offline.said(offline.post(f"/v1beta/models/{OLD}:generateContent", prompt("Say <b>")))
    assert rb"\u003cb\u003e" in raw
    assert offline.text_of(json.loads(raw)) == "<b>"


def test_what_comes_is_paced_like_a_person(offline):
    waits = [
        wait
        for wait, _ in offline.post(
            f"/v1beta/models/{FLASH}:streamGenerateContent", prompt("Write a story"), alt="sse"
        ).pieces
    ]
    assert 0.2 <= waits[0] <= 0.6
    assert all(0.03 <= wait <= 0.12 for wait in waits[1:])
    [(wait, _)] = offline.post(f"/v1beta/models/{FLASH}:generateContent", prompt("Write a story")).pieces
    assert wait == pytest.approx(sum(waits) / 3)
