"""Which of Google's methods a request line names, whose model it is, and what the call may cost.

Everything here is a table look-up on the path; nothing fails. A path that no table knows is an action of
its own name (or none) whose cost is unknown, never one that is free by accident. Sources: Google's
discovery documents v1, v1beta, v1alpha and the transcoding rules of google.api.http
(https://github.com/googleapis/googleapis/blob/master/google/api/http.proto).

Two facts about spelling belong here as well. Google decodes a path before it routes it, so `%3A`, `//` and
`..` are other spellings of a route; and some query parameters and headers take the usage out of an answer or
make another method of the request (https://cloud.google.com/apis/docs/system-parameters). On routes that
cost money both are objected to, because a call that is spelt so would go unmetered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from enum import Enum
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

import msgspec


class Charge(Enum):
    """What a finished call of a route costs."""

    FREE = "free"  # nothing, and that is known
    METERED = "metered"  # what the usage in its answer says
    UNKNOWN = "unknown"  # something, but not what a usage says (or nobody knows)


class Route(msgspec.Struct, frozen=True):
    """A request line, understood. `action` and `model` are the ledger's columns."""

    action: str | None
    model: str | None = None
    charge: Charge = Charge.UNKNOWN
    stream: bool = False
    objection: str | None = None

    @property
    def billable(self) -> bool:
        return self.charge is not Charge.FREE


# `{models|tunedModels|dynamic}/{id}:{action}`; an action that is not here is billable and unknown.
MODEL_ACTIONS: dict[str, Charge] = {
    "generateContent": Charge.METERED,
    "streamGenerateContent": Charge.METERED,
    "embedContent": Charge.METERED,
    "batchEmbedContents": Charge.METERED,
    "generateAnswer": Charge.METERED,
    "countTokens": Charge.FREE,
    "countTextTokens": Charge.FREE,
    "countMessageTokens": Charge.FREE,
    "transferOwnership": Charge.FREE,
}

# Collections whose methods are free to call. The others cost something on create or by a custom verb, and
# so does a custom verb that is not known to be free, whatever its collection.
FREE_COLLECTIONS = frozenset(
    {
        "models", "files", "generatedFiles", "operations", "batches", "corpora", "tunedModels", "auth_tokens",
        "agents", "environments", "webhooks", "permissions", "documents", "chunks", "ragStores",
    }
)  # fmt: skip
COSTLY_COLLECTIONS = frozenset(
    {"cachedContents", "fileSearchStores", "interactions", "dynamic", "triggers", "executions"}
)
FREE_VERBS = frozenset(
    {
        "create", "update", "patch", "upload", "register",
        "download", "cancel", "query", "batchCreate", "batchUpdate",
        "batchDelete", "ping", "rotateSigningSecret", "updateEmbedContentBatch", "updateGenerateContentBatch",
    }
)  # fmt: skip

READING_VERBS = frozenset({"list", "get", "delete", "options"})

METHOD_VERBS = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PATCH": "patch", "PUT": "update"}
READS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})

VERSION = re.compile(r"v\d+[a-z0-9]*\Z")
UPLOADS = ("upload/", "resumable/upload/")
NOT_REST = ("batch", "google.", "$rpc/")

# The two kinds of resource paths that are not built by AIP-130, and how they would look if they were.
UNUSUAL = (
    (re.compile(r"/upload/operations(?=/|\Z)"), "/operations"),
    (re.compile(r"\A(interactions/[^/]+)/cancel\Z"), r"\1:cancel"),
)

LONGEST = 2000  # bytes of a path; none of Google's comes near it

# Values of `alt` and `$alt` that leave the usage in the answer.
METERED_ALTS = frozenset({"", "json", "sse", "json;enum-encoding=int"})
MASKING_PARAMETERS = frozenset(
    {"fields", "$fields", "callback", "$callback", "$ct", "$httpmethod", "$httpheaders"}
)
MASKING_HEADERS = frozenset({b"x-goog-fieldmask", b"x-http-method-override"})
OVERRIDES = frozenset({"x-http-method-override", "$httpmethod", "$httpheaders"})


def route(method: str, path: bytes, query: bytes, header_names: frozenset[bytes] = frozenset()) -> Route:
    """The route of a request. `path` and `query` are the bytes after `/gemini` (path with its slash);
    `header_names` are in lower case.

    A route with an `objection` costs money and is spelt so that it could not be metered: refuse it with the
    text of the objection.
    """
    if len(path) > LONGEST or b"#" in path:
        return Route(action=None, objection=f"a path has at most {LONGEST} bytes, and no `#`")
    known = _route(method, path)
    masks = _masks(query, header_names)
    if not (known.billable or OVERRIDES.isdisjoint(masks)):
        known = _route("POST", path)
    if known.objection or not (known.billable and masks):
        return known
    return msgspec.structs.replace(
        known, objection=f"`{masks[0]}` could keep the call from being metered: leave it out"
    )


def charge_of(action: str) -> Charge:
    """What calls of an action cost, by its name alone: `generateContent`, `files.list`."""
    *collections, verb = action.split(".")
    if not collections:
        return MODEL_ACTIONS.get(action, Charge.UNKNOWN)
    read = verb in READING_VERBS and (FREE_COLLECTIONS | COSTLY_COLLECTIONS).issuperset(collections)
    free = read or (verb in FREE_VERBS and FREE_COLLECTIONS.issuperset(collections))
    return Charge.FREE if free else Charge.UNKNOWN


@lru_cache(maxsize=4096)
def _route(method: str, path: bytes) -> Route:
    plain = _plain(path)
    known = _match(method, plain)
    if known.billable and plain.encode() != path:
        return msgspec.structs.replace(
            known, objection="the path must be spelt plainly: no percent-encoding, `//`, `.` or `..`"
        )
    return known


def _plain(path: bytes) -> str:
    """The path as Google reads it: decoded until it holds still, without empty and dot segments."""
    text = path.decode("latin-1")
    while (decoded := unquote(text, errors="replace")) != text:
        text = decoded
    kept: list[str] = []
    for segment in text.replace("\\", "/").split("/"):
        if segment == "..":
            kept = kept[:-1]
        elif segment not in ("", "."):
            kept.append(segment)
    return "/" + "/".join(kept)


def _match(method: str, plain: str) -> Route:
    rest = plain[1:]
    if rest.startswith("ws/"):
        return Route(action=rest.rpartition(".")[2] or None, stream=True)
    if rest.startswith(NOT_REST):
        return Route(
            action=None, objection="batch and gRPC paths are not relayed: call the REST method itself"
        )
    upload = next((prefix for prefix in UPLOADS if rest.startswith(prefix)), "")
    version, _, resource = rest.removeprefix(upload).removeprefix("download/").partition("/")
    if not VERSION.match(version) or not resource:
        return Route(action=None)
    if upload:
        return _upload(resource)
    if resource.startswith("openai/"):
        return _openai(method, resource.removeprefix("openai/"))
    for pattern, usual in UNUSUAL:
        resource = pattern.sub(usual, resource)
    return _model_action(resource) or _resource(method, resource)


def _model_action(resource: str) -> Route | None:
    name, colon, action = resource.partition(":")
    collection, _, model = name.partition("/")
    if not (colon and model and collection in ("models", "tunedModels", "dynamic")) or "/" in model + action:
        return None
    return Route(
        action=action,
        model=model if collection == "models" else name,
        charge=MODEL_ACTIONS.get(action, Charge.UNKNOWN),
        stream=action.startswith("stream"),
    )


def _upload(resource: str) -> Route:
    if resource == "files":
        return Route(action="files.upload", charge=Charge.FREE)
    name, _, verb = resource.partition(":")
    return Route(action=f"{name.partition('/')[0]}.{verb or 'upload'}")


def _openai(method: str, resource: str) -> Route:
    """OpenAI-style routes: `chat/completions` is openai.chat.completions, a read of `models/1` is
    openai.models.get."""
    if method not in READS:
        return Route(action="openai." + resource.replace("/", "."))
    read = _resource(method, resource)
    return Route(action=f"openai.{read.action}", model=read.model, charge=Charge.FREE)


def _resource(method: str, resource: str) -> Route:
    """`files` is files.list or files.create, `files/1` files.get, `a/1/b/2:verb` a.b.verb, by AIP-130."""
    name, _, verb = resource.partition(":")
    segments = name.split("/")
    collections = segments[::2]
    if not verb:
        verb = _verb(method, one=len(segments) % 2 == 0)
    model = segments[1] if collections[0] == "models" and len(segments) > 1 else None
    action = f"{'.'.join(collections)}.{verb}"
    return Route(action=action, model=model, charge=charge_of(action))


def _verb(method: str, *, one: bool) -> str:
    if method == "POST":
        return "create"
    if method in ("GET", "HEAD") and not one:
        return "list"
    return METHOD_VERBS.get(method, method.lower())


def _masks(query: bytes, header_names: frozenset[bytes]) -> list[str]:
    """What of the request could take the usage out of an answer, or stand for another method."""
    parameters = [] if query in (b"", b"alt=sse") else list(_masking_parameters(query))
    return parameters + sorted(name.decode() for name in header_names & MASKING_HEADERS)


def _masking_parameters(query: bytes) -> Iterator[str]:
    for pair in query.decode("latin-1").split("&"):
        name, _, value = pair.partition("=")
        name, value = unquote_plus(name).lower(), unquote_plus(value).lower()
        if name in MASKING_PARAMETERS:
            yield name
        elif name in ("alt", "$alt") and value.replace(" ", "") not in METERED_ALTS:
            yield f"{name}={value}"
