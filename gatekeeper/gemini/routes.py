"""Maps a request line to one of Google's methods, the model, and how the call is billed.

Everything here is a table look-up on the path; nothing raises. An unknown path gets an action named after it
(or None) whose cost is unknown, so it is never free by accident. Sources: Google's discovery documents v1,
v1beta, v1alpha and the transcoding rules of google.api.http
(https://github.com/googleapis/googleapis/blob/master/google/api/http.proto).

On billable routes any spelling but Google's own is rejected (`evasion`), because the call could go unmetered.
"""

from __future__ import annotations

import re
from collections.abc import Set as AbstractSet
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import (
    BATCHES,
    BILLABLE_NAMES,
    MODEL_ACTIONS,
    NAMES,
    OPENAI_ACTIONS,
    OPENAI_ONLY,
    Billing,
    billing_of,
)
from gatekeeper.gemini.evasion import (
    ACTION_NAME,
    CANONICAL_PATH,
    MAX_PATH_LENGTH,
    VERSION,
    canonical_name,
    disallowed_parameter,
    header_risk,
    normalized_path,
    query_risk,
    quoted_excerpt,
)
from gatekeeper.gemini.resource_names import resource_in_path


class Route(msgspec.Struct, frozen=True):
    """The method that a request calls. `action`, `model` and `resource` are columns of the ledger.
    `rejection` is the message if the request must be refused. `wrong_base_url`: the path is not one of
    Google's, so the client's base URL must be wrong. `upload`: the body is the content of a file."""

    action: str | None
    model: str | None = None
    billing: Billing = Billing.UNKNOWN
    stream: bool = False
    rejection: str | None = None
    wrong_base_url: bool = False
    resource: str | None = None
    upload: bool = False

    @property
    def billable(self) -> bool:
        return self.billing is not Billing.FREE


METHOD_VERBS = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PATCH": "patch", "PUT": "update"}
FREE_METHODS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
METHODS = FREE_METHODS | {"POST", "PUT", "PATCH"}

UPLOADS = ("upload/", "resumable/upload/")
PREFIXES = frozenset({"upload", "resumable", "download", "ws", "batch", "gemini"})
LIVE = re.compile(r"ws/google\.ai\.generativelanguage\.v\w+\.GenerativeService\.(Bidi[A-Za-z]{1,49})")
DISCOVERY = "/$discovery/"
NOT_REST = re.compile(r"batch(?:/|\Z)|google\.|\$rpc/")

# Resource paths that do not follow AIP-130, and what they would be if they did.
NON_AIP_PATHS = (
    (re.compile(r"/upload/operations(?=/|\Z)"), "/operations"),
    (re.compile(r"\A(interactions/[^/]+)/cancel\Z"), r"\1:cancel"),
    (re.compile(r"\A(environments/[^/]+/files)/.+"), r"\1/path"),
    (re.compile(r"\Aoperations/[^:]+"), "operations/name"),
)
# OpenAI-style writes that are free because Google's corresponding methods are: batches.cancel, files.create.
OPENAI_FREE = (
    (re.compile(r"batches/(?:batches/)?[^/]+/cancel"), "openai.batches.cancel"),
    (re.compile(r"files"), "openai.files"),
)
# An interaction can be read as a stream of its events.
STREAM_PARAMETER = re.compile(rb"(?:\A|&)stream=(?:true|1)(?:&|\Z)", re.IGNORECASE)

NON_CANONICAL_MESSAGE = "the path must be in canonical form: no percent-encoding, `//`, `.` or `..`"


def route(
    method: str,
    path: bytes,
    query: bytes,
    header_names: AbstractSet[bytes] = frozenset(),
    media_types: bytes = b"",
) -> Route:
    """The route of a request. `path` and `query` are the bytes after `/gemini` (path with its slash);
    `header_names` are in lower case, `media_types` the values of `content-type` and `accept`.

    A route with a `rejection` could evade metering, or is not a method of the API: refuse the call with that
    message.
    """
    if method not in METHODS:
        allowed = ", ".join(sorted(METHODS))
        shown = quoted_excerpt(method, 15)
        return Route(action=None, rejection=f"{shown} is not a method of this API; it has {allowed}")
    if len(path) > MAX_PATH_LENGTH or b"#" in path:
        return Route(action=None, rejection=f"a path has at most {MAX_PATH_LENGTH} bytes, and no `#`")
    known = _route(method, path)
    risk = header_risk(header_names, media_types)
    if known.billing is Billing.METERED or (known.billable and method not in FREE_METHODS):
        rejection = disallowed_parameter(query) or (risk and risk.rejection)
    else:
        # The more serious one: `overrides_method` is compared first.
        risk = max(filter(None, (query_risk(query), risk)), default=None)
        rejection = risk and risk.rejection
        if not known.billable and risk and risk.overrides_method:
            # With a method override a read may in fact be a billable POST.
            known = _route("POST", path)
        if known.action == "interactions.get" and STREAM_PARAMETER.search(query):
            known = msgspec.structs.replace(known, stream=True)
    if known.rejection or known.wrong_base_url or not (known.billable and rejection):
        return known
    return msgspec.structs.replace(known, rejection=rejection)


# Bounded, because clients choose the paths.
@lru_cache(maxsize=4096)
def _route(method: str, path: bytes) -> Route:
    normalized = normalized_path(path)
    if normalized is None:
        return Route(action=None, rejection="the path has too many `..` segments")
    known = _match(method, normalized)
    # OPTIONS only returns the allowed methods: free.
    if method == "OPTIONS":
        known = msgspec.structs.replace(known, billing=Billing.FREE)
    if not known.billable or known.rejection or known.wrong_base_url:
        return known
    rejection = _lookalike_error(known, normalized)
    if rejection is None and normalized.encode() != path:
        rejection = NON_CANONICAL_MESSAGE
    return msgspec.structs.replace(known, rejection=rejection) if rejection else known


def _lookalike_error(known: Route, plain: str) -> str | None:
    """Why the path of a billable or unknown route is not one of Google's paths; None if it may be one."""
    unknown = known.billing is Billing.UNKNOWN and not LIVE.fullmatch(plain[1:])
    if unknown and (found := NAMES.lookalike_of(plain)):
        part, name = found
        if part == name:
            return f"`{name}` has another path in the Gemini API, and this may be one of Vertex AI"
        return f"{quoted_excerpt(part, 40)} could be taken for `{name}`: write the path as Google does"
    if not CANONICAL_PATH.fullmatch(plain) or (known.action is None and not plain.startswith(DISCOVERY)):
        return "the path is not a method of Google's: those have plain words, ids and a `:verb` at their end"
    return None


def _match(method: str, plain: str) -> Route:
    rest = plain[1:]
    if live := LIVE.fullmatch(rest):
        return Route(action=live[1], stream=True)
    if NOT_REST.match(rest):
        return Route(
            action=None, rejection="batch and gRPC paths are not relayed: call the REST method itself"
        )
    if plain.startswith(DISCOVERY):
        return Route(action=None)
    upload = next((prefix for prefix in UPLOADS if rest.startswith(prefix)), "")
    version, _, resource = rest.removeprefix(upload).removeprefix("download/").partition("/")
    if not VERSION.fullmatch(version):
        return _versionless(version)
    if not resource or _has_wrong_base_url(resource):
        return Route(action=None, wrong_base_url=True)
    known = _method_of(method, resource, is_upload=bool(upload))
    # The resource of a batch call is the batch that it creates, not the tuned model that it runs on.
    if known.action is None or known.action in BATCHES:
        return known
    return msgspec.structs.replace(known, resource=resource_in_path(resource))


def _method_of(method: str, resource: str, *, is_upload: bool) -> Route:
    if is_upload:
        return _upload(resource)
    if resource.startswith("openai/"):
        return _openai(method, resource.removeprefix("openai/"))
    for pattern, usual in NON_AIP_PATHS:
        resource = pattern.sub(usual, resource)
    return _model_action(resource) or _resource(method, resource)


def _versionless(first: str) -> Route:
    """The route of a path that does not begin with a version or a known prefix."""
    name = canonical_name(first)
    if name != first and (VERSION.fullmatch(name) or name in PREFIXES):
        return Route(
            action=None, rejection=f"{quoted_excerpt(first, 40)} could be taken for `{name}`: write that"
        )
    return Route(action=None, wrong_base_url=True)


def _has_wrong_base_url(resource: str) -> bool:
    """Whether the base URL has an extra version or prefix, or lacks `openai/`."""
    first = resource.partition("/")[0]
    return bool(VERSION.fullmatch(first)) or first in PREFIXES or resource in OPENAI_ONLY


def _model_action(resource: str) -> Route | None:
    name, colon, action = resource.partition(":")
    collection, _, model = name.partition("/")
    known = action in MODEL_ACTIONS or action in BILLABLE_NAMES
    if not (colon and model and collection in ("models", "tunedModels", "dynamic")):
        return None
    # `models/a/b:cancel` is a method of a model's child resource.
    if "/" in action or ("/" in model and not known):
        return None
    return Route(
        action=_action_name(action),
        model=model.removeprefix("models/") if collection == "models" else name,
        billing=MODEL_ACTIONS.get(action, Billing.UNKNOWN),
        stream=action.startswith("stream"),
    )


def _upload(resource: str) -> Route:
    if resource == "files":
        return Route(action="files.upload", billing=Billing.FREE, upload=True)
    name, _, verb = resource.partition(":")
    return Route(action=_action_name(name.partition("/")[0], verb or "upload"), upload=True)


def _openai(method: str, resource: str) -> Route:
    """OpenAI-style routes: `chat/completions` is openai.chat.completions, GET `models/1` is
    openai.models.get, GET `files/1/content` is openai.files.content."""
    first, _, rest = resource.partition("/")
    if VERSION.fullmatch(first) or first == "openai":
        return Route(action=None, wrong_base_url=True)
    if method not in FREE_METHODS:
        for pattern, action in OPENAI_FREE:
            if pattern.fullmatch(resource):
                return Route(action=action, billing=Billing.FREE)
        known = resource.split("/") if resource in OPENAI_ACTIONS else [first]
        return Route(action=_action_name("openai", *known))
    verb = "content" if rest.endswith("/content") else _verb(method, [first, rest] if rest else [first])
    # OpenAI's clients use the id from the model list: `models/models/m`.
    model = rest.removeprefix("models/") if rest and first == "models" else None
    return Route(action=_action_name("openai", first, verb), model=model, billing=Billing.FREE)


def _resource(method: str, resource: str) -> Route:
    """Resource routes, by AIP-130: `files` is files.list or files.create, `files/1` is files.get,
    `a/1/b/2:verb` is a.b.verb. GET `models/a/b` is models.get of a model whose id has a slash."""
    name, _, verb = resource.partition(":")
    segments = name.split("/")
    if segments[0] == "models" and segments[2:3] != ["operations"] and method in FREE_METHODS and not verb:
        segments = name.split("/", 1)
    collections = segments[::2]
    if not verb:
        verb = _verb(method, segments)
    model = None
    if len(segments) > 1 and collections[0] in ("models", "tunedModels"):
        model = segments[1] if collections[0] == "models" else f"tunedModels/{segments[1]}"
    action = _action_name(*collections, verb)
    return Route(action=action, model=model, billing=billing_of(action) if action else Billing.UNKNOWN)


def _verb(method: str, segments: list[str]) -> str:
    one = len(segments) % 2 == 0
    if method == "POST":
        # Google has no POST to a model without a custom verb: its cost is unknown.
        return "post" if segments[0] in ("models", "tunedModels") and len(segments) == 2 else "create"
    if method in ("GET", "HEAD") and not one:
        return "list"
    return METHOD_VERBS.get(method, method.lower())


def _action_name(*parts: str) -> str | None:
    """The action from its parts, joined by dots. None if a part is not a plausible name: arbitrary client
    input must not become a column value."""
    return ".".join(parts) if all(map(ACTION_NAME.fullmatch, parts)) else None
