"""Policies at the pure rules: (limits, request) -> the policy that refuses it."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rig.cases import cases

from gatekeeper.gemini.actions import Billing, billing_of
from gatekeeper.gemini.request_parser import read_request
from gatekeeper.gemini.request_summary import RequestSummary
from gatekeeper.keys.access_request import AccessRequest
from gatekeeper.keys.account import Account, NamedAccount
from gatekeeper.keys.admission import admit, admit_body
from gatekeeper.keys.limits import Limits, NamedRecord
from gatekeeper.keys.policies import POLICY_RULES, too_many_searches
from gatekeeper.refusals import Reason

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


def request_summary(action: str, body: object) -> AccessRequest:
    """`body` None: one that is not understood."""
    named = read_request(json.dumps(body).encode()) if body is not None else RequestSummary(understood=False)
    return AccessRequest(action, "m", "/path", billing_of(action), request_summary=named)


def account(limits: Limits) -> Account:
    fields = {name: getattr(limits, name) for name in Limits.__struct_fields__}
    return NamedAccount(kind="group", record=NamedRecord(name="g", created_at=0, updated_at=0, **fields))


def reason(limits: Limits, request: AccessRequest) -> str | None:
    refusal = admit_body([account(Limits()), account(limits)], request, 0)
    if refusal is None:
        return None
    assert refusal.reason is Reason.POLICY
    assert refusal.message.startswith("The group g ")
    assert refusal.metadata["group"] == "g"
    return refusal.metadata["policy"]


OUTPUT = Limits(max_output_tokens=9)
CASES = [
    # (limits, action, body, the policy that refuses it)
    *((Limits(max_searches=0), action, SEARCH, "searches") for action in TEXTS),
    *((Limits(max_searches=0), action, batch({}, SEARCH), "searches") for action in TEXTS),
    *((Limits(max_searches=0), action, {"tools": [{"codeExecution": {}}]}, None) for action in TEXTS),
    (Limits(max_searches=0), GENERATE, MAPS, "searches"),
    (Limits(max_searches=0), GENERATE, {"tools": [{"fileSearch": {}}, {"urlContext": {}}]}, None),
    (Limits(max_searches=0), GENERATE, {"tools": [{"enterpriseWebSearch": {}}]}, "searches"),
    (Limits(max_searches=0), GENERATE, {"tools": [{"type": "tool_search"}]}, None),
    (Limits(max_searches=0), CHAT, {"web_search_options": {}}, "searches"),
    (Limits(max_searches=0), "openai.responses", {"tools": [{"type": "web_search_preview"}]}, "searches"),
    (Limits(max_searches=0), CACHE, SEARCH, "searches"),
    (Limits(max_searches=0), CACHE, {}, None),
    (Limits(max_searches=0), INTERACTION, {"agent": "deep-research"}, "searches"),
    (Limits(max_searches=2), INTERACTION, {"agent": "deep-research"}, "searches"),
    (Limits(max_searches=2), INTERACTION, {**SEARCH, "background": True}, "searches"),
    (Limits(max_searches=2), BATCH, batch(SEARCH), "searches"),
    (Limits(max_searches=2), BATCH, batch({}), None),
    (Limits(max_searches=2), BATCH, FILES, "searches"),
    (Limits(max_searches=None), BATCH, FILES, None),
    (Limits(max_searches=2), STREAM, SEARCH, None),
    (Limits(max_searches=None), GENERATE, SEARCH, None),
    *((Limits(only_unstored=True), action, {"store": True}, "store") for action in TEXTS),
    *((Limits(only_unstored=True), action, {}, "store") for action in TEXTS),
    *((Limits(only_unstored=True), action, {"store": False}, None) for action in TEXTS),
    (Limits(only_unstored=True), BATCH, batch({"store": False}, {}), "store"),
    (Limits(only_unstored=True), BATCH, FILES, "store"),
    (Limits(only_unstored=True), CACHE, {"store": False}, "store"),
    (Limits(only_unstored=True), "cachedContents.get", {}, None),
    (Limits(only_unstored=False), GENERATE, {}, None),
    *((OUTPUT, action, {"max_output_tokens": 10}, "max_output_tokens") for action in TEXTS),
    *((OUTPUT, action, {}, "max_output_tokens") for action in TEXTS),
    *((OUTPUT, action, {"max_tokens": 9}, None) for action in TEXTS),
    (OUTPUT, BATCH, batch({"max_tokens": 9}, {"max_tokens": 10}), "max_output_tokens"),
    (OUTPUT, BATCH, FILES, "max_output_tokens"),
    *((Limits(service_tiers=("flex",)), action, {}, "service_tiers") for action in TEXTS),
    *(
        (Limits(service_tiers=("flex",)), action, {"service_tier": "FLEX"}, None)
        for action in TEXTS
        if action != BATCH
    ),
    (Limits(service_tiers=("standard",)), GENERATE, {"serviceTier": "flex"}, "service_tiers"),
    (Limits(service_tiers=("standard",)), GENERATE, {"serviceTier": 3}, "service_tiers"),
    (Limits(service_tiers=("standard",)), GENERATE, {}, None),
    (Limits(service_tiers=("standard",)), CHAT, {"service_tier": "auto"}, None),
    (Limits(service_tiers=("standard",)), BATCH, batch({}), "service_tiers"),
    (Limits(service_tiers=("batch",)), BATCH, batch({}), None),
    (Limits(service_tiers=("batch",)), BATCH, batch({"serviceTier": "priority"}), "service_tiers"),
    (Limits(service_tiers=("batch",)), "openai.batches", {"input_file_id": "files/f"}, None),
    (Limits(service_tiers=("flex",)), "embedContent", {}, "service_tiers"),
]  # fmt: skip


@cases(("limits", "action", "body", "policy"), CASES)
def test_a_policy_refuses_what_it_rules_out(
    limits: Limits, action: str, body: object, policy: str | None
) -> None:
    assert reason(limits, request_summary(action, body)) == policy


ALL = [
    Limits(max_searches=0),
    Limits(only_unstored=True),
    Limits(max_output_tokens=9),
    Limits(service_tiers=("standard",)),
]


@cases("limits", ALL)
@cases("action", TEXTS)
def test_what_is_not_seen_is_refused(limits: Limits, action: str) -> None:
    assert reason(limits, request_summary(action, None)) is not None
    assert reason(Limits(), request_summary(action, None)) is None


@cases("limits", ALL)
@cases(
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
def test_what_makes_nothing_is_not_asked(limits: Limits, action: str) -> None:
    assert reason(limits, request_summary(action, None)) is None


@cases("action", ["embedContent", "predict", "openai.embeddings", "predictLongRunning"])
def test_what_writes_no_text_has_a_tier_only(action: str) -> None:
    limits = Limits(max_searches=0, only_unstored=True, max_output_tokens=9, service_tiers=("standard",))
    assert reason(limits, request_summary(action, {})) is None
    assert reason(limits, request_summary(action, {"serviceTier": "flex"})) == "service_tiers"


# Every other method of Google's that may cost something is asked what it lets Google keep.
NOT_ASKED = {
    *("embedContent", "batchEmbedContents", "asyncBatchEmbedContent", "embedText", "batchEmbedText"),
    *("openai.embeddings", "openai.images.generations", "openai.images.edits", "openai.videos"),
    *("predict", "predictLongRunning", "cachedContents.patch", "fileSearchStores.create"),
    *("fileSearchStores.importFile", "fileSearchStores.uploadToFileSearchStore"),
    *("files.upload", "environments.upload", "novelties.upload"),
}


def test_every_method_that_may_cost_something_is_asked_unless_it_writes_no_text() -> None:
    with (Path(__file__).parents[1] / "gemini" / "methods.tsv").open() as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["action"] != "-"]
    asked_of = {
        row["action"]: reason(
            Limits(only_unstored=True),
            AccessRequest(
                row["action"], None, "/path", Billing(row["billing"]), request_summary=RequestSummary()
            ),
        )
        for row in rows
    }
    billable = {row["action"] for row in rows if row["billing"] != "free"}
    assert {action for action in billable if asked_of[action] is None} == NOT_ASKED & billable
    assert {action for action, policy in asked_of.items() if policy} <= billable


def test_an_action_without_a_name_is_asked() -> None:
    request = AccessRequest(None, None, "/v1/%x", Billing.UNKNOWN, request_summary=RequestSummary())
    refusal = admit_body([account(Limits(only_unstored=True))], request, 0)
    assert refusal
    assert refusal.message == (
        'The group g may not let Google keep its prompts: send `"store": false` in the request.'
    )


def test_what_the_body_says_is_not_asked_of_the_head() -> None:
    request = AccessRequest(GENERATE, "m", "/path", Billing.METERED)
    for limits in ALL:
        assert admit_body([account(limits)], request, 0) is None


def test_no_policy_is_left_out_here() -> None:
    """One that `has_policies` does not know lets a request pass whose body nobody has parsed."""
    unset = Limits()
    tried = {
        name
        for limits in ALL
        for name in unset.__struct_fields__
        if getattr(limits, name) != getattr(unset, name)
    }
    assert tried == {name for names in POLICY_RULES.values() for name in names}


@cases("limits", ALL)
def test_a_policy_needs_the_body(limits: Limits) -> None:
    assert limits.needs_body
    assert limits.needs_settings
    assert limits.has_policies
    assert not Limits(models=("*", "a"), allowed_ips=("::1",)).needs_body
    assert Limits(models=("a",)).needs_body


@cases(
    ("limit", "searches", "cut"), [(2, 3, True), (2, 2, False), (0, 1, True), (0, 0, False), (None, 9, False)]
)
def test_a_response_may_show_so_many_searches(limit: int | None, searches: int, cut: bool) -> None:
    assert bool(too_many_searches(account(Limits(max_searches=limit)), searches)) == cut


@cases(
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
@cases("action", ["files.list", GENERATE])
def test_a_call_comes_from_an_allowed_network(
    networks: tuple[str, ...], client: str, allowed: bool, action: str
) -> None:
    request = AccessRequest(action, "m", "/path", billing_of(action), client=client)
    refusal = admit([account(Limits()), account(Limits(allowed_ips=networks))], request, 0)
    assert (refusal is None) == allowed
    assert refusal is None or (refusal.reason, refusal.metadata["policy"]) == (Reason.POLICY, "allowed_ips")
