"""Policies: what an administrator rules out for a key or a group beside models, routes and budgets. Pure.

- `searches`: none, or at most so many a call. How many a call makes is Google's choice: a request whose tools
  may search is refused where none is allowed, and a stream is cut once it shows more than are allowed. A
  response that comes as a whole has been made by then.
- `store`: where it is false, a request must say `store: false` itself, or Google may keep its prompt.
- `max_output_tokens`: a request must name a limit of its own, and not a larger one.
- `service_tiers`: those that a request may ask for. One that names none asks for the standard tier, and a
  batch for that of batches.
- `allowed_ips`: the networks that calls may come from.

The gateway never rewrites a request: what is missing in it is for the client to send, and the refusal says
what. All of them but the last need the body; a call that generates nothing is not asked.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import ip_network
from typing import Protocol

import msgspec

from gatekeeper.addresses import Network, parse_ip
from gatekeeper.gemini.actions import (
    BATCHES,
    CACHE_CREATE,
    EMBEDDING,
    MEDIA_ACTIONS,
    OPENAI_BATCH,
    OPENAI_EMBEDDING,
    Billing,
)
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import STANDARD_TIER
from gatekeeper.refusals import Reason, Refusal

BATCH_TIER = "batch"
SERVICE_TIERS = (STANDARD_TIER, "flex", "priority", BATCH_TIER, "deferred")

# They cost something, but a model writes nothing: no output, no prompt to keep, no tools.
NOT_GENERATING = EMBEDDING | MEDIA_ACTIONS | {OPENAI_EMBEDDING}
KEEPING_COLLECTIONS = ("cachedContents", "fileSearchStores", "ragStores", "corpora")
UPLOADS = ("upload", "uploadToFileSearchStore")
# Tools whose names do not say that they search, and those whose names say so of what they do not.
SEARCHING = frozenset({"google_maps", "retrieval"})
NOT_SEARCHING = frozenset({"file_search", "tool_search"})


class Policies(Protocol):
    """The limits that are policies; None: no limit. `searches` may also be true for any number."""

    searches: bool | int | None
    store: bool | None
    max_output_tokens: int | None
    service_tiers: tuple[str, ...]
    allowed_ips: tuple[str, ...]


class PolicyRequest(msgspec.Struct, frozen=True):
    """A call as policies see it. `is_seen`: its body was looked at; `named` is what it names, and says
    whether all of it was understood."""

    action: str | None
    path: str
    billing: Billing
    named: RequestSummary
    is_seen: bool = True

    @property
    def what(self) -> str:
        return self.action or self.path

    @property
    def is_batch(self) -> bool:
        return self.action in BATCHES or self.action == OPENAI_BATCH

    @property
    def collection(self) -> str:
        return (self.action or "").partition(".")[0]

    @property
    def is_billed_by_tier(self) -> bool:
        """Whether Google does work for it whose price depends on the tier."""
        is_upload = (self.action or "").endswith(UPLOADS)
        return (
            self.billing is not Billing.FREE and not is_upload and self.collection not in KEEPING_COLLECTIONS
        )

    @property
    def generates(self) -> bool:
        """Whether a model writes text for it, also by a method that is not known here."""
        return self.is_billed_by_tier and self.action not in NOT_GENERATING

    @property
    def is_known(self) -> bool:
        return self.is_seen and self.named.understood


def need_body(limits: Policies) -> bool:
    """Whether a call with these limits can be judged by what its body says only."""
    return bool(
        search_limit(limits) is not None
        or limits.store is False
        or limits.max_output_tokens is not None
        or limits.service_tiers
    )


def search_limit(limits: Policies) -> int | None:
    """How many searches a call may make; None: any number."""
    searches = limits.searches
    return None if searches is None or searches is True else int(searches)


def address_refusal(allowed_ips: tuple[str, ...], owner: str, client: str) -> Refusal | None:
    """Of a call from another address than those that `owner` ("The key X") is limited to."""
    if not allowed_ips:
        return None
    try:
        address = parse_ip(client)
    except ValueError:
        address = None
    if address is not None and any(address in network for network in _networks(allowed_ips)):
        return None
    return Refusal(
        Reason.POLICY,
        f"{owner} may be used from {', '.join(allowed_ips)} only, and this call comes from "
        f"{client or 'an unknown address'}: call from there, or ask the gateway's administrator to allow it.",
        {"policy": "allowed_ips", "address": client},
    )


@lru_cache(maxsize=1024)
def _networks(allowed_ips: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ip_network, allowed_ips))


def policy_refusal(limits: Policies, owner: str, request: PolicyRequest) -> Refusal | None:
    """The first policy that the request does not keep to. `owner`: whose limits they are, as "The key X"."""
    for rule in (_searches, _store, _max_output_tokens, _service_tiers):
        if found := rule(limits, request):
            policy, why = found
            return Refusal(
                Reason.POLICY, f"{owner} {why}", {"policy": policy, "action": request.action or ""}
            )
    return None


_Broken = tuple[str, str]
"""A policy's name, and what follows the owner's in the message."""


def _unseen(policy: str, limited: str, request: PolicyRequest) -> _Broken:
    return policy, (
        f"{limited}, and this gateway cannot look at all of the body of this {request.what}: send it as "
        "plain or gzip JSON, of at most 256 KiB without its long strings."
    )


def _searches(limits: Policies, request: PolicyRequest) -> _Broken | None:
    limit = search_limit(limits)
    if limit is None or not (request.generates or request.action == CACHE_CREATE):
        return None
    limited = f"is limited to {limit} searches a call" if limit else "may not search"
    if not request.is_known:
        return _unseen("searches", limited, request)
    tools = [tool for tool in request.named.tools if may_search(tool)]
    # What runs at Google on its own cannot be cut; one search is one too many where none is allowed.
    if request.named.agents and request.generates:
        return "searches", f"{limited}, and an agent searches on its own: name a model instead of an agent."
    if request.named.input_files and request.generates:
        return "searches", (
            f"{limited}, and what the file of this batch asks for is not seen: "
            "send its requests in the batch itself (`inputConfig.requests`)."
        )
    if tools and (limit == 0 or request.is_batch or request.named.background):
        return "searches", f"{limited}, and this request has the tool {tools[0]}: send it without."
    return None


def may_search(tool: str) -> bool:
    return tool in SEARCHING or ("search" in tool and tool not in NOT_SEARCHING)


def too_many_searches(limits: Policies, owner: str, searches: int) -> Refusal | None:
    """Of a running response that shows so many searches."""
    limit = search_limit(limits)
    if limit is None or searches <= limit:
        return None
    return Refusal(
        Reason.POLICY,
        f"{owner} is limited to {limit} searches a call, and this one has made {searches}: it was cut. "
        "Ask for less at once, or ask the gateway's administrator for more.",
        {"policy": "searches", "searches": str(searches)},
    )


def _store(limits: Policies, request: PolicyRequest) -> _Broken | None:
    if limits.store is not False or not (request.generates or request.action == CACHE_CREATE):
        return None
    limited = "may not let Google keep its prompts"
    if request.action == CACHE_CREATE:
        return (
            "store",
            f"{limited}, and a cached content is one that is kept: send the content with each request.",
        )
    if not request.is_known:
        return _unseen("store", limited, request)
    if request.named.store is False:
        return None
    where = "in each request of the batch" if request.is_batch else "in the request"
    return "store", f'{limited}: send `"store": false` {where}.'


def _max_output_tokens(limits: Policies, request: PolicyRequest) -> _Broken | None:
    limit = limits.max_output_tokens
    if limit is None or not request.generates:
        return None
    limited = f"is limited to {limit} output tokens a request"
    if not request.is_known:
        return _unseen("max_output_tokens", limited, request)
    named = request.named.max_output_tokens
    if named is not None and named <= limit:
        return None
    asks = "no limit is named" if named is None else f"{named} are asked for"
    each = "each request of the batch, " if request.is_batch else ""
    return "max_output_tokens", (
        f"{limited}, and {asks}: send `generationConfig.maxOutputTokens` (Interactions: "
        f"`generation_config.max_output_tokens`, OpenAI-style: `max_tokens`) of at most {limit} in {each}"
        "this call."
    )


def _service_tiers(limits: Policies, request: PolicyRequest) -> _Broken | None:
    allowed = limits.service_tiers
    if not allowed or not request.is_billed_by_tier:
        return None
    limited = f"may use the service tiers {', '.join(allowed)} only"
    if not request.is_known:
        return _unseen("service_tiers", limited, request)
    named = request.named.service_tiers
    if request.is_batch:
        asked = (BATCH_TIER, *(tier for tier in named if tier != STANDARD_TIER))
    else:
        asked = named or (STANDARD_TIER,)
    other = next((tier for tier in asked if tier not in allowed), None)
    if other is None:
        return None
    if other == BATCH_TIER:
        return "service_tiers", f"{limited}, and a batch has its own: send the requests one by one."
    said = f"asks for {other}" if other in named else f"names none, which is {other}"
    return "service_tiers", f'{limited}, and this request {said}: send `"service_tier": "{allowed[0]}"`.'
