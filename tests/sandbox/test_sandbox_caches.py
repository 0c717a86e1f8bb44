"""Cached contents, and calls that build on them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

CACHES = "/v1beta/cachedContents"
GENERATE = "/v1beta/models/gemini-2.5-flash:generateContent"
LONG = {"contents": [{"role": "user", "parts": [{"text": "All about bees. " * 300}]}]}
WISH = {"model": "models/gemini-2.5-flash", "displayName": "bees", "ttl": "600s", **LONG}


def asking(name: str, **rest: object) -> dict:
    return {"cachedContent": name, "contents": [{"parts": [{"text": "Summarise it"}]}], **rest}


def lifetime(cache: dict) -> float:
    ends, begins = (datetime.fromisoformat(cache[name]) for name in ("expireTime", "updateTime"))
    return (ends - begins).total_seconds()


async def test_a_cache_from_its_making_to_its_end(google):
    cache = (await google.post(CACHES, json=WISH)).json()
    assert cache["usageMetadata"] == {"totalTokenCount": 1200}
    assert (cache["displayName"], cache["model"]) == ("bees", WISH["model"])
    assert lifetime(cache) == pytest.approx(600, abs=1)
    assert (await google.get(f"/v1beta/{cache['name']}")).json() == cache
    longer = (await google.patch(f"/v1beta/{cache['name']}", json={"ttl": "3600s"})).json()
    assert lifetime(longer) == pytest.approx(3600, abs=1)
    end = datetime(2099, 1, 1, tzinfo=UTC).isoformat()
    fixed = (await google.patch(f"/v1beta/{cache['name']}", json={"expire_time": end})).json()
    assert fixed["expireTime"] == "2099-01-01T00:00:00.000000Z"
    assert (await google.get(CACHES)).json() == {"cachedContents": [fixed]}
    assert (await google.delete(f"/v1beta/{cache['name']}")).json() == {}
    assert (await google.get(CACHES)).json() == {}
    gone = await google.post(GENERATE, json=asking(cache["name"]))
    assert gone.status_code == 403
    assert gone.json()["error"]["message"] == "CachedContent not found (or permission denied)"


async def test_a_call_counts_what_is_cached(google):
    cache = (await google.post(CACHES, json=WISH)).json()
    usage = (await google.post(GENERATE, json=asking(cache["name"]))).json()["usageMetadata"]
    assert usage["cachedContentTokenCount"] == 1200
    assert usage["promptTokenCount"] == 1203
    assert usage["cacheTokensDetails"] == [{"modality": "TEXT", "tokenCount": 1200}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"contents": [{"parts": [{"text": "short"}]}]}, "total_token_count=2, min_total_token_count=1024"),
        ({"ttl": "soon"}, "Invalid duration format"),
        ({"ttl": None, "expireTime": "9999-12-31T23:59:59-23:59"}, "Invalid time format"),
        ({"model": "models/gpt-4"}, "not supported for createCachedContent"),
    ],
)
async def test_a_cache_that_cannot_be_made(google, change, message):
    answer = await google.post(CACHES, json=WISH | change)
    assert answer.status_code in (400, 404)
    assert message in answer.json()["error"]["message"]


async def test_a_change_needs_an_expiry(google):
    cache = (await google.post(CACHES, json=WISH)).json()
    answer = await google.patch(f"/v1beta/{cache['name']}", json={"displayName": "wasps"})
    assert answer.status_code == 400


async def test_a_cache_serves_its_own_model_alone_and_holds_the_instruction(google):
    cache = (await google.post(CACHES, json=WISH)).json()
    other = GENERATE.replace("2.5-flash", "3.8-flash")
    assert (
        "has to be the same"
        in (await google.post(other, json=asking(cache["name"]))).json()["error"]["message"]
    )
    instructed = asking(cache["name"], systemInstruction={"parts": [{"text": "Be brief"}]})
    assert (await google.post(GENERATE, json=instructed)).status_code == 400
