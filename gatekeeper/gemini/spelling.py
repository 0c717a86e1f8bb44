"""How a call that costs money may be spelt: as Google's reference does, and in no other way.

Path. Google decodes a path before it routes it, so `%3A`, `//` and `..` are other spellings of a route, and
nobody outside knows what else a server of its own folds: case, matrix parameters (`;x=y`), dots at an end,
fullwidth letters. What folds to a name of Google's without being it would be an action that no table knows,
and go unmetered. So it is refused, whatever Google would make of it.

Query and headers. Some take the usage out of an answer (`fields`), change its form (`alt=proto`) or make
another method of the request (`$httpMethod`): https://cloud.google.com/apis/docs/system-parameters. Which
further spellings of them a server takes nobody outside knows. So on a call that costs money a parameter
passes only if its name is known, to the letter, and its value is of the kind that the name takes; Google
itself answers 400 to a parameter that the method does not have. Headers are too many to be listed: there the
ones that do harm are known, in all their forms.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

# Bytes of a path; none of Google's comes near it
LONGEST = 2000

# The whole of a costly path: segments, and a verb behind the last one. A segment does not end in a dot.
CLEAN = re.compile(r"(?:/[\w.@~+$-]*[\w@~+$-])+(?::[A-Za-z]+)?", re.ASCII)
# A name that may stand in the ledger as (part of) an action though no table knows it.
NAME = re.compile(r"[a-z][A-Za-z_]{0,49}")
VERSION = re.compile(r"v\d+[a-z0-9]*")


def plain_path(path: bytes) -> str | None:
    """The path as Google reads it: decoded until it holds still, without empty and dot segments. None where
    its `..` lead above its root, and so out of an upstream's own prefix."""
    # Latin-1 takes every byte, so nothing raises here.
    text = path.decode("latin-1")
    # More than once, because whether a server decodes `%2565` once or twice cannot be known.
    while (decoded := unquote(text, errors="replace")) != text:
        text = decoded
    kept: list[str] = []
    # The WHATWG's URL standard reads a backslash as a slash.
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
        # An alternation takes the first that fits: no name is to hide a longer one that begins with it.
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


# Values. None holds a separator, so that no further parameter hides behind one.
# The forms that leave the usage in the answer
ALT = re.compile(r"|json|sse|json; ?enum-encoding=int")
SWITCH = re.compile(r"|true|false|0|1")
TEXT = re.compile(r"[\w .:@/+~*$-]*=*")
LIST = re.compile(r"[\w.,*]*")
TAKES = {ALT: "json, sse or json;enum-encoding=int", SWITCH: "true or false"}

# The standard parameters of Google's discovery documents, but the credentials (they do not get here) and
# those that this module is about; then those of single methods.
ALLOWED: dict[str, re.Pattern[str]] = {
    "alt": ALT, "$alt": ALT, "prettyPrint": SWITCH, "$prettyPrint": SWITCH,
    "quotaUser": TEXT, "userIp": TEXT, "uploadType": TEXT, "upload_protocol": TEXT, "$.xgafv": TEXT,
    "upload_id": TEXT, "updateMask": LIST, "update_mask": LIST, "pageSize": TEXT, "pageToken": TEXT,
    "overwrite": SWITCH, "extract": SWITCH,
}  # fmt: skip
BY_SPELLING = {name.encode(): pattern for name, pattern in ALLOWED.items()} | {
    name.replace("$", "%24").encode(): pattern for name, pattern in ALLOWED.items()
}
USUAL = frozenset({b"", b"alt=sse"})

# What is left of the names that do harm when only letters and digits are.
OVERRIDE = re.compile(r"\Amethod\Z|httpmethod|methodoverride|httpheaders")
MASK = re.compile(r"\Afields|fieldmask|callback|\Act\Z")
SEPARATORS = re.compile(r"[&;?#|,\s\x00-\x1f]+")
SHOWN, BARE = 40, 15  # characters of a name that a message repeats
# Of percent-decoding; whoever encodes more often has something to hide
ROUNDS = 5

# The same of headers: what they are called without punctuation.
PUNCTUATION = b"-_.!#$%&'*+^`|~"
OVERRIDING_HEADER = re.compile(
    rb"methodoverride|http(?:method|verb)|(?:original|rewrite)(?:method|path|ur[il])"
)
HARMFUL_HEADER = re.compile(OVERRIDING_HEADER.pattern + rb"|fieldmask")
# Of one in front that rewrites paths; they stay here
OF_PROXIES = frozenset({b"x-envoy-original-path"})
# One of them is in each; faster to look for
WORDS = (b"method", b"mask", b"verb", b"original", b"rewrite")
UNREADABLE_FORM = re.compile(rb"proto|grpc", re.IGNORECASE)  # in `content-type` or `accept`


class Oddity(NamedTuple):
    """Something in a request that may not come with a call that costs money. `overrides`: it makes the
    request another method's, so that a free one may be a costly one in truth."""

    overrides: bool
    objection: str


def unlisted(query: bytes) -> str | None:
    """Why a query may not come with a call that costs money, or None."""
    if query in USUAL:
        return None
    for pair in filter(None, query.split(b"&")):
        raw_name, equals, raw_value = pair.partition(b"=")
        name, value = _decoded(raw_name), _decoded(raw_value)
        pattern = BY_SPELLING.get(raw_name)
        if pattern is None:
            # A word without a value may be a key in the wrong place.
            known = f"{shown(name, SHOWN if equals else BARE)} is none of the query parameters"
            return f"{known} of a call with a cost: those are {', '.join(ALLOWED)}, spelt so"
        if not pattern.fullmatch(value):
            return _odd_value(name, value, pattern)
    return None


def _odd_value(name: str, value: str, pattern: re.Pattern[str]) -> str:
    if pattern not in TAKES:
        return f"the value of {shown(name, SHOWN)} holds characters that could hide another parameter"
    # Behind it may be a key in the wrong place
    plain, more, _ = f"{name}={value}".partition("&")
    told = shown(plain + (more and "&…"), SHOWN)
    return f"{told} could keep the call from being metered: it takes {TAKES[pattern]}"


def masking_parameter(query: bytes) -> Oddity | None:
    """What in a query, in whatever spelling, hides usage or stands for another method: the latter first."""
    if query in USUAL:
        return None
    text = query.decode("latin-1")
    for _ in range(ROUNDS):
        text, before = unquote_plus(text), text
        if text == before:
            break
    else:
        return Oddity(overrides=True, objection="the query is percent-encoded too many times")
    pairs = [piece.lstrip("=").partition("=")[::2] for piece in SEPARATORS.split(text)]
    named = [(name, letters(name), value) for name, value in pairs]
    for name, folded, _ in named:
        if OVERRIDE.search(folded):
            return Oddity(overrides=True, objection=_hides(name))
    for name, folded, value in named:
        if MASK.search(folded) or (folded == "alt" and not ALT.fullmatch(value)):
            return Oddity(overrides=False, objection=_hides(name))
    return None


def masking_header(names: frozenset[bytes], forms: bytes) -> Oddity | None:
    """The same of header names (in lower case), and of `forms`: the values of `content-type` and `accept`."""
    joined = b"\n".join(names).translate(None, PUNCTUATION)
    if [word for word in WORDS if word in joined] and HARMFUL_HEADER.search(joined):
        plain = {name: name.translate(None, PUNCTUATION) for name in sorted(names - OF_PROXIES)}
        harmful = [
            Oddity(bool(OVERRIDING_HEADER.search(text)), _hides(name.decode("latin-1")))
            for name, text in plain.items()
            if HARMFUL_HEADER.search(text)
        ]
        if harmful:
            return max(harmful)
    if UNREADABLE_FORM.search(forms):
        return Oddity(overrides=False, objection="a call with a cost speaks JSON, not protobuf")
    return None


def _hides(name: str) -> str:
    return f"{shown(name, SHOWN)} could keep the call from being metered: leave it out"


def _decoded(raw: bytes) -> str:
    return unquote_plus(raw.decode("latin-1"))
