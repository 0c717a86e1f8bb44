"""The schemas of spend and prices."""

from __future__ import annotations

from gatekeeper.admin.call_schemas import PARTIAL, SUMS
from gatekeeper.openapi.document import Operation
from gatekeeper.openapi.schema import (
    Schema,
    array,
    boolean,
    component,
    integer,
    mapping,
    members,
    nullable,
    number,
    text,
    texts,
    time,
)

_MODEL = text("A model.", "gemini-2.5-flash")
_GROUPS: dict[str, Schema] = {
    "tag": nullable(text("Null: calls without a tag.", "checkout")),
    "model": nullable(_MODEL),
    "key": nullable(text("The alias, else the id.", "web-frontend")),
    "user": nullable(text("The end user.", "user-17")),
    "day": text("A day of `timezone`.", "2026-11-24", format="date"),
    "week": text("The Monday of a week of `timezone`.", "2026-11-23", format="date"),
    "hour": text("The start of an hour of `timezone`.", "2026-11-24T13:00:00Z", format="date-time"),
    "minute": text("The start of a minute of `timezone`.", "2026-11-24T13:07:00Z", format="date-time"),
}
_OTHER: dict[str, Schema] = {
    "other": boolean("These are the sums of all groups outside the top.", example=False),
    "groups": integer("How many groups those are.", 12),
}
SPEND_ROW = component(
    "SpendRow",
    members("The sums of one group.", _GROUPS | SUMS | _OTHER, optional=[*_GROUPS, *_OTHER]),
)
_UNPRICED = members(
    "A model that served calls of unknown cost.",
    {"model": nullable(_MODEL), "calls": integer("How many.", 2)},
)
_REST: dict[str, Schema] = {
    "unpriced_models_truncated": boolean("There are more unpriced models.", example=False),
    "truncated": boolean("There are more rows than the limit.", example=True),
    "rest": members("What was left out.", {"rows": integer("Rows.", 40)} | SUMS),
}
SPEND = component(
    "Spend",
    members(
        "Sums of calls.",
        {
            "rows": array("One for each group.", SPEND_ROW),
            "total": members("All calls, each counted once.", SUMS),
            "unpriced_models": array("The models without a known price, most calls first.", _UNPRICED),
            **_REST,
            "since": nullable(time("From when.")),
            "until": nullable(time("Until when.")),
            "timezone": text("That of days and hours.", "UTC"),
            **PARTIAL,
        },
        optional=[*_REST, *PARTIAL],
    ),
)
MODELS = component(
    "Models",
    members(
        "The models of calls, and those with a price.",
        {
            "seen": array(
                "The models of calls, most recently used first.",
                members(
                    "A model that was asked for.",
                    {
                        "model": _MODEL,
                        "calls": SUMS["calls"],
                        "last_used_at": time("When it was asked for last."),
                        "cost_usd": SUMS["cost_usd"],
                        "unpriced_calls": SUMS["unpriced_calls"],
                        "priced": boolean("Whether the prices in force have it.", example=True),
                    },
                ),
            ),
            "priced": texts("Ids, or globs of ids, that have a price.", "gemini-2.5-flash"),
            "price_version": text("The catalogue.", "2026-11-20-1a2b3c4d"),
            **PARTIAL,
        },
        optional=PARTIAL,
    ),
)
_PRICE_ROW = members(
    "Prices with what they hold for.",
    {
        "tier": text("The service tier.", "standard"),
        "from": nullable(text("The first day.", "2026-01-01", format="date")),
        "to": nullable(text("The first day on which it no longer holds.", "2027-01-01", format="date")),
        "prompt_above": nullable(integer("For prompts of more tokens than this.", 200_000)),
        "prompt_up_to": nullable(integer("For prompts of at most so many tokens.", 1_048_576)),
        "per_1m_tokens": mapping("USD by component.", {"type": "string"}, {"input": "0.300000000000"}),
        "prices": mapping(
            "Unit and USD by component.",
            members("A price.", {"unit": text("", "per_1m_tokens"), "usd": text("", "0.300000000000")}),
            {"input": {"unit": "per_1m_tokens", "usd": "0.300000000000"}},
        ),
        "confidence": mapping("Components whose price is not sure.", {"type": "string"}, {"audio": "likely"}),
        "own": texts("Components that your own file prices."),
    },
)
PRICES = component(
    "Prices",
    members(
        "The prices in force.",
        {
            "version": text("The catalogue.", "2026-11-20-1a2b3c4d"),
            "checked": text("The day on which they were compared with Google's last.", "2026-11-20"),
            "currency": text("Always USD.", "USD"),
            "models": array(
                "The models.",
                members(
                    "A model.",
                    {
                        "ids": texts("Its ids, or globs of them.", "gemini-2.5-flash"),
                        "source": nullable(
                            text("Where its prices are from.", "https://ai.google.dev/pricing")
                        ),
                        "note": nullable(text("What is to be known.", "")),
                        "prices": array("Rows.", _PRICE_ROW),
                    },
                ),
            ),
            "aliases": mapping(
                "Names that stand for a model, from a day on.",
                {"type": "array"},
                {"gemini-flash-latest": [{"from": "2026-01-01", "model": "gemini-2.5-flash"}]},
            ),
            "own_file": nullable(text("The file of your own prices.", "/var/lib/gatekeeper/prices.toml")),
            "faults": texts("Why the file of your own is not used as it is now."),
        },
    ),
)
_USD = nullable(number("USD, the exact decimal; null: unknown.", 612.4))
TAG_SPEND = {
    "type": "array",
    "description": "LiteLLM's rows of tags.",
    "items": component(
        "TagSpend",
        members(
            "The spend of a tag.",
            {
                "individual_request_tag": text("The tag.", "checkout"),
                "log_count": integer("Its calls.", 212_000),
                "total_spend": _USD,
            },
        ),
    ),
}
_COUNT = nullable(integer("Tokens.", 331))
SPEND_LOGS = {
    "type": "array",
    "description": "LiteLLM's rows of calls, newest first.",
    "items": component(
        "SpendLog",
        members(
            "A call in LiteLLM's form.",
            {
                "request_id": text("The call's id.", "019ab2c3-d4e5-7f60-8192-a3b4c5d6e7f8"),
                "call_type": text("Its action.", "generateContent"),
                "api_key": text("The key's `token_id`.", "key_0123456789abcdef"),
                "spend": _USD,
                "total_tokens": _COUNT,
                "prompt_tokens": _COUNT,
                "completion_tokens": _COUNT,
                "startTime": time("When it began."),
                "endTime": nullable(time("When it ended.")),
                "completionStartTime": nullable(time("When its first byte was sent.")),
                "model": text("The model.", "gemini-2.5-flash"),
                "model_group": text("The model.", "gemini-2.5-flash"),
                "custom_llm_provider": text("Always gemini.", "gemini"),
                "user": text("The end user.", "user-17"),
                "end_user": text("The end user.", "user-17"),
                "request_tags": texts("Its tags.", "checkout"),
                "metadata": mapping(
                    "Alias and status.", {}, {"user_api_key_alias": "web-frontend", "status_code": 200}
                ),
                "cache_hit": text("Always False.", "False"),
                "status": text("success or failure.", "success"),
                "session_id": nullable(text("The trace.", "4bf92f3577b34da6a3ce929d0e0e4736")),
            },
        ),
    ),
}

SPEND_SUMS = Operation(
    "Sum calls", SPEND, query=("by", "since", "until", "q", "limit", "top"), problems=(503,)
)
LIST_MODELS = Operation("List models", MODELS, problems=(503,))
SHOW_PRICES = Operation("Show the prices in force", PRICES)
DATES = ("start_date", "end_date")
TAGS = Operation("Sum calls by tag, as LiteLLM", TAG_SPEND, query=DATES, problems=(503,))
LOGS = Operation(
    "List calls, as LiteLLM",
    SPEND_LOGS,
    query=(*DATES, "api_key", "user_id", "request_id", "summarize", "limit", "cursor"),
    problems=(503,),
)
