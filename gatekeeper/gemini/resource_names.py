"""Names of resources, as Google writes them: `files/x`, `fileSearchStores/s/documents/d`. Which one a path
names, which one a document of a response, which file a URI, and which resource has the owner.

- A path names the longest run of `collection/id` pairs in it (AIP-122), without the verb; so a call on a
  nested collection names its parent, one on a collection none. A model is no resource here (a call has it as
  its model).
- What is nested in a resource (a store's documents, an operation of a tuned model, a trigger's executions)
  belongs to whom that belongs. Models, and what Google makes for everybody, belong to nobody.
- Most documents say their whole `name`; an upload's is that of its `file`. Interactions, webhooks, triggers
  and their kin, and OpenAI-style batches, files and videos, say an `id` within their collection instead. The
  ids of model responses are none, so an id counts only where the call's action is one of such a collection.
- Whose host a file's URI has does not matter: it is not published which of them Google takes, and a file of
  another server seldom has a path like `/v1beta/files/x`.

The `name` of an ephemeral token is the token itself: it is never a resource's name here, and the path that
the ledger has is without it (`recorded_path`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from posixpath import normpath
from typing import NamedTuple
from urllib.parse import unquote

from gatekeeper.gemini.actions import OPENAI_ACTIONS
from gatekeeper.gemini.evasion import normalized_path
from gatekeeper.gemini.json_values import as_object, as_text
from gatekeeper.gemini.response_document import RegisteredFile

# What an id of Google's consists of; anything else is a client's invention, which must not become a column.
_PATH_NAME = re.compile(r"[a-z][A-Za-z_]{0,49}(?:/[\w.@~+$-]+)+", re.ASCII)
# Names that are no pairs: an operation's may have any number of segments, a file's in an environment too.
_NO_PAIRS = re.compile(r"(?:operations|environments/[^/]+/files)/.+|[^/]+/[^/]+/upload/operations/[^/]+")
_EPHEMERAL_TOKEN = re.compile(r"(?:\A|/)auth_?tokens?(?:/.*)?\Z", re.IGNORECASE)
# Their resources are Google's, but for the operations that a call begins.
_MODELS = ("models", "dynamic")
# OpenAI's reference has these collections with ids in the path; Google's own names are among the ids
# (`openai/batches/batches/b`, `openai/videos/models/m/operations/o`).
_OPENAI_COLLECTIONS = frozenset({"batches", "files", "videos"})

# Of owners. After these OpenAI's clients write a name as Google does: `openai/batches/batches/b`.
_WHOLE_NAMES = frozenset({"batches", "files", "models"})
_PATH = re.compile(r"/(?:(?:resumable/)?upload/)?(?:download/)?v\d+[a-z0-9]*/(.+)", re.DOTALL)
# What Google's ids consist of. Anything else could be read as another name by somebody.
_CANONICAL_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,49}(?:/(?!\.+(?:/|\Z))[\w.@~+$=-]+)+", re.ASCII)
_DOTS = frozenset({".", ".."})

# Collections whose resources have an `id`. `name`, where they have it, is free text.
COLLECTIONS_WITH_IDS = frozenset(
    {
        "agents", "batches", "credentials", "environments", "files", "interactions", "triggers", "videos",
        "voices", "webhooks",
    }
)  # fmt: skip

# At most as long as the ledger's column, which is compared as a whole.
_DOCUMENT_NAME = re.compile(
    r"(?!(?i:auth_?tokens?/))[A-Za-z][A-Za-z_]{1,39}(?:/[\w.~:@%+=-]{1,200}){1,7}", re.ASCII
)
_MAX_NAME = 256

MAX_URI = 1024  # characters of a URI that are read
_MAX_ROUNDS = 5  # of percent-decoding
# By itself, or after a version: `https://host/gemini/v1beta/files/x:download`.
_FILE = re.compile(r"(?:\A\s*/*|/v\d\w*/+)files/+([^/:?#&\s]+)", re.IGNORECASE | re.ASCII)
_DOT_SEGMENT = re.compile(r"/\.(?=/)")
_UP = "/../"
# Signed addresses of other servers are long, and so is what stands in an address itself.
_ELSEWHERE = re.compile(r"(?:data:|gs://|https?://(?![^/?#]*generativelanguage))", re.IGNORECASE)

# Of the path in the ledger
_MAYBE_SECRET = re.compile(rb"auth|%|key=|aiza|sk-|aq\.|token=", re.IGNORECASE)
# An ephemeral token; a parameter behind the wrong sign; what looks like a key.
_SECRET = re.compile(
    r"((?i:auth\W?_?\W?tokens?/)(?=.)).+|((?i:(?:key|token)=))[^/&;]+"
    r"|(?:AIza|(?<![A-Za-z])(?:sk-|AQ\.))[\w.~+=-]{16,}"
)


def resource_in_path(path: str) -> str | None:
    """The resource that a path names; the path begins after the version and is percent-decoded."""
    name = _EPHEMERAL_TOKEN.sub("", path.partition(":")[0])
    if name.startswith("openai/"):
        name = _recorded_openai_name(name.removeprefix("openai/"))
    if not _PATH_NAME.fullmatch(name):
        return None
    if _NO_PAIRS.fullmatch(name):
        return name
    segments = name.removesuffix("/upload/operations").split("/")
    pairs = segments[: len(segments) // 2 * 2]
    if pairs[:1] and pairs[0] in _MODELS and pairs[2:3] != ["operations"]:
        return None
    return "/".join(pairs) or None


def _recorded_openai_name(path: str) -> str:
    collection, _, ids = path.partition("/")
    if collection not in _OPENAI_COLLECTIONS:
        return ""
    return ids if ids.startswith((f"{collection}/", "models/")) else path


class OwnedResource(NamedTuple):
    """The resource whose owner decides on a path, if there is one. A path that `is_ambiguous` names something
    that may belong to somebody, but not in a way that all would read alike."""

    name: str | None
    is_ambiguous: bool = False


NO_RESOURCE = OwnedResource(None)
AMBIGUOUS = OwnedResource(None, is_ambiguous=True)


def owned_resource(resource: str) -> str | None:
    """The name of the resource whose owner a resource has: `fileSearchStores/s` for
    `fileSearchStores/s/documents/d`; an operation that is nested in nothing (`operations/o`,
    `models/m/operations/o`) is one itself. `generatedFiles/x` is what Google says of how `files/x` was made.
    None for what has no owner."""
    segments = resource.split("/")
    if len(segments) < 2 or not all(segments):
        return None
    if segments[0] in _MODELS:
        return resource if segments[2:3] == ["operations"] and len(segments) > 3 else None
    if segments[0] == "generatedFiles":
        return f"files/{segments[1]}"
    return resource if segments[0] == "operations" else "/".join(segments[:2])


def is_canonical(name: str) -> bool:
    """Whether the name of an owned resource is written as Google's are."""
    return _CANONICAL_NAME.fullmatch(name) is not None


# Bounded, because clients choose the paths.
@lru_cache(maxsize=4096)
def owned_resource_in_path(path: bytes) -> OwnedResource:
    """What the path of a request names; `path` as the client sent it, after `/gemini`."""
    found = _PATH.fullmatch(normalized_path(path) or "")
    if found is None:
        return NO_RESOURCE
    name = found[1].partition(":")[0]
    if name.startswith("openai/"):
        name = _owned_openai_name(name.removeprefix("openai/"))
    # A tuned model, where a base model is usual.
    owned = owned_resource(name.removeprefix("models/") if name.startswith("models/tunedModels/") else name)
    if owned is None:
        return NO_RESOURCE
    return OwnedResource(owned) if is_canonical(owned) and not _is_ambiguous(path) else AMBIGUOUS


def _owned_openai_name(path: str) -> str:
    collection, _, name = path.partition("/")
    if path in OPENAI_ACTIONS:
        return ""
    return name if name.partition("/")[0] in _WHOLE_NAMES and "/" in name and collection != "models" else path


def _is_ambiguous(path: bytes) -> bool:
    """Whether some would read other segments in a path than others: of two encodings, or of `..`."""
    text = unquote(path.decode("latin-1"))
    return "%" in text or "\\" in text or not _DOTS.isdisjoint(text.split("/"))


def collection_of(action: str | None) -> str | None:
    """The collection that an action's responses have ids of: `interactions.create` interactions,
    `openai.batches` batches. None for all others."""
    name = (action or "").removeprefix("openai.").partition(".")[0]
    return name if name in COLLECTIONS_WITH_IDS and (action or "").count(".") == 1 else None


def resource_in_document(
    collection: str | None, name: object, identifier: object, file: object
) -> str | None:
    """The resource of a document with these members. A name that is not in the form of Google's is none."""
    found = as_text((as_object(file) or {}).get("name"))
    if found is None and collection and (own := as_text(identifier)):
        found = own if "/" in own else f"{collection}/{own}"
    return _checked(found or as_text(name))


def other_resources(environment: object, files: list[RegisteredFile] | None) -> Iterator[str]:
    """What a document names beside its resource: the environment of an interaction, by its id, and registered
    files."""
    own = as_text(environment)
    for name in (own and f"environments/{own}", *(as_text(file.name) for file in files or ())):
        if checked := _checked(name):
            yield checked


def _checked(name: str | None) -> str | None:
    return name if name and len(name) <= _MAX_NAME and _DOCUMENT_NAME.fullmatch(name) else None


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
