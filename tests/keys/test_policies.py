"""Policies at the pure rules: (limits, request) -> the policy that refuses it."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from gatekeeper.gemini.actions import Billing, billing_of
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.keys.policies import (
    PolicyRequest,
    address_refusal,
    need_body,
    policy_refusal,
    too_many_searches,
)
from gatekeeper.refusals import Reason


class Policies(msgspec.Struct):
    searches: bool | int | None = None
    store: bool | None = None
    max_output_tokens: int | None = None
    service_tiers: tuple[str, ...] = ()
    allowed_ips: tuple[str, ...] = ()


GENERATE, STREAM, INTERACTION = "generateContent", "streamGenerateContent", "interactions.create"
CHAT, BATCH, LIVE, CACHE = (
    "openai.chat.completions",
    "batchGenerateContent",
    "BidiGenerateContent",
    "cachedContents.create",
)
TEXTS = (
    GENERATE,
    STREAM,
    INTERACTION,
    CHAT,
    BATCH,
    LIVE,
    "generateAnswer",
    "triggers.create",
    "novelty.make",
)
SEARCH = {"tools": [{"googleSearch": {}}]}
MAPS = {"tools": [{"type": "google_maps"}]}
FILES = {"batch": {"inputConfig": {"fileName": "files/f"}}}


def batch(*requests: Any) -> dict[str, Any]:
    return {"batch": {"inputConfig": {"requests": {"requests": [{"request": each} for each in requests]}}}}


def asked(action: str, body: object, *, is_seen: bool = True) -> PolicyRequest:
    named = read_request(json.dumps(body).encode()) if body is not None else RequestSummary(understood=False)
    return PolicyRequest(action, "/path", billing_of(action), named, is_seen)


def reason(limits: Policies, request: PolicyRequest) -> str | None:
    refusal = policy_refusal(limits, "The key k", request)
    if refusal is None:
        return None
    assert refusal.reason is Reason.POLICY
    assert refusal.message.startswith("The key k ")
    return refusal.metadata["policy"]


OUTPUT = Policies(max_output_tokens=9)
CASES = [
    # (limits, action, body, the policy that refuses it)
    *((Policies(searches=False), action, SEARCH, "searches") for action in TEXTS),
    *((Policies(searches=0), action, batch({}, SEARCH), "searches") for action in TEXTS),
    *((Policies(searches=False), action, {"tools": [{"codeExecution": {}}]}, None) for action in TEXTS),
    (Policies(searches=False), GENERATE, MAPS, "searches"),
    (Policies(searches=False), GENERATE, {"tools": [{"fileSearch": {}}, {"urlContext": {}}]}, None),
    (Policies(searches=False), GENERATE, {"tools": [{"enterpriseWebSearch": {}}]}, "searches"),
    (Policies(searches=False), GENERATE, {"tools": [{"type": "tool_search"}]}, None),
    (Policies(searches=False), CHAT, {"web_search_options": {}}, "searches"),
    (Policies(searches=False), "openai.responses", {"tools": [{"type": "web_search_preview"}]}, "searches"),
    (Policies(searches=False), CACHE, SEARCH, "searches"),
    (Policies(searches=False), CACHE, {}, None),
    (Policies(searches=False), INTERACTION, {"agent": "deep-research"}, "searches"),
    (Policies(searches=2), INTERACTION, {"agent": "deep-research"}, "searches"),
    (Policies(searches=2), INTERACTION, {**SEARCH, "background": True}, "searches"),
    (Policies(searches=2), BATCH, batch(SEARCH), "searches"),
    (Policies(searches=2), BATCH, batch({}), None),
    (Policies(searches=2), BATCH, FILES, "searches"),
    (Policies(searches=True), BATCH, FILES, None),
    (Policies(searches=2), STREAM, SEARCH, None),
    (Policies(searches=True), GENERATE, SEARCH, None),
    *((Policies(store=False), action, {"store": True}, "store") for action in TEXTS),
    *((Policies(store=False), action, {}, "store") for action in TEXTS),
    *((Policies(store=False), action, {"store": False}, None) for action in TEXTS),
    (Policies(store=False), BATCH, batch({"store": False}, {}), "store"),
    (Policies(store=False), BATCH, FILES, "store"),
    (Policies(store=False), CACHE, {"store": False}, "store"),
    (Policies(store=False), "cachedContents.get", {}, None),
    (Policies(store=True), GENERATE, {}, None),
    *((OUTPUT, action, {"max_output_tokens": 10}, "max_output_tokens") for action in TEXTS),
    *((OUTPUT, action, {}, "max_output_tokens") for action in TEXTS),
    *((OUTPUT, action, {"max_tokens": 9}, None) for action in TEXTS),
    (OUTPUT, BATCH, batch({"max_tokens": 9}, {"max_tokens": 10}), "max_output_tokens"),
    (OUTPUT, BATCH, FILES, "max_output_tokens"),
    *((Policies(service_tiers=("flex",)), action, {}, "service_tiers") for action in TEXTS),
    *(
        (Policies(service_tiers=("flex",)), action, {"service_tier": "FLEX"}, None)
        for action in TEXTS
        if action != BATCH
    ),
    (Policies(service_tiers=("standard",)), GENERATE, {"serviceTier": "flex"}, "service_tiers"),
    (Policies(service_tiers=("standard",)), GENERATE, {"serviceTier": 3}, "service_tiers"),
    (Policies(service_tiers=("standard",)), GENERATE, {}, None),
    (Policies(service_tiers=("standard",)), CHAT, {"service_tier": "auto"}, None),
    (Policies(service_tiers=("standard",)), BATCH, batch({}), "service_tiers"),
    (Policies(service_tiers=("batch",)), BATCH, batch({}), None),
    (Policies(service_tiers=("batch",)), BATCH, batch({"serviceTier": "priority"}), "service_tiers"),
    (Policies(service_tiers=("batch",)), "openai.batches", {"input_file_id": "files/f"}, None),
    (Policies(service_tiers=("flex",)), "embedContent", {}, "service_tiers"),
]  # fmt: skip


@pytest.mark.parametrize(("limits", "action", "body", "policy"), CASES, ids=str)
def test_a_policy_refuses_what_it_rules_out(
    limits: Policies, action: str, body: object, policy: str | None
) -> None:
    assert reason(limits, asked(action, body)) == policy


ALL = [
    Policies(searches=False),
    Policies(store=False),
    Policies(max_output_tokens=9),
    Policies(service_tiers=("standard",)),
]


@pytest.mark.parametrize("limits", ALL, ids=str)
@pytest.mark.parametrize("action", TEXTS)
def test_what_is_not_seen_is_refused(limits: Policies, action: str) -> None:
    allowed = {"store": False, "max_tokens": 1}
    assert reason(limits, asked(action, None)) == reason(limits, asked(action, allowed, is_seen=False))
    assert reason(limits, asked(action, None)) is not None
    assert reason(Policies(), asked(action, None)) is None


@pytest.mark.parametrize("limits", ALL, ids=str)
@pytest.mark.parametrize(
    "action",
    [
        *("files.upload", "files.list", "countTokens", "fileSearchStores.uploadToFileSearchStore"),
        *(
            "fileSearchStores.create",
            "cachedContents.patch",
            "models.list",
            "interactions.get",
            "novelty.upload",
        ),
    ],
)
def test_what_makes_nothing_is_not_asked(limits: Policies, action: str) -> None:
    assert reason(limits, asked(action, None)) is None


@pytest.mark.parametrize("action", ["embedContent", "predict", "openai.embeddings", "predictLongRunning"])
def test_what_writes_no_text_has_a_tier_only(action: str) -> None:
    limits = Policies(searches=False, store=False, max_output_tokens=9, service_tiers=("standard",))
    assert reason(limits, asked(action, {})) is None
    assert reason(limits, asked(action, {"serviceTier": "flex"})) == "service_tiers"


def test_an_action_without_a_name_is_asked() -> None:
    request = PolicyRequest(None, "/v1/%x", Billing.UNKNOWN, RequestSummary())
    refusal = policy_refusal(Policies(store=False), "The group g", request)
    assert refusal
    assert refusal.message == (
        'The group g may not let Google keep its prompts: send `"store": false` in the request.'
    )


@pytest.mark.parametrize("limits", ALL, ids=str)
def test_a_policy_needs_the_body(limits: Policies) -> None:
    assert need_body(limits)
    assert not need_body(Policies(searches=True, store=True, allowed_ips=("::1",)))


@pytest.mark.parametrize(
    ("limit", "searches", "cut"),
    [(2, 3, True), (2, 2, False), (False, 1, True), (True, 99, False), (None, 9, False)],
)
def test_a_response_may_show_so_many_searches(limit: bool | int | None, searches: int, cut: bool) -> None:
    assert bool(too_many_searches(Policies(searches=limit), "The key k", searches)) == cut


@pytest.mark.parametrize(
    ("networks", "client", "allowed"),
    [
        ((), "", True),
        (("10.0.0.0/8",), "10.1.2.3", True),
        (("10.0.0.0/8",), "::ffff:10.1.2.3", True),
        (("10.0.0.0/8",), "11.1.2.3", False),
        (("10.0.0.0/8", "2001:db8::/32"), "2001:db8::7", True),
        (("0.0.0.0/0",), "2001:db8::7", False),
        (("203.0.113.7/32",), "203.0.113.7", True),
        (("fe80::/10",), "fe80::1%eth0", True),
        (("0.0.0.0/0", "::/0"), "", False),
        (("0.0.0.0/0", "::/0"), "unix", False),
    ],
)
def test_a_call_comes_from_an_allowed_network(networks: tuple[str, ...], client: str, allowed: bool) -> None:
    refusal = address_refusal(networks, "The key k", client)
    assert (refusal is None) == allowed
    assert refusal is None or refusal.reason is Reason.POLICY
