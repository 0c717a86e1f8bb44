"""The command line with a real gateway: what one command makes, the others find."""

from __future__ import annotations

import json
import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import trio
from rig.gateway import running
from rig.process import command
from rig.standin import Reply, standing_in

ANSWER = {
    "candidates": [{"content": {"parts": [{"text": "Hello"}]}, "finishReason": "STOP"}],
    "usageMetadata": {"promptTokenCount": 1042, "candidatesTokenCount": 318, "totalTokenCount": 1360},
    "modelVersion": "gemini-2.5-flash",
}
CALL = "/gemini/v1beta/models/gemini-2.5-flash:generateContent"
COST = "0.001107600000"
COUNT = """
import sys, duckdb
sys.exit(40 + duckdb.connect(sys.argv[1]).sql("SELECT count(*) FROM calls").fetchall()[0][0])
"""
MASTER = "sk-master-of-the-flow"


async def google(reply: Reply) -> None:
    await reply.json(json.dumps(ANSWER, indent=2).encode())


async def test_from_a_new_key_to_what_it_spent(cli: Any, tmp_path: Path) -> None:
    async with (
        standing_in() as upstream,
        running(tmp_path / "data", upstream.url, master_key=MASTER) as gateway,
    ):
        upstream.script = google
        where = ("--url", gateway.url, "--key", MASTER)

        async def ran(*args: str, **options: Any) -> Any:
            ended = await trio.to_thread.run_sync(partial(cli, *args, *where, **options))
            assert ended.status == 0, ended.err
            return ended

        secret = (
            await ran("keys", "create", "--alias", "ci", "--max-budget", "1", "--tags", "team-a", "--quiet")
        ).out.strip()
        answer = await gateway.client.post(CALL, json={}, headers={"x-goog-api-key": secret, "tags": "b"})
        assert answer.status_code == 200
        call = answer.headers["x-gatekeeper-call-id"]
        await gateway.row()

        shown = (await ran("calls", "show", call, "--json")).document
        assert (shown["key_alias"], shown["tags"], shown["cost_usd"]) == ("ci", ["team-a", "b"], COST)
        assert call in (await ran("calls", "list", "--query", "key:ci tag:b status:200")).out
        assert [json.loads(line)["id"] for line in (await ran("calls", "export")).out.splitlines()] == [call]
        assert "$0.0011" in (await ran("spend", "--by", "tag")).out
        assert (await ran("sql", "SELECT cost_usd FROM calls", "--json")).document["rows"] == [[COST]]
        assert "$0.0011 of $1" in (await ran("keys", "show", "ci")).out

        words = ["sql", "--exec", f"{shlex.quote(sys.executable)} -c {shlex.quote(COUNT)} {{file}}", *where]
        lent = await command(tmp_path, *words)
        assert lent.returncode == 41
        assert (await ran("sql", "SELECT count(*) FROM calls", "--json")).document["rows"] == [[1]]

        await ran("keys", "block", "ci")
        refused = await gateway.client.post(CALL, json={}, headers={"x-goog-api-key": secret})
        assert refused.status_code == 403
        await ran("keys", "delete", "ci", "--yes")
        assert "ci" not in (await ran("keys", "list")).out
