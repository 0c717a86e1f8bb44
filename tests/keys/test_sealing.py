"""Page tokens of filtered lists: readable by nobody else, of use for one key and one list."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.keys.sealing import MAX_LENGTH, PageTokens

TOKENS = PageTokens("master-of-the-tests")
PLACE = "#1\0Cg9maWxlcy9i"


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_a_token_gives_back_what_was_sealed(place: str) -> None:
    sealed = TOKENS.seal(place, "key_1", "files")
    assert PageTokens("master-of-the-tests").unseal(sealed, "key_1", "files") == place
    assert sealed == TOKENS.seal(place, "key_1", "files")


def test_nothing_of_it_can_be_read() -> None:
    sealed = TOKENS.seal(PLACE, "key_1", "files")
    data = base64.urlsafe_b64decode(sealed + "==")
    assert b"files" not in data
    assert PLACE[3:] not in sealed


@cases(
    ("tokens", "scope"),
    [
        (TOKENS, ("key_2", "files")),
        (TOKENS, ("key_1", "batches")),
        (TOKENS, ("key_1files",)),
        (TOKENS, ("key_1", "fil", "es")),
        (PageTokens("another-master-key"), ("key_1", "files")),
    ],
)
def test_it_is_of_use_nowhere_else(tokens: PageTokens, scope: tuple[str, ...]) -> None:
    assert tokens.unseal(TOKENS.seal(PLACE, "key_1", "files"), *scope) is None


@given(st.text())
def test_no_other_text_is_one(text: str) -> None:
    assert TOKENS.unseal(text, "key_1", "files") is None


@given(st.integers(0), st.integers(1, 255))
def test_no_changed_token_is_one(at: int, change: int) -> None:
    data = bytearray(base64.urlsafe_b64decode(TOKENS.seal(PLACE, "key_1") + "=="))
    data[at % len(data)] ^= change
    assert TOKENS.unseal(base64.urlsafe_b64encode(data).decode(), "key_1") is None


def test_one_of_any_length_is_not_looked_at() -> None:
    assert TOKENS.unseal("A" * (MAX_LENGTH + 4), "key_1") is None
