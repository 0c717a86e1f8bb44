"""Policies: restrictions of a key or a group other than models, routes and budgets. Pure.

- `searches` (`max_searches`): none, or a maximum per call. Google decides how many searches a call makes: a
  request whose tools may search is refused if none is allowed, and a stream is cut off when it shows more
  than allowed. A unary response is complete by then.
- `store` (`only_unstored`): if it is false, a request must have `store: false` itself, or Google might store
  its prompt.
- `max_output_tokens`: a request must set a limit itself, and not a larger one.
- `service_tiers`: the tiers that a request may use. Without one in the request that is the standard tier, or
  the batch tier for a batch.
- `allowed_ips`: the networks that calls may come from.

The gateway never rewrites a request: the client must send what is missing, and the refusal says what. All
policies but the last need the body, and do not apply to calls that generate nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from ipaddress import ip_network

from gatekeeper.addresses import Network, parse_ip
from gatekeeper.gemini.actions import (
    BATCHES,
    CACHE_CREATE,
    EMBEDDING,
    MEDIA_ACTIONS,
    OPENAI_BATCH,
    OPENAI_EMBEDDING,
)
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import STANDARD_TIER
from gatekeeper.keys.access_request import AccessRequest, Rule
from gatekeeper.keys.account import Account
from gatekeeper.keys.limits import Limits
from gatekeeper.refusals import Reason, Refusal

BATCH_TIER = "batch"
SERVICE_TIERS = (STANDARD_TIER, "flex", "priority", BATCH_TIER, "deferred")

# Billable, but without text output, a prompt that could be stored, or tools.
NOT_GENERATING = EMBEDDING | MEDIA_ACTIONS | {OPENAI_EMBEDDING, "embedText", "batchEmbedText"}
KEEPING_COLLECTIONS = ("cachedContents", "fileSearchStores", "ragStores", "corpora")
UPLOADS = ("upload", "uploadToFileSearchStore")
# Tools that search although their names do not say so, and the reverse.
SEARCHING = frozenset({"google_maps", "retrieval"})
NOT_SEARCHING = frozenset({"file_search", "tool_search"})


def _is_batch(request: AccessRequest) -> bool:
    return request.action in BATCHES or request.action == OPENAI_BATCH


def _is_billed_by_tier(request: AccessRequest) -> bool:
    """Whether the price of the call depends on the tier."""
    return request.billable and not _only_keeps(request.action or "")


def _generates(request: AccessRequest) -> bool:
    """Whether the call generates text; an unknown method counts as one that does."""
    return request.action not in NOT_GENERATING and _is_billed_by_tier(request)


# Bounded, because clients choose the names.
@lru_cache(maxsize=1024)
def _only_keeps(action: str) -> bool:
    return action.partition(".")[0] in KEEPING_COLLECTIONS or action.endswith(UPLOADS)


def address_allowed(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
    """The rule of `allowed_ips`."""
    return address_refusal(account, request.client)


def address_refusal(account: Account, client: str) -> Refusal | None:
    """The refusal of a request from this address, also at the admin API."""
    allowed_ips = account.record.allowed_ips
    if not allowed_ips or _is_within(client, allowed_ips):
        return None
    return Refusal(
        Reason.POLICY,
        f"{account.title} may be used from {', '.join(allowed_ips)} only, and this call comes from "
        f"{client or 'an unknown address'}: call from there, or ask the gateway's administrator to allow it.",
        {**account.metadata, "policy": "allowed_ips", "address": client},
    )


@lru_cache(maxsize=4096)
def _is_within(client: str, networks: tuple[str, ...]) -> bool:
    try:
        address = parse_ip(client)
    except ValueError:
        return False
    return any(address in network for network in _networks(networks))


@lru_cache(maxsize=1024)
def _networks(texts: tuple[str, ...]) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


def may_search(tool: str) -> bool:
    return tool in SEARCHING or ("search" in tool and tool not in NOT_SEARCHING)


def searches_of(limit: int) -> str:
    return f"{limit} search{'' if limit == 1 else 'es'}"


def _searches(limits: Limits, request: AccessRequest, request_summary: RequestSummary) -> str | None:
    limit, generates = limits.max_searches, _generates(request)
    if limit is None or not (generates or request.action == CACHE_CREATE):
        return None
    tool = next((tool for tool in request_summary.tools if may_search(tool)), None)
    # A batch or background call cannot be cut off, and if no search is allowed, one is too many.
    if tool and limit and not (_is_batch(request) or request_summary.background):
        tool = None
    limited = f"is limited to {searches_of(limit)} a call" if limit else "may not search"
    if not request_summary.understood:
        return _unseen(limited, request)
    if request_summary.agents and generates:
        return f"{limited}, and an agent searches by itself: name a model instead of an agent."
    if request_summary.input_files and generates:
        return (
            f"{limited}, and what the file of this batch asks for is not seen: "
            "send its requests in the batch itself (`inputConfig.requests`)."
        )
    return f"{limited}, and this request has the tool {tool}: send it without." if tool else None


def too_many_searches(account: Account, searches: int) -> Refusal | None:
    """The refusal of a running response with this many searches."""
    limit = account.record.max_searches
    if limit is None or searches <= limit:
        return None
    return Refusal(
        Reason.POLICY,
        f"{account.title} is limited to {searches_of(limit)} a call, and this one has made {searches}: it "
        "was cut. Ask for less at once, or ask the gateway's administrator for more.",
        {**account.metadata, "policy": "searches", "searches": str(searches)},
    )


def _store(limits: Limits, request: AccessRequest, request_summary: RequestSummary) -> str | None:
    limited = "may not let Google keep its prompts"
    if not limits.only_unstored:
        return None
    if request.action == CACHE_CREATE:
        return f"{limited}, and a cached content is one that is kept: send the content with each request."
    if not _generates(request) or (request_summary.understood and request_summary.store is False):
        return None
    if not request_summary.understood:
        return _unseen(limited, request)
    where = "in each request of the batch" if _is_batch(request) else "in the request"
    return f'{limited}: send `"store": false` {where}.'


def _max_output_tokens(limits: Limits, request: AccessRequest, request_summary: RequestSummary) -> str | None:
    limit, named = limits.max_output_tokens, request_summary.max_output_tokens
    if limit is None or not _generates(request):
        return None
    if request_summary.understood and named is not None and named <= limit:
        return None
    limited = f"is limited to {limit} output tokens a request"
    if not request_summary.understood:
        return _unseen(limited, request)
    asks = "no limit is named" if named is None else f"{named} are asked for"
    where = " in each request of the batch" if _is_batch(request) else ""
    return (
        f"{limited}, and {asks}: send `generationConfig.maxOutputTokens` (Interactions: "
        f"`generation_config.max_output_tokens`, OpenAI-style: `max_tokens`) of at most {limit}{where}."
    )


def _service_tiers(limits: Limits, request: AccessRequest, request_summary: RequestSummary) -> str | None:
    allowed, named = limits.service_tiers, request_summary.service_tiers
    if not allowed or not _is_billed_by_tier(request):
        return None
    if _is_batch(request):
        tiers = (BATCH_TIER, *(tier for tier in named if tier != STANDARD_TIER))
    else:
        tiers = named or (STANDARD_TIER,)
    other = next((tier for tier in tiers if tier not in allowed), None)
    if other is None and request_summary.understood:
        return None
    limited = f"may use the service tiers {', '.join(allowed)} only"
    if not request_summary.understood:
        return _unseen(limited, request)
    if other == BATCH_TIER:
        return f"{limited}, and a batch has its own: send the requests one by one."
    said = f"asks for {other}" if other in named else f"names none, which is {other}"
    return f'{limited}, and this request {said}: send `"service_tier": "{allowed[0]}"`.'


def _unseen(limited: str, request: AccessRequest) -> str:
    return (
        f"{limited}, and this gateway cannot look at all of the body of this {request.what}: send it as "
        "plain JSON, of at most 16 MiB without its long strings."
    )


_Why = Callable[[Limits, AccessRequest, RequestSummary], str | None]
"""A function that returns why a request violates a policy, as the text after the account's title in the
message."""


def _rule(policy: str, why: _Why) -> Rule:
    def rule(account: Account, request: AccessRequest, _now: int) -> Refusal | None:
        broken = request.request_summary and why(account.record, request, request.request_summary)
        if not broken:
            return None
        metadata = {**account.metadata, "policy": policy, "action": request.action or ""}
        return Refusal(Reason.POLICY, f"{account.title} {broken}", metadata)

    return rule


POLICY_RULES: dict[Rule, tuple[str, ...]] = {
    _rule("searches", _searches): ("max_searches",),
    _rule("store", _store): ("only_unstored",),
    _rule("max_output_tokens", _max_output_tokens): ("max_output_tokens",),
    _rule("service_tiers", _service_tiers): ("service_tiers",),
}
"""The rules for the body, each with the limits that it checks."""
