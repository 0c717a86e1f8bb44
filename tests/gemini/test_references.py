"""What a body refers to that is somebody's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.request_summary import ReferenceScan, may_refer, names_a_file, references
from gatekeeper.gemini.resource_names import MAX_URI

AT_GOOGLE = "https://generativelanguage.googleapis.com/v1beta/files/f"


def part(uri: str) -> dict[str, Any]:
    return {"contents": [{"parts": [{"text": "look"}, {"fileData": {"fileUri": uri}}]}]}


REFERENCES: list[tuple[dict[str, Any], list[str]]] = [
    (part(AT_GOOGLE), ["files/f"]),
    (part("files/f"), ["files/f"]),
    ({"contents": {"parts": {"file_data": {"file_uri": AT_GOOGLE}}}}, ["files/f"]),
    (
        {"contents": [{"parts": [{"functionResponse": {"parts": [{"fileData": {"fileUri": AT_GOOGLE}}]}}]}]},
        ["files/f"],
    ),
    (part("https://www.youtube.com/watch?v=1"), []),
    (part("https://bucket.s3.amazonaws.com/x?" + "s" * MAX_URI), []),
    (part("https://generativelanguage.googleapis.com/" + "./" * MAX_URI + "v1beta/files/f"), ["files/…"]),
    (
        part("https://generativelanguage.googleapis.com/" + "é" * (MAX_URI // 2) + "/v1beta/files/f"),
        ["files/…"],
    ),
    ({"systemInstruction": {"parts": [{"fileData": {"fileUri": AT_GOOGLE}}]}}, ["files/f"]),
    ({"cachedContent": "cachedContents/c"}, ["cachedContents/c"]),
    ({"cached_content": "c"}, ["cachedContents/c"]),
    ({"extra_body": {"google": {"cached_content": "cachedContents/c"}}}, ["cachedContents/c"]),
    (
        {"tools": [{"fileSearch": {"fileSearchStoreNames": ["fileSearchStores/a", "b"]}}]},
        ["fileSearchStores/a", "fileSearchStores/b"],
    ),
    ({"tools": [{"type": "file_search", "vector_store_ids": ["v"]}]}, ["vector_stores/v"]),
    ({"previous_interaction_id": "i"}, ["interactions/i"]),
    ({"previousInteractionId": "interactions/i"}, ["interactions/i"]),
    ({"input": [{"type": "document", "uri": AT_GOOGLE}]}, ["files/f"]),
    ({"input": [{"type": "document", "uri": AT_GOOGLE.replace("files", "%66%69les")}]}, ["files/f"]),
    ({"input": [{"type": "document", "uri": AT_GOOGLE.replace("files", "Files")}]}, ["files/f"]),
    ({"input": [{"type": "function_result", "result": [{"type": "image", "uri": AT_GOOGLE}]}]}, ["files/f"]),
    ({"messages": [{"content": [{"type": "file", "file": {"file_id": "f"}}]}]}, ["files/f"]),
    ({"batch": {"inputConfig": {"fileName": "files/f"}}}, ["files/f"]),
    ({"batch": {"inputConfig": {"requests": {"requests": [{"request": part(AT_GOOGLE)}]}}}}, ["files/f"]),
    ({"input_file_id": "f"}, ["files/f"]),
    ({"fileName": "files/f"}, ["files/f"]),
    ({"model": "tunedModels/t", "agent": "a"}, ["tunedModels/t", "agents/a"]),
    ({"tunedModelSource": {"tunedModel": "tunedModels/t"}}, ["tunedModels/t"]),
    ({"agent": "agents/a", "environment": "env_1"}, ["agents/a", "environments/env_1"]),
    ({"environment": "remote", "environment_id": "environments/e"}, ["environments/e"]),
    ({"environment": {"sources": [{"type": "inline"}]}}, []),
    ({"environment": {"type": "remote", "environment_id": "env_1"}}, ["environments/env_1"]),
    ({"base_environment": {"env": {"TOKEN": {"credential": "c"}, "b": {"value": "x"}}}}, ["credentials/c"]),
    ({"env": {"credential": {"credential": "credentials/c"}}}, ["credentials/c"]),
    ({"network": {"allowlist": [{"domain": "*", "credential": "c"}]}}, ["credentials/c"]),
    ({"network": {"allowlist": "disabled"}, "env": {"a": {"credential": ""}}}, []),
    ({"from_environment": "environments/env_1"}, ["environments/env_1"]),
    ({"generationConfig": {"speechConfig": {"voiceConfig": {"voice": "voice_1"}}}}, ["voices/voice_1"]),
    ({"generation_config": {"speech_config": [{"voice": "voices/voice_1"}]}}, ["voices/voice_1"]),
    ({"generation_config": {"speech_config": [{"voice": "Puck"}]}}, []),
    ({"voice": {"type": "prompted", "prompted": {"base_voice": "voice_1"}}}, ["voices/voice_1"]),
    ({"voice": "alloy"}, []),
    (part("https://generativelanguage.googleapis.com//v1beta/./files/./f"), ["files/f"]),
    ({"base_agent": "b", "base_environment": "e1"}, ["agents/b", "environments/e1"]),
    ({"semanticRetriever": {"source": "corpora/c/documents/d"}}, ["corpora/c/documents/d"]),
    (
        {"instances": [{"prompt": "p", "video": {"uri": AT_GOOGLE}, "lastFrame": {"gcsUri": "files/l"}}]},
        ["files/f", "files/l"],
    ),
    ({"instances": [{"referenceImages": [{"image": {"uri": "files/r"}}]}]}, ["files/r"]),
    ({"setup": {"model": "m", "cachedContent": "cachedContents/c"}}, ["cachedContents/c"]),
    ({"clientContent": {"turns": [{"parts": [{"fileData": {"fileUri": AT_GOOGLE}}]}]}}, ["files/f"]),
    (
        {
            "toolResponse": {
                "functionResponses": [{"id": "1", "parts": [{"fileData": {"fileUri": AT_GOOGLE}}]}]
            }
        },
        ["files/f"],
    ),
    (
        {"contextUpdate": {"tools": {"tools": [{"fileSearch": {"fileSearchStoreNames": ["s"]}}]}}},
        ["fileSearchStores/s"],
    ),
    (
        {"context_update": {"system_instruction": {"parts": [{"file_data": {"file_uri": AT_GOOGLE}}]}}},
        ["files/f"],
    ),
    ({"generateContentRequest": {"cachedContent": "cachedContents/c"}}, ["cachedContents/c"]),
    ({"requests": [{"content": {"parts": [{"fileData": {"fileUri": AT_GOOGLE}}]}}]}, ["files/f"]),
    ({"model": "models/m", "contents": [{"parts": [{"text": "files/x and cachedContents/y"}]}]}, []),
]


@cases(("body", "names"), REFERENCES)
def test_a_body_refers_to_these(body: dict[str, Any], names: list[str]) -> None:
    for text in (json.dumps(body), json.dumps(body, ensure_ascii=False).replace("/", "\\/")):
        found = [name for name, _ in references(read_request(text.encode()))]
        assert sorted(found) == sorted(names)
        # What is not parsed may not pass unseen.
        if names:
            assert may_refer(text.encode())


def test_an_agent_may_be_one_that_google_has_for_all() -> None:
    found = references(read_request(b'{"agent": "a", "model": "tunedModels/t"}'))
    assert {reference.name: reference.may_be_prebuilt for reference in found} == {
        "agents/a": True,
        "tunedModels/t": False,
    }


@given(st.sampled_from([case for case in REFERENCES if case[1]]), st.lists(st.integers(1, 40)))
def test_a_word_is_seen_at_any_chunking(case: tuple[dict[str, Any], list[str]], sizes: list[int]) -> None:
    text, scan = json.dumps(case[0]).encode(), ReferenceScan()
    for size in sizes:
        scan.feed(text[:size])
        text = text[size:]
    scan.feed(text)
    assert scan.found


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-32"])
def test_a_word_is_seen_in_any_encoding(encoding: str) -> None:
    scan = ReferenceScan()
    for byte in json.dumps(part(AT_GOOGLE)).encode(encoding):
        scan.feed(bytes([byte]))
    assert scan.found


def test_nothing_is_seen_where_nothing_is() -> None:
    scan = ReferenceScan()
    for piece in (b'{"text": "my fil', b"es, and more", b'"}', b""):
        scan.feed(piece)
    assert not scan.found


def test_letters_may_be_escaped_and_others_are_no_matter() -> None:
    assert may_refer(rb'{"\u0066ileData": 1}')
    assert may_refer(rb'"files\u002fx"')
    assert names_a_file(rb'{"\u0066ileData": 1}')
    assert names_a_file('{"fileData": 1}'.encode("utf-16"))
    assert not names_a_file(b'{"realtimeInput": {"audio": {"data": "QUJD"}}}')
    assert not may_refer(rb'"caf\u00e9 \u003cb\u003e \u2028"')
