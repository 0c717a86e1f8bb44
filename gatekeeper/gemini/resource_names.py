"""Resource names in Google's format: `files/x`, `fileSearchStores/s/documents/d`. Which resource a path, a
response document or a file URI names, and which resource decides on the ownership of another.

- A path names the longest run of `collection/id` pairs in it (AIP-122), without the custom verb; so a call on
  a nested collection names its parent, a call on a top-level collection names nothing. A model does not count
  as a resource here (a call has it as its model).
- A nested resource (a document of a store, an operation of a tuned model, an execution of a trigger) has the
  owner of its parent. Models and prebuilt resources have no owner.
- Most documents have their full `name`; that of an upload is in its `file`. Interactions, webhooks, triggers
  and similar resources, and OpenAI-style batches, files and videos, have an `id` within their collection
  instead. The id of a model response does not name a resource, so an id counts only if the call's action is
  on such a collection.
- The host of a file URI is ignored: which hosts Google accepts is undocumented, and a file on another server
  seldom has a path like `/v1beta/files/x`.

The `name` of an ephemeral token is the token itself: it does not count as a resource name, and
`recorded_path` removes it from the path in the ledger.
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

# The characters of Google's ids; anything else is arbitrary client input, which must not become a column
# value.
_PATH_NAME = re.compile(r"[a-z][A-Za-z_]{0,49}(?:/[\w.@~+$-]+)+", re.ASCII)
# Names that are not pairs: operations, and files in an environment, may have any number of segments.
_NO_PAIRS = re.compile(r"(?:operations|environments/[^/]+/files)/.+|[^/]+/[^/]+/upload/operations/[^/]+")
_EPHEMERAL_TOKEN = re.compile(r"(?:\A|/)auth_?tokens?(?:/.*)?\Z", re.IGNORECASE)
# Resources in these collections are Google's own, except for the operations that a call starts.
_MODELS = ("models", "dynamic")
# In OpenAI's reference these collections take an id in the path; the id may be a resource name of Google's
# (`openai/batches/batches/b`, `openai/videos/models/m/operations/o`).
_OPENAI_COLLECTIONS = frozenset({"batches", "files", "videos"})

# For ownership. After these, OpenAI's clients may write a full resource name: `openai/batches/batches/b`.
_WHOLE_NAMES = frozenset({"batches", "files", "models"})
_PATH = re.compile(r"/(?:(?:resumable/)?upload/)?(?:download/)?v\d+[a-z0-9]*/(.+)", re.DOTALL)
# The characters of Google's ids. Anything else might be read as another name.
_CANONICAL_NAME = re.compile(r"[A-Za-z][A-Za-z_]{0,49}(?:/(?!\.+(?:/|\Z))[\w.@~+$=-]+)+", re.ASCII)
_DOTS = frozenset({".", ".."})

# Collections whose resources have an `id`. If they have a `name`, it is free text.
COLLECTIONS_WITH_IDS = frozenset(
    {
        "agents", "batches", "credentials", "environments", "files", "interactions", "triggers", "videos",
        "voices", "webhooks",
    }
)  # fmt: skip

# At most as long as the ledger's column, because the whole name is compared.
_DOCUMENT_NAME = re.compile(
    r"(?!(?i:auth_?tokens?/))[A-Za-z][A-Za-z_]{1,39}(?:/[\w.~:@%+=-]{1,200}){1,7}", re.ASCII
)
_MAX_NAME = 256

MAX_URI = 1024  # characters of a URI that are parsed
_MAX_ROUNDS = 5  # of percent-decoding
# Alone, or after a version: `https://host/gemini/v1beta/files/x:download`.
_FILE = re.compile(r"(?:\A\s*/*|/v\d\w*/+)files/+([^/:?#&\s]+)", re.IGNORECASE | re.ASCII)
_DOT_SEGMENT = re.compile(r"/\.(?=/)")
_UP = "/../"
# Signed URLs of other servers are long, and so are `data:` URLs.
_ELSEWHERE = re.compile(r"(?:data:|gs://|https?://(?![^/?#]*generativelanguage))", re.IGNORECASE)

# For the path in the ledger
_MAYBE_SECRET = re.compile(rb"auth|%|key=|aiza|sk-|aq\.|token=", re.IGNORECASE)
# An ephemeral token; a misplaced query parameter; text that looks like a key.
_SECRET = re.compile(
    r"((?i:auth\W?_?\W?tokens?/)(?=.)).+|((?i:(?:key|token)=))[^/&;]+"
    r"|(?:AIza|(?<![A-Za-z])(?:sk-|AQ\.))[\w.~+=-]{16,}"
)


def resource_in_path(path: str) -> str | None:
    """The resource name in a path, which begins after the version and is percent-decoded."""
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
    """The resource whose owner decides on access to a path; None if the path has no owned one.
    `is_ambiguous`: the path may name an owned resource, but different parsers would read it differently."""

    name: str | None
    is_ambiguous: bool = False


NO_RESOURCE = OwnedResource(None)
AMBIGUOUS = OwnedResource(None, is_ambiguous=True)


def owned_resource(resource: str) -> str | None:
    """The resource whose owner applies to a resource: `fileSearchStores/s` for
    `fileSearchStores/s/documents/d`. An operation of a model or of no parent (`operations/o`,
    `models/m/operations/o`) has an owner itself. `generatedFiles/x` has that of `files/x`. None if the
    resource has no owner."""
    segments = resource.split("/")
    if len(segments) < 2 or not all(segments):
        return None
    if segments[0] in _MODELS:
        return resource if segments[2:3] == ["operations"] and len(segments) > 3 else None
    if segments[0] == "generatedFiles":
        return f"files/{segments[1]}"
    return resource if segments[0] == "operations" else "/".join(segments[:2])


def is_canonical(name: str) -> bool:
    """Whether the name of an owned resource has Google's format."""
    return _CANONICAL_NAME.fullmatch(name) is not None


# Bounded, because clients choose the paths.
@lru_cache(maxsize=4096)
def owned_resource_in_path(path: bytes) -> OwnedResource:
    """The owned resource of a request's path; `path` is as the client sent it, after `/gemini`."""
    found = _PATH.fullmatch(normalized_path(path) or "")
    if found is None:
        return NO_RESOURCE
    name = found[1].partition(":")[0]
    if name.startswith("openai/"):
        name = _owned_openai_name(name.removeprefix("openai/"))
    # A tuned model in place of a base model.
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
    """Whether parsers may disagree on the segments of a path: it is double-encoded, or has `..`."""
    text = unquote(path.decode("latin-1"))
    return "%" in text or "\\" in text or not _DOTS.isdisjoint(text.split("/"))


def collection_of(action: str | None) -> str | None:
    """The collection of the `id` in an action's response: `interactions` for `interactions.create`, `batches`
    for `openai.batches`. None if its responses have no such id."""
    name = (action or "").removeprefix("openai.").partition(".")[0]
    return name if name in COLLECTIONS_WITH_IDS and (action or "").count(".") == 1 else None


def resource_in_document(
    collection: str | None, name: object, identifier: object, file: object
) -> str | None:
    """The resource name of a document with these members; None if it is not in Google's format."""
    found = as_text((as_object(file) or {}).get("name"))
    if found is None and collection and (own := as_text(identifier)):
        found = own if "/" in own else f"{collection}/{own}"
    return _checked(found or as_text(name))


def other_resources(environment: object, files: list[RegisteredFile] | None) -> Iterator[str]:
    """Other resources in a document: the environment of an interaction, by its id, and registered files."""
    own = as_text(environment)
    for name in (own and f"environments/{own}", *(as_text(file.name) for file in files or ())):
        if checked := _checked(name):
            yield checked


def _checked(name: str | None) -> str | None:
    return name if name and len(name) <= _MAX_NAME and _DOCUMENT_NAME.fullmatch(name) else None


def file_of(uri: str, *, is_cut: bool = False) -> str | None:
    """`files/x` for any URI that might be read as that; None if it is not a file of Google's. The rest of a
    truncated URI may name a file, and a URI with `..` may name several: for these a name is returned that no
    file has."""
    text = uri[:MAX_URI]
    for _ in range(_MAX_ROUNDS):
        if (decoded := unquote(text)) == text:
            break
        text = decoded
    text = _DOT_SEGMENT.sub("", text.replace("\\", "/"))
    found = _FILE.search(text)
    if _UP in text and (found or _FILE.search(normpath(text))):
        # Parsers may disagree on the file.
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
    # Fast path: most paths contain no secret.
    if _MAYBE_SECRET.search(path):
        plain = normalized_path(path) or ""
        if (found := _SECRET.sub(r"\1\2…", plain)) != plain:
            return found
    return path.decode("latin-1")
