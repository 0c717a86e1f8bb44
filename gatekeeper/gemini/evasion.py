"""Detects requests that could evade metering: a billable call must be spelled exactly as in Google's
reference.

Path. Google decodes a path before it routes it, so `%3A`, `//` and `..` are other spellings of a route. What
else its servers normalize (case, matrix parameters like `;x=y`, trailing dots, fullwidth letters) is
undocumented. A name that only resembles one of Google's would be an unknown action, and go unmetered. So it
is rejected, however Google would treat it.

Query and headers. Some remove the usage from a response (`fields`), change its format (`alt=proto`) or
override the method (`$httpMethod`): https://cloud.google.com/apis/docs/system-parameters. Which other
spellings of them Google accepts is undocumented. So a billable call may only have parameters whose exact name
is in an allow-list and whose value is valid for that name; Google itself responds 400 to a parameter that the
method does not have. Headers are too many for an allow-list: the harmful ones are on a deny-list, in all
their variants.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote, unquote_plus

# Bytes; Google's paths are far shorter.
MAX_PATH_LENGTH = 2000

# The whole path of a billable call: segments, and a verb after the last one. A segment does not end in a dot.
CANONICAL_PATH = re.compile(r"(?:/[\w.@~+$-]*[\w@~+$-])+(?::[A-Za-z]+)?", re.ASCII)
# An unknown name that the ledger accepts as (part of) an action.
ACTION_NAME = re.compile(r"[a-z][A-Za-z_]{0,49}")
VERSION = re.compile(r"v\d+[a-z0-9]*")


def normalized_path(path: bytes) -> str | None:
    """The path as Google reads it: percent-decoded until it no longer changes, without empty and dot
    segments. None if its `..` lead above the root, and so out of the upstream's path prefix."""
    # Latin-1 decodes every byte, so this cannot raise.
    text = path.decode("latin-1")
    # Repeatedly, because it is unknown whether a server decodes `%2565` once or twice.
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


def canonical_name(name: str) -> str:
    """The name folded to lower-case ASCII letters and digits, without matrix parameters. Names with the same
    canonical name are spellings of each other."""
    return alphanumerics(unicodedata.normalize("NFKC", name).partition(";")[0])


def alphanumerics(text: str) -> str:
    """The ASCII letters and digits of a text, in lower case; those of other widths are converted to ASCII."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return "".join(character for character in folded if character.isascii() and character.isalnum())


def quoted_excerpt(name: str, longest: int) -> str:
    """Client input quoted for a message, at most `longest` characters of it: it may be a misplaced secret, or
    contain characters that imitate others."""
    text = name if len(name) <= longest else name[: longest // 2] + "…"
    return f"`{text}`" if text.isprintable() else repr(text)


class KnownNames:
    """Google's own names. `metered` are the actions whose responses report their usage: an unknown path that
    contains one of them, even as part of a longer word, is a spelling of it."""

    def __init__(self, *, metered: AbstractSet[str], others: AbstractSet[str]) -> None:
        self._others = others
        self._by_canonical = {canonical_name(name): name for name in metered | others}
        # An alternation takes the first match, so a name must come after longer ones that begin with it.
        longest_first = sorted(map(canonical_name, metered), key=len, reverse=True)
        self._metered = re.compile("|".join(longest_first))

    def spelling_of(self, word: str) -> str | None:
        """The name that the word is a spelling of."""
        return self._by_canonical.get(canonical_name(word))

    def lookalike_of(self, path: str) -> tuple[str, str] | None:
        """The part of an unknown path that could be taken for one of the names, and that name."""
        unknown = [part for part in re.split(r"[/:]", path) if part not in self._others]
        for part in unknown:
            if known := self._by_canonical.get(canonical_name(part)):
                return part, known
        found = self._metered.search(alphanumerics("".join(unknown)))
        return (path, self._by_canonical[found[0]]) if found else None


# Allowed values. None contains a separator, so that it cannot contain another parameter. The formats of a
# response that include the usage
ALT = re.compile(r"|json|sse|json; ?enum-encoding=int")
SWITCH = re.compile(r"|true|false|0|1")
TEXT = re.compile(r"[\w .:@/+~*$-]*=*")
LIST = re.compile(r"[\w.,*]*")
ALLOWED_VALUES = {ALT: "json, sse or json;enum-encoding=int", SWITCH: "true or false"}

# The standard parameters of Google's discovery documents, except credentials (already removed) and those that
# could hide usage; then the parameters of single methods.
ALLOWED_PARAMETERS: dict[str, re.Pattern[str]] = {
    "alt": ALT, "$alt": ALT, "prettyPrint": SWITCH, "$prettyPrint": SWITCH,
    "quotaUser": TEXT, "userIp": TEXT, "uploadType": TEXT, "upload_protocol": TEXT, "$.xgafv": TEXT,
    "upload_id": TEXT, "updateMask": LIST, "update_mask": LIST, "pageSize": TEXT, "pageToken": TEXT,
    "overwrite": SWITCH, "extract": SWITCH,
}  # fmt: skip
ALLOWED_SPELLINGS = {name.encode(): pattern for name, pattern in ALLOWED_PARAMETERS.items()} | {
    name.replace("$", "%24").encode(): pattern for name, pattern in ALLOWED_PARAMETERS.items()
}
SAFE_QUERIES = frozenset({b"", b"alt=sse"})

# Harmful names, as canonical names.
METHOD_OVERRIDE = re.compile(r"\Amethod\Z|httpmethod|methodoverride|httpheaders")
FIELD_MASK = re.compile(r"\Afields|fieldmask|callback|\Act\Z")
SEPARATORS = re.compile(r"[&;?#|,\s\x00-\x1f]+")
MAX_SHOWN_NAME, MAX_SHOWN_WORD = 40, 15  # characters of a name that a message quotes
# Rounds of percent-decoding; a path that needs more is treated as an attempt at evasion.
MAX_DECODE_ROUNDS = 5

# The harmful headers, without punctuation.
PUNCTUATION = b"-_.!#$%&'*+^`|~"
METHOD_OVERRIDE_HEADER = re.compile(
    rb"methodoverride|http(?:method|verb)|(?:original|rewrite)(?:method|path|ur[il])"
)
RISKY_HEADER = re.compile(METHOD_OVERRIDE_HEADER.pattern + rb"|fieldmask")
# Headers of a reverse proxy that rewrites paths; they are not sent upstream.
PROXY_REWRITE_HEADERS = frozenset({b"x-envoy-original-path"})
# Every harmful header name contains one of these; the search for them is the fast path.
HEADER_HINTS = (b"method", b"mask", b"verb", b"original", b"rewrite")
UNSUPPORTED_MEDIA_TYPE = re.compile(rb"proto|grpc", re.IGNORECASE)  # in `content-type` or `accept`


class MeteringRisk(NamedTuple):
    """Something in a request that a billable call must not contain. `overrides_method`: it changes the method
    of the request, so that a free call may in fact be a billable one."""

    overrides_method: bool
    rejection: str


def disallowed_parameter(query: bytes) -> str | None:
    """Why a billable call must not have this query, or None."""
    if query in SAFE_QUERIES:
        return None
    for pair in filter(None, query.split(b"&")):
        raw_name, equals, raw_value = pair.partition(b"=")
        name, value = _decoded(raw_name), _decoded(raw_value)
        pattern = ALLOWED_SPELLINGS.get(raw_name)
        if pattern is None:
            # A name without a value may be a misplaced API key.
            shown = quoted_excerpt(name, MAX_SHOWN_NAME if equals else MAX_SHOWN_WORD)
            return (
                f"{shown} is none of the query parameters of a call with a cost: those are "
                f"{', '.join(ALLOWED_PARAMETERS)}, in exactly this spelling"
            )
        if not pattern.fullmatch(value):
            return _bad_value_message(name, value, pattern)
    return None


def _bad_value_message(name: str, value: str, pattern: re.Pattern[str]) -> str:
    if pattern not in ALLOWED_VALUES:
        shown = quoted_excerpt(name, MAX_SHOWN_NAME)
        return f"the value of {shown} contains characters that could hide another parameter"
    # The text after an `&` may be a misplaced API key.
    plain, more, _ = f"{name}={value}".partition("&")
    shown = quoted_excerpt(plain + (more and "&…"), MAX_SHOWN_NAME)
    return f"{shown} could keep the call from being metered: it takes {ALLOWED_VALUES[pattern]}"


def query_risk(query: bytes) -> MeteringRisk | None:
    """The parameter, in any spelling, that overrides the method or else hides usage; None if there is
    none."""
    if query in SAFE_QUERIES:
        return None
    text = query.decode("latin-1")
    for _ in range(MAX_DECODE_ROUNDS):
        text, before = unquote_plus(text), text
        if text == before:
            break
    else:
        return MeteringRisk(overrides_method=True, rejection="the query is percent-encoded too many times")
    # `=fields=x` counts as `fields`: which spellings Google accepts is undocumented.
    pairs = [piece.lstrip("=").partition("=")[::2] for piece in SEPARATORS.split(text)]
    named = [(name, alphanumerics(name), value) for name, value in pairs]
    for name, folded, _ in named:
        if METHOD_OVERRIDE.search(folded):
            return MeteringRisk(overrides_method=True, rejection=_risk_message(name))
    for name, folded, value in named:
        if FIELD_MASK.search(folded) or (folded == "alt" and not ALT.fullmatch(value)):
            return MeteringRisk(overrides_method=False, rejection=_risk_message(name))
    return None


def header_risk(names: AbstractSet[bytes], media_types: bytes) -> MeteringRisk | None:
    """As `query_risk`, for header names (in lower case) and for the values of `content-type` and `accept`."""
    return _header_risk(tuple(names), media_types)


# The requests of one client have the same names.
@lru_cache(maxsize=64)
def _header_risk(names: tuple[bytes, ...], media_types: bytes) -> MeteringRisk | None:
    joined = b"\n".join(names).translate(None, PUNCTUATION)
    if [word for word in HEADER_HINTS if word in joined] and RISKY_HEADER.search(joined):
        plain = {name: name.translate(None, PUNCTUATION) for name in sorted({*names} - PROXY_REWRITE_HEADERS)}
        risks = [
            MeteringRisk(bool(METHOD_OVERRIDE_HEADER.search(text)), _risk_message(name.decode("latin-1")))
            for name, text in plain.items()
            if RISKY_HEADER.search(text)
        ]
        if risks:
            # The most serious: True is more than False, and `overrides_method` is compared first.
            return max(risks)
    if UNSUPPORTED_MEDIA_TYPE.search(media_types):
        return MeteringRisk(overrides_method=False, rejection="billable calls must use JSON, not protobuf")
    return None


def _risk_message(name: str) -> str:
    return f"{quoted_excerpt(name, MAX_SHOWN_NAME)} could keep the call from being metered: leave it out"


def _decoded(raw: bytes) -> str:
    return unquote_plus(raw.decode("latin-1"))
