"""What Prometheus scrapes, read by its own parser."""

from __future__ import annotations

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from gatekeeper.ledger.call import Amendment, Outcome

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


async def scrape(admin, accept="*/*"):
    """The samples by name and labels."""
    response = await admin.client.get("/metrics", headers={"accept": accept})
    assert response.status_code == 200
    parse = (
        openmetrics.text_string_to_metric_families
        if accept == OPENMETRICS
        else text_string_to_metric_families
    )
    samples = (sample for family in parse(response.text) for sample in family.samples)
    return {(sample.name, *sorted(sample.labels.values())): sample.value for sample in samples}


@pytest.mark.parametrize("accept", ["*/*", OPENMETRICS])
async def test_counters_hold_what_the_ledger_has(admin, accept):
    admin.priced(tags=["a"], stream=True, duration_ms=2600.0, first_byte_ms=240.0, gateway_ms=0.7)
    admin.priced(model="gemini-2.5-pro", cost_pico=None, price_version=None)
    admin.finish(outcome=Outcome.REFUSED, reason="GATEKEEPER_BUDGET_EXCEEDED", status=429, cost_pico=0)
    admin.finish(outcome=Outcome.UPSTREAM_ERROR, reason="RESOURCE_EXHAUSTED", status=429, cost_pico=0)
    admin.start()
    found = await scrape(admin, accept)
    total = (await admin.get("/spend"))["total"]
    calls = {name: value for name, value in found.items() if name[0] == "gatekeeper_calls_total"}
    assert calls == {
        ("gatekeeper_calls_total", "gemini-2.5-flash", "ok"): 1,
        ("gatekeeper_calls_total", "ok", "other"): 1,
        ("gatekeeper_calls_total", "gemini-2.5-flash", "refused"): 1,
        ("gatekeeper_calls_total", "gemini-2.5-flash", "upstream_error"): 1,
    }
    assert sum(calls.values()) == total["calls"]
    assert found["gatekeeper_cost_usd_total", "gemini-2.5-flash"] == float(total["cost_usd"]) > 0
    assert found["gatekeeper_unpriced_calls_total", "other"] == total["unpriced_calls"] == 1
    assert found["gatekeeper_failed_calls_total", "GATEKEEPER_BUDGET_EXCEEDED"] == 1
    assert found["gatekeeper_failed_calls_total", "other"] == 1
    prompt = [
        value for name, value in found.items() if name[0] == "gatekeeper_tokens_total" and "prompt" in name
    ]
    assert sum(prompt) == total["prompt_tokens"]
    assert found["gatekeeper_call_duration_seconds_bucket", "2.5", "true"] == 0
    assert found["gatekeeper_call_duration_seconds_bucket", "5.0", "true"] == 1
    assert found["gatekeeper_first_byte_seconds_sum", "true"] == 0.24
    assert found["gatekeeper_gateway_seconds_bucket", "0.001"] == 1
    assert found["gatekeeper_ready",] == 1
    assert found["gatekeeper_google_keys", "ok"] == 1
    assert found["process_resident_memory_bytes",] > 0


async def test_a_cost_that_is_known_later_is_added(admin):
    pending = admin.priced(cost_pico=None)
    admin.priced()
    before = await scrape(admin)
    known = replace(pending, cost_pico=3_000_000_000_000)
    admin.ledger.amend(Amendment(call=known, charged_before=1_000_000_000_000, estimated_before=True))
    after = await scrape(admin)
    cost = ("gatekeeper_cost_usd_total", "gemini-2.5-flash")
    assert after[cost] - before[cost] == pytest.approx(3)
    assert after["gatekeeper_calls_total", "gemini-2.5-flash", "ok"] == 2


async def test_it_asks_for_no_key_and_names_nobody(guarded):
    guarded.priced(key_alias="alias-of-ann", key_id="id-of-ann", user_id="ann@a.example", tags=["tag-of-ann"])
    guarded.finish(model="made-up-by-ann", outcome=Outcome.REFUSED, status=401, path="/v1beta/ann")
    response = await guarded.client.get("/metrics", headers={"authorization": ""})
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain; version=")
    assert 'outcome="refused"' in response.text
    assert "ann" not in response.text
