"""The known word that a mistyped one most likely means. Every "did you mean" asks here: of commands, options,
choices, settings, fields, names of keys, models. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that resembles it most, whatever the case; None where none does."""
    # Imported here: it is needed for errors only, and `gatekeeper --help` does without.
    from difflib import get_close_matches

    by_lower_case = {name.lower(): name for name in known}
    found = get_close_matches(word.lower(), by_lower_case, n=1)
    return by_lower_case[found[0]] if found else None


def did_you_mean(word: str, known: Iterable[str], otherwise: str = "", quote: str = "") -> str:
    """The question for an error message, `otherwise` where no known word resembles it."""
    near = nearest(word, known)
    return otherwise if near is None else f"did you mean {quote}{near}{quote}?"
