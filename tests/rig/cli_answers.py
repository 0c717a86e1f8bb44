"""What a gateway with a team's keys and calls answers to the command line, at a fixed time."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from gatekeeper.ledger.call import COLUMNS

NOW = datetime(2026, 11, 24, 13, 7, 32, tzinfo=UTC)
LONG = "mobile-app-backend-europe-west"
ID = "01a20dab-04ca-7c40-9d0a-5f1d9c1c0001"


def call(number: int, second: float, key: str, model: str, **fields: Any) -> dict[str, Any]:
    known = {
        "id": f"{ID[:-4]}{number:04}",
        "started_at": f"2026-11-24T13:07:{second:09.6f}Z",
        "key_id": f"key_{number:016x}",
        "key_alias": key,
        "tags": [],
        "method": "POST",
        "path": f"/v1beta/models/{model}:generateContent",
        "action": "generateContent",
        "model": model,
        "stream": False,
        "request_bytes": 0,
        "response_bytes": 0,
    }
    return dict.fromkeys(COLUMNS) | known | fields


def ok(prompt: int, output: int, cost: str | None, **fields: Any) -> dict[str, Any]:
    return {
        "status": 200,
        "outcome": "ok",
        "duration_ms": 3410.2,
        "first_byte_ms": 212.4,
        "gateway_ms": 0.9,
        "prompt_tokens": prompt,
        "output_tokens": output,
        "total_tokens": prompt + output,
        "cost_usd": cost,
        "service_tier": "standard",
        "finish_reason": "STOP",
        **fields,
    }


USAGE = {"promptTokenCount": 1204, "candidatesTokenCount": 331, "totalTokenCount": 1535}
CALLS = [
    call(6, 29, "web-frontend", "gemini-2.5-flash", **ok(1204, 331, "0.001126600000", cached_tokens=980),
         tags=["checkout", "eu"], usage=USAGE, request_bytes=2104, response_bytes=18211, upstream_key="key-1",
         user_agent="google-genai-sdk/1.50.0", price_version="2026-11-20-1a2b3c4d",
         model_version="gemini-2.5-flash"),
    call(5, 27.5, LONG, "gemini-3-pro-preview", **ok(8310, 19204, "12.402100000000", thoughts_tokens=402),
         tags=["batch-import-of-the-product-catalogue", "nightly"], user_id="ada"),
    call(4, 24, "ci", "gemini-9-ultra", **ok(10, 20, None)),
    call(3, 21.25, "ci", "gemini-2.5-flash-lite", status=429, outcome="refused", duration_ms=0.6,
         first_byte_ms=0.6, gateway_ms=0.6, reason="GATEKEEPER_RATE_LIMITED", cost_usd="0.000000000000",
         error_message='The key "ci" may make 60 calls a minute (rpm_limit): wait 12 s'),
    call(2, 20, "web\u001b[2J\u202efrontend", "gemini-2.5-flash", status=503, outcome="upstream_error",
         duration_ms=812.0, reason="UNAVAILABLE", cost_usd="0.000000000000",
         error_message="The model is overloaded. Please try again later."),
]  # fmt: skip
RUNNING = [
    call(9, 31, "web-frontend", "gemini-2.5-pro", action="streamGenerateContent", stream=True, status=200,
         first_byte_ms=412.0, prompt_tokens=8310, output_tokens=1204, tags=["checkout"], user_id="user-17"),
    call(8, 2, LONG, "veo-3.1-generate-preview", action="predictLongRunning"),
]  # fmt: skip
COST = {
    "model": "gemini-2.5-flash",
    "cost_usd": "0.0011266",
    "lines": [
        {"component": "input_text", "quantity": "224", "unit": "per_1m_tokens", "unit_usd": "0.3",
         "usd": "0.0000672"},
        {"component": "cached_text", "quantity": "980", "unit": "per_1m_tokens", "unit_usd": "0.03",
         "usd": "0.0000294"},
        {"component": "output_text", "quantity": "412", "unit": "per_1m_tokens", "unit_usd": "2.5",
         "usd": "0.00103"},
    ],
    "price_version": "2026-11-20-1a2b3c4d",
    "notes": ["thoughts are priced as output"],
}  # fmt: skip


def spent(cost: str | None, calls: int, errors: int = 0, unpriced: int = 0, **groups: Any) -> dict[str, Any]:
    tokens = {"prompt_tokens": calls * 5120, "cached_tokens": calls * 3000}
    tokens |= {"output_tokens": calls * 300, "thoughts_tokens": calls * 176}
    sums = {"calls": calls, "errors": errors, **tokens, "total_tokens": calls * 5596, "cost_usd": cost}
    return {**groups, **sums, "unpriced_calls": unpriced}


def report(
    rows: list[dict[str, Any]], total: dict[str, Any], since: str | None, **more: Any
) -> dict[str, Any]:
    models = [{"model": "gemini-9-ultra", "calls": 41}] if total["unpriced_calls"] else []
    bounds = {"since": since, "until": "2026-11-24T13:07:32.000000Z" if since else None, "timezone": "UTC"}
    return {"rows": rows, "total": total, "unpriced_models": models, **bounds, **more}


SPEND = report(
    [
        spent("612.400000000000", 212034, 848, tag="checkout"),
        spent("401.120000000000", 14210, 156, 41, tag="batch-import-of-the-product-catalogue"),
        spent("88.900000000000", 61022, 122, tag=None),
        spent("0.000110000000", 3, 3, tag="probe"),
    ],
    spent("1102.420110000000", 287269, 1129, 41),
    None,
)
BY_TWO = report(
    [
        spent("401.120000000000", 14210, 156, key=LONG, model="gemini-3-pro-preview"),
        spent("88.900000000000", 61022, 122, key=LONG, model="gemini-2.5-flash-lite"),
        spent("2.100000000000", 301, 0, key="ci", model=None),
    ],
    spent("492.120000000000", 75533, 278),
    "2026-11-23T00:00:00.000000Z",
    truncated=True,
    rest={"rows": 1400, **spent("0.250000000000", 77)},
)
THIS_WEEK = report(
    [
        spent("12.000000000000", 210, key="web-frontend"),
        spent("3.000000000000", 2, key=LONG),
        spent(None, 41, 0, 41, key="ci"),
    ],
    spent("15.000000000000", 253, 0, 41),
    "2026-11-23T00:00:00.000000Z",
)
LAST_WEEK = report(
    [spent("10.000000000000", 211, key="web-frontend"), spent("9.000000000000", 4, key="ann"),
     spent("0.500000000000", 3, key="ci")],
    spent("19.500000000000", 218),
    "2026-11-16T00:00:00.000000Z",
    until="2026-11-17T13:07:32.000000Z",
)  # fmt: skip


def account(**fields: Any) -> dict[str, Any]:
    times = {"created_at": "2026-09-01T08:00:00.000000Z", "updated_at": "2026-11-02T08:00:00.000000Z"}
    return {**times, "spend": "0.000000000000", "last_used_at": None, "budget_reset_at": None, **fields}


KEYS = [
    account(token_id="key_0000000000000001", key_name="sk-...01aa", key_alias="web-frontend", models=[],
            max_budget="400.000000000000", budget_duration="1mo",
            budget_reset_at="2026-12-01T00:00:00.000000Z",
            spend="401.120000000000", tpm_limit=250000, tags=["checkout", "eu"],
            last_used_at="2026-11-24T13:04:00.000000Z"),
    account(token_id="key_0000000000000002", key_name="sk-...77b0", key_alias=LONG,
            models=["gemini-2.5-flash", "gemini-2.5-flash-lite"], max_budget="20.000000000000",
            spend="18.500000000000", rpm_limit=30, last_used_at="2026-11-22T13:00:00.000000Z",
            expires="2026-12-31T00:00:00.000000Z"),
    account(token_id="key_0000000000000003", key_name="sk-...9c1d", key_alias=None, models=["gemini-2.5*"],
            spend="0.120000000000", blocked=True),
]  # fmt: skip
GROUPS = [
    account(group="shop", keys=12, max_budget="800.000000000000", budget_duration="1mo",
            spend="790.100000000000", rpm_limit=600),
    account(group="research-and-development-of-search", keys=0, spend="3.250000000000"),
]  # fmt: skip
USERS = [account(user_id="ada", max_budget="5.000000000000", spend="5.010000000000")]
CHANGES = [
    {"id": 7, "at": "2026-11-24T13:05:00.000000Z", "by": "key_0000000000000001", "by_alias": "ann",
     "address": "10.0.0.1", "action": "update", "token_id": "key_0000000000000002", "key_alias": LONG,
     "target": None, "detail": {"rpm_limit": {"from": None, "to": 7}, "models": {"from": ["a"], "to": []},
                                "max_budget": {"from": None, "to": "5.000000000000"}}},
    {"id": 6, "at": "2026-11-23T09:00:00.000000Z", "by": "master", "by_alias": None, "address": None,
     "action": "file.lend", "token_id": None, "key_alias": None, "target": "gatekeeper.duckdb",
     "detail": {"seconds": {"from": None, "to": 60}}},
]  # fmt: skip
EXPLANATION = {
    "admitted": False,
    "action": "generateContent",
    "model": "gemini-2.5-pro",
    "waits": False,
    "reserves": "0.655360000000",
    "left": [
        {"whose": "The key web-frontend", "limit": "max_budget", "value": "400", "used": "401.12",
         "left": "0", "resets_at": "2026-12-01T00:00:00.000000Z"},
        {"whose": "The group shop", "limit": "rpm_limit", "value": 600, "used": 12, "left": 588,
         "resets_at": None},
    ],
}  # fmt: skip
SQL = {
    "columns": ["model", "count_star()", "spent", "path"],
    "types": ["VARCHAR", "BIGINT", "DECIMAL(38,12)", "VARCHAR"],
    "rows": [
        ["gemini-2.5-flash", 212034, "612.400000000000", "/v1beta/models/gemini-2.5-flash:generateContent"],
        ["gemini-9\u001b[2J", 41, None, "/v1beta/models/gemini-9:streamGenerateContent"],
    ],
    "truncated": False,
}


def events() -> bytes:
    """The stream of the calls that have ended, until the gateway refuses the key."""
    lines = [
        f"id: {number}\nevent: call.finished\ndata: {json.dumps(each)}\n\n"
        for number, each in enumerate(CALLS, 1)
    ]
    return "".join(lines).encode()
