"""Each question of docs/sql.md is answered from a ledger that has something to say to it."""

from __future__ import annotations

import re
from pathlib import Path
from time import time

import duckdb

from gatekeeper.ledger.call import Outcome

DOCUMENT = (Path(__file__).parents[2] / "docs" / "sql.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^### (.+?)\n\n```sql\n(.+?)```", DOCUMENT, re.MULTILINE | re.DOTALL)
DAY = 86_400


def fill(admin) -> None:
    """Calls of yesterday, of today, and of last week and long ago."""
    now = time()
    for days, fields in (
        (0, {"tags": ["shop", "eu"], "cached_tokens": 200, "thoughts_tokens": 12, "service_tier": "flex"}),
        (0, {"finish_reason": "MAX_TOKENS", "user_id": "ann", "gateway_ms": 0.8}),
        (1, {"key_alias": "web", "user_agent": "google-genai-sdk/2.0 gl-python/3.13", "request_bytes": 4000}),
        (8, {"key_alias": "web"}),
        (40, {"key_alias": "old", "key_id": "key-of-old"}),
        (0, {"cost_pico": None, "model": "gemini-9-ultra", "price_version": None}),
    ):
        call = admin.start(started_at=int((now - days * DAY) * 1e6))
        admin.end(call, prompt_tokens=1204, output_tokens=331, **{"cost_pico": 1_188_700_000} | fields)
    failed = {"cost_pico": 0, "status": 429}
    admin.finish(outcome=Outcome.UPSTREAM_ERROR, reason="RESOURCE_EXHAUSTED", **failed)
    admin.finish(outcome=Outcome.REFUSED, reason="GATEKEEPER_RATE_LIMITED", **failed)
    admin.finish(outcome=Outcome.CLIENT_DISCONNECTED, usage_note="estimated: the client left")


async def test_each_question_has_an_answer(serve, tmp_path) -> None:
    async with serve() as admin:
        fill(admin)
        await admin.ledger.consumers.run_rounds()
    assert len(QUESTIONS) == DOCUMENT.count("\n### ") >= 20
    # `/sql` starts a process for each query, which is tested elsewhere.
    with duckdb.connect(tmp_path / "gatekeeper.duckdb", read_only=True) as file:
        for question, query in QUESTIONS:
            answer = file.execute(query).fetchone()
            assert answer is not None, question
            assert any(value is not None for value in answer), question
