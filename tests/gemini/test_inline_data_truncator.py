"""Abridger: long runs of base64 lose their rest, wherever the body is cut, and nothing else is lost."""

from __future__ import annotations

import re
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.gemini.inline_data import MAX_RUN_BYTES, InlineDataTruncator

LONG = re.compile(rb"([A-Za-z0-9+/=_-]{8})[A-Za-z0-9+/=_-]+")
OF_STRINGS = re.compile(rb'["\\\n\xff]')
PIECES = st.sampled_from([b"a", b"Zz09+/=-_", b"x" * 7, b"x" * 8, b"x" * 9, b'"', b"\\u0041", b"\n", b"\xff"])


@given(st.lists(PIECES, max_size=12), st.lists(st.integers(0, 200), max_size=12))
def test_any_cut_leaves_the_same(pieces: list[bytes], at: list[int]):
    body = b"".join(pieces)
    edges = [0, *sorted(place % (len(body) + 1) for place in at), len(body)]
    abridger = InlineDataTruncator(kept=8)
    parts = [abridger.feed(body[start:end]) for start, end in pairwise(edges)]
    assert b"".join(parts) == LONG.sub(rb"\1", body)


@given(st.lists(PIECES | st.just(b" "), max_size=12), st.integers(1, 30))
def test_text_behind_a_long_run_is_left_or_lost_with_it(pieces: list[bytes], step: int):
    body = b"".join(pieces)
    abridger = InlineDataTruncator(kept=8)
    left = b"".join(abridger.feed(body[at : at + step]) for at in range(0, len(body), step))
    assert OF_STRINGS.findall(left) == OF_STRINGS.findall(body)
    if not LONG.search(body):
        assert left == body


@cases("step", [1, 4096, 65536, 10**7])
def test_of_megabytes_little_is_left(step: int):
    body = b'{"data": "' + b"iVBORw0KGgo+/" * 20_000 + b'", "mimeType": "image/png"}'
    abridger = InlineDataTruncator()
    left = b"".join(abridger.feed(body[at : at + step]) for at in range(0, len(body), step))
    assert left == body[: MAX_RUN_BYTES + 10] + b'", "mimeType": "image/png"}'
