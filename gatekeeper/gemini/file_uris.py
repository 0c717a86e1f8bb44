"""The file that a URI names: `files/x`, Google's own address of it, or the gateway's.

Whose host it is does not matter: it is not published which of them Google takes, and a file of another
server seldom has a path like `/v1beta/files/x`.
"""

from __future__ import annotations

import re
from posixpath import normpath
from urllib.parse import unquote

MAX_URI = 1024  # characters of a URI that are read
_MAX_ROUNDS = 5  # of percent-decoding
# By itself, or after a version: `https://host/gemini/v1beta/files/x:download`.
_FILE = re.compile(r"(?:\A\s*/*|/v\d\w*/+)files/+([^/:?#&\s]+)", re.IGNORECASE | re.ASCII)
_DOT_SEGMENT = re.compile(r"/\.(?=/)")
_UP = "/../"
# Signed addresses of other servers are long, and so is what stands in an address itself.
_ELSEWHERE = re.compile(r"(?:data:|gs://|https?://(?![^/?#]*generativelanguage))", re.IGNORECASE)


def file_of(uri: str, *, is_cut: bool = False) -> str | None:
    """`files/x` by any spelling that somebody could read as that; None for what is no file of Google's. Of a
    URI that was cut the rest may name one, and one with `..` may name several: what is returned then is no
    name of any file."""
    text = uri[:MAX_URI]
    for _ in range(_MAX_ROUNDS):
        if (decoded := unquote(text)) == text:
            break
        text = decoded
    text = _DOT_SEGMENT.sub("", text.replace("\\", "/"))
    found = _FILE.search(text)
    if _UP in text and (found or _FILE.search(normpath(text))):
        # Some would read one file, and some another.
        return "files/…"
    if found:
        return f"files/{found[1]}"
    return "files/…" if (is_cut or len(uri) > MAX_URI) and not _ELSEWHERE.match(uri) else None
