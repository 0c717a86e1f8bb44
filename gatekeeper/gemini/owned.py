"""Which resource a name belongs to: the one that has an owner; and what a path names.

What is nested in a resource (a store's documents, an operation of a tuned model, a trigger's executions)
belongs to whom that belongs. Models, and what Google makes for everybody, belong to nobody.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import unquote

from gatekeeper.gemini.actions import OPENAI_ACTIONS
from gatekeeper.gemini.evasion import normalized_path

# Their resources are Google's, but for the operations that a call begins.
_MODELS = ("models", "dynamic")
# After these OpenAI's clients write a name as Google does: `openai/batches/batches/b`.
_WHOLE_NAMES = frozenset({"batches", "files", "models"})
_PATH = re.compile(r"/(?:(?:resumable/)?upload/)?(?:download/)?v\d+[a-z0-9]*/(.+)", re.DOTALL)
# What Google's ids consist of. Anything else could be read as another name by somebody.
_ROOT = re.compile(r"[A-Za-z][A-Za-z_]{0,49}(?:/(?!\.+(?:/|\Z))[\w.@~+$=-]+)+", re.ASCII)
_DOTS = frozenset({".", ".."})


class Named(NamedTuple):
    """What a path names: the `root` of a resource, if any. Unless it `is_clear` the path names something that
    may belong to somebody, but not in a way that all would read alike."""

    root: str | None
    is_clear: bool = True


NOTHING = Named(None)
UNCLEAR = Named(None, is_clear=False)


def root_of(resource: str) -> str | None:
    """`fileSearchStores/s` for `fileSearchStores/s/documents/d`; an operation that is nested in nothing
    (`operations/o`, `models/m/operations/o`) is one itself. `generatedFiles/x` is what Google says of how
    `files/x` was made. None for what has no owner."""
    segments = resource.split("/")
    if len(segments) < 2 or not all(segments):
        return None
    if segments[0] in _MODELS:
        return resource if segments[2:3] == ["operations"] and len(segments) > 3 else None
    if segments[0] == "generatedFiles":
        return f"files/{segments[1]}"
    return resource if segments[0] == "operations" else "/".join(segments[:2])


def is_canonical(root: str) -> bool:
    """Whether a root is written as Google's are."""
    return _ROOT.fullmatch(root) is not None


# Bounded, because clients choose the paths.
@lru_cache(maxsize=4096)
def named_in_path(path: bytes) -> Named:
    """What the path of a request names; `path` as the client sent it, after `/gemini`."""
    found = _PATH.fullmatch(normalized_path(path) or "")
    if found is None:
        return NOTHING
    name = found[1].partition(":")[0]
    if name.startswith("openai/"):
        name = _of_openai(name.removeprefix("openai/"))
    # A tuned model, where a base model is usual.
    root = root_of(name.removeprefix("models/") if name.startswith("models/tunedModels/") else name)
    if root is None:
        return NOTHING
    return Named(root) if is_canonical(root) and not _is_ambiguous(path) else UNCLEAR


def _of_openai(path: str) -> str:
    collection, _, name = path.partition("/")
    if path in OPENAI_ACTIONS:
        return ""
    return name if name.partition("/")[0] in _WHOLE_NAMES and "/" in name and collection != "models" else path


def _is_ambiguous(path: bytes) -> bool:
    """Whether some would read other segments in a path than others: of two encodings, or of `..`."""
    text = unquote(path.decode("latin-1"))
    return "%" in text or "\\" in text or not _DOTS.isdisjoint(text.split("/"))
