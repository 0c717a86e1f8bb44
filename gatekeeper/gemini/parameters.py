"""Which query parameters and headers may come with a call that costs money.

Some take the usage out of an answer (`fields`), change its form (`alt=proto`) or make another method of the
request (`$httpMethod`): https://cloud.google.com/apis/docs/system-parameters. Which further spellings of them
a server takes nobody outside knows. So on a call that costs money a parameter passes only if its name is
known, to the letter, and its value is of the kind that the name takes; Google itself answers 400 to a
parameter that the method does not have. Headers are too many to be listed: there the ones that do harm are
known, in all their forms.
"""

from __future__ import annotations

import re
from typing import NamedTuple
from urllib.parse import unquote_plus

from gatekeeper.gemini.spelling import letters, shown

# Values. None holds a separator, so that no further parameter hides behind one.
ALT = re.compile(r"|json|sse|json; ?enum-encoding=int")  # the forms that leave the usage in the answer
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
ROUNDS = 5  # of percent-decoding; whoever encodes more often has something to hide

# The same of headers: what they are called without punctuation.
PUNCTUATION = b"-_.!#$%&'*+^`|~"
OVERRIDING_HEADER = re.compile(
    rb"methodoverride|http(?:method|verb)|(?:original|rewrite)(?:method|path|ur[il])"
)
HARMFUL_HEADER = re.compile(OVERRIDING_HEADER.pattern + rb"|fieldmask")
OF_PROXIES = frozenset({b"x-envoy-original-path"})  # of one in front that rewrites paths; they stay here
WORDS = (b"method", b"mask", b"verb", b"original", b"rewrite")  # one of them is in each; faster to look for
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
    plain, more, _ = f"{name}={value}".partition("&")  # behind it may be a key in the wrong place
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
