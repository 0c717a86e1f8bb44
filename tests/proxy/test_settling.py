"""A call is settled whatever goes wrong in that: its row, its key's spend, and an end to its being open."""

from __future__ import annotations

from decimal import Decimal

import msgspec
import pytest
from rig.gateway import Running
from rig.standin import Reply, StandIn
from rig.wire import exchange

MODEL = "/gemini/v1beta/models/gemini-2.5-flash"


async def spend(gateway: Running, secret: str) -> Decimal:
    master = {"Authorization": "Bearer master-of-the-tests"}
    answer = await gateway.client.get("/key/info", params={"key": secret}, headers=master)
    return Decimal(answer.json()["info"]["spend"])


async def test_a_price_that_cannot_be_worked_out_leaves_a_row(
    guarded: Running, google: StandIn, capfd: pytest.CaptureFixture[str]
) -> None:
    proxy, secret = guarded.gateway.proxy, await guarded.key()
    proxy.context.catalogue = msgspec.structs.replace(
        proxy.context.catalogue, exact=None
    )  # any look at it raises
    for _ in range(3):
        answer = await exchange(guarded.url, f"POST {MODEL}:generateContent?key={secret}", body=b"{}")
        assert answer.status == 200
    row = await guarded.row(3)
    assert (row["outcome"], row["cost_usd"], row["prompt_tokens"]) == ("ok", None, 1)
    assert not proxy.open_calls
    assert "".join(capfd.readouterr()).count("call_accounting_failed") == 1


async def test_a_budget_is_charged_in_advance_where_no_price_can_be_worked_out(
    guarded: Running, google: StandIn
) -> None:
    proxy, secret = guarded.gateway.proxy, await guarded.key(max_budget=1)
    whole = proxy.context.catalogue

    async def lose_the_prices(reply: Reply) -> None:
        proxy.context.catalogue = msgspec.structs.replace(whole, exact=None)
        await reply.json(b"{}")

    google.script = lose_the_prices
    await exchange(guarded.url, f"POST {MODEL}:generateContent?key={secret}", body=b"{}")
    row = await guarded.row()
    assert (row["outcome"], row["cost_usd"]) == ("ok", None)
    assert row["usage_note"].startswith("estimated for the budget: ")
    assert await spend(guarded, secret) > 0


async def test_a_row_that_cannot_be_written_still_counts(
    guarded: Running, google: StandIn, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(_: object) -> None:
        raise ValueError("secret words")

    proxy, secret = guarded.gateway.proxy, await guarded.key(max_budget=1)
    monkeypatch.setattr(proxy.context.ledger, "end", fail)
    answer = await exchange(guarded.url, f"POST {MODEL}:generateContent?key={secret}", body=b"{}")
    assert answer.status == 200
    assert await spend(guarded, secret) > 0
    assert not proxy.open_calls
    logged = "".join(capfd.readouterr())
    assert "call_accounting_failed" in logged
    assert "secret words" not in logged


@pytest.mark.parametrize(
    ("fields", "status", "reason"),
    [
        ({}, 200, None),
        ({"max_budget": 1}, 403, "GATEKEEPER_MODEL_UNPRICED"),
        ({"max_budget": 1, "allow_unpriced": True}, 200, None),
    ],
)
async def test_a_key_with_a_budget_needs_prices_that_can_be_found(
    guarded: Running,
    google: StandIn,
    capfd: pytest.CaptureFixture[str],
    fields: dict[str, object],
    status: int,
    reason: str | None,
) -> None:
    context, secret = guarded.gateway.proxy.context, await guarded.key(**fields)
    context.catalogue = msgspec.structs.replace(context.catalogue, exact=None)  # any look at it raises
    answer = await exchange(guarded.url, f"POST {MODEL}:generateContent?key={secret}", body=b"{}")
    row = await guarded.row()
    assert (answer.status, row["status"], row["reason"]) == (status, status, reason)
    assert row["cost_usd"] == (None if status == 200 else "0.000000000000")
    assert "call_accounting_failed" in "".join(capfd.readouterr())
