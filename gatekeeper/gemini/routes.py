"""Which of Google's methods a request line names, whose model it is, and what the call may cost.

Everything here is a table look-up on the path; nothing fails. A path that no table knows is an action of
its own name (or none) whose cost is unknown, never one that is free by accident. Sources: Google's
discovery documents v1, v1beta, v1alpha and the transcoding rules of google.api.http
(https://github.com/googleapis/googleapis/blob/master/google/api/http.proto).

How a request is spelt belongs here as well (`spelling`). On routes that cost money another spelling than
Google's own is objected to, because a call that is spelt so could go unmetered.
"""

from __future__ import annotations

import re
from functools import lru_cache

import msgspec

from gatekeeper.gemini.actions import (
    COSTLY_NAMES,
    MODEL_ACTIONS,
    NAMES,
    OPENAI_ACTIONS,
    OPENAI_ONLY,
    Charge,
    charge_of,
)
from gatekeeper.gemini.spelling import (
    CLEAN,
    LONGEST,
    NAME,
    VERSION,
    fold,
    masking_header,
    masking_parameter,
    plain_path,
    shown,
    unlisted,
)


class Route(msgspec.Struct, frozen=True):
    """A request line, understood. `action` and `model` are the ledger's columns. `astray`: the path is none
    of Google's, so that whoever sent it has a wrong base URL."""

    action: str | None
    model: str | None = None
    charge: Charge = Charge.UNKNOWN
    stream: bool = False
    objection: str | None = None
    astray: bool = False

    @property
    def billable(self) -> bool:
        return self.charge is not Charge.FREE


METHOD_VERBS = {"GET": "get", "HEAD": "get", "DELETE": "delete", "PATCH": "patch", "PUT": "update"}
READS = frozenset({"GET", "HEAD", "DELETE", "OPTIONS"})
METHODS = READS | {"POST", "PUT", "PATCH"}

UPLOADS = ("upload/", "resumable/upload/")
PREFIXES = frozenset({"upload", "resumable", "download", "ws", "batch", "gemini"})
LIVE = re.compile(r"ws/google\.ai\.generativelanguage\.v\w+\.GenerativeService\.(Bidi[A-Za-z]{1,49})")
DISCOVERY = "/$discovery/"
NOT_REST = re.compile(r"batch(?:/|\Z)|google\.|\$rpc/")

# The kinds of resource paths that are not built by AIP-130, and how they would look if they were.
UNUSUAL = (
    (re.compile(r"/upload/operations(?=/|\Z)"), "/operations"),
    (re.compile(r"\A(interactions/[^/]+)/cancel\Z"), r"\1:cancel"),
    (re.compile(r"\A(environments/[^/]+/files)/.+"), r"\1/path"),
)

UNPLAIN = "the path must be spelt plainly: no percent-encoding, `//`, `.` or `..`"


def route(
    method: str,
    path: bytes,
    query: bytes,
    header_names: frozenset[bytes] = frozenset(),
    forms: bytes = b"",
) -> Route:
    """The route of a request. `path` and `query` are the bytes after `/gemini` (path with its slash);
    `header_names` are in lower case, `forms` the values of `content-type` and `accept`.

    A route with an `objection` costs money and is spelt so that it might not be metered, or cannot be told
    at all: refuse it with the text of the objection.
    """
    if method not in METHODS:
        allowed = ", ".join(sorted(METHODS))
        return Route(action=None, objection=f"{shown(method, 15)} is no method of this API; it has {allowed}")
    if len(path) > LONGEST or b"#" in path:
        return Route(action=None, objection=f"a path has at most {LONGEST} bytes, and no `#`")
    known = _route(method, path)
    oddity = masking_header(header_names, forms)
    if known.charge is Charge.METERED or (known.billable and method not in READS):
        spoilt = unlisted(query) or (oddity and oddity.objection)
    else:
        oddity = max(filter(None, (masking_parameter(query), oddity)), default=None)
        spoilt = oddity and oddity.objection
        if not known.billable and oddity and oddity.overrides:
            # What it may be in truth: a read that is overridden can be a POST that costs money.
            known = _route("POST", path)
    if known.objection or known.astray or not (known.billable and spoilt):
        return known
    return msgspec.structs.replace(known, objection=spoilt)


# Bounded, because clients choose the paths.
@lru_cache(maxsize=4096)
def _route(method: str, path: bytes) -> Route:
    plain = plain_path(path)
    if plain is None:
        return Route(action=None, objection="the path leads above its root")
    known = _match(method, plain)
    # Asks what may be asked
    if method == "OPTIONS":
        known = msgspec.structs.replace(known, charge=Charge.FREE)
    if not known.billable or known.objection or known.astray:
        return known
    objection = _misspelt(known, plain) or (UNPLAIN if plain.encode() != path else None)
    return msgspec.structs.replace(known, objection=objection) if objection else known


def _misspelt(known: Route, plain: str) -> str | None:
    """Why the path of a costly route, or of one that no table knows, is not one of Google's own."""
    if known.charge is Charge.UNKNOWN and not LIVE.fullmatch(plain[1:]) and (taken := NAMES.taken_for(plain)):
        if taken[0] == taken[1]:
            return f"`{taken[0]}` has another path in the Gemini API, and this may be one of Vertex AI"
        return f"{shown(taken[0], 40)} could be taken for `{taken[1]}`: write the path as Google does"
    if not CLEAN.fullmatch(plain) or (known.action is None and not plain.startswith(DISCOVERY)):
        return "the path is no method of Google's: those have plain words, ids and a `:verb` at their end"
    return None


def _match(method: str, plain: str) -> Route:
    rest = plain[1:]
    if live := LIVE.fullmatch(rest):
        return Route(action=live[1], stream=True)
    if NOT_REST.match(rest):
        return Route(
            action=None, objection="batch and gRPC paths are not relayed: call the REST method itself"
        )
    if plain.startswith(DISCOVERY):
        return Route(action=None)
    upload = next((prefix for prefix in UPLOADS if rest.startswith(prefix)), "")
    version, _, resource = rest.removeprefix(upload).removeprefix("download/").partition("/")
    if not VERSION.fullmatch(version):
        return _versionless(version)
    if not resource or _is_lost(resource):
        return Route(action=None, astray=True)
    if upload:
        return _upload(resource)
    if resource.startswith("openai/"):
        return _openai(method, resource.removeprefix("openai/"))
    for pattern, usual in UNUSUAL:
        resource = pattern.sub(usual, resource)
    return _model_action(resource) or _resource(method, resource)


def _versionless(first: str) -> Route:
    """A path that does not begin with a version, nor with what may stand before one."""
    folded = fold(first)
    if folded != first and (VERSION.fullmatch(folded) or folded in PREFIXES):
        return Route(action=None, objection=f"{shown(first, 40)} could be taken for `{folded}`: write that")
    return Route(action=None, astray=True)


def _is_lost(resource: str) -> bool:
    """Whether a base URL said too much (a second version or prefix) or too little (`openai/` is missing)."""
    first = resource.partition("/")[0]
    return bool(VERSION.fullmatch(first)) or first in PREFIXES or resource in OPENAI_ONLY


def _model_action(resource: str) -> Route | None:
    name, colon, action = resource.partition(":")
    collection, _, model = name.partition("/")
    known = action in MODEL_ACTIONS or action in COSTLY_NAMES
    if not (colon and model and collection in ("models", "tunedModels", "dynamic")):
        return None
    # `models/a/b:cancel` is of a resource of a model
    if "/" in action or ("/" in model and not known):
        return None
    return Route(
        action=_ledger_name(action),
        model=model.removeprefix("models/") if collection == "models" else name,
        charge=MODEL_ACTIONS.get(action, Charge.UNKNOWN),
        stream=action.startswith("stream"),
    )


def _upload(resource: str) -> Route:
    if resource == "files":
        return Route(action="files.upload", charge=Charge.FREE)
    name, _, verb = resource.partition(":")
    return Route(action=_ledger_name(name.partition("/")[0], verb or "upload"))


def _openai(method: str, resource: str) -> Route:
    """OpenAI-style routes: `chat/completions` is openai.chat.completions, a read of `models/1` is
    openai.models.get."""
    first, _, rest = resource.partition("/")
    if VERSION.fullmatch(first) or first == "openai":
        return Route(action=None, astray=True)
    if method not in READS:
        known = resource.split("/") if resource in OPENAI_ACTIONS else [first]
        return Route(action=_ledger_name("openai", *known))
    # OpenAI's clients ask for a model by the id that the list shows: `models/models/m`.
    read = _resource(
        method, f"models/{rest.removeprefix('models/')}" if rest and first == "models" else resource
    )
    action = f"openai.{read.action}" if read.action else None
    return Route(action=action, model=read.model, charge=Charge.FREE)


def _resource(method: str, resource: str) -> Route:
    """`files` is files.list or files.create, `files/1` files.get, `a/1/b/2:verb` a.b.verb, by AIP-130. A read
    of `models/a/b` is one of a model whose id has a slash."""
    name, _, verb = resource.partition(":")
    segments = name.split("/")
    if segments[0] == "models" and segments[2:3] != ["operations"] and method in READS and not verb:
        segments = name.split("/", 1)
    collections = segments[::2]
    if not verb:
        verb = _verb(method, segments)
    model = segments[1] if collections[0] == "models" and len(segments) > 1 else None
    action = _ledger_name(*collections, verb)
    return Route(action=action, model=model, charge=charge_of(action) if action else Charge.UNKNOWN)


def _verb(method: str, segments: list[str]) -> str:
    one = len(segments) % 2 == 0
    if method == "POST":
        # Google has no POST to a model without a verb: what it would cost is not known.
        return "post" if segments[0] in ("models", "tunedModels") and len(segments) == 2 else "create"
    if method in ("GET", "HEAD") and not one:
        return "list"
    return METHOD_VERBS.get(method, method.lower())


def _ledger_name(*parts: str) -> str | None:
    """Names as one action; None where one of them is a client's invention, which no column is to hold."""
    return ".".join(parts) if all(map(NAME.fullmatch, parts)) else None
