"""Behind a reverse proxy: who the client is, and where the gateway's own addresses lead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from rig.gateway import running
from rig.logs import capture_logs
from rig.standin import StandIn
from rig.wire import exchange

OUTER = ["X-Forwarded-Proto: https", "X-Forwarded-Host: gw.example", "X-Forwarded-For: 203.0.113.9"]


@pytest.mark.parametrize(
    ("settings", "base", "address"),
    [
        ({}, "http://localhost/gemini", "127.0.0.1"),
        ({"trusted_proxies": "127.0.0.1"}, "https://gw.example/gemini", "203.0.113.9"),
        ({"trusted_proxies": "192.0.2.0/24"}, "http://localhost/gemini", "127.0.0.1"),
        ({"public_url": "https://fixed.example/llm"}, "https://fixed.example/llm/gemini", "127.0.0.1"),
    ],
)
async def test_a_proxys_word_counts_where_it_is_trusted(
    tmp_path: Path, google: StandIn, settings: dict[str, Any], base: str, address: str
) -> None:
    async with running(tmp_path / "data", google.url, master_key="sk-master", **settings) as gateway:
        root = await exchange(gateway.url, "GET /", headers=OUTER)
        assert json.loads(root.body)["gemini"] == base
        for wrong, key in (("/gemini/models", "sk-master"), ("/v1beta/models/m:countTokens", "")):
            answer = await exchange(gateway.url, f"POST {wrong}?key={key}", body=b"{}", headers=OUTER)
            assert json.loads(answer.body)["error"]["details"][0]["metadata"]["base_url"] == base
        with capture_logs() as logged:
            await exchange(gateway.url, "GET /gemini/v1beta/models?key=wrong", headers=OUTER)
            await exchange(gateway.url, "GET /key/list", headers=[*OUTER, "Authorization: Bearer wrong"])
        told = [line["address"] for line in logged if line["event"] == "authentication_failed"]
        assert told == [address]
