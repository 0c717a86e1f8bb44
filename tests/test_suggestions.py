"""What is suggested for a mistyped word."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rig.cases import cases

from gatekeeper.suggestions import did_you_mean, nearest

WORDS = ("keys", "calls", "Web-Frontend", "gemini-2.5-flash", "gemini-2.5-pro")


@cases(
    ("word", "expected"),
    [
        ("kyes", "keys"),
        ("KEYS", "keys"),
        ("web-fronted", "Web-Frontend"),
        ("gemini-2.5-flsh", "gemini-2.5-flash"),
        ("xyzzy", None),
        ("", None),
    ],
)
def test_the_nearest_known_word(word: str, expected: str | None) -> None:
    assert nearest(word, WORDS) == expected
    assert did_you_mean(word, WORDS, "none") == (f"did you mean {expected}?" if expected else "none")


@given(st.text(), st.lists(st.text()))
def test_only_known_words_are_suggested(word: str, known: list[str]) -> None:
    found = nearest(word, known)
    assert found is None or found in known
    assert nearest(word, []) is None
