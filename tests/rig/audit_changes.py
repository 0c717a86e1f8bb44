"""The audit log of the sample gateway: a little of everything at its end, before it many small changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

LAST = datetime(2026, 11, 24, 13, 5, tzinfo=UTC)
MANY = 300
ANN = {"by": "key_ann", "by_alias": "ann", "role": "operator", "address": "203.0.113.9"}
MASTER = {"by": "master", "by_alias": None, "role": "admin", "address": "127.0.0.1"}
ITSELF = {"by": "gateway", "by_alias": None, "role": None, "address": None}
WEB = {"token_id": "0193f000-0000-7000-8000-000000000001", "key_alias": "web-frontend"}
BOT = {"token_id": "0193f000-0000-7000-8000-000000000003", "key_alias": "intern-bot"}
GONE = {"token_id": "0193f000-0000-7000-8000-000000000009", "key_alias": "gone"}
LATEST: list[dict[str, Any]] = [
    {
        **ANN,
        **WEB,
        "action": "update",
        "detail": {
            "max_budget": {"from": "600.000000000000", "to": "800.000000000000"},
            "rpm_limit": {"from": None, "to": 600},
            "models": {"from": [], "to": ["gemini-2.5-flash*"]},
        },
    },
    {**MASTER, **BOT, "action": "block", "detail": {"blocked": {"from": False, "to": True}}},
    {
        **MASTER,
        **GONE,
        "action": "delete",
        "detail": {
            "key": {"key_alias": "gone", "key_name": "sk-...gone", "spend": "1.500000000000", "tags": []}
        },
    },
    {
        **ITSELF,
        "action": "prices.reload",
        "target": "prices.toml",
        "detail": {"version": {"from": "a", "to": "b"}},
    },
    {
        **MASTER,
        "action": "file.lend",
        "target": "gatekeeper.duckdb",
        "detail": {"seconds": {"from": None, "to": 60}},
    },
]


def changes(action: str | None = None, by: str | None = None, before: int = 10**6) -> list[dict[str, Any]]:
    """Those that match, newest first, with ids below `before`."""
    small = [
        {**ANN, **BOT, "action": "update", "detail": {"rpm_limit": {"from": number, "to": number + 1}}}
        for number in reversed(range(MANY))
    ]
    log = [
        {"target": None, "token_id": None, "key_alias": None, "id": MANY + len(LATEST) - place, **change}
        | {"at": (LAST - timedelta(hours=7 * place)).isoformat().replace("+00:00", "Z")}
        for place, change in enumerate([*LATEST, *small])
    ]
    return [
        change
        for change in log
        if change["id"] < before
        and (action is None or change["action"] in action.split(","))
        and by in (None, change["by"], change["by_alias"])
    ]
