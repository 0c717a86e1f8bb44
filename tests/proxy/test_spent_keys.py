"""What has spent its budget: no method that may cost something is relayed for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from msgspec.structs import replace
from rig.cases import cases
from rig.gateway import Running, running
from rig.live import ended, live_standing_in, session
from rig.standin import StandIn

from gatekeeper.keys.account import Account, NamedAccount
from gatekeeper.keys.limits import NamedRecord

# Every method of Google's discovery documents and SDKs, and some that nobody has heard of.
METHODS = [
    line.split("\t")[:3]
    for line in (Path(__file__).parents[1] / "gemini" / "methods.tsv").read_text().splitlines()[1:]
]
BILLABLE = [(method, path) for billing, method, path in METHODS if billing != "free"]
LIVE = [path for _, path in BILLABLE if path.startswith("/ws/")]
# A token would open sessions past the gateway: none is made for a key with any limit, spent or not.
HTTP = [(method, path) for method, path in BILLABLE if path not in LIVE and "auth_tokens" not in path]
VERSIONS = ("v1", "v1beta", "v1alpha")
START = {"X-Goog-Upload-Protocol": "resumable", "X-Goog-Upload-Command": "start"}
USD = 10**12  # pico-dollars


def spend(*accounts: Account | None) -> None:
    for account in accounts:
        assert account is not None
        account.spend_pico = USD


def grouped(gateway: Running, kind: str, name: str = "g") -> None:
    """An account beside the key's that has spent its budget."""
    record = NamedRecord(name=name, max_budget_pico=USD, created_at=0, updated_at=0)
    gateway.gateway.registry.accounts.add(NamedAccount(kind=kind, record=record, spend_pico=USD))


async def of_a_key(gateway: Running) -> str:
    secret = await gateway.key(max_budget=1)
    spend(gateway.gateway.registry.find(secret, 0))
    return secret


async def of_a_group(gateway: Running) -> str:
    grouped(gateway, "group")
    return await gateway.key(group="g")


async def of_an_end_user(gateway: Running) -> str:
    grouped(gateway, "user")
    return await gateway.key(user_id="g")


async def of_the_gateway(gateway: Running) -> str:
    grouped(gateway, "gateway", "")
    return await gateway.key()


SPENT: dict[str, Callable[[Running], Awaitable[str]]] = {
    "key": of_a_key,
    "group": of_a_group,
    "end user": of_an_end_user,
    "gateway": of_the_gateway,
}


async def refusals(gateway: Running, secret: str, version: str, body: object) -> dict[str, int]:
    """By status and reason how many methods are refused; those that something else befalls by name."""
    found: dict[str, int] = {}
    for method, path in HTTP:
        answer = await gateway.client.request(
            method,
            "/gemini" + path.replace("{v}", version),
            headers={"x-goog-api-key": secret, **(START if path.startswith("/upload/") else {})},
            json=body if method in ("POST", "PATCH") else None,
        )
        error = answer.json().get("error")
        told = f"{answer.status_code} {error['details'][0]['reason']}" if error else path
        found[told] = found.get(told, 0) + 1
    return found


@cases("version", VERSIONS)
async def test_no_method_that_may_cost_something_is_relayed(
    guarded: Running, google: StandIn, version: str
) -> None:
    secret = await of_a_key(guarded)
    found = await refusals(guarded, secret, version, {})
    assert found == {"429 GATEKEEPER_BUDGET_EXCEEDED": len(HTTP)}
    assert not google.asked
    assert len(HTTP) > 40


@cases("whose", list(SPENT)[1:])
async def test_the_budget_of_all_that_a_key_belongs_to_counts(
    guarded: Running, google: StandIn, whose: str
) -> None:
    secret = await SPENT[whose](guarded)
    found = await refusals(guarded, secret, "v1beta", {})
    assert found == {"429 GATEKEEPER_BUDGET_EXCEEDED": len(HTTP)}
    assert not google.asked


async def test_the_budget_of_models_counts_on_every_method(guarded: Running, google: StandIn) -> None:
    """Where nothing else limits the key. A method of unknown cost is refused as such."""
    secret = await guarded.key(allow_unpriced=True)
    state = guarded.gateway.registry.find(secret, 0)
    assert state is not None
    state.record = replace(state.record, model_max_budget_pico={"*": 0})
    found = await refusals(guarded, secret, "v1beta", {"model": "gemini-2.5-flash"})
    assert found.pop("429 GATEKEEPER_BUDGET_EXCEEDED") > 10
    assert set(found) == {"403 GATEKEEPER_ROUTE_NOT_ALLOWED"}
    assert not google.asked


@pytest.mark.parametrize("whose", SPENT)
async def test_no_live_session_is_opened(tmp_path: Path, whose: str) -> None:
    master = {"master_key": "master-of-the-tests"}
    async with (
        live_standing_in() as google,
        running(tmp_path / "data", google.url, **master) as gateway,
    ):
        secret = await SPENT[whose](gateway)
        for version in VERSIONS:
            for path in LIVE:
                async with session(gateway, path.replace("{v}", version), key=secret) as client:
                    _, reason = await ended(client)
                assert (reason or "").startswith("GATEKEEPER_BUDGET_EXCEEDED: ")
        rows = await gateway.rows()
        assert {(row["outcome"], row["reason"]) for row in rows} == {
            ("refused", "GATEKEEPER_BUDGET_EXCEEDED")
        }
        assert len(rows) == len(VERSIONS) * len(LIVE)
        assert not google.requests
