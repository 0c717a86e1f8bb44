"""How the path of a call that costs money may be spelt: as Google's reference does, and in no other way.

Google decodes a path before it routes it, so `%3A`, `//` and `..` are other spellings of a route, and nobody
outside knows what else a server of its own folds: case, matrix parameters (`;x=y`), dots at an end, fullwidth
letters. What folds to a name of Google's without being it would be an action that no table knows, and go
unmetered. So it is refused, whatever Google would make of it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from urllib.parse import unquote

LONGEST = 2000  # bytes of a path; none of Google's comes near it

# The whole of a costly path: segments, and a verb behind the last one. A segment does not end in a dot.
CLEAN = re.compile(r"(?:/[\w.@~+$-]*[\w@~+$-])+(?::[A-Za-z]+)?", re.ASCII)
# A name that may stand in the ledger as (part of) an action though no table knows it.
NAME = re.compile(r"[a-z][A-Za-z_]{0,49}")
VERSION = re.compile(r"v\d+[a-z0-9]*")


def plain_path(path: bytes) -> str | None:
    """The path as Google reads it: decoded until it holds still, without empty and dot segments. None where
    its `..` lead above its root, and so out of an upstream's own prefix."""
    text = path.decode("latin-1")
    while (decoded := unquote(text, errors="replace")) != text:
        text = decoded
    kept: list[str] = []
    for segment in text.replace("\\", "/").split("/"):
        if segment == "..":
            if not kept:
                return None
            kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def fold(name: str) -> str:
    """What is left of a name without case, width, matrix parameters and everything that is no letter or
    digit. Names that fold to the same are spellings of each other."""
    return letters(unicodedata.normalize("NFKC", name).partition(";")[0])


def letters(text: str) -> str:
    """The ASCII letters and digits of a text, in lower case; those of other widths count as theirs."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isascii() and character.isalnum())


def shown(name: str, longest: int) -> str:
    """A client's word as a message may repeat it, so many characters of it: it may be a secret in the wrong
    place, or written to look like something else."""
    text = name if len(name) <= longest else name[: longest // 2] + "…"
    return f"`{text}`" if text.isprintable() else repr(text)


class Names:
    """Google's own names. `metered` are the actions whose cost is in the usage of their answers: an unknown
    path that holds one of them, even as a part of a longer word, is a spelling of it."""

    def __init__(self, *, metered: AbstractSet[str], others: AbstractSet[str]) -> None:
        self._others = others
        self._by_fold = {fold(name): name for name in metered | others}
        longest_first = sorted(map(fold, metered), key=len, reverse=True)
        self._metered = re.compile("|".join(longest_first))

    def taken_for(self, path: str) -> tuple[str, str] | None:
        """What of a path that no table knows could be taken for one of the names, and that name."""
        unknown = [part for part in re.split(r"[/:]", path) if part not in self._others]
        for part in unknown:
            if meant := self._by_fold.get(fold(part)):
                return part, meant
        found = self._metered.search(letters("".join(unknown)))
        return (path, self._by_fold[found[0]]) if found else None
