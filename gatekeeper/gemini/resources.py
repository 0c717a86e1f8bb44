"""The resource that a path names, as Google writes it: `files/x`, `fileSearchStores/s/documents/d`.

A name is the longest run of `collection/id` pairs in the path (AIP-122), without the verb; so a call on a
nested collection names its parent, one on a collection none. Not names: a model (a call has it as its model),
and an ephemeral token, whose name is the secret itself.
"""

from __future__ import annotations

import re
from functools import lru_cache

from gatekeeper.gemini.evasion import normalized_path

# What an id of Google's consists of; anything else is a client's invention, which must not become a column.
_NAME = re.compile(r"[a-z][A-Za-z_]{0,49}(?:/[\w.@~+$-]+)+", re.ASCII)
# Names that are no pairs: an operation's may have any number of segments, a file's in an environment too.
_NO_PAIRS = re.compile(r"(?:operations|environments/[^/]+/files)/.+|[^/]+/[^/]+/upload/operations/[^/]+")
_TOKEN = re.compile(r"(?:\A|/)auth_?tokens?(?:/.*)?\Z", re.IGNORECASE)
_MAYBE_SECRET = re.compile(rb"auth|%|key=|aiza|sk-|aq\.|token=", re.IGNORECASE)
# An ephemeral token; a parameter behind the wrong sign; what looks like a key.
_SECRET = re.compile(
    r"((?i:auth\W?_?\W?tokens?/)(?=.)).+|((?i:(?:key|token)=))[^/&;]+"
    r"|(?:AIza|(?<![A-Za-z])(?:sk-|AQ\.))[\w.~+=-]{16,}"
)
_MODELS = ("models", "dynamic")
# OpenAI's reference has these collections with ids in the path; Google's own names are among the ids
# (`openai/batches/batches/b`, `openai/videos/models/m/operations/o`).
_OPENAI = frozenset({"batches", "files", "videos"})


def resource_name(path: str) -> str | None:
    """The resource that a path names; the path begins after the version and is percent-decoded."""
    name = _TOKEN.sub("", path.partition(":")[0])
    if name.startswith("openai/"):
        name = _openai_name(name.removeprefix("openai/"))
    if not _NAME.fullmatch(name):
        return None
    if _NO_PAIRS.fullmatch(name):
        return name
    segments = name.removesuffix("/upload/operations").split("/")
    pairs = segments[: len(segments) // 2 * 2]
    if pairs[:1] and pairs[0] in _MODELS and pairs[2:3] != ["operations"]:
        return None
    return "/".join(pairs) or None


# Bounded, because clients choose the paths.
@lru_cache(maxsize=1024)
def recorded_path(path: bytes) -> str:
    """The path for the ledger: without a fragment, which may contain a secret, without the name of an
    ephemeral token, in any spelling and wherever it is, and without a key (`…:generateContent&key=K`)."""
    path = path.partition(b"#")[0]
    # Most paths are seen to be without one here.
    if _MAYBE_SECRET.search(path):
        plain = normalized_path(path) or ""
        if (found := _SECRET.sub(r"\1\2…", plain)) != plain:
            return found
    return path.decode("latin-1")


def _openai_name(path: str) -> str:
    collection, _, ids = path.partition("/")
    if collection not in _OPENAI:
        return ""
    return ids if ids.startswith((f"{collection}/", "models/")) else path
