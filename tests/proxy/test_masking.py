"""Mask: no spelling of a key gets through, whole or in pieces, and nothing else changes."""

from __future__ import annotations

import html
import json
from itertools import pairwise
from urllib.parse import quote

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.proxy.upstream_response import KeyMasker, MaskedStream

KEYS = ("AIzaSy-first_Key.of/tests", "AQ.second&Key+of=tests")
MASK = KeyMasker(KEYS)

SPELLINGS = {
    "plain": str,
    "percent-encoded where it must be": lambda key: quote(key, safe=""),
    "percent-encoded": lambda key: "".join(f"%{ord(c):02X}" for c in key),
    "percent-encoded in small letters": lambda key: "".join(f"%{ord(c):02x}" for c in key),
    "JSON": lambda key: json.dumps(key)[1:-1].replace("=", "\\u003d").replace("&", "\\u0026"),
    "JSON, all escaped": lambda key: "".join(f"\\u{ord(c):04X}" for c in key),
    "HTML": lambda key: html.escape(key).replace("&amp;", "&#38;"),
    "HTML in hexadecimal": lambda key: "".join(f"&#x{ord(c):x};" for c in key),
}


@cases("spelling", SPELLINGS.values())
@cases("key", KEYS)
def test_no_spelling_of_a_key_gets_through(spelling, key: str) -> None:
    spelt = spelling(key)
    for around in (b"%b", b"x%b\n", b"https://x/?key=%b&alt=sse", b"{%b}{%b}%%"):
        count = around.count(b"%b")
        text = around % ((spelt.encode(),) * count)
        assert MASK(text) == around % ((b"*" * len(spelt),) * count)


def test_all_else_stays() -> None:
    for text in (b"", KEYS[0][:-1].encode(), KEYS[0].lower().encode(), b"100 %\\&", b"\xff\x00"):
        assert MASK(text) == text
    assert KeyMasker(())(KEYS[0].encode()) == KEYS[0].encode()
    assert KeyMasker(()).overlap_bytes == 0


def test_headers_and_texts() -> None:
    headers = [(b"etag", f'"{KEYS[1]}"'.encode()), (b"vary", b"Origin")]
    assert MASK.headers(headers) == [(b"etag", b'"' + b"*" * len(KEYS[1]) + b'"'), (b"vary", b"Origin")]
    assert MASK.headers(headers[1:]) == headers[1:]
    assert MASK.text(None) is None
    assert MASK.text(f"Zürich {KEYS[0]} \ud800") == f"Zürich {'*' * len(KEYS[0])} \ud800"


PIECE = st.sampled_from([spelling(key) for spelling in SPELLINGS.values() for key in KEYS]) | st.text(
    "AIza%\\&#x;u0", max_size=6
)


@given(st.lists(PIECE, max_size=8), st.lists(st.integers(0, 10**4), max_size=10))
def test_any_cut_hides_as_much_as_none(pieces: list[str], at: list[int]) -> None:
    body = "".join(pieces).encode()
    edges = [0, *sorted(place % (len(body) + 1) for place in at), len(body)]
    stream = MaskedStream(MASK)
    masked = b"".join(stream.feed(body[start:end]) for start, end in pairwise(edges)) + stream.finish()
    assert len(masked) == len(body)
    assert not any(spelling(key).encode() in masked for spelling in SPELLINGS.values() for key in KEYS)
    assert masked == MASK(body)
