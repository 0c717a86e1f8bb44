"""What a call comes to, by the contract's rules: tokens, cost, outcome and reason."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import msgspec
import pytest

from gatekeeper.gemini.request_parser import EMPTY_BODY
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.gemini.requested_settings import RequestedMedia
from gatekeeper.gemini.response_parser import ResponseSummary
from gatekeeper.gemini.routes import Billing, Route
from gatekeeper.gemini.upstream_error import UpstreamError
from gatekeeper.gemini.usage_faults import UNREADABLE_NOTE
from gatekeeper.ledger.call import CallRecord, Outcome
from gatekeeper.pricing.allowance import FreeSearches
from gatekeeper.pricing.catalogue import Catalogue
from gatekeeper.pricing.cost_notes import PENDING_VIDEOS
from gatekeeper.proxy.call_accounting import (
    PARTIAL_USAGE_NOTE,
    Accounting,
)
from gatekeeper.proxy.failures import (
    CallFailed,
    ClientGone,
    CutByGateway,
    Refused,
    UpstreamBroken,
    UpstreamUnreachable,
    google_key_error,
)
from gatekeeper.refusals import Reason, Refusal
from gatekeeper.startup import load_catalogue

DAY = int(datetime(2026, 1, 15, 12, tzinfo=UTC).timestamp() * 10**6)
FLASH, ITS_VERSION = "gemini-2.5-flash", "gemini-2.5-flash"
# 1000 × 0.30 + 100 × 2.50 dollars per million tokens
USAGE = {"promptTokenCount": 1000, "candidatesTokenCount": 100, "totalTokenCount": 1100}
COST = 550_000_000


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return load_catalogue()


def reading(usage: dict[str, object] | bytes | None = None, **said: object) -> ResponseSummary:
    raw = json.dumps(usage).encode() if isinstance(usage, dict) else usage
    return msgspec.structs.replace(ResponseSummary(usage=raw, complete=True), **said)


def settled(
    catalogue: Catalogue,
    *,
    billing: Billing = Billing.METERED,
    status: int | None = 200,
    ending: CallFailed | None = None,
    read: ResponseSummary | None = None,
    tier: bytes | None = None,
    model: str | None = FLASH,
    action: str = "generateContent",
    chargeable_pico: int | None = None,
    request_summary: RequestSummary = EMPTY_BODY.summary,
) -> CallRecord:
    call = CallRecord(
        id="1", started_at=DAY, method="POST", path="/", action=action, model=model, status=status
    )
    route = Route(action, model, billing)
    said = read or reading(USAGE, model_version=ITS_VERSION)
    Accounting(
        route=route,
        response=said,
        catalogue=catalogue,
        free_searches=FreeSearches(),
        request=request_summary,
        failure=ending,
        tier=tier,
        chargeable=lambda: chargeable_pico,
    ).complete(call)
    return call


NO = Refusal(Reason.BUDGET_EXCEEDED, "Spent.")
DOWN = Refusal(Reason.UPSTREAM_UNREACHABLE, "Down.")
DRAINING = Refusal(Reason.DRAINING, "Later.")
NOTHING = ResponseSummary()
ERROR = UpstreamError(
    code=429, status="RESOURCE_EXHAUSTED", message="Slow.", reason="QUOTA", retry_delay=None
)
BAD = UpstreamError(code=None, status=None, message="", reason=None, retry_delay=None)


# What it is called: how it ended, the status sent, what was read; the row's outcome, reason and cost.
ENDINGS = {
    "answered": (None, 200, reading(USAGE), "ok", None, COST),
    "answered without usage: unknown, not 0": (None, 200, NOTHING, "ok", None, None),
    "an error in a 200": (None, 200, reading(USAGE, error=ERROR), "upstream_error", "QUOTA", COST),
    "an error in a 200 without usage": (None, 200, reading(error=ERROR), "upstream_error", "QUOTA", None),
    "Google says no": (None, 429, reading(error=ERROR), "upstream_error", "QUOTA", 0),
    "and gives no reason": (None, 400, reading(error=BAD), "upstream_error", None, 0),
    "and nothing at all": (None, 500, NOTHING, "upstream_error", None, 0),
    "an error that claims usage": (None, 503, reading(USAGE), "upstream_error", None, 0),
    "our key": (
        google_key_error("#1"),
        502,
        reading(error=BAD),
        "upstream_error",
        Reason.UPSTREAM_KEY_INVALID,
        0,
    ),
    "refused": (Refused(NO), 429, NOTHING, "refused", NO.reason, 0),
    "refused, and nobody heard it": (Refused(NO), None, NOTHING, "refused", NO.reason, 0),
    "unreachable": (UpstreamUnreachable(DOWN), 502, NOTHING, "upstream_unreachable", DOWN.reason, 0),
    "broken before any usage": (UpstreamBroken(), 200, NOTHING, "upstream_broken", None, None),
    "broken after some": (UpstreamBroken(), 200, reading(USAGE), "upstream_broken", None, COST),
    "broken after an error": (UpstreamBroken(), 200, reading(error=ERROR), "upstream_broken", None, None),
    "client gone mid-way": (ClientGone(), 200, reading(USAGE), "client_disconnected", None, COST),
    "client gone early": (ClientGone(), None, NOTHING, "client_disconnected", None, None),
    "cut mid-way": (CutByGateway(DRAINING), 200, reading(USAGE), "cut", DRAINING.reason, COST),
    "cut by the server's end": (CutByGateway(), None, NOTHING, "cut", None, None),
}


@pytest.mark.parametrize(
    ("ending", "status", "read", "outcome", "reason", "cost"), ENDINGS.values(), ids=ENDINGS.keys()
)
def test_how_it_ended(
    catalogue: Catalogue,
    ending: CallFailed | None,
    status: int | None,
    read: ResponseSummary,
    outcome: str,
    reason: str | None,
    cost: int | None,
) -> None:
    call = settled(catalogue, ending=ending, status=status, read=read)
    assert (call.outcome, call.reason, call.cost_pico) == (outcome, reason, cost)
    free = settled(catalogue, ending=ending, status=status, read=read, billing=Billing.FREE)
    assert (free.outcome, free.reason, free.cost_pico) == (outcome, reason, 0)


def test_every_outcome_but_the_crashs_was_tried() -> None:
    assert {case[3] for case in ENDINGS.values()} | {Outcome.INTERRUPTED} == set(Outcome)


CACHED = {"promptTokenCount": 1000, "cachedContentTokenCount": 400, "totalTokenCount": 1000}
COSTS = {
    "as asked": ({}, COST),
    "a route that nobody knows": ({"billing": Billing.UNKNOWN, "action": "generateDreams"}, None),
    "which failed": ({"billing": Billing.UNKNOWN, "status": 404}, 0),
    "a model that only the answer names": ({"model": None}, COST),
    "a tuned model has no list price": ({"model": "tunedModels/t"}, None),
    "a model that does not embed": ({"action": "embedContent"}, None),
    "the header's tier": ({"tier": b"FLEX"}, COST // 2),
    "the usage's tier": (
        {"read": reading({**USAGE, "serviceTier": "priority"}), "tier": b"flex"},
        990_000_000,
    ),
    "a tier without a price": ({"tier": b"golden"}, None),
    "the model that served counts": ({"model": "gemini-pro-latest"}, COST),
    "even if it is not known": ({"read": reading(USAGE, model_version="gemini-99")}, None),
    "cached tokens are a part of the prompt": ({"read": reading(CACHED)}, 600 * 300_000 + 400 * 30_000),
}


@pytest.mark.parametrize(("said", "cost"), COSTS.values(), ids=COSTS.keys())
def test_what_it_cost(catalogue: Catalogue, said: dict[str, object], cost: int | None) -> None:
    assert settled(catalogue, **said).cost_pico == cost  # pyright: ignore[reportArgumentType]


MEDIA = {
    "pictures that were made": ("predict", 200, reading(images=3), {"image_each": 3}, 3 * 40 * 10**9),
    "as many as were asked for": ("predict", 200, reading(), {"image_each": 2}, 2 * 40 * 10**9),
    "none": ("predict", 400, reading(error=ERROR), None, 0),
    "a video under way": ("predictLongRunning", 200, reading(), {"output_video_second_720p": 16}, None),
    "a video that was refused": ("predictLongRunning", 429, reading(error=ERROR), None, 0),
}


@pytest.mark.parametrize(("action", "status", "read", "units", "cost"), MEDIA.values(), ids=MEDIA.keys())
def test_what_is_billed_by_piece_is_what_was_made_or_asked_for(
    catalogue: Catalogue,
    action: str,
    status: int,
    read: ResponseSummary,
    units: dict[str, int] | None,
    cost: int | None,
) -> None:
    model = "imagen-4.0-generate-001" if action == "predict" else "veo-3.1-generate-preview"
    request_summary = RequestSummary(media=RequestedMedia(samples=2))
    call = settled(
        catalogue, model=model, action=action, status=status, read=read, request_summary=request_summary
    )
    assert (call.billed_units, call.cost_pico) == (units, cost)
    assert call.usage_note == (PENDING_VIDEOS if cost is None else None)


@pytest.mark.parametrize("ending", [ClientGone(), CutByGateway(), UpstreamBroken()])
def test_pictures_that_nobody_saw_made_are_unknown(catalogue: Catalogue, ending: CallFailed) -> None:
    model = "imagen-4.0-generate-001"
    call = settled(catalogue, model=model, action="predict", ending=ending, read=reading())
    assert (call.billed_units, call.cost_pico) == ({"image_each": None}, None)


def test_the_row_says_what_the_answer_said(catalogue: Catalogue) -> None:
    usage = {
        "promptTokenCount": 1000,
        "cachedContentTokenCount": 400,
        "candidatesTokenCount": 100,
        "thoughtsTokenCount": 30,
        "toolUsePromptTokenCount": 7,
        "totalTokenCount": 1137,
        "serviceTier": "STANDARD",
    }
    raw = json.dumps(usage, indent=1).encode()
    call = settled(
        catalogue, read=reading(raw, model_version=ITS_VERSION, finish_reason="STOP"), tier=b"flex"
    )
    assert call.prompt_tokens == 1000
    assert call.cached_tokens == 400
    assert call.output_tokens == 100
    assert call.thoughts_tokens == 30
    assert call.tool_tokens == 7
    assert call.total_tokens == 1137
    assert call.usage is not None
    assert bytes(call.usage) == raw
    assert (call.model_version, call.finish_reason) == (ITS_VERSION, "STOP")
    assert call.service_tier == "standard"
    assert call.price_version == catalogue.version


def test_tokens_that_were_not_reported_are_unknown_and_not_none(catalogue: Catalogue) -> None:
    call = settled(catalogue, read=reading({"promptTokenCount": 10, "totalTokenCount": 12}))
    assert (call.prompt_tokens, call.cached_tokens, call.output_tokens) == (10, None, None)
    call = settled(catalogue, read=reading({"promptTokenCount": 10, "totalTokenCount": 10}))
    assert (call.prompt_tokens, call.output_tokens, call.thoughts_tokens, call.tool_tokens) == (10, 0, 0, 0)
    assert call.cached_tokens is None


@pytest.mark.parametrize(
    ("read", "note"),
    [
        (NOTHING, None),
        (reading(b'{"promptTokenCount": '), UNREADABLE_NOTE),
        (reading(b'{"totalTokenCount": 1e999}'), UNREADABLE_NOTE),
        (reading(usage_note="the usage is odd"), "the usage is odd"),
    ],
)
def test_what_is_no_usage_leaves_the_row_without_any(
    catalogue: Catalogue, read: ResponseSummary, note: str | None
) -> None:
    call = settled(catalogue, read=read)
    assert (call.usage, call.prompt_tokens, call.total_tokens, call.cost_pico) == (None, None, None, None)
    assert call.usage_note == note


WRONG = {
    "a prompt": ({"promptTokenCount": -1}, "promptTokenCount is -1, which is no count of tokens", None),
    "a total": ({"totalTokenCount": "x"}, 'totalTokenCount is "x", which is no count of tokens', None),
    "cached tokens": (
        {"cachedContentTokenCount": 1.5},
        "cachedContentTokenCount is 1.5, which is no count of tokens",
        None,
    ),
    "candidates, which the total has": (
        {"candidatesTokenCount": 2**60},
        "candidatesTokenCount is 1152921504606846976, which is no count of tokens",
        COST,
    ),
    "a turn": ([USAGE, 7], "the reported usage is 7, which is no object", None),
}


@pytest.mark.parametrize(("wrong", "note", "cost"), WRONG.values(), ids=WRONG.keys())
def test_a_count_that_is_none_leaves_the_cost_unknown_where_it_matters(
    catalogue: Catalogue, wrong: dict[str, object] | list[object], note: str, cost: int | None
) -> None:
    usage = USAGE | wrong if isinstance(wrong, dict) else wrong
    call = settled(catalogue, read=reading(json.dumps(usage).encode()))
    assert call.usage is not None
    assert (call.cost_pico, call.usage_note) == (cost, note)


def test_the_days_price_counts(catalogue: Catalogue) -> None:
    call = CallRecord(
        id="1", started_at=DAY, method="POST", path="/", action="generateContent", model=FLASH, status=200
    )
    cached = reading({"promptTokenCount": 1000, "cachedContentTokenCount": 1000, "totalTokenCount": 1000})
    route = Route("generateContent", FLASH, Billing.METERED)
    accounting = Accounting(route=route, response=cached, catalogue=catalogue, free_searches=FreeSearches())
    accounting.complete(call)
    assert call.cost_pico == 1000 * 30_000
    call.started_at = int(datetime(2025, 10, 14, 23, 59, 59, 999999, tzinfo=UTC).timestamp() * 10**6)
    accounting.complete(call)
    assert call.cost_pico == 1000 * 75_000


@pytest.mark.parametrize("case", ENDINGS.values(), ids=ENDINGS.keys())
def test_what_is_unknown_is_charged_to_a_budget_and_nothing_else(
    catalogue: Catalogue,
    case: tuple[CallFailed | None, int | None, ResponseSummary, str, str | None, int | None],
) -> None:
    ending, status, read, *_, cost = case
    call = settled(catalogue, ending=ending, status=status, read=read, chargeable_pico=10**15)
    assert call.cost_pico == cost
    assert (call.charged_pico is not None) == (cost is None)
    assert (call.usage_note or "").startswith("estimated for the budget: " if cost is None else "")
    plain = settled(catalogue, ending=ending, status=status, read=read)
    assert (plain.cost_pico, plain.charged_pico) == (cost, None)
    ended_early = isinstance(ending, UpstreamBroken | ClientGone | CutByGateway) and cost
    assert plain.usage_note == (PARTIAL_USAGE_NOTE if ended_early else None)


def test_a_charge_in_advance_is_for_what_may_cost_and_gone_when_the_cost_is_known(
    catalogue: Catalogue,
) -> None:
    call = CallRecord(id="1", started_at=DAY, method="POST", path="/", action="generateContent", model=FLASH)
    route = Route("generateContent", FLASH, Billing.METERED)
    call.charged_pico = 2 * COST  # what was reserved
    call.status = 200
    Accounting(
        route=route,
        response=reading(USAGE),
        catalogue=catalogue,
        free_searches=FreeSearches(),
        chargeable=lambda: 10**15,
    ).complete(call)
    assert (call.cost_pico, call.charged_pico, call.usage_note) == (COST, None, None)


@pytest.mark.parametrize(
    ("named", "made", "shown"),
    [
        (None, None, None),
        (None, "files/f", "files/f"),
        ("files/f", None, "files/f"),
        ("corpora/c", "corpora/c/documents/d", "corpora/c/documents/d"),
        ("corpora/c", "corpora/cc", "corpora/c"),
        ("cachedContents/c", "batches/b", "batches/b"),
        ("tunedModels/t", "batches/b", "tunedModels/t"),
    ],
)
def test_a_resource_is_the_one_named_or_what_was_made_in_it(
    catalogue: Catalogue, named: str | None, made: str | None, shown: str | None
) -> None:
    call = CallRecord(id="1", started_at=DAY, method="POST", path="/", resource=named, status=200)
    summary = reading(resource=made, block_reason="SAFETY")
    route = Route(None, billing=Billing.FREE)
    Accounting(route=route, response=summary, catalogue=catalogue, free_searches=FreeSearches()).complete(
        call
    )
    assert (call.resource, call.block_reason) == (shown, "SAFETY")
