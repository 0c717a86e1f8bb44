"""What a row keeps of texts that are too long, and what it weighs at most."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.ledger.call import COLUMNS, CallRecord, memory_size, truncate_fields
from gatekeeper.ledger.journal_record import encode_end

TEXTS = [name for name, kind in COLUMNS.items() if kind == "VARCHAR" and name != "outcome"]
LONGEST = {
    "path": 2048, "user_id": 512, "user_agent": 512, "resource": 512, "error_message": 500, "usage_note": 500,
}  # fmt: skip


def a_call(**known: Any) -> CallRecord:
    return msgspec.structs.replace(CallRecord(id="1", started_at=1, method="POST", path="/"), **known)


@cases("name", TEXTS)
def test_a_text_is_cut_at_its_limit_and_says_so(name: str) -> None:
    limit = LONGEST.get(name, 256)
    whole, longer = a_call(**{name: "ü" * limit}), a_call(**{name: "ü" * (limit + 1)})
    truncate_fields(whole)
    truncate_fields(longer)
    assert getattr(whole, name) == "ü" * limit
    assert getattr(longer, name) == "ü" * (limit - 1) + "…"


@cases(
    ("tags", "kept"),
    [
        ([], []),
        (["a" * 128, "b" * 129], ["a" * 128, "b" * 127 + "…"]),
        (["c" * 129, "c" * 130], ["c" * 127 + "…"]),
        ([str(number) for number in range(64)], [str(number) for number in range(64)]),
        ([str(number) for number in range(65)], [*(str(number) for number in range(63)), "…"]),
    ],
    ids=["none", "long", "the same when cut", "64", "65"],
)
def test_tags_are_bounded_in_number_and_length(tags: list[str], kept: list[str]) -> None:
    call = a_call(tags=tags)
    truncate_fields(call)
    assert call.tags == kept


def test_a_usage_is_kept_whole_or_not_at_all_and_that_is_noted() -> None:
    fits, longer = (a_call(usage=msgspec.Raw(b'{"n":"' + b"x" * size + b'"}')) for size in (16376, 16377))
    truncate_fields(fits)
    truncate_fields(longer)
    assert (fits.usage is None, fits.usage_note) == (False, None)
    assert (longer.usage, longer.usage_note) == (None, "usage of 16,385 bytes was not kept")


@given(
    letter=st.sampled_from(["a", "ÿ", "ü", "…", "\U0001f600", "\x7f", '"']),
    lengths=st.lists(st.integers(0, 5000), min_size=len(TEXTS), max_size=len(TEXTS)),
    tags=st.lists(st.integers(0, 400), max_size=200),
)
def test_no_call_is_large_and_bounding_twice_changes_nothing(
    letter: str, lengths: list[int], tags: list[int]
) -> None:
    call = a_call(**{name: letter * length for name, length in zip(TEXTS, lengths, strict=True)})
    call.tags = [f"{number}{letter * length}" for number, length in enumerate(tags)]
    truncate_fields(call)
    once = msgspec.structs.replace(call)
    assert truncate_fields(call) == memory_size(call)
    assert call == once
    assert len(encode_end(call)) < 70_000
    assert memory_size(call) < 100_000
