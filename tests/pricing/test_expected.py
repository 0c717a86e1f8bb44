"""What a call is expected to have cost whose client left: by the bytes of its request and response."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import is_priced_by_usage
from gatekeeper.pricing.expected import RequestSize, expected_quote, expected_usage
from gatekeeper.pricing.worst_case import MAX_OUTPUT_TOKENS, MAX_PROMPT_TOKENS
from gatekeeper.startup import load_catalogue

AT = datetime(2026, 1, 15, tzinfo=UTC)
PROMPT = b'{"contents": [{"parts": [{"text": "Wie gross ist der Mond?"}]}]}'
PICTURE = base64.b64encode(bytes(range(256)) * 2000)


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def size_of(body: bytes) -> RequestSize:
    size = RequestSize()
    size.feed(body)
    return size


@cases(
    ("body", "response_bytes", "action", "is_compressed", "tokens"),
    [
        (b"", 0, "generateContent", False, (1, 0)),
        (b"{}", 0, "generateContent", False, (1, 0)),
        (PROMPT, 0, "generateContent", False, (16, 0)),
        (PROMPT, 1, "streamGenerateContent", False, (16, 1)),
        (PROMPT, 1600, "streamGenerateContent", False, (16, 200)),
        (PROMPT, 1600, "embedContent", False, (16, 0)),
        (PROMPT, 1600, "openai.embeddings", False, (16, 0)),
        (PROMPT[:40], 0, "generateContent", True, (40, 0)),
        # Media by its pieces, whose ends tell
        (b"A" * 8192, 0, "generateContent", False, (9, 0)),
        (b"A" * 2000 + b" " * 96 + b"A" * 2000, 0, "generateContent", False, (5, 0)),
        (b"A" * 4095 + b" ", 0, "generateContent", False, (1024, 0)),
        (b" " + b"A" * 4095, 0, "generateContent", False, (1024, 0)),
        ("Ø".encode() * 4000, 10**9, "generateContent", False, (2000, MAX_OUTPUT_TOKENS)),
        (b"x y " * MAX_PROMPT_TOKENS + b"x y ", 0, "generateContent", False, (MAX_PROMPT_TOKENS, 0)),
    ],
)
def test_tokens_by_bytes(
    body: bytes, response_bytes: int, action: str, is_compressed: bool, tokens: tuple[int, int]
) -> None:
    usage = expected_usage(size_of(body), response_bytes, action, is_compressed=is_compressed)
    assert (usage.prompt, usage.output) == tokens


@pytest.mark.parametrize("step", [1448, 4096, 65_536, 10**7])
def test_a_picture_counts_little_however_it_arrives(step: int) -> None:
    body = PROMPT + b'"data": "' + PICTURE + b'"}]}]}'
    size = RequestSize()
    for at in range(0, len(body), step):
        size.feed(body[at : at + step])
    assert (size.media, size.text + size.media) == ((len(PICTURE) // 4096 - 1) * 4096, len(body))
    assert size.tokens(is_compressed=False) == -(-size.text // 4) + -(-size.media // 1000)


@given(st.binary(max_size=20_000), st.integers(1, 9000))
def test_every_byte_is_counted_once(body: bytes, step: int) -> None:
    size = RequestSize()
    for at in range(0, len(body), step):
        size.feed(body[at : at + step])
    assert size.text + size.media == len(body)


def test_the_price_is_that_of_reported_tokens(catalogue: Catalogue) -> None:
    usage = expected_usage(size_of(PROMPT), 800, "generateContent", is_compressed=False)
    priced, note = expected_quote(
        catalogue,
        usage,
        model="gemini-2.5-flash",
        model_version=None,
        at=AT,
        tier="standard",
        action="generateContent",
    )
    assert priced.cost_pico == 16 * 300_000 + 100 * 2_500_000
    assert note.startswith("estimated: ")
    assert "16 tokens of input" in note
    assert "100 of output" in note
    assert not is_priced_by_usage(note)


def test_a_model_without_a_price_has_none(catalogue: Catalogue) -> None:
    usage = expected_usage(size_of(PROMPT), 0, "generateContent", is_compressed=False)
    priced, _ = expected_quote(
        catalogue,
        usage,
        model="gemini-9",
        model_version=None,
        at=AT,
        tier="standard",
        action="generateContent",
    )
    assert priced.cost_pico is None
