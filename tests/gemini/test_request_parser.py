"""What a request's body names, wherever Google's methods have it."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.json_request import MAX_KEPT
from gatekeeper.gemini.json_tokens import MAX_TOKEN_BYTES
from gatekeeper.gemini.request_parser import (
    MAX_INFLATED_BYTES,
    may_name_more,
    read_request,
    request_parser,
)
from gatekeeper.gemini.request_summary import RequestSummary

NAMED = [
    # (body, what it names)
    ({"model": "models/m"}, {"models": ("m",)}),
    (
        {"model": "m", "agent": "deep-research", "input": "hi"},
        {"models": ("m", "deep-research"), "agents": ("deep-research",)},
    ),
    (
        {"requests": [{"model": "models/a"}, {"model": "models/b"}, {"model": "models/a"}]},
        {"models": ("a", "b")},
    ),
    ({"generateContentRequest": {"model": "models/m", "contents": []}}, {"models": ("m",)}),
    ({"embedContentRequest": {"model": "models/m"}}, {"models": ("m",)}),
    ({"setup": {"model": "models/live", "generationConfig": {}}}, {"models": ("live",)}),
    ({"uses": 1, "bidiGenerateContentSetup": {"setup": {"model": "models/live"}}}, {"models": ("live",)}),
    (
        {
            "batch": {
                "model": "models/m",
                "inputConfig": {"requests": {"requests": [{"request": {"model": "n"}}]}},
            }
        },
        {"models": ("m", "n")},
    ),
    (
        {"batch": {"input_config": {"file_name": "files/in"}}},
        {"files": ("files/in",), "input_files": ("files/in",)},
    ),
    ({"baseModel": "models/m", "tuningTask": {"model": "no"}}, {"models": ("m",)}),
    (
        {"tunedModelSource": {"tunedModel": "tunedModels/t", "baseModel": "models/m"}},
        {"models": ("tunedModels/t", "m")},
    ),
    ({"interaction": {"model": "m"}, "schedule": {"model": "no"}}, {"models": ("m",)}),
    (
        {"model": "m", "cachedContent": "cachedContents/c"},
        {"models": ("m",), "cached_contents": ("cachedContents/c",)},
    ),
    ({"previous_interaction_id": "i"}, {"interactions": ("interactions/i",)}),
    ({"previousInteractionId": "interactions/i"}, {"interactions": ("interactions/i",)}),
    (
        {
            "contents": [
                {"parts": [{"fileData": {"fileUri": "https://g/v1beta/files/f-1?alt=media"}}, {"text": "t"}]}
            ]
        },
        {"files": ("files/f-1",)},
    ),
    (
        {"contents": [{"parts": [{"functionResponse": {"parts": [{"fileData": {"fileUri": "files/f"}}]}}]}]},
        {"files": ("files/f",)},
    ),
    ({"system_instruction": {"parts": {"file_data": {"file_uri": "files/f"}}}}, {"files": ("files/f",)}),
    ({"contents": [{"parts": [{"fileData": {"fileUri": "https://youtu.be/x"}}]}]}, {}),
    (
        {"input": [{"type": "image", "uri": "files/a"}, {"content": [{"uri": "files/b"}]}]},
        {"files": ("files/a", "files/b")},
    ),
    (
        {
            "messages": [
                {
                    "content": [
                        {"file": {"file_id": "files/a"}},
                        {"image_url": {"url": "https://x/v1/files/b"}},
                    ]
                }
            ]
        },
        {"files": ("files/a", "files/b")},
    ),
    ({"input_file_id": "files/f"}, {"files": ("files/f",), "input_files": ("files/f",)}),
    ({"stream": True, "background": True}, {"stream": True, "background": True}),
    ({"stream": False, "background": None}, {}),
    ({"stream": "true", "model": True}, {}),
    ({"stream": True, "stream_options": {"include_usage": True}}, {"stream": True}),
    ({"tools": [{"functionDeclarations": [{"name": "model", "parameters": {"model": "no"}}]}]}, {}),
    ({"contents": [{"parts": [{"functionCall": {"args": {"model": "no"}}}]}]}, {}),
    ({"model": ["no"], "agent": {"model": "no"}, "requests": 1}, {}),
    ({"model": "", "previousInteractionId": ""}, {}),
    ({"model": "m" * 2000}, {"models": ("m" * 256,)}),
    ([{"model": "a"}, {"model": "b"}], {"models": ("a", "b")}),
    ({}, {}),
]


def summary(**named: Any) -> RequestSummary:
    return RequestSummary(**named)


@cases(("body", "named"), NAMED)
def test_a_request_names_it(body: Any, named: dict[str, Any]) -> None:
    assert read_request(json.dumps(body).encode()) == summary(**named)
    assert read_request(json.dumps(body, indent=2).encode("utf-8-sig")) == summary(**named)


@cases(
    ("body", "models"),
    [
        (b'{"model": "a", "model": "b"}', ("a", "b")),
        (b'{"model": "a", "contents": [{"model": "no"}], "model": "b"}', ("a", "b")),
        (b'{"baseModel": "a", "base_model": "b"}', ("a", "b")),
        (rb'{"mod\u0065l": "models\/\u006d"}', ("m",)),
        (rb'{"model": "\ud800"}', ("?",)),
        (rb'{"model": "\q"}', (r"\q",)),
        (b'{"model": "\xff"}', ("\N{REPLACEMENT CHARACTER}",)),
    ],
)
def test_every_spelling_and_every_repetition_counts(body: bytes, models: tuple[str, ...]) -> None:
    assert read_request(body) == summary(models=models)


@cases(
    ("body", "models"),
    [
        (b"", ()),
        (b'{"model": "a",', ("a",)),
        (b'{"model": "a"}}', ("a",)),
        (b'{"model": "a"}{"model": "b"}', ("a", "b")),
        (b"{'model': 'a'}", ()),
        (b"--limit\r\n\r\n", ()),
        ('{"model": "a"}'.encode("utf-16"), ()),
        (b'{"requests":' * 200 + b'{"model": "a"}' + b"}" * 200, ()),
        (b'{"x": [' + b"1.5," * (MAX_TOKEN_BYTES // 4) + b'1], "model": "a"}', ()),
    ],
)
def test_what_is_not_understood_says_so(body: bytes, models: tuple[str, ...]) -> None:
    assert read_request(body) == summary(models=models, understood=False)


@pytest.mark.parametrize(
    "body",
    [
        b'{"requests": ['
        + b",".join(b'{"model": "%0250d"}' % number for number in range(MAX_KEPT // 249))
        + b"]}",
        b'{"requests": [' + b'{"serviceTier": "%01000d"},' % 0 * (MAX_KEPT // 1000) + b"{}]}",
    ],
)
def test_a_request_that_names_too_much_is_not_understood(body: bytes) -> None:
    named = read_request(body)
    assert not named.understood
    assert sum(map(len, named.models)) < MAX_KEPT + 250


def test_what_comes_after_a_large_prompt_is_seen() -> None:
    image = {"inlineData": {"data": "QUJD" * 10**6}}
    body = {"contents": [{"parts": [image, {"text": 'A "long" prompt.\n' * 10**5}]}], "model": "m"}
    assert read_request(json.dumps(body).encode()) == summary(models=("m",))


@given(
    st.sampled_from(NAMED),
    st.lists(st.integers(1, 30) | st.just(5000), min_size=1, max_size=4),
    st.sampled_from([None, b"identity", b"gzip", b"X-GZIP", b" deflate "]),
)
def test_chunks_and_compression_change_nothing(
    case: tuple[Any, dict[str, Any]], sizes: list[int], encoding: bytes | None
) -> None:
    parser = request_parser("interactions.create", encoding)
    body = json.dumps(case[0]).encode()
    if encoding not in (None, b"identity"):
        body = zlib.compress(body) if encoding == b" deflate " else gzip.compress(body)
    assert not parser.summary.understood
    while body:
        parser.feed(body[: sizes[0]])
        body = body[sizes[0] :]
        sizes = sizes[1:] + sizes[:1]
    assert parser.summary == summary(**case[1])


@cases("encoding", [b"br", b"zstd", b"gzip, gzip", b"gzip", b"deflate"])
def test_an_encoding_that_is_not_read_leaves_it_unknown(encoding: bytes) -> None:
    parser = request_parser(None, encoding)
    parser.feed(b'{"model": "m"}')
    parser.feed(b"and more")
    assert parser.summary == summary(understood=False)


@cases("more", [gzip.compress(b'{"model": "b"}', mtime=0), b"x"])
@cases("at_once", [True, False])
def test_what_follows_a_compressed_body_is_not_understood(more: bytes, at_once: bool) -> None:
    parser = request_parser(None, b"gzip")
    body = gzip.compress(b'{"model": "a"}')
    for piece in [body + more] if at_once else [body, more]:
        parser.feed(piece)
    assert parser.summary == summary(models=("a",), understood=False)


def test_a_small_body_that_inflates_to_a_large_one_is_read_to_a_limit() -> None:
    parser = request_parser(None, b"gzip")
    filling = b'{"x": "' + b"a" * (MAX_INFLATED_BYTES + 10**6) + b'", "model": "a"}'
    parser.feed(gzip.compress(filling))
    assert parser.summary == summary(understood=False)
    failed = request_parser(None, b"gzip")
    failed.feed(gzip.compress(b"no JSON" + bytes(10**6)))
    assert failed.summary == summary(understood=False)


@cases(
    "action", ["files.upload", "novelties.upload", "fileSearchStores.uploadToFileSearchStore", "openai.files"]
)
def test_a_file_names_nothing(action: str) -> None:
    parser = request_parser(action, None)
    parser.feed(b'{"model": "m"}')
    assert parser.summary == summary()


@cases(
    ("body", "worth"),
    [
        (b'{"contents": [{"parts": [{"text": "hi\\n"}]}]}', False),
        (b'{"cachedContent": "c"}', True),
        (b'{"cached_content": "c"}', True),
        (rb'{"c\u0061chedContent": "c"}', True),
        (b'{"contents": "\xc3\xa9"}', False),
    ],
)
def test_a_prompt_is_parsed_only_if_it_may_name_a_cached_content(body: bytes, worth: bool) -> None:
    assert may_name_more(body) == worth
